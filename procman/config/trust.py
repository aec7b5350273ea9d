"""Whether root may obey a file: only if nobody else can change it, or put another in its place (S3)."""

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
"""As many symbolic links as the kernel follows in one path (path_resolution(7))."""

MOVE_IT = "Mend that, or move the file to a directory that only root can write to, such as /etc."

ACCESS_LIST = "system.posix_acl_access"

FIRST_OF_PEOPLE = 1000
"""The lowest id that distributions give to people and their groups (login.defs(5), GID_MIN)."""


def require_trust(path: Path, environment: Mapping[str, str]) -> None:
    """Raise ConfigurationError if this process is root and others than root could write to PATH.

    PATH is absolute. The user behind sudo, whom SUDO_UID in ENVIRONMENT names, counts as root. Every problem names the
    path, who can write to it, and the command that mends it.
    """
    _require(environment, partial(trust_problems, path), f"{path}: root does not obey it, for others could change it")


def require_trusted_way(path: Path, environment: Mapping[str, str]) -> None:
    """Raise ConfigurationError if this process is root and others could put another file in the place of PATH.

    What is in the file may be theirs: it is read as root, but not obeyed.
    """
    refusal = f"{path}: root does not read it, for others could put a link to any file there"
    _require(environment, partial(way_problems, path), refusal)


def require_trusted_code(environment: Mapping[str, str]) -> None:
    """Raise ConfigurationError if this process is root and others could change what it runs: Python, procman, sys.path.

    Too late for what Python imports at its start; in time to say so before anything is done.
    """
    _require(
        environment,
        _code_problems,
        "root does not run procman from there, for others could change it",
        "Mend that, or give root its own: python3 -m venv /opt/procman && /opt/procman/bin/pip install celery-procman",
    )


def _code_problems(trusted: Collection[int]) -> list[str]:
    # An editable install puts a name there that is no path.
    directories = {sys.prefix, str(Path(__file__).parents[1]), *(place for place in sys.path if place.startswith("/"))}
    places = [_existing(Path(place)) for place in sorted(directories)]
    problems = trust_problems(Path(sys.executable), trusted)
    problems += [problem for place in places for problem in way_problems(place / "module", trusted)]
    return list(dict.fromkeys(problems))


def _existing(place: Path) -> Path:
    """Return PLACE if it is a directory, or the nearest one above it."""
    return next(path for path in (place, *place.parents) if path.is_dir())


def _require(
    environment: Mapping[str, str], find: Callable[[Collection[int]], list[str]], refusal: str, hint: str = MOVE_IT
) -> None:
    """Raise ConfigurationError if this process is root and FIND has objections, given whom root trusts."""
    problems = find({0, *_behind_sudo(environment)}) if os.geteuid() == 0 else ()
    if problems:
        raise ConfigurationError([f"{refusal}: {problem}" for problem in problems], hint=hint)


def _behind_sudo(environment: Mapping[str, str]) -> set[int]:
    uid = environment.get("SUDO_UID", "")
    return {int(uid)} if uid.isascii() and uid.isdigit() else set()


def trust_problems(path: Path, trusted: Collection[int]) -> list[str]:
    """Return why the file PATH could be changed by others than the users TRUSTED; empty if it could not.

    Looked at is everything that leads to it: each directory and each symbolic link on the way, from the root.
    """
    return _problems(list(_steps(path)), trusted)


def way_problems(path: Path, trusted: Collection[int]) -> list[str]:
    """Return why others than the users TRUSTED could put another file in the place of PATH; empty if they could not."""
    return _problems(list(_steps(path))[:-1], trusted)


def _problems(steps: Collection[tuple[Path, bool]], trusted: Collection[int]) -> list[str]:
    problems = (_problem(place, holds_name, trusted) for place, holds_name in steps)
    return list(dict.fromkeys(problem for problem in problems if problem))


def _steps(path: Path) -> Iterator[tuple[Path, bool]]:
    """Yield each path on the way to PATH, and whether it is the directory that holds the last name of the way."""
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
                raise ConfigurationError([f"{path}: a symbolic link in it leads back to itself"])
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
        return f"{place} cannot be looked at: {error.strerror}"
    shown = shlex.quote(str(place))
    if found.st_uid not in trusted:
        option = "-h " if stat.S_ISLNK(found.st_mode) else ""
        return f"{place} belongs to {_user(found.st_uid)} (chown {option}root {shown})"
    if stat.S_ISLNK(found.st_mode):
        return None
    is_sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
    if is_sticky and not holds_name:
        # Nobody can replace there what belongs to another (unlink(2)); but everybody can put a new name there.
        return None
    if found.st_mode & stat.S_IWOTH:
        return f"everybody can write to {place} ({'mv it elsewhere' if is_sticky else f'chmod o-w {shown}'})"
    if found.st_mode & stat.S_IWGRP and not _is_private(place, found.st_gid, trusted):
        return f"the group {group_name(found.st_gid)} can write to {place} (chmod g-w {shown})"
    return None


def _is_private(place: Path, gid: int, trusted: Collection[int]) -> bool:
    """Say whether only trusted users are in the group.

    So it is with the group of one user's own that many distributions give, and with Debian's `staff`, which is empty.
    """
    try:
        group = grp.getgrgid(gid)
        members = {pwd.getpwnam(name).pw_uid for name in group.gr_mem}
    except KeyError:
        return False
    members |= {user.pw_uid for user in pwd.getpwall() if user.pw_gid == gid}
    # Of people's own groups a directory service need not list the members.
    known = gid < FIRST_OF_PEOPLE or bool(members)
    return known and members <= set(trusted) and not _has_access_list(place)


def _has_access_list(place: Path) -> bool:
    # With an access list the group's bits stand for everybody in that list (acl(5)).
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
