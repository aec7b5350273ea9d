"""Read a configuration that is not installed yet with supervisor's own parser, in a private directory (R6)."""

from __future__ import annotations

import configparser
import contextlib
import glob
import os
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor import datatypes, options

from procman.backends.supervisor.configuration.redaction import without_content

PROGRAM_FIELDS = tuple(options.ProcessConfig.req_param_names)
"""The fields that only the section decides; `environment` and `serverurl` also depend on `[supervisord]`."""

STAND_IN = "1"
"""The value for variables of supervisord's unknown environment: valid as a number, name, path and boolean."""


@dataclass(frozen=True)
class Source:
    """One file of the configuration."""

    path: Path
    """Its present or future path."""
    content: str | None
    """Its future content; None if it does not change."""


@dataclass(frozen=True)
class Process:
    """One process that supervisord would run."""

    group: str
    name: str
    kind: str
    """The class of its group: `ProcessGroupConfig` for `[program:]` and `[group:]`."""
    fields: Mapping[str, Any]
    environment: Mapping[str, str]


class Unreadable(Exception):
    """supervisor would refuse the configuration; the message is its own, with real paths and without values."""


@dataclass(frozen=True)
class Reading:
    """A configuration as supervisord reads it."""

    processes: tuple[Process, ...]
    warnings: tuple[str, ...]


def read(main: Source, included: Sequence[Source], directories: Collection[Path]) -> Reading:
    """Read `main` with exactly the files `included`, in their order; `directories` count as existing.

    Raises Unreadable. Nothing that the configuration names is run or imported.
    """
    with tempfile.TemporaryDirectory(prefix="procman-") as name, _counted_as_there(directories):
        staged = _Staging(Path(name))
        files = [staged.place(source) for source in included]
        configuration = staged.place(main, end=_include(files))
        reader = _Reader()
        reader.configfile = str(configuration)
        reader.here = str(main.path.parent)
        reader.environ_expansions |= _stand_ins([configuration, *files], reader.environ_expansions)
        try:
            section = reader.read_config(str(configuration))
        except (ValueError, KeyError, OSError, configparser.Error) as error:
            raise Unreadable(staged.with_real_paths(without_content(error))) from None
        warnings = [staged.with_real_paths(warning) for warning in reader.parse_warnings]
        vanished = [warning for warning in warnings if warning.startswith("No file matches")]
        if vanished:
            raise Unreadable(f"{vanished[0]}: it was removed meanwhile")
        return Reading(tuple(_processes(section.process_group_configs)), tuple(warnings))


class _Reader(options.ServerOptions):  # type: ignore[misc]
    """supervisord's reader, changed so that it neither exits nor imports anything that a configuration names."""

    def usage(self, msg: object) -> None:
        raise ValueError(str(msg))

    def import_spec(self, _spec: str) -> object:
        return object


class _Staging:
    """A private directory for files that are not installed yet; other files are read where they are."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._real: dict[str, str] = {}

    def place(self, source: Source, end: str = "") -> Path:
        if source.content is None and not end:
            return source.path
        content = source.content
        if content is None:
            content = source.path.read_text(encoding="utf-8", errors="surrogateescape")
        staged = self._directory / f"{len(self._real):04}.conf"
        if not end:
            # The directory of an included file; for the main file, the reader knows it.
            content = content.replace("%(here)s", str(source.path.parent))
        staged.write_text(content + end, encoding="utf-8", errors="surrogateescape")
        self._real[str(staged)] = str(source.path)
        return staged

    def with_real_paths(self, text: str) -> str:
        for staged, real in self._real.items():
            text = text.replace(staged, real)
        return text


def _include(files: Sequence[Path]) -> str:
    """Return another `[include]` for the end of the main file, where it overrides the first one."""
    return "\n[include]\nfiles =\n" + "".join(f"  {_pattern(file)}\n" for file in files)


def _pattern(file: Path) -> str:
    """Return a pattern that matches only `file`, without blanks, which split patterns, and with `%` escaped."""
    return re.sub(r"[^!-~]", "[!!-~]", glob.escape(str(file))).replace("%", "%%")


def _stand_ins(files: Sequence[Path], known: Mapping[str, str]) -> dict[str, str]:
    names = set()
    for file in files:
        with contextlib.suppress(OSError):
            names |= set(re.findall(r"%\((ENV_[^)]+)\)", file.read_text(encoding="utf-8", errors="replace")))
    return dict.fromkeys(names - set(known), STAND_IN)


def _processes(groups: Sequence[Any]) -> Iterator[Process]:
    for group in groups:
        for process in group.process_configs:
            fields = {name: getattr(process, name) for name in PROGRAM_FIELDS}
            yield Process(group.name, process.name, type(group).__name__, fields, process.environment)


@contextlib.contextmanager
def _counted_as_there(directories: Collection[Path]) -> Iterator[None]:
    """Make supervisor's check for the directory of a log accept `directories` and directories that are not accessible.

    The check is a function of `supervisor.datatypes` that `supervisor.options` also imports by name (4.2, 4.3).
    """
    expected = {os.path.normpath(directory) for directory in directories}
    original_directory, original_path = datatypes.existing_directory, datatypes.existing_dirpath

    def existing_directory(value: str) -> Any:
        path = os.path.expanduser(value)  # noqa: PTH111 - as supervisor does it
        return path if _there(path, expected) else original_directory(value)

    def existing_dirpath(value: str) -> Any:
        path = os.path.expanduser(value)  # noqa: PTH111
        return path if _there(os.path.dirname(path), expected) else original_path(value)  # noqa: PTH120

    changed = {"existing_directory": existing_directory, "existing_dirpath": existing_dirpath}
    originals = {"existing_directory": original_directory, "existing_dirpath": original_path}
    try:
        for module in (datatypes, options):
            for name, function in changed.items():
                setattr(module, name, function)
        yield
    finally:
        for module in (datatypes, options):
            for name, function in originals.items():
                setattr(module, name, function)


def _there(directory: str, expected: Collection[str]) -> bool:
    if os.path.normpath(directory) in expected:
        return True
    try:
        os.stat(directory)  # noqa: PTH116
    except PermissionError:
        return True
    except OSError:
        return False
    return False
