"""Decide whether root may use a file: only if no other user can modify or replace it (S3)."""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path

from procman.accounts import group_name
from procman.errors import ConfigurationError

MOST_LINKS = 40
"""The number of symbolic links that the kernel follows in one path (path_resolution(7))."""

MOVE_IT = "Fix that, or move the file to a directory that only root can write to, such as /etc."

ACCESS_LIST = "system.posix_acl_access"

FIRST_OF_PEOPLE = 1000
"""The lowest group id that distributions give to people (login.defs(5), GID_MIN)."""


def require_trust(path: Path, environment: Mapping[str, str]) -> None:
    """Raise ConfigurationError if this process is root and users other than root can modify `path`.

    `path` is absolute. The user behind sudo, named by `SUDO_UID` in `environment`, counts as root. Every problem names
    the path, who can write to it, and the command that fixes it.
    """
    refusal = f"{path}: refusing to use this file as root, because other users can modify it"
    _require(environment, partial(trust_problems, path), refusal)


def require_trusted_way(path: Path, environment: Mapping[str, str]) -> None:
    """Raise ConfigurationError if this process is root and users other than root can replace `path`.

    They may modify the content of the file: root reads it, but does not act on it.
    """
    refusal = f"{path}: refusing to read this file as root, because other users can replace it by a link to any file"
    _require(environment, partial(way_problems, path), refusal)


def require_trusted_code(environment: Mapping[str, str]) -> None:
    """Raise ConfigurationError if this process is root and others can modify its code: Python, procman, `sys.path`.

    This is too late for the modules that Python imports at its start, but it comes before any action. Only the first
    problem is reported, without a fix: the place belongs to someone, and root needs its own copy.
    """
    problems = _problems_for_root(environment, _code_problems)
    variable = environment.get("PYTHONPATH", "")
    if problems and set(problems) <= set(_problems_for_root(environment, partial(_search_path_problems, variable))):
        first = problems[0].partition(" (")[0]
        raise ConfigurationError(
            [f"refusing to run as root, because other users can modify the modules that PYTHONPATH names: {first}"],
            hint="Unset PYTHONPATH, which procman does not need.",
        )
    if problems:
        first = problems[0].partition(" (")[0] + (f", and {len(problems) - 1} more" if len(problems) > 1 else "")
        raise ConfigurationError(
            [f"refusing to run as root, because other users can modify procman's code in {sys.prefix}: {first}"],
            hint="Give root its own copy: python3 -m venv /opt/procman && "
            "/opt/procman/bin/pip install celery-procman (or the directory of a clone)",
        )


def _code_problems(trusted: Collection[int]) -> list[str]:
    # An editable install adds an entry that is not a path.
    directories = {sys.prefix, str(Path(__file__).parents[1]), *(place for place in sys.path if place.startswith("/"))}
    places = [_existing(Path(place)) for place in sorted(directories)]
    problems = trust_problems(Path(sys.executable), trusted)
    problems += [problem for place in places for problem in way_problems(place / "module", trusted)]
    return list(dict.fromkeys(problems))


def _search_path_problems(variable: str, trusted: Collection[int]) -> list[str]:
    places = [_existing(Path(place)) for place in variable.split(":") if place.startswith("/")]
    return [problem for place in places for problem in way_problems(place / "module", trusted)]


def _existing(place: Path) -> Path:
    """Return `place` if it is a directory, or else the nearest directory above it."""
    return next(path for path in (place, *place.parents) if path.is_dir())


def _require(environment: Mapping[str, str], find: Callable[[Collection[int]], list[str]], refusal: str) -> None:
    problems = _problems_for_root(environment, find)
    if problems:
        raise ConfigurationError([f"{refusal}: {problem}" for problem in problems], hint=MOVE_IT)


def _problems_for_root(environment: Mapping[str, str], find: Callable[[Collection[int]], list[str]]) -> list[str]:
    """Return the problems that `find` returns for the users that root trusts; none if this process is not root."""
    return find({0, *_behind_sudo(environment)}) if os.geteuid() == 0 else []


