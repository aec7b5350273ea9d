"""PM752 and PM753: the directories that tasks write to, and those directly below them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from procman.accounts import user_name
from procman.model import Level, Result
from procman.preflight.inputs import PreflightFacts, media_roots

MOST_SHOWN = 5
"""Names that a message lists."""


def writable_paths_are_writable(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM752: for each directory in `writable_paths`, and for those directly below it."""
    user, found = preflight.user, []
    for path in preflight.project.writable_paths:
        place = preflight.places.get(path)
        if place is None:
            continue
        if not place.exists:
            owner = f"-o {user} " if preflight.project.user else ""
            detail = f"{user} cannot find {path} of writable_paths: {place.problem}"
            found.append(Result("PM752", None, Level.CRITICAL, detail, f"install -d {owner}{path}"))
        elif not place.writable:
            detail = f"{user} cannot write to {path} of writable_paths (owner {place.owner}, mode {place.mode:04o})"
            hint = f"chown -h {account_of(preflight)} {path}, or remove it from writable_paths."
            found.append(Result("PM752", None, Level.CRITICAL, detail, hint))
        else:
            found += _closed_below("PM752", None, path, "writable_paths", preflight)
    yield from found
    if preflight.project.writable_paths and preflight.below and not found:
        yield _all_writable("PM752", preflight.project.writable_paths, preflight)


def app_can_write(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM753: for each path in the app's settings and logging configuration, and directly below MEDIA_ROOT."""
    for each in preflight.asked:
        found = []
        for written in each.written:
            if not written.writable:
                detail = f"{preflight.user} cannot write to {written.path} ({written.what} of the app)"
                hint = f"Check the owners and modes: namei -l {written.path}; or change that setting of the app."
                found.append(Result("PM753", each.name, Level.WARNING, detail, hint))
        closed = [written.path for written in each.written if not written.writable]
        for path in media_roots([each]):
            # Below one that is not the user's, such as /var by mistake, nothing may be given to the user.
            if path not in (*preflight.project.writable_paths, *closed):
                found += _closed_below("PM753", each.name, path, "MEDIA_ROOT", preflight)
        yield from found
        if each.written and not found:
            yield _all_writable("PM753", [written.path for written in each.written], preflight)._replace(
                program=each.name
            )


def _closed_below(code: str, program: str | None, path: Path, what: str, preflight: PreflightFacts) -> Iterator[Result]:
    """Yield a warning about the directories directly below `path` to which the user cannot write.

    `manage.py migrate` as root leaves such directories; every task that writes there fails, or loses its result.
    """
    below = preflight.below.get(path)
    if below is None or not below.unwritable:
        return
    names, owners = zip(*below.unwritable, strict=True)
    detail = (
        f"{preflight.user} cannot write to {some_of(names)} in {path} of {what} "
        f"(owner {', '.join(sorted(set(owners)))}): tasks that write there fail"
    )
    hint = shlex.join(["chown", "-hR", account_of(preflight), *(str(path / name) for name in names[:MOST_SHOWN])])
    if len(names) > MOST_SHOWN:
        hint += "\nThe next check shows the others."
    yield Result(code, program, Level.WARNING, detail, hint)


def _all_writable(code: str, paths: Iterable[Path], preflight: PreflightFacts) -> Result:
    below = sum(preflight.below[path].directories for path in set(paths) if path in preflight.below)
    directories = f", and to the {below} director{'y' if below == 1 else 'ies'} in them" if below else ""
    shown = ", ".join(map(str, sorted(set(paths))))
    return Result(code, None, Level.OK, f"{preflight.user} can write to {shown}{directories}")


def some_of(names: Sequence[str]) -> str:
    """Return the first of `names` for a message, and how many more there are."""
    more = len(names) - MOST_SHOWN
    return ", ".join(names[:MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def account_of(preflight: PreflightFacts) -> str:
    """Return the name of the programs' user for a command; in user scope too."""
    return preflight.project.user or user_name(os.geteuid())
