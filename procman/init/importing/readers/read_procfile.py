"""Read a Procfile and its `.env` (`init --from Procfile`), as honcho would run them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from procman.init.importing.contents import content_of
from procman.init.importing.existing import Existing, Reading, Remark, Stop
from procman.init.importing.readers.multi_nodes import with_nodes
from procman.init.importing.texts import Texts
from procman.init.importing.understand import WITHOUT_EXEC, understood, with_understood
from procman.init.importing.variables_files import parsed
from procman.sources import PROCFILE, Source

LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(.+)$")
"""An entry (honcho.environ 2.0)."""

NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
LONGEST_LINE = 65_536

OF_HONCHO = Stop(signal="TERM", seconds=5, reaches="group", restarts="never")
"""How honcho stops all of its programs when one of them ends (honcho.manager.KILL_WAIT)."""


def read(files: Sequence[Path], _: Mapping[str, str], __: Path = Path("/")) -> Reading:
    """Return the programs of the Procfiles `files`. Raises ProcmanError."""
    readings = [_read(file.absolute()) for file in files]
    return Reading(
        tuple(program for each in readings for program in each.programs),
        tuple(remark for each in readings for remark in each.remarks),
        tuple(file for each in readings for file in each.files),
    )


def variables_in(text: str) -> dict[str, str]:
    """Return the variables that honcho reads from the `text` of a `.env`."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        try:
            tokens = list(shlex.shlex(line[:LONGEST_LINE], posix=True))
        except ValueError:
            # honcho itself does not start with such a file.
            continue
        if len(tokens) >= 3 and tokens[1] == "=" and NAME.match(tokens[0]):
            found[tokens[0]] = "".join(tokens[2:]).replace(r"\n", "\n").replace(r"\t", "\t")
    return found


def _read(file: Path) -> Reading:
    texts = Texts.of_owner(file.parent)
    dotenv = file.parent / ".env"
    variables = variables_in(texts.read(dotenv))
    is_usable = bool(variables) and parsed(dotenv, texts.read(dotenv)).variables == variables
    programs, remarks = list[Existing](), list[Remark]()
    if dotenv.exists() and not texts.read(dotenv):
        why = f"it cannot be read as {texts.user or 'root'}, and its variables are unknown"
        remarks.append(Remark(str(dotenv), ".env", why, doubtful=True))
    for number, line in enumerate(content_of(file).splitlines(), 1):
        found = LINE.match(line[:LONGEST_LINE])
        if found and any(each.source and each.source.name == found[1] for each in programs):
            remarks.append(Remark(f"{file}:{number}", found[1], "honcho refuses a second program of this name"))
        elif found:
            one = _program(file, number, found[1], found[2], variables, texts.user)
            programs += with_nodes(_with_file(one, dotenv, variables) if is_usable else one)
    return Reading(tuple(programs), tuple(remarks), (file, *([dotenv] if variables else [])))


def _program(
    file: Path, line: int, name: str, command: str, variables: Mapping[str, str], user: str | None
) -> Existing:
    place = f"{file}:{line}"
    found = understood(["/bin/sh", "-c", command], variables, file.parent, place=place, user=user)
    source = Source(PROCFILE, str(file), name)
    whole = Existing(f"{name} of {file}", name, file, line, (), stop=OF_HONCHO, source=source)
    # honcho stops the whole process group, so a shell in front of Celery does not matter.
    remarks = tuple(each for each in found.remarks if each.what != WITHOUT_EXEC)
    return replace(with_understood(whole, found), remarks=remarks)


def _with_file(program: Existing, dotenv: Path, variables: Mapping[str, str]) -> Existing:
    """Leave the variables of the `.env` to that file, which procman reads in the same way."""
    if any(program.environment.get(name) != value for name, value in variables.items()):
        return program
    own = {name: value for name, value in program.environment.items() if name not in variables}
    return replace(program, environment=own, environment_files=(dotenv, *program.environment_files))
