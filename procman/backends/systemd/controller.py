"""Start, stop and query the programs of one project through systemd."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
    was_restarted_lately,
)
from procman.config.directories import directories_for
from procman.errors import ProcmanError
from procman.host import systemd_host
from procman.host.ordered import with_orders
from procman.host.systemctl import NoSuchUnit, Systemctl, Unit
from procman.host.unit_names import stop_timeout_seconds, target_name, unit_at, unit_name, unit_of, units_of
from procman.model import (
    Action,
    Activation,
    InstalledProgram,
    Kind,
    ProgramState,
    RunHistory,
    Scope,
    State,
    SupervisorSettings,
)

if TYPE_CHECKING:
    from procman.backends.logs import LogLine, LogRequest

HISTORY_SECONDS = 2 * 3600.0
"""How far back the journal is read: twice as long as ends are reported."""

START_PATIENCE_SECONDS = 120.0
"""Longer than the 90 s that systemd allows for a start."""

IMPORT_PATIENCE_SECONDS = 30.0
"""How long to wait for a running process to notify systemd that it is up. After that it counts as started anyway: an
app that waits for a broker during its import has not failed."""


def controller(project: str, scope: Scope, _: SupervisorSettings) -> SystemdController:
    """Return the controller for the systemd that runs the installed `project`."""
    return SystemdController(project, scope, state=directories_for(project, scope, os.environ).state)


class SystemdController:
    """Controls the programs of `project` through the systemd of `scope`; a query takes at most `timeout` seconds.

    The project's directory `state` has procman's own orders; None: there are none.
    """

    def __init__(self, project: str, scope: Scope, *, timeout: float = 5.0, state: Path | None = None) -> None:
        self._project = project
        self._state = state
        self._scope = scope
        self._target = target_name(project)
        self._systemctl = Systemctl(scope, timeout)
        self._has_read_all = False
        """Whether systemd has reloaded its configuration since the files were installed."""
        self._going: set[str] = set()
        """Units whose files were removed and which have been sent a stop."""
        self._removed: set[str] = set()

    def reporter(self) -> None:
        """Return None: only systemd itself can answer `systemctl`."""

    def states(self, programs: Sequence[InstalledProgram]) -> list[ProgramState]:
        try:
            return self._states(programs)
        except ProcmanError as error:
            reason = f"{error.message}. {error.hint}" if error.hint else error.message
            return [ProgramState(each.name, each.autostart, State.UNKNOWN, detail=reason) for each in programs]

    def desired(self, programs: Sequence[InstalledProgram]) -> dict[str, bool]:
        return {state.name: state.desired for state in self._states(programs)}

    def bring_up(self, wanted: Collection[str] = (), held: Collection[str] = ()) -> None:
        """Do nothing: systemd is running."""

    def start(self, programs: Sequence[InstalledProgram], progress: Progress) -> None:
        self._reload_if_needed([name for program in programs for name in units_of(program)])
        units = self._systemctl.show([unit_of(program) for program in programs])
        self._refuse_unknown(units.values())
        waiting = [name for name, unit in units.items() if state_of(unit) is State.BACKOFF]
        if waiting:
            # Otherwise systemd would wait until its next automatic restart.
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

    def order_restart(self, program: InstalledProgram) -> None:
        self._reload_if_needed(units_of(program))
        self._systemctl.order("restart", "--no-block", unit_of(program))

    def order_overlap(self, program: InstalledProgram) -> None:
        self._reload_if_needed(units_of(program))
        # It would wait for the successor; the keeper's own report is more exact.
        self._systemctl.order("reload", "--no-block", unit_of(program))

    def failed_order(self, program: InstalledProgram) -> str:
        name = unit_of(program)
        result = self._systemctl.show([name], ["ReloadResult"])[name].text("ReloadResult")
        return (
            "" if result in ("", "success") else f"systemd's reload failed ({result}) before its keeper had the order"
        )

    def order_end_of_drain(self, program: InstalledProgram) -> None:
        self._systemctl.order("kill", "--kill-who=main", "--signal=RTMIN", unit_of(program))

    def reload_program(self, program: InstalledProgram) -> None:
        self._reload_if_needed(units_of(program))
        self._systemctl.order("reload", unit_of(program))

    def activate(self, activation: Activation, progress: Progress) -> str:
        program = activation.program
        if activation.action is Action.REMOVE:
            return self._remove(program, progress)
        name = unit_of(program)
        self._reload_if_needed(units_of(program), has_new=activation.action is Action.ADD)
        self._enable()
        unit = self._systemctl.show([name])[name]
        if unit.text("LoadState") == "masked":
            return "not started: it is masked"
        self._refuse_unknown([unit])
        desired = activation.desired
        if desired is None:
            desired = is_desired(unit, self._systemctl.jobs().get(name), autostart=starts_by_itself(program))
        if not desired:
            return f"left stopped; start it with the new configuration with `procman start {program.name}`"
        if unit.has_ended:
            self._start([name], progress)
            return "started"
        if activation.action is Action.ADD and not is_older_than_its_file(unit):
            return "was already running"
        self.stop([program], progress)
        self._start([name], progress)
        return "restarted"

    def unload(self, sections: Sequence[Path], progress: Progress) -> None:
        """Do nothing: the target is removed together with the last program."""

    def reload(self, sections: Sequence[Path], progress: Progress) -> None:  # noqa: ARG002 - others take long
        """Make systemd read `sections` again, and enable the target if it exists."""
        units = self._systemctl.show(sorted({unit for path in sections if (unit := unit_at(path))})).values()
        if any(unit.text("NeedDaemonReload") == "yes" for unit in units):
            self._systemctl.order("daemon-reload")
        if any(path.name == self._target and path.exists() for path in sections):
            self._enable()

    def logs(self, program: InstalledProgram, lines: int) -> Iterator[str]:
        from procman.host.journal import read_journal
        from procman.host.log_file import read_log

        if not program.log_files:
            return read_journal(unit_name(program.name), self._scope, lines)
        return read_log(Path(program.log_files[-1]), lines)

    def log_lines(self, programs: Sequence[InstalledProgram], request: LogRequest) -> Iterator[LogLine]:
        from procman.backends.logs import log_files_of
        from procman.host.journal import read_journals
        from procman.host.log_lines import read_logs

        files = log_files_of(programs)
        units = {unit_name(each.name): each.name for each in programs if not each.log_files}
        if not files:
            return read_journals(units, self._scope, request)
        if units:
            request.notice(f"{', '.join(units.values())}: logs to the journal: procman logs {' '.join(units.values())}")
        return read_logs(files, request)

    def log_end(self, program: InstalledProgram) -> str:
        if not program.log_files:
            from procman.host.journal import journal_end

            return journal_end(unit_name(program.name), self._scope)
        from procman.host.log_file import log_end

        return log_end(Path(program.log_files[-1]))

    def shutdown(self, progress: Progress) -> None:
        """Do nothing: systemd belongs to the host."""

    def command_line(self, program: InstalledProgram) -> str:
        return self._systemctl.command("restart", program.name)

    def _states(self, programs: Sequence[InstalledProgram]) -> list[ProgramState]:
        names = [unit_of(program) for program in programs]
        units = self._systemctl.show(names)
        jobs = self._systemctl.jobs() if any(unit.job for unit in units.values()) else {}
        known = self._histories(units)
        states = [
            program_state(program, units[name], jobs.get(name), known.get(name))
            for program, name in zip(programs, names, strict=True)
        ]
        return with_orders(states, self._state)

    def histories(self, programs: Sequence[InstalledProgram], since: float) -> dict[str, RunHistory]:
        from procman.backends.systemd.journal_records import histories

        units = {unit_name(program.name): program.name for program in programs if program.kind is not Kind.HEALTH}
        found = histories(list(units), self._scope, since)
        return {units[unit]: history for unit, history in found.items()}

    def _histories(self, units: Mapping[str, Unit]) -> Mapping[str, RunHistory]:
        """Return the histories of units that systemd has restarted by itself, within an hour or without success."""
        restarted = [name for name, unit in units.items() if was_restarted_lately(unit)]
        if not restarted:
            return {}
        from procman.backends.systemd.journal_records import histories

        return histories(restarted, self._scope, time.time() - HISTORY_SECONDS)

    def _start(self, names: Sequence[str], progress: Progress) -> None:
        self._forget_restarts(names)
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
            raise ProcmanError("\n".join(problems), hint="systemd keeps retrying: see `procman logs`.")

    def _forget_restarts(self, names: Sequence[str]) -> None:
        """Reset systemd's counter, which it keeps at a start out of the pause before an automatic restart."""
        units = self._systemctl.show(names).values()
        counted = [unit.name for unit in units if unit.has_ended and unit.number("NRestarts")]
        if counted:
            with contextlib.suppress(NoSuchUnit):
                self._systemctl.order("reset-failed", *counted)

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
            # An earlier reload would make systemd forget how to stop the other removed programs gracefully.
            self._forget_target()
            self._systemctl.order("daemon-reload")
        return "stopped and unloaded" if ran else "was not running; unloaded"

    def _stop_all_that_go(self) -> None:
        """Stop all programs whose files were removed: beat first, and their tasks finish in parallel."""
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
        """Disable the target once all of its programs are removed."""
        target = self._systemctl.show([self._target])[self._target]
        # If its file is unchanged, the project is moving to another process manager, and the file is removed later.
        is_left = target.text("NeedDaemonReload") == "no" and set(target.text("Wants").split()) <= self._removed
        if not target.file_is_gone and not is_left:
            return
        with contextlib.suppress(NoSuchUnit):
            # Removes the link that starts the target at boot, even if its file was removed.
            self._systemctl.order("disable", self._target)
        if not target.has_ended:
            self._systemctl.order("stop", self._target)
        parent = Path("/run") if self._scope is Scope.SYSTEM else systemd_host.runtime_directory()
        with contextlib.suppress(OSError):
            # systemd created it as the parent of the programs' runtime directories.
            parent.joinpath(self._project).rmdir()

    def _enable(self) -> None:
        target = self._systemctl.show([self._target])[self._target]
        if target.text("UnitFileState") == "disabled":
            self._systemctl.order("enable", self._target)
        if not target.moment("InactiveExit"):
            # As if it had been started at boot, but without starting programs that were stopped on purpose (R11).
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
                    f"{name} is masked, so it cannot be started",
                    hint=f"To allow it again: {self._systemctl.command('unmask', unit.name)}",
                )
            if unit.text("LoadState") == "not-found":
                raise ProcmanError(f"{name}: systemd does not know its unit", hint="Run `procman install`.")
            if not unit.is_known:
                raise ProcmanError(
                    f"{name}: systemd cannot read its unit", hint=self._systemctl.command("status", unit.name)
                )


def _listed(units: Sequence[Unit]) -> str:
    return ", ".join(unit.name.removesuffix(".service") for unit in units)
