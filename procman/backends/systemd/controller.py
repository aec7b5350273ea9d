"""Starts, stops and asks the programs of one project through systemd."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from procman.backends.base import Progress
from procman.backends.graceful_stop import stop_and_start
from procman.backends.systemd.graceful_stop import is_stopped_gracefully, stop_gracefully
from procman.backends.systemd.states import (
    could_not_be_started,
    is_desired,
    is_older_than_its_file,
    program_state,
    starts_by_itself,
    state_of,
)
from procman.errors import ProcmanError
from procman.host import systemd_host
from procman.host.journal import read_journal
from procman.host.systemctl import NoSuchUnit, Systemctl, Unit
from procman.host.unit_names import stop_timeout_seconds, target_name, unit_at, unit_name, unit_of, units_of
from procman.model import Action, Activation, InstalledProgram, ProgramState, Scope, State, SupervisorSettings

START_PATIENCE_SECONDS = 120.0
"""systemd gives a start 90 s."""

IMPORT_PATIENCE_SECONDS = 30.0
"""How long a process that runs may take to say that it is up. After that it counts as started all the same: an app that
waits in its import for a broker is no failure."""


def controller(project: str, scope: Scope, _: SupervisorSettings) -> SystemdController:
    """Return what speaks to the systemd that runs an installed PROJECT."""
    return SystemdController(project, scope)


class SystemdController:
    """Speaks to the systemd of SCOPE about PROJECT; to ask it takes TIMEOUT seconds at most."""

    def __init__(self, project: str, scope: Scope, *, timeout: float = 5.0) -> None:
        self._project = project
        self._scope = scope
        self._target = target_name(project)
        self._systemctl = Systemctl(scope, timeout)
        self._has_read_all = False
        """Whether systemd was told to read every unit since the files were put in place."""
        self._going: set[str] = set()
        """Units whose files are gone, which were told to stop."""
        self._removed: set[str] = set()

    def states(self, programs: Sequence[InstalledProgram]) -> list[ProgramState]:
        try:
            return self._states(programs)
        except ProcmanError as error:
            reason = f"{error.message}. {error.hint}" if error.hint else error.message
            return [ProgramState(each.name, each.autostart, State.UNKNOWN, detail=reason) for each in programs]

    def desired(self, programs: Sequence[InstalledProgram]) -> dict[str, bool]:
        return {state.name: state.desired for state in self._states(programs)}

    def start(self, programs: Sequence[InstalledProgram], progress: Progress) -> None:
        self._reload_if_needed([name for program in programs for name in units_of(program)])
        units = self._systemctl.show([unit_of(program) for program in programs])
        self._refuse_unknown(units.values())
        waiting = [name for name, unit in units.items() if state_of(unit) is State.BACKOFF]
        if waiting:
            # systemd would sit out the pause before its next try.
            self._systemctl.order("stop", *waiting)
        todo = [name for name, unit in units.items() if unit.text("ActiveState") != "active" or unit.job]
        if todo:
            self._start(todo, progress)

    def stop(self, programs: Sequence[InstalledProgram], progress: Progress) -> None:
        limits = {name: stop_timeout_seconds(each) for each in programs for name in units_of(each)}
        stop_gracefully(self._systemctl, limits, progress)

    def restart(self, program: InstalledProgram, progress: Progress) -> None:
        self._reload_if_needed(units_of(program))
        stop_and_start(self, program, progress)

    def activate(self, activation: Activation, progress: Progress) -> str:
        program = activation.program
        if activation.action is Action.REMOVE:
            return self._remove(program, progress)
        name = unit_of(program)
        self._reload_if_needed(units_of(program), has_new=activation.action is Action.ADD)
        self._enable()
        unit = self._systemctl.show([name])[name]
        if unit.text("LoadState") == "masked":
            return "left alone: it is masked"
        self._refuse_unknown([unit])
        desired = activation.desired
        if desired is None:
            desired = is_desired(unit, self._systemctl.jobs().get(name), autostart=starts_by_itself(program))
        if not desired:
            return f"left stopped; `procman start {program.name}` starts it as it is configured now"
        if unit.has_ended:
            self._start([name], progress)
            return "started"
        if activation.action is Action.ADD and not is_older_than_its_file(unit):
            return "was running already"
        self.stop([program], progress)
        self._start([name], progress)
        return "restarted"

    def unload(self, sections: Sequence[Path], progress: Progress) -> None:
        """Do nothing: the target, which alone concerns no single program, goes with the last of them."""

    def reload(self, sections: Sequence[Path], progress: Progress) -> None:  # noqa: ARG002 - others take long
        """Have systemd read SECTIONS again; a target that is there is to start its programs at boot."""
        units = self._systemctl.show(sorted({unit for path in sections if (unit := unit_at(path))})).values()
        if any(unit.text("NeedDaemonReload") == "yes" for unit in units):
            self._systemctl.order("daemon-reload")
        if any(path.name == self._target and path.exists() for path in sections):
            self._enable()

    def logs(self, program: InstalledProgram, lines: int, *, follow: bool) -> Iterator[str]:
        if program.log_file is None:
            return read_journal(unit_name(program.name), self._scope, lines, follow=follow)
        from procman.host.log_file import read_log

        return read_log(Path(program.log_file), lines, follow=follow)

    def shutdown(self, progress: Progress) -> None:
        """Do nothing: the process manager is the host's own."""

    def command_line(self, program: InstalledProgram) -> str:
        return self._systemctl.command("restart", program.name)

    def _states(self, programs: Sequence[InstalledProgram]) -> list[ProgramState]:
        names = [unit_of(program) for program in programs]
        units = self._systemctl.show(names)
        jobs = self._systemctl.jobs() if any(unit.job for unit in units.values()) else {}
        return [
            program_state(program, units[name], jobs.get(name)) for program, name in zip(programs, names, strict=True)
        ]

    def _start(self, names: Sequence[str], progress: Progress) -> None:
        self._systemctl.order("start", "--no-block", *names)
        began = time.monotonic()
        while unsettled := [unit for unit in self._systemctl.show(names).values() if unit.job]:
            elapsed = time.monotonic() - began
            if elapsed > IMPORT_PATIENCE_SECONDS and all(unit.is_importing for unit in unsettled):
                progress(f"{_listed(unsettled)}: still importing the app after {elapsed:.0f} s")
                break
            if elapsed > START_PATIENCE_SECONDS:
                raise ProcmanError(
                    f"{_listed(unsettled)} did not start within {elapsed:.0f} s", hint="See `procman status`."
                )
            if elapsed > 1:
                progress(f"{_listed(unsettled)}: starting, {elapsed:.0f} s")
            time.sleep(min(1.0, max(0.05, elapsed / 10)))
        failed = {unit.name: could_not_be_started(unit) for unit in self._systemctl.show(names).values()}
        problems = [f"{name.removesuffix('.service')}: {reason}" for name, reason in failed.items() if reason]
        if problems:
            raise ProcmanError("\n".join(problems), hint="systemd tries again and again: see `procman logs`.")

    def _remove(self, program: InstalledProgram, progress: Progress) -> str:
        name = unit_of(program)
        ran = name in self._going or not self._systemctl.show([name])[name].has_ended
        self._stop_all_that_go()
        self.stop([program], progress)
        for unit in self._systemctl.show(units_of(program)).values():
            if unit.text("ActiveState") == "failed":
                with contextlib.suppress(NoSuchUnit):
                    self._systemctl.order("reset-failed", unit.name)
        self._removed.add(name)
        if not self._still_going():
            # Before, systemd would forget how to stop the others that are about to go.
            self._forget_target()
            self._systemctl.order("daemon-reload")
        return "stopped and unloaded" if ran else "was not running; unloaded"

    def _stop_all_that_go(self) -> None:
        """Order all programs whose files are gone to stop: their tasks end side by side, and beat ends first."""
        going = [
            unit.name for unit in self._still_going() if is_stopped_gracefully(unit) and unit.name not in self._going
        ]
        if going:
            self._systemctl.order("stop", "--no-block", *going)
            self._going.update(going)

    def _still_going(self) -> list[Unit]:
        units = self._systemctl.matching(f"{self._project}-*.service")
        return [unit for unit in units if not unit.has_ended and unit.file_is_gone]

    def _forget_target(self) -> None:
        """Have the target start nothing at boot once all of its programs are removed."""
        target = self._systemctl.show([self._target])[self._target]
        # With its file as systemd has read it, the project moves to another process manager: the file goes later.
        is_left = target.text("NeedDaemonReload") == "no" and set(target.text("Wants").split()) <= self._removed
        if not target.file_is_gone and not is_left:
            return
        with contextlib.suppress(NoSuchUnit):
            # Removes the link that starts it at boot, also when its file is gone.
            self._systemctl.order("disable", self._target)
        if not target.has_ended:
            self._systemctl.order("stop", self._target)
        parent = Path("/run") if self._scope is Scope.SYSTEM else systemd_host.runtime_directory()
        with contextlib.suppress(OSError):
            # systemd made it around the programs' own runtime directories.
            parent.joinpath(self._project).rmdir()

    def _enable(self) -> None:
        target = self._systemctl.show([self._target])[self._target]
        if target.text("UnitFileState") == "disabled":
            self._systemctl.order("enable", self._target)
        if not target.moment("InactiveExit"):
            # As if it had been there at boot, but without starting what somebody has stopped (R11).
            self._systemctl.order("start", "--job-mode=ignore-dependencies", self._target)

    def _reload_if_needed(self, names: Sequence[str], *, has_new: bool = False) -> None:
        units = self._systemctl.show([*names, self._target]).values()
        is_new = has_new and not self._has_read_all
        if is_new or any(unit.text("NeedDaemonReload") == "yes" for unit in units):
            self._systemctl.order("daemon-reload")
            self._has_read_all = True

    def _refuse_unknown(self, units: Iterable[Unit]) -> None:
        for unit in units:
            name = unit.name.rpartition(".")[0]
            if unit.text("LoadState") == "masked":
                raise ProcmanError(
                    f"{name} is masked", hint=f"Somebody forbade it: {self._systemctl.command('unmask', unit.name)}"
                )
            if unit.text("LoadState") == "not-found":
                raise ProcmanError(f"{name}: systemd does not know its unit", hint="procman install")
            if not unit.is_known:
                raise ProcmanError(
                    f"{name}: systemd cannot read its unit", hint=self._systemctl.command("status", unit.name)
                )


def _listed(units: Sequence[Unit]) -> str:
    return ", ".join(unit.name.removesuffix(".service") for unit in units)
