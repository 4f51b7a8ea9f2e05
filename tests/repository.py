"""The repository as git knows it: what tests read that judge the project's own files."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

HEADING = re.compile(r"^#{1,6} +(.*?) *#* *$")
FENCE = re.compile(r"^ *(```|~~~)")


def tracked_files(pattern: str = "*") -> list[Path]:
    """Absolute paths of the files under version control, and of new ones not ignored, that match the pattern."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", pattern]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = (ROOT / name for name in sorted(set(filter(None, listing.split("\0")))))
    return [path for path in paths if path.is_file()]


def name_of(path: Path) -> str:
    """The path as the repository's reader writes it."""
    return path.relative_to(ROOT).as_posix()


def prose_lines(markdown: str) -> list[tuple[int, str]]:
    """The lines outside code blocks, with their numbers counted from 1."""
    lines, in_code = [], False
    for number, line in enumerate(markdown.splitlines(), start=1):
        if FENCE.match(line):
            in_code = not in_code
        elif not in_code:
            lines.append((number, line))
    return lines
