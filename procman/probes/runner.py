"""Runs a probe of this package on the project's own Python, as its user and in the environment of its programs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pwd import struct_passwd
from typing import Any

from procman.accounts import account, login_environment
from procman.errors import ProcmanError
from procman.probes import app_script
from procman.secrets import masked
from procman.subprocesses import CLEAN_ENVIRONMENT, Completed, capture


class AppError(ProcmanError):
    """The app cannot be loaded, or does not answer."""


@dataclass(frozen=True)
class Place:
    """Where and as whom the project's code runs."""

    python: Path
    """Of its virtualenv."""
    environment: Mapping[str, str]
    directory: Path
    user: str | None
    group: str | None


def ask_project(
    place: Place, app: str, source: Path | Sequence[Path], arguments: Sequence[str], *, timeout: float
) -> dict[str, Any]:
    """Hand the text of SOURCE, one after the other, to the project's Python, with APP and ARGUMENTS; return its answer.

    It runs as the user of PLACE, for good; where that would be root, nothing is run and ProcmanError raised (S3).
    Raises AppError where there is no answer. After TIMEOUT seconds all that was started is killed.
    """
    sources = [source] if isinstance(source, Path) else source
    runner = _runner(place.user)
    argv = [str(place.python), "-", app, *arguments]
    try:
        completed = capture(
            argv,
            environment={**CLEAN_ENVIRONMENT, **login_environment(runner), **place.environment},
            directory=place.directory,
            user=place.user,
            group=place.group,
            timeout=timeout,
            stdin="\n".join(path.read_text(encoding="utf-8") for path in sources),
        )
    except ProcmanError as error:
        if isinstance(error.__context__, PermissionError):
            raise _out_of_reach(runner.pw_name, place.python, place.directory) from None
        message = error.message.replace(masked(" ".join(argv)), f"{place.python} ({app})")
        raise ProcmanError(message, hint=error.hint) from None
    answer = app_script.read_answer(completed.stdout)
    if answer is None:
        raise AppError(_no_answer(app, completed), hint=masked("\n".join(completed.stderr.strip().splitlines()[-3:])))
    return answer


def _runner(user: str | None) -> struct_passwd:
    found = account(user)
    if found is None:
        raise ProcmanError(f"there is no user {user or os.geteuid()}", hint="Name one that exists.")
    if found.pw_uid == 0:
        raise ProcmanError(
            "the app is not loaded as root: it is other people's code",
            hint="Name the user that the programs are to run as, such as www-data.",
        )
    return found


def _out_of_reach(user: str, python: Path, directory: Path) -> ProcmanError:
    return ProcmanError(
        f"{user} cannot run {python} in {directory}: permission denied",
        hint=f"`namei -l {python.resolve()} {directory}` shows what keeps {user} out.",
    )


def _no_answer(app: str, completed: Completed) -> str:
    python = completed.argv[0]
    if completed.status < 0:
        return f"{app}: {python} was killed by signal {-completed.status} while it loaded the app"
    return f"{app}: {python} ended with status {completed.status} while it loaded the app"
