"""The example company that ships with the package: invented people, offices and groups."""

from importlib.resources import files


def example_files() -> tuple[bytes, bytes]:
    """The users file and the groups file, as an administrator would have them."""
    data = files("joiner.directory").joinpath("data")
    return data.joinpath("example-users.csv").read_bytes(), data.joinpath("example-groups.csv").read_bytes()
