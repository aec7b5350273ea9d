"""Describe a program that could not be started or did not become healthy, with the end of its log without secrets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from procman.backends.base import Controller, Progress
from procman.config.private_file import secrets_of_programs
from procman.deploy.wait_until_healthy import Unhealthy, is_hopeless, wait_until_healthy
from procman.errors import ProcmanError
from procman.install.state.manifest import Manifest
from procman.model import InstalledProgram

LAST_LINES = 10
"""How many lines of a failed program's log are shown."""

LONGEST_LOG = 256 * 1024
"""Characters of these lines that are kept in memory."""


@dataclass(frozen=True)
class Failure:
    """A program that could not be started, or did not become healthy."""

    program: InstalledProgram
    why: str
    hint: str = ""
    log: tuple[str, ...] = ()
    """The last lines of its log at that moment, without secrets."""


def unhealthy(
    controller: Controller,
    manifest: Manifest,
    programs: Sequence[InstalledProgram],
    seconds: float,
    progress: Progress,
    *,
    until_started: bool = True,
) -> list[Failure]:
    """Return the programs that are not healthy `seconds` after their start, as `wait_until_healthy` finds them."""
    waited = wait_until_healthy(controller, programs, seconds, progress, manifest, until_started=until_started)
    failures = (
        Failure(
            each.program,
            f"{_when(each, seconds)}: {each.result.detail}{_restarted(each)}",
            each.result.hint,
            last_lines(controller, each.program),
        )
        for each in waited
    )
    return [without_secrets(failure, manifest) for failure in failures]


def _when(each: Unhealthy, seconds: float) -> str:
    return "cannot be started" if is_hopeless(each.state) else f"was not healthy within {seconds:g} s"


def _restarted(each: Unhealthy) -> str:
    # A program that exits at once is in state STARTING most of the time.
    restarts = each.state.restarts
    return f" (restarted {restarts} {'time' if restarts == 1 else 'times'})" if restarts else ""


def last_lines(controller: Controller, program: InstalledProgram) -> tuple[str, ...]:
    """Return the end of the program's log, or why it cannot be read."""
    log, is_cut = "", False
    try:
        for piece in controller.logs(program, LAST_LINES):
            is_cut = is_cut or len(log) + len(piece) > LONGEST_LOG
            log = (log + piece)[-LONGEST_LOG:]
    except ProcmanError as error:
        return (error.message,)
    # The rest of a line that was cut could begin with half a secret.
    lines = log.splitlines()[is_cut:][-LAST_LINES:]
    return tuple(lines) if lines or not is_cut else (f"(a line of more than {LONGEST_LOG // 1024} KiB)",)


def without_secrets(failure: Failure, manifest: Manifest) -> Failure:
    """Hide the values of the environment file, which the app may print whole or in pieces."""
    secrets = secrets_of_programs(*manifest.environment_file_of(failure.program))
    return replace(
        failure,
        why=secrets.masked(failure.why),
        hint=secrets.masked(failure.hint),
        log=tuple(map(secrets.masked, failure.log)),
    )
