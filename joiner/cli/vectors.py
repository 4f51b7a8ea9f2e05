"""What commands that check files of test vectors say at their end."""


def summary_of(number: int, failed: int) -> str:
    """Of so many vectors so many failed."""
    return f"{number - failed} of {number} vectors hold" + (f", {failed} do not" if failed else "")
