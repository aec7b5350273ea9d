"""Read supervisord's own settings from its configuration file: its address, its log and its includes.

This does not use the supervisor library, whose import takes longer than all of `procman status`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from procman.backends.supervisor.configuration.sections import read_options
from procman.backends.supervisor.xmlrpc import Address
from procman.errors import ProcmanError
from procman.records import record

DEFAULT_FILES = (Path("/etc/supervisord.conf"), Path("/etc/supervisor/supervisord.conf"))
"""The last entries in the search order of supervisor 4 and supervisorctl: Red Hat's file and Debian's."""

EMBEDDED = "supervisor"
"""The directory of procman's own supervisord below `Directories.shared_state`, with the following files."""

EMBEDDED_SOCKET = "supervisor.sock"
EMBEDDED_PID_FILE = "supervisord.pid"
EMBEDDED_LOG = "supervisord.log"

HASHED = "{SHA}"
"""The prefix of a hashed password, which a client cannot use."""


class NoConfiguration(ProcmanError):
    """supervisord's configuration file does not exist."""


class NotReadable(ProcmanError):
    """The user may not read supervisord's configuration file, which is root's."""


@record(frozen=True)
class MainFile:
    """The part of supervisord's configuration file that a client needs."""

    path: Path
    address: Address
    username: str | None
    password: str | None = field(repr=False)
    pid_file: Path | None
    log_file: str
    """A path, which may be relative to supervisord's working directory, or `syslog`."""
    log_level: str
    includes: tuple[str, ...]
    """The absolute patterns of `[include]`, in supervisord's reading order."""
    user: str | None = None
    """The user, by name or number, that a supervisord started by root becomes; None: it stays root."""


def read_main_file(path: Path) -> MainFile:
    """Read the configuration file `path` of a supervisord. Raises ProcmanError if that is impossible."""
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        raise NoConfiguration(
            f"{path}: supervisord's configuration file does not exist",
            hint="Install supervisor, or set `configuration` under [supervisor] in procman.toml to the right file.",
        ) from None
    except OSError as error:
        kind = NotReadable if isinstance(error, PermissionError) else ProcmanError
        raise kind(f"{path}: cannot be read: {error.strerror}", hint="Run the same command with sudo.") from None
    return parse_main_file(path, text)


def parse_main_file(path: Path, text: str) -> MainFile:
    """Return the settings in `text`, the present or future content of `path`."""
    words = _Words(path, read_options(path, text))
    address, username, password = _server(words)
    pid_file = words.get("supervisord", "pidfile", "supervisord.pid")
    return MainFile(
        path=path,
        address=address,
        username=username,
        password=password,
        pid_file=Path(pid_file) if pid_file.startswith("/") else None,
        log_file=words.get("supervisord", "logfile", "supervisord.log"),
        log_level=words.get("supervisord", "loglevel", "info").lower(),
        includes=tuple(str(path.parent / pattern) for pattern in words.get("include", "files").split()),
        user=_user(words),
    )


def embedded_main_file(path: Path, state: Path) -> MainFile:
    """Return the settings of procman's own supervisord, for when its file was removed while it is still running.

    `state` is `Directories.shared_state`.
    """
    return MainFile(
        path=path,
        address=state / EMBEDDED / EMBEDDED_SOCKET,
        username=None,
        password=None,
        pid_file=state / EMBEDDED / EMBEDDED_PID_FILE,
        log_file=str(state / EMBEDDED / EMBEDDED_LOG),
        log_level="info",
        includes=(),
    )


class _Words:
    """Values with supervisor's `%(here)s` and `%(ENV_X)s` expanded."""

    def __init__(self, path: Path, sections: Mapping[str, Mapping[str, str]]) -> None:
        self.path = path
        self._sections = sections
        self._expansions: Mapping[str, str] = {
            "here": str(path.parent),
            "host_node_name": os.uname().nodename,
            **{f"ENV_{name}": value for name, value in os.environ.items()},
        }

    def get(self, section: str, option: str, default: str = "") -> str:
        value = self._sections.get(section, {}).get(option, default)
        if "%" not in value:
            return value
        try:
            return value % self._expansions
        except (KeyError, TypeError, ValueError):
            raise ProcmanError(
                f"{self.path}: [{section}] {option} has an expansion that only supervisord can resolve",
                hint="Replace it with the value: procman does not know supervisord's environment.",
            ) from None


def _user(words: _Words) -> str | None:
    try:
        return words.get("supervisord", "user").strip() or None
    except ProcmanError:
        return None


def _server(words: _Words) -> tuple[Address, str | None, str | None]:
    """Return address, username and password: the server's own, or `[supervisorctl]`'s if the password is hashed."""
    control = (words.get("supervisorctl", "username") or None, words.get("supervisorctl", "password") or None)
    for section, option in (("unix_http_server", "file"), ("inet_http_server", "port")):
        value = words.get(section, option).strip()
        if not value:
            continue
        address = _unix(words.path, value) if option == "file" else _inet(words.path, value)
        own = (words.get(section, "username") or None, words.get(section, "password") or None)
        return address, *(control if (own[1] or "").startswith(HASHED) else own)
    url = words.get("supervisorctl", "serverurl").strip()
    if url.startswith("unix://"):
        return _unix(words.path, url.removeprefix("unix://")), *control
    if url.startswith("http://"):
        return _inet(words.path, url.removeprefix("http://").rstrip("/")), *control
    raise ProcmanError(
        f"{words.path}: no address of supervisord is configured",
        hint="Add:\n[unix_http_server]\nfile=/run/supervisor.sock\nchmod=0700\nand restart supervisord.",
    )


def _unix(main: Path, value: str) -> Path:
    return main.parent / Path(value).expanduser()


def _inet(main: Path, value: str) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    if not port.isdecimal():
        raise ProcmanError(f"{main}: `{value}` is not a valid port", hint="Set, for example, port=127.0.0.1:9001.")
    return ("127.0.0.1" if host in ("", "*", "0.0.0.0") else host), int(port)  # noqa: S104 - compared, not bound
