"""How fast both sides are, measured on real processes over real sockets. Run by hand: `make bench`."""