def _behind_sudo(environment: Mapping[str, str]) -> set[int]:
    uid = environment.get("SUDO_UID", "")
    return {int(uid)} if uid.isascii() and uid.isdigit() else set()


def trust_problems(path: Path, trusted: Collection[int]) -> list[str]:
    """Return how users who are not `trusted` could modify the file `path`; empty if they cannot.

    It checks the file and every directory and symbolic link on the way to it, from the root directory.
    """
    return _problems(list(_steps(path)), trusted)


def way_problems(path: Path, trusted: Collection[int]) -> list[str]:
    """Return how users who are not `trusted` could replace the file `path`; empty if they cannot."""
    return _problems(list(_steps(path))[:-1], trusted)


def _problems(steps: Collection[tuple[Path, bool]], trusted: Collection[int]) -> list[str]:
    problems = (_problem(place, holds_name, trusted) for place, holds_name in steps)
    return list(dict.fromkeys(problem for problem in problems if problem))


def _steps(path: Path) -> Iterator[tuple[Path, bool]]:
    """Yield each path on the way to `path`, and whether it is the directory that holds the last name."""
    links, waiting, reached = 0, list(path.parts[1:]), Path("/")
    yield reached, len(waiting) == 1
    while waiting:
        part = waiting.pop(0)
        if part == "..":
            reached = reached.parent
            continue
        here = reached / part
        if here.is_symlink():
            links += 1
            if links > MOST_LINKS:
                raise ConfigurationError([f"{path}: a symbolic link in this path points back to itself"])
            yield here, False
            target = here.readlink()
            waiting = [*(target.parts[1:] if target.is_absolute() else target.parts), *waiting]
            reached = Path("/") if target.is_absolute() else reached
        else:
            reached = here
            yield reached, len(waiting) == 1


def _problem(place: Path, holds_name: bool, trusted: Collection[int]) -> str | None:
    try:
        found = place.lstat()
    except OSError as error:
        return f"cannot check {place}: {error.strerror}"
    shown = shlex.quote(str(place))
    if found.st_uid not in trusted:
        option = "-h " if stat.S_ISLNK(found.st_mode) else ""
        return f"{place} belongs to {_user(found.st_uid)} (chown {option}root {shown})"
    if stat.S_ISLNK(found.st_mode):
        return None
    is_sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
    if is_sticky and not holds_name:
        # Users cannot replace a file of another user there (unlink(2)), but they can add new names.
        return None
    if found.st_mode & stat.S_IWOTH:
        return f"every user can write to {place} ({'move the file elsewhere' if is_sticky else f'chmod o-w {shown}'})"
    if found.st_mode & stat.S_IWGRP and not _is_private(place, found.st_gid, trusted):
        return f"the group {group_name(found.st_gid)} can write to {place} (chmod g-w {shown})"
    return None


def _is_private(place: Path, gid: int, trusted: Collection[int]) -> bool:
    """Return whether only trusted users are in the group.

    Examples are the private group that many distributions create for each user, and Debian's `staff`, which is empty.
    """
    try:
        group = grp.getgrgid(gid)
        members = {pwd.getpwnam(name).pw_uid for name in group.gr_mem}
    except KeyError:
        return False
    members |= {user.pw_uid for user in pwd.getpwall() if user.pw_gid == gid}
    # A directory service need not list the members of people's groups.
    known = gid < FIRST_OF_PEOPLE or bool(members)
    return known and members <= set(trusted) and not _has_access_list(place)


def _has_access_list(place: Path) -> bool:
    # With an access list, the group bits are the mask of its named users and groups (acl(5)).
    if sys.platform != "linux":
        return True
    try:
        return ACCESS_LIST in os.listxattr(place)
    except OSError:
        return False


def _user(uid: int) -> str:
    try:
        return f"the user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"uid {uid}"
