"""Search the host for a supervisord to use."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from procman.backends.supervisor.configuration.discovery import include_for
from procman.backends.supervisor.configuration.includes import is_read
from procman.backends.supervisor.configuration.main_file import MainFile, read_main_file
from procman.backends.supervisor.embedded import own_command
from procman.config.trust import trust_problems
from procman.errors import ProcmanError
from procman.host.systemd_host import BOOTED, version
from procman.init.draft import Draft
from procman.model import Scope
from procman.project import OLDEST_SYSTEMD


def main_files(paths: Iterable[Path], draft: Draft) -> list[MainFile]:
    """Return the readable supervisord configurations among `paths`, in their order."""
    found = []
    for path in paths:
        try:
            found.append(read_main_file(path))
        except ProcmanError as error:
            draft.warn(error.message)
    return found


def main_file_of(file: Path, mains: list[MainFile]) -> MainFile | None:
    """Return the configuration that includes `file`; None if none of `mains` does."""
    return next((main for main in mains if is_read(file, main)), None)


def choose_supervisord(
    draft: Draft, scope: Scope, mains: list[MainFile], root: Path, reader: MainFile | None = None
) -> None:
    """Put the first of `mains` whose `[include]` fits into `draft`, or else procman's own supervisord.

    `reader`, the supervisord that runs the programs now, has precedence in any scope, because no other can adopt them.
    `root` is the root directory of the host.
    """
    if reader:
        include = include_for(reader)
        if include is None:
            include = f"{reader.path.parent}/conf.d/*.conf"
            draft.warn(f"{reader.path} does not include {include} yet: add it to files in its [include] section")
        _use(draft, reader, include)
        return
    for main in mains if scope is Scope.SYSTEM else ():
        include = include_for(main)
        if include:
            _use(draft, main, include)
            for other in mains:
                if other is not main:
                    draft.warn(f"{other.path} is another supervisord configuration; {main.path} is used")
            return
        draft.warn(
            f"{main.path} is not used, because it has no [include] pattern such as {main.path.parent}/conf.d/*.conf"
        )
    draft.put("supervisor", "mode", "embedded")
    draft.found("supervisord", "procman's own", "" if scope is Scope.USER else "no usable one on this host")
    _start_at_boot(draft, scope, root)


def _use(draft: Draft, main: MainFile, include: str) -> None:
    draft.put("supervisor", "mode", "existing")
    draft.put("supervisor", "configuration", main.path)
    draft.put("supervisor", "include", include)
    draft.found("supervisord", main.path, f"it includes {include}")


def _start_at_boot(draft: Draft, scope: Scope, root: Path) -> None:
    """Name procman's own supervisord for a unit, if a systemd runs that can start it at boot."""
    command = own_command()
    if command is None or not runs_systemd(root):
        return
    problems = trust_problems(command, {0}) if scope is Scope.SYSTEM else []
    if problems:
        draft.warn(f"systemd will not start supervisord at boot, because other users can modify it: {problems[0]}")
    else:
        draft.put("supervisor", "supervisord", command, "systemd starts it at boot.")


def set_systemd_version(draft: Draft, root: Path) -> None:
    """Put the version of this host's systemd into `draft`, so that units can use all its directives."""
    try:
        found = version() if runs_systemd(root) else 0
    except ProcmanError:
        return
    if found >= OLDEST_SYSTEMD:
        remark = 'This is the version of this host. It takes effect with backend = "systemd".'
        draft.put("systemd", "minimum_version", found, remark)


def runs_systemd(root: Path) -> bool:
    """Return whether systemd is process 1 of the host with this root directory."""
    return (root / BOOTED.relative_to("/")).is_dir()
