"""`procman reload`: makes running programs reload their code, each only after the one before it has kept running."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from procman.backends import backend_named, controller_of
from procman.backends.base import Controller, Progress
from procman.deploy.failure import Failure, last_lines, without_secrets
from procman.deploy.order_records import log_events, ordered
from procman.deploy.rollout import RolloutOptions
from procman.deploy.run import environment_of
from procman.errors import ProcmanError
from procman.host.process import catches, ignores, keeps_blocked
from procman.install.state.lock import hold_lock
from procman.install.state.manifest import Manifest
from procman.launch import reload_of
from procman.lookup import Installed, installed_project
from procman.model import InstalledProgram, Kind, ProgramState, State
from procman.program_names import resolve
from procman.project import Launch
from procman.subprocesses import capture

COMMAND_SECONDS = 90.0
"""How long a reload command may take: as long as systemd allows (`TimeoutStartSec=` of the units)."""

PAUSE_SECONDS = 0.2


class Reloaded(NamedTuple):
    """A program that was made to reload."""

    program: InstalledProgram
    failure: Failure | None
    """Why it could not reload, or that it ended."""


def reload(installed: Installed, names: Sequence[str], options: RolloutOptions) -> Iterator[Reloaded]:
    """Make the programs that `names` select reload, the next only when one has kept running, up to the first failure.

    Without names, these are all that can reload, except those that were stopped on purpose (R11). A program has
    reloaded if it keeps running in the same process for `options.wait_seconds`, or for its start_seconds if that is
    None. Raises ProcmanError if a program of `names` cannot reload, before any does.
    """
    installed.require_whole()
    manifest = installed.manifest
    with hold_lock(manifest.directories.shared_state, options.lock_seconds, options.reporter.progress):
        controller = controller_of(manifest)
        for program in _meant(manifest, controller, names, options):
            failure = _reload(installed, controller, program, options)
            yield Reloaded(program, without_secrets(failure, manifest) if failure else None)
            if failure:
                return


def _meant(
    manifest: Manifest, controller: Controller, names: Sequence[str], options: RolloutOptions
) -> list[InstalledProgram]:
    programs = resolve(manifest.project, manifest.programs, names)
    able = [program for program in programs if program.can_reload]
    if names and len(able) < len(programs):
        raise _cannot_reload([program for program in programs if not program.can_reload])
    if not able:
        raise ProcmanError(
            "no program has reload_signal or reload_command, so none can reload",
            hint="A graceful restart: procman restart",
        )
    if names:
        return able
    states = controller.states(able)
    for state in states:
        if not state.desired:
            options.reporter.announce(f"{state.name}: stopped on purpose, so it is not reloaded")
    return [program for program, state in zip(able, states, strict=True) if state.desired]


def _reload(
    installed: Installed, controller: Controller, program: InstalledProgram, options: RolloutOptions
) -> Failure | None:
    manifest, backend = installed.manifest, backend_named(installed.manifest.backend)
    [before] = controller.states([program])
    if failure := _unable(program, before):
        return failure
    try:
        if program.reload_command and not backend.runs_reload_commands:
            _run(_launch(installed, program), before)
        else:
            controller.reload_program(program)
    except ProcmanError as error:
        # What the command printed is in the log, unless procman has run it.
        log = last_lines(controller, program) if backend.runs_reload_commands else ()
        return Failure(program, f"could not be reloaded: {error.message}", error.hint, log)
    log_events(manifest, [ordered(program.name, "reloaded")])
    seconds = program.start_seconds if options.wait_seconds is None else options.wait_seconds
    return _end(controller, program, before, seconds, options.reporter.progress)


def _launch(installed: Installed, program: InstalledProgram) -> Launch:
    project = installed_project(installed)
    launch = reload_of(project, next(each for each in project.programs if each.name == program.name))
    assert launch  # the manifest has the command of the same file
    return launch


def _end(
    controller: Controller, program: InstalledProgram, before: ProgramState, seconds: float, progress: Progress
) -> Failure | None:
    """Return how `program` ended within `seconds`; None if it kept running."""
    deadline = time.monotonic() + seconds
    while True:
        [state] = controller.states([program])
        if (state.state, state.pid) != (State.RUNNING, before.pid):
            detail = f" ({state.detail})" if state.detail else ""
            why = f"ended after its reload: its process {before.pid} is gone, and it is {state.state.value}{detail}"
            return Failure(program, why, log=last_lines(controller, program))
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        progress(f"watching whether {program.name} keeps running after its reload ({left:.0f} s left)")
        time.sleep(min(PAUSE_SECONDS, left))


def _cannot_reload(programs: Sequence[InstalledProgram]) -> ProcmanError:
    celerys, names = [each.name for each in programs if each.kind is not Kind.COMMAND], [each.name for each in programs]
    restart = f"A graceful restart: procman restart {' '.join(names)}"
    if celerys:
        return ProcmanError(f"{', '.join(celerys)} cannot reload: only a [command.NAME] can", hint=restart)
    return ProcmanError(
        f"{', '.join(names)} cannot reload: neither reload_signal nor reload_command is set",
        hint=f"Set one of them if the command supports it, and run `procman install`. {restart}",
    )


def _unable(program: InstalledProgram, state: ProgramState) -> Failure | None:
    """Return why `program` cannot reload now; a signal that it does not handle would end it."""
    if state.state is not State.RUNNING or state.pid is None:
        detail = f" ({state.detail})" if state.detail else ""
        hint = f"procman start {program.name}" if not state.desired else f"procman logs {program.name}"
        return Failure(program, f"cannot be reloaded, because it is {state.state.value}{detail}", hint)
    name = program.reload_signal
    number = signal.Signals[f"SIG{name}"] if name else None
    if number is None or catches(state.pid, number) or keeps_blocked(state.pid, number):
        return None
    what = "ignores" if ignores(state.pid, number) or number is signal.SIGWINCH else "would be ended by"
    return Failure(
        program,
        f"was not reloaded, because its process {state.pid} {what} {name}",
        "If it is still starting, try again when it is up. "
        f"Otherwise change its reload_signal, or restart it: procman restart {program.name}",
    )


def _run(launch: Launch, state: ProgramState) -> None:
    """Run a reload command; raise ProcmanError if it fails, with the end of its output."""
    capture(
        launch.argv,
        environment={**environment_of(launch), "MAINPID": str(state.pid)},
        directory=launch.directory,
        user=launch.user,
        group=launch.group,
        umask=launch.umask,
        timeout=COMMAND_SECONDS,
    ).checked()
