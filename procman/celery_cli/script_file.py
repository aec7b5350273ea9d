"""Find the shell script that a command line starts, without running anything."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from procman.celery_cli.start_script import LONGEST_SCRIPT

SHELL = re.compile(r"(ba|da|z|k)?sh")
SHEBANG = re.compile(r"#!\s*\S*?(?:env\s+)?(?:ba|da|z|k)?sh\b")


@dataclass(frozen=True)
class ScriptFile:
    """A shell script and how it is started."""

    path: Path | None
    """None: its text is on the command line (`sh -c TEXT`)."""
    text: str
    name: str
    """Its `$0`."""
    arguments: tuple[str, ...] = ()
    """Its `$1`, `$2` and so on."""
    shell: str = ""
    """The shell that the command line names; empty if the script is started directly."""


def script_started_by(
    words: Sequence[str], directory: Path, read_text: Callable[[Path], str] | None = None
) -> ScriptFile | None:
    """Return the script that `words` start in `directory`; None if it is none, or cannot be read (with `read_text`).

    A program that is no shell script, such as the `celery` of a virtualenv, is none.
    """
    if not words:
        return None
    shell = words[0] if SHELL.fullmatch(Path(words[0]).name) else ""
    rest = list(words[1:] if shell else words)
    while shell and rest and rest[0].startswith(("-", "+")):
        option = rest.pop(0)
        if option.startswith("-") and option.endswith("c") and not option.startswith("--"):
            return ScriptFile(None, rest[0], "".join(rest[1:2]) or shell, tuple(rest[2:]), shell) if rest else None
        if option in ("-o", "+o"):
            del rest[:1]
    path = directory / rest[0] if rest else directory
    text = (read_text or text_of)(path)
    if not text or not (shell or SHEBANG.match(text)):
        return None
    return ScriptFile(path, text, rest[0], tuple(rest[1:]), shell)


def text_of(path: Path) -> str:
    """Return the content of a small text file; empty if there is none at `path`, or it cannot be read."""
    try:
        # Not a FIFO, which would block.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > LONGEST_SCRIPT:
                return ""
            content = file.read(LONGEST_SCRIPT)
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return ""
    return content.decode("utf-8", "replace") if b"\0" not in content else ""
