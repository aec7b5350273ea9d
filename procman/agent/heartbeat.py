"""Write the heartbeat of a worker or beat, notify systemd, and heal the program, in threads beside Celery.

One thread judges and notifies systemd, the second writes and heals, and the third compares the project's code, so that
a hanging disk does not delay the watchdog messages, nor the project's disk the heartbeat. None of them takes a lock
that a child process could inherit, and no failure here reaches Celery.
"""

import _thread
import json
import os
from time import monotonic, sleep
from typing import Any, Dict, Mapping, Optional

from . import beat_hooks, heartbeat_format, missed_entries, run_files, verdict, worker_hooks
from .changed_code import ChangedCode
from .control_orders import ControlOrders
from .handback import Handback
from .native_threads import start_thread
from .orphans import OrphanReaper
from .queue_poller import QueuePoller
from .sd_notify import Systemd
from .self_healing import SelfHealing
from .settings import read_settings, report
from .task_recorder import TaskRecorder
from .verdict import Verdict, thresholds_of
from .worker_state import WorkerState, described


def start(environment: Mapping[str, str]) -> "Heart":
    """Write the first heartbeat and start the threads that continue it; call it before Celery is imported."""
    heart = Heart(environment)
    for problem in heart.settings.problems:
        heart.report(problem)
    heart.pulse()
    heart.write()
    start_thread(heart.forever, heart.pulse, heart.wake_writer)
    start_thread(heart.forever_woken, heart.write)
    start_thread(heart.code.forever)
    return heart


