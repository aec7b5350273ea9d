"""Start, stop and query the programs of one project through supervisord."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from procman.backends.supervisor.client import (
    ANSWER_SECONDS,
    PATIENCE_SECONDS,
    Client,
    Info,
    NotRunning,
    running_pid,
)
from procman.backends.supervisor.configuration.main_file import (
    DEFAULT_FILES,
    MainFile,
    NoConfiguration,
    embedded_main_file,
    read_main_file,
)
from procman.backends.supervisor.states import program_states, states_without_manager, unknown_states
from procman.config.directories import directories_for
from procman.errors import ProcmanError
from procman.host.ordered import with_orders
from procman.install.safe_fs.tree import Tree
from procman.model import (
    Action,
    Activation,
    InstalledProgram,
    ProgramState,
    RunHistory,
    Scope,
    SupervisorMode,
    SupervisorSettings,
)

if TYPE_CHECKING:
    from datetime import tzinfo

    from procman.backends.base import BroughtUp, Progress
    from procman.backends.logs import LogLine, LogRequest
    from procman.backends.reporter import Reporter
    from procman.backends.supervisor.systemd_unit import Service

OWN_OUTPUT = "supervisord writes its log to its own output, such as that of the container"

ENDS = (" exited:", " killing ")
"""One of these is in each line of supervisord's log about an end that was not ordered, or that was forced."""

SERVICES = {DEFAULT_FILES[0]: "supervisord", DEFAULT_FILES[1]: "supervisor"}
"""The systemd services of Red Hat's and Debian's packages."""


def controller(project: str, scope: Scope, supervisor: SupervisorSettings) -> SupervisorController:
    """Return the controller for the supervisord of the installed `project`."""
    places = directories_for(project, scope, os.environ)
    embedded = supervisor.mode is SupervisorMode.EMBEDDED
    return SupervisorController(
        supervisor.configuration,
        embedded=embedded,
        known=embedded_main_file(supervisor.configuration, places.shared_state) if embedded else None,
        command=supervisor.supervisord if embedded else None,
        unit=(scope, places.units),
        state=places.state,
    )


