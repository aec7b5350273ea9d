"""Run a probe of this package on the project's own Python, as its user and in the environment of its programs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from pwd import struct_passwd
from typing import Any

from procman.accounts import account, login_environment
from procman.agent.strict_json import parse
from procman.errors import ProcmanError
from procman.probes import app_script
from procman.secrets import KnownSecrets, known_secrets, masked_command
from procman.subprocesses import CLEAN_ENVIRONMENT, Completed, capture


class AppError(ProcmanError):
    """The app cannot be loaded, or does not answer."""


@dataclass(frozen=True)
class Place:
    """Where and as whom the project's code runs."""

    python: Path
    """The Python of the project's virtualenv."""
    environment: Mapping[str, str]
    directory: Path
    user: str | None
    group: str | None
    private: Mapping[str, str] = field(default_factory=dict)
    """The variables of the environment file, which the process gets too."""
    environment_file: Path | None = None
    """For messages only, as `configuration_file`, the procman.toml that has the variables of `environment`."""
    configuration_file: Path | None = None

    def origin_of(self, variable: str) -> str:
        """Return the name of `variable` and the file that sets it, if that is known."""
        if variable in self.private and self.environment_file:
            return f"{variable} in {self.environment_file}"
        if variable in self.environment and self.configuration_file:
            return f"{variable} in [environment] of {self.configuration_file}"
        return f"the variable {variable}"

    def remedy_without(self, variable: str) -> str:
        """Return what to do if the project's code needs `variable` and it is not set."""
        if self.environment_file:
            return f"Set {variable} in {self.environment_file}."
        return f"Set {variable} in a file, and name that in environment_file of [project]."

    def origin_found(self, found: Mapping[str, Any]) -> str:
        """Return where a value is set, from the answer of broker_origin_script.py, as an administrator can open it."""
        variable = found.get("variable")
        if variable is not None:
            return self.origin_of(str(variable))
        if not found.get("file"):
            return ""
        line = f":{int(found['line'])}" if found.get("line") else ""
        return f"{found['setting']} in {found['file']}{line}"

    @property
    def secrets(self) -> KnownSecrets:
        """Return the secrets that an error of the project's code may quote."""
        return known_secrets(self.private, self.environment)


def ask_project(
    place: Place,
    app: str,
    source: Path | Sequence[Path],
    arguments: Sequence[str],
    *,
    timeout: float,
    doing: str = "loading the app",
) -> dict[str, Any]:
    """Run the texts of `source`, concatenated, on the project's Python with `app` and `arguments`; return the answer.

    The process runs as the user of `place` and cannot regain other rights. If that user is root, nothing is run and
    ProcmanError is raised (S3). Raises AppError if there is no answer. After `timeout` seconds every process of its
    session is killed; `left_behind.ended` around all probes ends those that have detached themselves. `doing` is for
    error messages.
    """
    sources = [source] if isinstance(source, Path) else source
    runner = _runner(place.user)
    argv = [str(place.python), "-", app, *arguments]
    try:
        completed = capture(
            argv,
            environment={**CLEAN_ENVIRONMENT, **login_environment(runner), **place.environment, **place.private},
            directory=place.directory,
            user=place.user,
            group=place.group,
            timeout=timeout,
            stdin="\n".join(path.read_text(encoding="utf-8") for path in sources),
        )
    except ProcmanError as error:
        if isinstance(error.__context__, PermissionError):
            raise _out_of_reach(runner.pw_name, place.python, place.directory) from None
        message = error.message.replace(masked_command(argv), f"{place.python} ({app})")
        raise ProcmanError(message, hint=error.hint) from None
    answer = read_answer(completed.stdout)
    if answer is None:
        last = "\n".join(completed.stderr.strip().splitlines()[-3:])
        raise AppError(_no_answer(app, completed, doing), hint=place.secrets.masked(last))
    return answer


def read_answer(stdout: str) -> dict[str, Any] | None:
    """Return the answer in the output of a probe; None if there is no valid answer."""
    for line in reversed(stdout.splitlines()):
        if line.startswith(app_script.MARKER):
            try:
                answer = parse(line[len(app_script.MARKER) :])
            except ValueError:
                return None
            return answer if isinstance(answer, dict) and answer.get("format") == app_script.FORMAT else None
    return None


def _runner(user: str | None) -> struct_passwd:
    found = account(user)
    if found is None:
        raise ProcmanError(f"user {user or os.geteuid()} does not exist", hint="Name an existing user.")
    if found.pw_uid == 0:
        raise ProcmanError(
            "refusing to load the app as root, because its code is not trusted",
            hint="Name the user that will run the programs, such as www-data.",
        )
    return found


def _out_of_reach(user: str, python: Path, directory: Path) -> ProcmanError:
    return ProcmanError(
        f"{user} cannot run {python} in {directory}: permission denied",
        hint=f"Check the owners and modes: namei -l {python.resolve()} {directory}",
    )


def _no_answer(app: str, completed: Completed, doing: str) -> str:
    python = completed.argv[0]
    if completed.status < 0:
        return f"{app}: {python} was killed by signal {-completed.status} while {doing}"
    return f"{app}: {python} exited with status {completed.status} while {doing}"
