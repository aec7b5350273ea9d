"""What `init` finds on the host: a supervisord to use, and the unit of the broker."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from pathlib import Path

from procman.backends.supervisor.configuration.discovery import include_for
from procman.backends.supervisor.configuration.includes import is_read
from procman.backends.supervisor.configuration.main_file import MainFile, read_main_file
from procman.backends.supervisor.embedded import own_command
from procman.config.trust import trust_problems
from procman.errors import ProcmanError
from procman.host.systemd_host import BOOTED
from procman.init.draft import Draft
from procman.model import Scope

UNIT_DIRECTORIES = (
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)
"""systemd's search path for system units (systemd.unit(5)), below the root directory."""

RABBITMQ = ("rabbitmq-server.service",)
REDIS = ("redis-server.service", "redis.service", "valkey-server.service", "valkey.service")
BROKER_UNITS = {
    "amqp": RABBITMQ,
    "amqps": RABBITMQ,
    "pyamqp": RABBITMQ,
    "librabbitmq": RABBITMQ,
    "redis": REDIS,
    "rediss": REDIS,
    "mongodb": ("mongod.service", "mongodb.service"),
}
"""By kombu's transport: what Debian, Red Hat and the makers call their units."""


def main_files(paths: Iterable[Path], draft: Draft) -> list[MainFile]:
    """Return what could be read of the supervisord configurations at PATHS, in their order."""
    found = []
    for path in paths:
        try:
            found.append(read_main_file(path))
        except ProcmanError as error:
            draft.warn(error.message)
    return found


def main_file_of(file: Path, mains: list[MainFile]) -> MainFile | None:
    """Return the configuration that FILE is part of; None if it is none of MAINS."""
    return next((main for main in mains if is_read(file, main)), None)


def choose_supervisord(
    draft: Draft, scope: Scope, mains: list[MainFile], root: Path, reader: MainFile | None = None
) -> None:
    """Put the first of MAINS that has room for our files into DRAFT, else procman's own; ROOT is the host's root.

    READER, which runs the programs today, goes before all others and whatever SCOPE: no other could take them over.
    """
    if reader:
        include = include_for(reader)
        if include is None:
            include = f"{reader.path.parent}/conf.d/*.conf"
            draft.warn(f"{reader.path} does not read {include} yet: add that to files in [include] there")
        _use(draft, reader, include)
        return
    for main in mains if scope is Scope.SYSTEM else ():
        include = include_for(main)
        if include:
            _use(draft, main, include)
            for other in mains:
                if other is not main:
                    draft.warn(f"{other.path} is another configuration of supervisord; {main.path} is used")
            return
        draft.warn(
            f"{main.path} has no [include] with a pattern such as {main.path.parent}/conf.d/*.conf: it is not used"
        )
    draft.put("supervisor", "mode", "embedded")
    draft.found("supervisord", "procman's own", "" if scope is Scope.USER else "there is none to be used")
    _have_it_started(draft, scope, root)


def _use(draft: Draft, main: MainFile, include: str) -> None:
    draft.put("supervisor", "mode", "existing")
    draft.put("supervisor", "configuration", main.path)
    draft.put("supervisor", "include", include)
    draft.found("supervisord", main.path, f"it reads {include}")


def _have_it_started(draft: Draft, scope: Scope, root: Path) -> None:
    """Name procman's own supervisord for a unit, where a systemd runs that could start it at boot."""
    command = own_command()
    if command is None or not (root / BOOTED.relative_to("/")).is_dir():
        return
    problems = trust_problems(command, {0}) if scope is Scope.SYSTEM else []
    if problems:
        draft.warn(f"systemd is not to start supervisord at boot, for others could change it: {problems[0]}")
    else:
        draft.put("supervisor", "supervisord", command, "systemd starts it at boot.")


def broker_unit(transport: str, host: str | None, root: Path) -> str | None:
    """Return the systemd unit of a broker on this host, if there is one."""
    if not _is_this_host(host):
        return None
    for name in BROKER_UNITS.get(transport.partition("+")[0], ()):
        for directory in UNIT_DIRECTORIES:
            path = root / directory / name
            # A masked unit is a link to /dev/null.
            if os.path.exists(path) and path.resolve() != Path(os.devnull):  # noqa: PTH110  # a closed directory is no error
                return name
    return None


def _is_this_host(host: str | None) -> bool:
    if host in (None, "", "localhost", os.uname().nodename):
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False
