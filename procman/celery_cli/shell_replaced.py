"""Find out whether a shell replaces itself with the command that it starts, or stays in front of it."""

from __future__ import annotations

import re
from pathlib import Path

from procman.celery_cli.script_file import ScriptFile
from procman.celery_cli.shell_nodes import Chain, Command
from procman.celery_cli.shell_syntax import read_nodes
from procman.celery_cli.start_script import OF_CELERY

TRAP = re.compile(r"(?:\A|[;&|\n])[ \t]*trap\s")


def replaces_itself(file: ScriptFile) -> bool:
    """Return whether the shell of a command line becomes the last command of its text, although that has no `exec`.

    bash does (5.2) if that is a simple command without redirections, alone or behind `;` or `&&`, and no signal is
    trapped; dash, Debian's sh, does not (0.5.12).
    """
    if file.path is not None or Path(file.shell).name != "bash" or TRAP.search(file.text):
        return False
    nodes = list(read_nodes(file.text))
    last = nodes[-1] if nodes else None
    if isinstance(last, Chain):
        operator, last = last.links[-1]
        if operator == "||":
            return False
    if last and OF_CELERY.search(file.text) and not OF_CELERY.search(last.source):
        # Celery is not the last command.
        return False
    return isinstance(last, Command) and not last.redirections and [each.text for each in last.words[:1]] != ["time"]