@dataclass(eq=False)
class SupervisorController:
    """Controls the programs of a project through the supervisord with the file `configuration`.

    Modules that only commands need are imported on use, because `status` gives no commands.
    """

    configuration: Path
    _: KW_ONLY
    embedded: bool
    known: MainFile | None = None
    """Used if that file does not exist, which happens during `uninstall`."""
    command: Path | None = None
    """Starts procman's own supervisord if it has no systemd unit."""
    unit: tuple[Scope, Path] | None = None
    """The scope and the directory of that systemd unit."""
    state: Path | None = None
    """The directory in which procman records its own orders."""
    timeout: float = ANSWER_SECONDS
    """Seconds within which `states` ends."""
    patience: float = PATIENCE_SECONDS
    """Seconds within which each call of the other methods ends."""
    _fresh: set[str] = field(default_factory=set, init=False)
    """Programs that were started by a supervisord started here: they already run what an activation would load."""

    @cached_property
    def client(self) -> Client:
        """The client for supervisord. Raises ProcmanError if its configuration file is unusable."""
        try:
            main = read_main_file(self.configuration)
        except NoConfiguration:
            if self.known is None:
                raise
            main = self.known
        return Client(main, self._start_hint(), self.patience)

    def reporter(self) -> Reporter:
        return self.client.reporter()

    def states(self, programs: Sequence[InstalledProgram]) -> list[ProgramState]:
        deadline = time.monotonic() + self.timeout
        try:
            infos: list[Info] = self.client.call("getAllProcessInfo", timeout=self.timeout)
        except NotRunning as error:
            starts = self._running_at_the_end()
            return with_orders(states_without_manager(programs, error, starts), self.state)
        except ProcmanError as error:
            return unknown_states(programs, error)
        histories = self._histories(programs, infos, deadline - time.monotonic())
        return with_orders(program_states(programs, infos, histories), self.state)

    def desired(self, programs: Sequence[InstalledProgram]) -> dict[str, bool]:
        try:
            infos: list[Info] = self.client.call("getAllProcessInfo")
        except NotRunning:
            return {each.name: each.desired for each in self.states(programs)}
        return {each.name: each.desired for each in with_orders(program_states(programs, infos, None), self.state)}

    def bring_up(self, wanted: Collection[str] = (), held: Collection[str] = ()) -> BroughtUp | None:
        if not self.embedded:
            self.client.call("getState")
            return None
        from procman.backends.base import BroughtUp
        from procman.backends.supervisor.embedded import start_supervisord

        names = {*held, *self._stopped_on_purpose()} - {*wanted}
        if not start_supervisord(self.configuration, command=self.command, service=self._service, held=names):
            return None
        infos: list[Info] = self.client.call("getAllProcessInfo")
        self._fresh = {info["name"] for info in infos if info["start"]}
        known = {info["name"] for info in infos}
        return BroughtUp(tuple(sorted(self._fresh)), tuple(sorted(names & known - self._fresh)))

    def _stopped_on_purpose(self) -> set[str]:
        from procman.backends.supervisor.held_back import stopped_on_purpose

        stopped = stopped_on_purpose(self.state.parent) if self.state else {}
        starts = self._running_at_the_end() if stopped else {}
        return {name for name, at in stopped.items() if starts.get(name, 0.0) <= at}

    def start(self, programs: Sequence[InstalledProgram], progress: Progress) -> None:
        from procman.backends.supervisor.reload import start

        self._bring_up_own()
        start(self.client, programs, progress)

    def stop(self, programs: Sequence[InstalledProgram], progress: Progress) -> None:
        from procman.backends.supervisor.graceful_stop import stop_gracefully

        try:
            stop_gracefully(self.client, {each.name: each.stop_timeout_seconds for each in programs}, progress)
        except NotRunning as error:
            progress(f"{error.message}; nothing to stop")

    def restart(self, program: InstalledProgram, progress: Progress) -> None:
        from procman.backends.graceful_stop import stop_and_start

        self._bring_up_own()
        stop_and_start(self, program, progress)

    def order_restart(self, program: InstalledProgram) -> None:
        # A restart by supervisord would end with the stop; it starts again whatever exits by itself (autorestart).
        self.client.call("signalProcess", program.name, program.stop_signal)

    def order_overlap(self, program: InstalledProgram) -> None:
        self.client.call("signalProcess", program.name, "HUP")

    def failed_order(self, _: InstalledProgram) -> str:
        return ""

    def order_end_of_drain(self, program: InstalledProgram) -> None:
        self.client.call("signalProcess", program.name, "RTMIN")

    def reload_program(self, program: InstalledProgram) -> None:
        self.client.call("signalProcess", program.name, program.reload_signal)

    def activate(self, activation: Activation, progress: Progress) -> str:
        from procman.backends.supervisor.activation import activate, remove

        program = activation.program
        if activation.action is Action.REMOVE:
            try:
                return remove(self.client, program, progress)
            except (NotRunning, NoConfiguration):
                return "nothing to unload: supervisord is not running"
        self._bring_up_own()
        if program.name not in self._fresh:
            return activate(self.client, activation, progress)
        self._fresh.discard(program.name)
        if activation.desired is False:
            self.stop([program], progress)
            return "started together with supervisord, and stopped again"
        return "started together with supervisord"

    def unload(self, sections: Sequence[Path], progress: Progress) -> None:
        """Do nothing: every section that procman writes belongs to one program."""

    def reload(self, sections: Sequence[Path], progress: Progress) -> None:  # noqa: ARG002 - others take long
        """Make systemd read those of `sections` that belong to supervisord's unit; this does not affect programs."""
        if self._service:
            self._service.reload(sections)

    def shutdown(self, progress: Progress) -> Path | None:
        from procman.backends.supervisor.embedded import stop_supervisord
        from procman.backends.supervisor.held_back import discard

        if not self.embedded:
            return None
        stop_supervisord(self.client, progress, self._service)
        with Tree() as tree:
            discard(tree, self.client.main)
        return Path(self.client.main.log_file)

    def command_line(self, program: InstalledProgram) -> str | None:
        if self.embedded:
            return None
        if self.configuration == next((file for file in DEFAULT_FILES if file.exists()), None):
            return f"supervisorctl restart {program.name}"
        return f"{self.supervisorctl()} restart {program.name}"

    def supervisorctl(self) -> str:
        """Return the command line of supervisorctl for this supervisord."""
        beside = Path(sys.executable).with_name("supervisorctl")
        words = ["supervisorctl"]
        if self.embedded:
            words = [str(beside)] if beside.exists() else [sys.executable, "-m", "supervisor.supervisorctl"]
        return shlex.join([*words, "-c", str(self.configuration)])

    def logs(self, program: InstalledProgram, lines: int) -> Iterator[str]:
        if not program.log_files:
            raise ProcmanError(f"{program.name} has no log file: {OWN_OUTPUT}")
        from procman.host.log_file import read_log

        return read_log(Path(program.log_files[-1]), lines)

    def log_lines(self, programs: Sequence[InstalledProgram], request: LogRequest) -> Iterator[LogLine]:
        from procman.backends.logs import log_files_of
        from procman.host.log_lines import read_logs

        without = [each.name for each in programs if not each.log_files]
        if without:
            request.notice(f"{', '.join(without)}: no log file, {OWN_OUTPUT}")
        return read_logs(log_files_of(programs), request)

    def log_end(self, program: InstalledProgram) -> str:
        from procman.host.log_file import log_end

        return log_end(Path(program.log_files[-1])) if program.log_files else ""

    @cached_property
    def _service(self) -> Service | None:
        from procman.backends.supervisor.systemd_unit import Service

        return Service(*self.unit) if self.unit else None

    def _bring_up_own(self) -> None:
        if self.embedded:
            self.bring_up()

    def histories(self, programs: Sequence[InstalledProgram], since: float) -> dict[str, RunHistory]:  # noqa: ARG002
        """Return the histories as far back as the end of supervisord's log reaches, even before `since`."""
        try:
            infos = self.client.call("getAllProcessInfo", timeout=self.timeout)
        except ProcmanError:
            infos = []  # its log remains
        return self._histories(programs, infos, self.timeout) or {}

    def _histories(
        self, programs: Sequence[InstalledProgram], infos: Sequence[Info], seconds: float
    ) -> dict[str, RunHistory] | None:
        log = self.client.end_of_log(seconds)
        if log is None:
            return None
        if not any(word in log for word in ENDS):
            return {}
        # Imported only if something ended: for most projects, `status` should not wait for it.
        from procman.backends.supervisor.log_records import histories_in

        zone = self._zone()
        histories = histories_in(log, programs, infos, {}, zone)
        ended = [name for name, history in histories.items() if history.ends]
        if self.state is None or not ended:
            return histories
        from procman.install.state.orders import orders_of

        return histories_in(log, programs, infos, orders_of(self.state, ended), zone)

    def _running_at_the_end(self) -> dict[str, float]:
        from procman.backends.supervisor.log_records import running_at_the_end

        return running_at_the_end(self.client.end_of_log(self.timeout) or "", self._zone())

    def _zone(self) -> tzinfo:
        """Return the time zone of supervisord, in which its log is; that of the system if it is unknown."""
        from procman.host.time_zone import zone_of

        return zone_of(running_pid(self.client.main))

    def _start_hint(self) -> str:
        if self.embedded:
            return "To start it, run `procman start`."
        service = SERVICES.get(self.configuration)
        return f"systemctl start {service}" if service else f"supervisord -c {self.configuration}"
