"""Plans: what a cycle would do, computed by the cycle's own code, kept to look at, to compare, and to carry out."""
