"""Find supervisord's configuration on the host and read the unmanaged programs in it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from supervisor.datatypes import dict_of_key_value_pairs
from supervisor.options import expand

from procman.backends.supervisor.configuration.main_file import DEFAULT_FILES, MainFile
from procman.backends.supervisor.configuration.sections import PROGRAM_KINDS, Section, read_sections
from procman.errors import ProcmanError


def find_configurations(environment: Mapping[str, str], root: Path = Path("/")) -> tuple[Path, ...]:
    """Return the existing configuration files of supervisord, in supervisord's search order.

    `supervisord` is searched for in the PATH of `environment`, because it searches relative to its own directory first.
    """
    candidates = [root / path.relative_to("/") for path in DEFAULT_FILES]
    installed = shutil.which("supervisord", path=environment.get("PATH", ""))
    if installed:
        prefix = Path(installed).parent.parent
        candidates = [prefix / "etc/supervisord.conf", prefix / "supervisord.conf", *candidates]
    # Path.is_file() raises an error if a directory is not accessible.
    return tuple(dict.fromkeys(path for path in candidates if os.path.isfile(path)))  # noqa: PTH113


def find_configurations_around(file: Path) -> tuple[Path, ...]:
    """Return the existing supervisord.conf files in the directory of `file` and in its parent."""
    candidates = [directory / "supervisord.conf" for directory in (file.parent, file.parent.parent)]
    return tuple(path for path in candidates if os.path.isfile(path))  # noqa: PTH113


def include_for(main: MainFile) -> str | None:
    """Return the first pattern of `[include]` that procman can use, with a single `*` in the file name."""
    for pattern in main.includes:
        path = Path(pattern)
        if path.name.count("*") == 1 and not re.search(r"[*?\[]", str(path.parent) + path.name.replace("*", "")):
            return pattern
    return None


def read_programs(path: Path) -> list[Section]:
    """Return the programs, event listeners and groups in the file `path`, in order.

    A repeated section, which supervisord merges, is returned twice. Raises ProcmanError if supervisord could not read
    the file.
    """
    return [each for each in read_sections(path, _text(path)) if each.kind in (*PROGRAM_KINDS, "group")]


def expanded(program: Section, option: str, here: Path) -> str:
    """Return the value of `option` with its expansions, empty if not set; `here` is the directory of the main file.

    Raises ValueError for an expansion that only supervisord knows, such as `%(ENV_HOME)s`.
    """
    expansions = {
        "here": str(here),
        "program_name": program.name,
        "group_name": program.name,
        "process_num": 0,
        "numprocs": 1,
    }
    return str(expand(program.value(option), expansions, option))


def command_of(program: Section, here: Path) -> list[str]:
    """Return the words of the command, as supervisord would run it. Raises ValueError as `expanded` does."""
    return shlex.split(expanded(program, "command", here))


def environment_of(program: Section, here: Path) -> dict[str, str]:
    """Return the variables that the section sets. Raises ValueError as `expanded` does."""
    found: Mapping[str, str] = dict_of_key_value_pairs(expanded(program, "environment", here))
    return dict(found)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise ProcmanError(f"{path}: cannot be read: {error.strerror}") from None
