"""The variables and specifiers of a systemd unit (systemd.exec(5), systemd.unit(5))."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from procman.accounts import account
from procman.agent.environment_file import EnvironmentFileError, parse_environment_file
from procman.errors import ProcmanError
from procman.host.local_units import is_of_user
from procman.host.unit_words import NotClosed, with_specifiers, words_of
from procman.init.importing.contents import MOST_WILDCARDS, content_of, is_too_wide
from procman.init.importing.existing import Remark
from procman.init.importing.readers.unit_files import SERVICE, Placed, Unit

MOST_PROBLEMS = 20
"""Lines of an environment file that are passed over; one with more is not read."""


@dataclass(frozen=True)
class UnitEnvironment:
    """The variables that a unit gives its program."""

    own: Mapping[str, str] = field(repr=False)
    """Those of Environment=."""
    of_files: Mapping[str, str] = field(repr=False)
    """Those of EnvironmentFile=, which override the others."""
    files: tuple[Path, ...]
    unread: tuple[Path, ...]
    """The files that could not be read."""
    remarks: tuple[Remark, ...] = ()


def specifiers_of(unit: Unit, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the values of the specifiers in `unit`; `environment` is that of the user if it is a unit of a user."""
    name = unit.name.removesuffix(SERVICE)
    prefix, _, instance = name.partition("@")
    is_users = is_of_user(unit.fragment)
    home = environment.get("HOME", "/root") if is_users else "/root"
    node = os.uname().nodename
    own = {"n": unit.name, "N": name, "p": prefix, "P": _unescaped(prefix), "i": instance, "I": _unescaped(instance)}
    own |= {"j": prefix.rpartition("-")[2], "J": _unescaped(prefix.rpartition("-")[2])}
    own |= {"f": f"/{_unescaped(instance or prefix).lstrip('/')}"}
    host = {"H": node, "l": node.partition(".")[0], "v": os.uname().release, "T": "/tmp", "V": "/var/tmp"}  # noqa: S108
    user = {"u": environment.get("USER", "root") if is_users else "root", "h": home}
    return own | host | user | _directories(home, environment, is_of_user=is_users)


def _directories(home: str, environment: Mapping[str, str], *, is_of_user: bool) -> dict[str, str]:
    if not is_of_user:
        return {"t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log", "E": "/etc"}
    state = environment.get("XDG_STATE_HOME", f"{home}/.local/state")
    return {
        "t": environment.get("XDG_RUNTIME_DIR", f"/run/user/{os.geteuid()}"),
        "S": state,
        "C": environment.get("XDG_CACHE_HOME", f"{home}/.cache"),
        "L": f"{state}/log",
        "E": environment.get("XDG_CONFIG_HOME", f"{home}/.config"),
    }


def _unescaped(text: str) -> str:
    # unit_name_unescape() of systemd: a dash is a slash, \xNN a byte.
    return re.sub(r"\\x([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text.replace("-", "/"))


def environment_of(unit: Unit, specifiers: Mapping[str, str]) -> UnitEnvironment:
    """Return the variables of `unit`."""
    own, remarks = _own(unit, specifiers)
    of_files: dict[str, str] = {}
    files: list[Path] = []
    unread: list[Path] = []
    for setting in unit.all("Service.EnvironmentFile"):
        for path, found, more in _read_files(setting, specifiers):
            unread += [path] if path and found is None else []
            of_files |= found or {}
            files += [path] if path else []
            remarks += more
    for setting in unit.all("Service.UnsetEnvironment"):
        for name in setting.value.split():
            own.pop(name.partition("=")[0], None)
    return UnitEnvironment(own, of_files, tuple(dict.fromkeys(files)), tuple(unread), tuple(remarks))


def _own(unit: Unit, specifiers: Mapping[str, str]) -> tuple[dict[str, str], list[Remark]]:
    own: dict[str, str] = {}
    remarks = []
    for setting in unit.all("Service.Environment"):
        try:
            words = words_of(setting.value)
        except NotClosed as error:
            remarks.append(Remark(str(setting), "Environment", f"systemd ignores the line: {error}", doubtful=True))
            continue
        for word in words:
            name, equals, value = with_specifiers(word, specifiers).partition("=")
            if equals:
                own[name] = value
            else:
                remarks.append(Remark(str(setting), "Environment", "systemd ignores a word without =", doubtful=True))
    return own, remarks


def _read_files(
    setting: Placed, specifiers: Mapping[str, str]
) -> Iterator[tuple[Path | None, Mapping[str, str] | None, list[Remark]]]:
    """Yield each file of one EnvironmentFile= with its variables, None if unknown, and remarks."""
    text = with_specifiers(setting.value, specifiers)
    pattern = text.removeprefix("-")
    what = f"EnvironmentFile = {text}"
    if is_too_wide(pattern):
        why = f"it has wildcards in more than {MOST_WILDCARDS} of its parts, so its files are not read"
        yield None, {}, [Remark(str(setting), what, why, doubtful=True)]
        return
    paths = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]  # noqa: PTH207
    for path in map(Path, paths):
        try:
            variables, lines = _variables(content_of(path))
        except ProcmanError as error:
            # systemd accepts a file that is missing, and no other trouble with it.
            if text.startswith("-") and not path.exists():
                why = "the file does not exist, which systemd accepts here; procman's environment_file has to exist"
                yield None, {}, [Remark(str(setting), what, why)]
            else:
                yield path, None, [Remark(str(setting), what, error.message, doubtful=True)]
            continue
        yield path, variables, [Remark(f"{path}:{line}", path.name, why, doubtful=True) for line, why in lines]


def _variables(text: str) -> tuple[dict[str, str], list[tuple[int, str]]]:
    """Return the variables of an environment file without the lines that systemd passes over, and those lines."""
    lines, passed_over = text.split("\n"), list[tuple[int, str]]()
    while True:
        try:
            return parse_environment_file("\n".join(lines)), passed_over
        except EnvironmentFileError as error:
            passed_over += error.problems
            if len(passed_over) > MOST_PROBLEMS:
                raise ProcmanError(f"it has {len(passed_over)} lines that systemd does not understand") from None
            for line, _ in error.problems:
                lines[line - 1] = ""


def of_user(user: str | None) -> dict[str, str]:
    """Return the variables that systemd sets for a unit with User= (systemd.exec(5)), as far as the user is known."""
    entry = account(user) if user else None
    names = {"USER": user, "LOGNAME": user} if user else {}
    if entry:
        names |= {"HOME": entry.pw_dir, "SHELL": entry.pw_shell}
    return {name: value for name, value in names.items() if value}
