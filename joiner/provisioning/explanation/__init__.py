"""Why somebody is, or is not, provisioned: everything that is known of one object and one job, in words."""
