"""Read shell scripts that start Celery by themselves, such as the entry points of containers (`init --from run.sh`)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from procman.init.importing.contents import content_of
from procman.init.importing.existing import Existing, Reading
from procman.init.importing.readers.multi_nodes import with_nodes
from procman.init.importing.texts import Texts
from procman.init.importing.understand import Understood, understood, with_understood

ARGUMENTS = re.compile(r"\$(?:[@*1-9]|\{[@*1-9])")
CELERY = re.compile(r"\bcelery\b")


def read(files: Sequence[Path], _: Mapping[str, str], root: Path = Path("/")) -> Reading:  # noqa: ARG001
    """Return what the scripts `files` start when they are called without arguments. Raises ProcmanError."""
    programs = [program for file in files for program in with_nodes(_program(file.absolute()))]
    used = {path for each in programs for path in each.environment_files}
    return Reading(tuple(programs), files=(*files, *sorted(used)))


def _program(file: Path) -> Existing:
    text = content_of(file)
    # The text of a file without #! is read by the shell that starts it.
    found = understood(["/bin/sh", str(file)], {}, file.parent, place=str(file), user=Texts.of_owner(file.parent).user)
    return replace(
        with_understood(Existing(str(file), file.stem, file, 0, ()), found),
        problem=found.problem or _problem(text, found),
        # Where it is called is unknown, unless it changes to a directory itself.
        directory=None if found.directory == file.parent else found.directory,
    )


def _problem(text: str, found: Understood) -> str:
    """Return why the script alone is not enough; empty if it is, or does not start Celery."""
    if found.command or not ARGUMENTS.search(text) or not CELERY.search(text):
        return ""
    return "the arguments that complete its command come from what starts it: name that file with --from instead"
