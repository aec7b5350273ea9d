"""Carries out orders about programs through their supervisord."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from procman.backends.base import Progress
from procman.backends.supervisor import reload
from procman.backends.supervisor.client import BAD_NAME, Client, Fault, NotRunning
from procman.backends.supervisor.configuration.main_file import NoConfiguration
from procman.backends.supervisor.embedded import start_supervisord, stop_supervisord
from procman.backends.supervisor.graceful_stop import drain, stop_gracefully, unload
from procman.backends.supervisor.reload import Reread, load, load_again, order_start, reread
from procman.backends.supervisor.states import desired
from procman.backends.supervisor.systemd_unit import Service
from procman.errors import ProcmanError
from procman.model import Action, Activation, InstalledProgram


class Orders:
    """Orders to the supervisord of CONFIGURATION; CONNECT returns the way to it, or raises what is wrong with the file.

    An EMBEDDED one is started if need be, by its unit SERVICE or else with COMMAND.
    """

    def __init__(
        self,
        configuration: Path,
        connect: Callable[[], Client],
        *,
        embedded: bool,
        command: Path | None = None,
        service: Service | None = None,
    ) -> None:
        self._configuration = configuration
        self._connect = connect
        self._embedded = embedded
        self._command = command
        self._service = service
        self._fresh: set[str] = set()
        """Programs that came up with a supervisord started here: they already run what an activation would load."""

    @property
    def _client(self) -> Client:
        return self._connect()

    def start(self, programs: Sequence[InstalledProgram], progress: Progress) -> None:
        """Start what does not run, in order, from its section as the files have it now.

        An embedded supervisord is started if need be. Returns once each was started, not once it is healthy.
        """
        self._start_supervisord()
        differences = self._reread_if_possible(progress)
        for program in programs:
            reload.start(self._client, program, differences, progress)

    def stop(self, programs: Sequence[InstalledProgram], progress: Progress) -> None:
        """Stop warm, ordered in the order given, side by side; return when all have ended."""
        try:
            stop_gracefully(self._client, {each.name: each.stop_timeout_seconds for each in programs}, progress)
        except NotRunning as error:
            progress(f"{error.message}; there is nothing to stop")

    def restart(self, program: InstalledProgram, progress: Progress) -> None:
        """Stop PROGRAM warm and start it again from its section as the files have it now."""
        self._start_supervisord()
        try:
            self.stop([program], progress)
            self.start([program], progress)
        except BaseException:
            progress(f"{program.name} may stay stopped: `procman start {program.name}` starts it")
            raise

    def activate(self, activation: Activation, progress: Progress) -> str:
        """Carry out ACTIVATION and return what was done, in a few words. Carrying it out twice does no harm (R2)."""
        program = activation.program
        if activation.action is Action.REMOVE:
            return self._remove(program, progress)
        self._start_supervisord()
        if program.name in self._fresh:
            self._fresh.discard(program.name)
            if activation.desired is False:
                self.stop([program], progress)
                return "came up with supervisord, and was stopped again"
            return "came up with supervisord"
        differences = reread(self._client)
        info = self._client.infos([program.name])[program.name]
        asked_for = activation.desired
        if asked_for is None and info:
            asked_for = desired(info, autostart=program.autostart)
        if asked_for is False and program.autostart:
            # supervisord starts an autostart program as soon as it is loaded, if only for a moment (R11).
            return f"left stopped; `procman start {program.name}` starts it as it is configured now"
        if info is None:
            return self._add(program, progress, start=bool(asked_for))
        if program.name in differences.removed:
            raise ProcmanError(
                f"{program.name}: supervisord does not read its section any more",
                hint=f"See [include] in {self._configuration}, and run `procman install`.",
            )
        if activation.action is Action.ADD and program.name not in differences.changed:
            if asked_for and not info["start"]:
                order_start(self._client, program)
            return "was loaded already"
        return self._replace(activation, differences, progress, start=bool(asked_for))

    def shutdown(self, progress: Progress) -> Path | None:
        """End the supervisord itself, all of its programs warm, if it is procman's own; return its log."""
        if not self._embedded:
            return None
        stop_supervisord(self._client, progress, self._service)
        return Path(self._client.main.log_file)

    def reload(self, sections: Sequence[Path]) -> None:
        """Have the host's systemd read what SECTIONS say of supervisord's own unit; what runs goes on as it is."""
        if self._service:
            self._service.reload(sections)

    def drain(self, names: Sequence[str], seconds: float, progress: Progress) -> list[str]:
        """Stop programs of other people's sections so that running tasks finish; say what was done.

        NAMES may be `group:name`; a group is unloaded with its last program.
        """
        drain(self._client, names, seconds, progress)
        return unload(self._client, names)

    def _add(self, program: InstalledProgram, progress: Progress, *, start: bool) -> str:
        done = load(self._client, program, progress)
        if start or program.autostart:
            order_start(self._client, program)
        return "; ".join([*done, "added and started" if start or program.autostart else "added, not started"])

    def _replace(self, activation: Activation, differences: Reread, progress: Progress, *, start: bool) -> str:
        program, name = activation.program, activation.program.name
        if start or name in differences.changed:
            self._stop_for(activation, progress, changed=name in differences.changed)
        if name in differences.changed:
            load_again(self._client, name)
        if start:
            order_start(self._client, program)
        return "restarted" if start else "left stopped"

    def _stop_for(self, activation: Activation, progress: Progress, *, changed: bool) -> None:
        program = activation.program
        loaded = activation.old_stop_timeout_seconds
        # No generation before had it: the section that is loaded may be somebody else's.
        somebody_elses = changed and (loaded is None or activation.action is Action.ADD)
        if somebody_elses or (loaded is not None and loaded < program.stop_timeout_seconds):
            drain(self._client, [program.name], program.stop_timeout_seconds, progress)
        else:
            stop_gracefully(self._client, {program.name: max(loaded or 0, program.stop_timeout_seconds)}, progress)

    def _remove(self, program: InstalledProgram, progress: Progress) -> str:
        try:
            stop_gracefully(self._client, {program.name: program.stop_timeout_seconds}, progress)
            self._client.call("removeProcessGroup", program.name)
        except (NotRunning, NoConfiguration):
            return "nothing to unload: supervisord is not running"
        except Fault as fault:
            if fault.code != BAD_NAME:
                raise
            return "was unloaded already"
        return "stopped and unloaded"

    def _start_supervisord(self) -> None:
        if not self._embedded:
            return
        if start_supervisord(self._configuration, command=self._command, service=self._service):
            self._fresh = {info["name"] for info in self._client.call("getAllProcessInfo")}

    def _reread_if_possible(self, progress: Progress) -> Reread:
        """A file of somebody else that cannot be read is no reason not to start what is loaded."""
        try:
            return reread(self._client)
        except NotRunning:
            raise
        except ProcmanError as error:
            progress(f"{error.message}; starting what supervisord has loaded")
            return Reread()
