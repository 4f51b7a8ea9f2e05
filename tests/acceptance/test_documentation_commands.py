"""docs/commands.md names every command and option of the command line, and no other."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from joiner.cli.main import app
from tests.repository import FENCE, HEADING, ROOT

COMMON_OPTIONS_HEADING = "Options of every command"


def commands_of(command: Any, path: str) -> Iterator[tuple[str, set[str]]]:
    """Every command below this one, written as it is typed, with its long options."""
    below = getattr(command, "commands", None)
    if below is not None:
        for name, child in below.items():
            if not child.hidden:
                yield from commands_of(child, f"{path} {name}")
        return
    options = (option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts])
    yield path, {option for option in options if option.startswith("--")}


def real_commands() -> dict[str, set[str]]:
    """Every command that can be typed, with its long options."""
    return dict(commands_of(get_command(app), "joiner"))


def sections(page: Path) -> dict[str, str]:
    """The page's text by heading."""
    found: dict[str, str] = {}
    title, in_code = "", False
    for line in page.read_text(encoding="utf-8").splitlines():
        in_code ^= FENCE.match(line) is not None
        heading = None if in_code else HEADING.match(line)
        if heading:
            title = heading[1]
        found[title] = f"{found.get(title, '')}{line}\n"
    return found


def test_every_command_and_option_is_documented() -> None:
    documented = sections(ROOT / "docs/commands.md")
    common = documented[COMMON_OPTIONS_HEADING]
    commands = real_commands()
    assert "joiner serve" in commands
    missing = []
    for command, options in commands.items():
        named = re.compile(rf"`{re.escape(command)}(?![\w-]| [a-z])")
        text = "".join(body for title, body in documented.items() if named.search(title))
        if not text:
            missing.append(f"no heading names `{command}`")
            continue
        missing += [
            f"{command} {option}"
            for option in sorted(options - {"--help"})
            if not re.search(rf"{re.escape(option)}(?![\w-])", text + common)
        ]
    assert missing == []


def test_no_command_is_documented_that_does_not_exist() -> None:
    titles = [title for title in sections(ROOT / "docs/commands.md") if "`joiner " in title]
    named = {name for title in titles for name in re.findall(r"`(joiner(?: [a-z][a-z-]*)+)", title)}
    assert named - set(real_commands()) == set()