class Heart:
    """The heartbeat of this process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.settings = read_settings(environment)
        self.observed = WorkerState(self.settings)
        self.observed.on_change = self._on_change
        if self.settings.kind == "beat":
            self.observed.earlier_beat = missed_entries.earlier_beat(self.settings.run_directory)
        self._recorder = TaskRecorder(self.settings, self.observed.started)
        self._handback = Handback(self.settings, self.observed, self._recorder, self.report)
        self.code = ChangedCode(self.settings, self.observed, environment.get("PROCMAN_DIRECTORY") or ".")
        self.observed.changed_code = self.code.fields
        self._systemd = Systemd(environment)
        watchdog = self._systemd.watchdog_seconds
        self._thresholds = thresholds_of(self.settings)
        self._seconds = min(self.settings.heartbeat_seconds, watchdog / 3 if watchdog else 1e7)
        self._healing = SelfHealing(self.observed, self.report)
        self._orders = ControlOrders(self.observed, self.report)
        self._orphans = OrphanReaper()
        self._asker = QueuePoller(self.observed)
        self._latest: Optional[Dict[str, Any]] = None
        self._verdict = Verdict(verdict.UNKNOWN, "PM203", "it is starting")
        self._sent_status = ""
        self._write_error = ""
        self._wake_pulse, self._wake_writer = _thread.allocate_lock(), _thread.allocate_lock()
        self._wake_pulse.acquire()
        self._wake_writer.acquire()

    def report(self, message: str) -> None:
        """Write a line to the program's log."""
        report(self.settings.program, message)

    # Celery ----------------------------------------------------------------------------------------------------------

    def follow(self, celery_main: Any) -> None:
        """Hook into Celery as soon as its main module `celery_main` has applied the patches of gevent or eventlet.

        An earlier import of more of Celery would leave it with locks that block a whole green pool.
        """
        try:
            patch = celery_main.maybe_patch_concurrency
        except AttributeError as error:
            self.observed.missing["patching"] = described(error)
            self._connect()
            return

        def patch_and_connect(*arguments: Any, **more: Any) -> Any:
            done = patch(*arguments, **more)
            self._connect()
            return done

        celery_main.maybe_patch_concurrency = patch_and_connect

    def _connect(self) -> None:
        try:
            if self.settings.kind == "beat":
                beat_hooks.connect(self.observed, self._asker.of_app, self.report)
            else:
                loop_seconds = min(self._seconds, self.settings.stale_seconds / 3)
                worker_hooks.connect(
                    self.observed, self._recorder, self._handback, loop_seconds, self._asker.of_consumer
                )
                self._orders.connect()
        except Exception as error:
            self.observed.missing["hooks"] = described(error)
            # Without the hooks no signal reports it.
            self.observed.come_up()

    def _on_change(self) -> None:
        # Runs in the main thread, perhaps inside a signal handler: notify systemd now, leave the rest to the threads.
        if self.observed.phase == verdict.STOPPING:
            self._systemd.tell("STOPPING=1")
        elif self.observed.is_up:
            self._systemd.tell("READY=1")
        _release(self._wake_pulse)

    # The threads -----------------------------------------------------------------------------------------------------

    def forever(self, act: Any, then: Any) -> None:
        """Call `act` and then `then`, at every interval and after each change."""
        while True:
            seconds = min(self._seconds, self._handback.next_look())
            self._wake_pulse.acquire(True, self._systemd.until_ready(seconds))
            self._guard(act)
            then()

    def forever_woken(self, act: Any) -> None:
        """Call `act` whenever woken."""
        while True:
            self._wake_writer.acquire()
            self._guard(act)

    def wake_writer(self) -> None:
        """Let the writer thread write the latest heartbeat."""
        _release(self._wake_writer)

    def _guard(self, act: Any) -> None:
        what = f"heartbeat ({act.__name__})"
        try:
            act()
        except Exception as error:
            if what not in self.observed.missing:
                self.report(f"the heartbeat failed in {act.__name__}(): {described(error)}: {error}")
            self.observed.missing[what] = described(error)
            sleep(0.1)
        else:
            self.observed.missing.pop(what, None)

    def pulse(self) -> None:
        """Observe and judge the program, and notify systemd."""
        self.observed.look_whether_to_stop()
        now = monotonic()
        heartbeat = self.observed.heartbeat(now)
        self._verdict = verdict.verdict(heartbeat, now, self._thresholds)
        heartbeat["verdict"] = dict(self._verdict._asdict())
        self._latest = heartbeat
        self._notify_systemd()

    def _notify_systemd(self) -> None:
        if not self._systemd.listens:
            return
        observed, found = self.observed, self._verdict
        if observed.phase == verdict.STOPPING:
            self._systemd.tell("STOPPING=1", "WATCHDOG=1", f"STATUS={found.reason}")
            return
        if not observed.is_up:
            self._systemd.put_off(found.reason)
            return
        status = f"STATUS={found.level}: {found.reason}"
        if self._write_error:
            status += f"; it cannot write its heartbeat: {self._write_error}"
        words = ["READY=1"] if status == self._sent_status else ["READY=1", status]
        if not self._healing.withholds:
            words.append("WATCHDOG=1")
        # In other pools a task can hold Python's lock for longer than any watchdog should wait.
        is_watched = observed.pool in (None, *verdict.POOLS_THAT_TELL)
        if self._systemd.tell_with_watchdog(self._systemd.watchdog_seconds if is_watched else 0, *words):
            self._sent_status = status

    def write(self) -> None:
        """Write the latest heartbeat, and heal the program if needed."""
        # Before the disk, which may hang.
        self._handback.look()
        heartbeat = self._latest
        if heartbeat is None:
            return
        path = os.path.join(self.settings.run_directory, heartbeat_format.FILE)
        try:
            run_files.replace(path, _text(heartbeat))
        except OSError as error:
            self._note_write_error(path, error.strerror or str(error))
        else:
            if self._write_error:
                self.report("the heartbeat can be written again")
            self._write_error = ""
        self._orders.write()
        self._open_task_record()
        self._healing.look(heartbeat, self._verdict)
        if self.settings.kind == "beat" or self.observed.pool == "prefork":
            # Elsewhere tasks run in this process, and wait for the commands that they start.
            self._orphans.look()

    def _open_task_record(self) -> None:
        """Begin the record of running tasks, before the program imports Celery, or once the disk has room."""
        if self._recorder.is_open or self.settings.kind != "worker":
            return
        try:
            self._recorder.open()
        except OSError as error:
            self.observed.missing["record of tasks"] = error.strerror or str(error)
        else:
            self.observed.missing.pop("record of tasks", None)

    def _note_write_error(self, path: str, reason: str) -> None:
        if self._write_error != reason:
            self.report(f"cannot write the heartbeat {path}: {reason}; the program runs, but its health is unknown")
        self._write_error = reason
        try:
            # The new modification time shows that the program is alive, even on a full disk.
            os.utime(path)
        except OSError:
            pass


def _text(heartbeat: Dict[str, Any]) -> str:
    text = json.dumps(heartbeat)
    if len(text) > heartbeat_format.MAX_BYTES:
        # A worker with thousands of queues.
        text = json.dumps({**heartbeat, "queues": [], "tasks": [], "missing": ["queues: too many to list"]})
    return text


def _release(lock: Any) -> None:
    try:
        lock.release()
    except RuntimeError:
        pass  # already released and not yet acquired: the thread is awake
