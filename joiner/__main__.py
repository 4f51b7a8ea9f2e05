"""`python -m joiner` is the command line."""

from joiner.cli.main import run

if __name__ == "__main__":
    run()
