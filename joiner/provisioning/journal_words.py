"""placeholder"""

WORDS = b"x"
