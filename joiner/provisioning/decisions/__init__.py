"""What is to become of one object, and why. Pure."""
