"""URLs that the outside has given us: which may be called, and calling nothing else."""
