"""A cycle on its way through its pages, and how the job stands at its end."""
