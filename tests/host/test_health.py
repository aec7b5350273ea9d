"""Real faults on a booted Debian with RabbitMQ: some are healed by systemd and the programs, others only reported.

The intervals are short. Each test waits a multiple of them for an expected event, and several times as long as an event
would take before it asserts that the event did not happen.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from procman.agent.heartbeat_format import read
from procman.backends.systemd import journal_records

from .catmaid import DATA, PROJECTS, SECRET, VIRTUALENV, Project, counted, send, show
from .machine import Host

STALL_SECONDS, STALE_SECONDS, WATCHDOG_SECONDS = 6, 4, 4

TOML = f"""
[project]
name = "well"
app = "mysite"
directory = "{PROJECTS}"
virtualenv = "{VIRTUALENV}"
settings = "exercise.settings"
user = "www-data"
backend = "systemd"
environment_file = "/etc/catmaid/celery.env"
writable_paths = ["{DATA}"]
after = ["rabbitmq-server.service"]

[environment]
DEMO_DATA_DIRECTORY = "{DATA}"

[health]
heartbeat_seconds = 1
stale_seconds = {STALE_SECONDS}
stall_seconds = {STALL_SECONDS}
watchdog_seconds = {WATCHDOG_SECONDS}
interval_seconds = 1
failures = 2
restarts_per_hour = 100

[worker.celery]
queues = ["well"]
concurrency = 2

[worker.alone]
queues = ["alone"]
pool = "solo"

[beat]
scheduler = "exercise.ailing_beat:AilingPersistentScheduler"
max_interval_seconds = 1
"""

WORKER, SOLO, BEAT = "well-celery", "well-alone", "well-celery-beat"
SOON = 60.0
"""For whatever takes no longer than a start."""
MAY_START = f"{DATA}/may-start"
LONG_ENOUGH = 3 * max(STALE_SECONDS, WATCHDOG_SECONDS)

DEBUGGER = """
import ctypes, os, sys, time
ATTACH, DETACH, WALL = 16, 17, 0x40000000
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
threads = [int(name) for name in os.listdir(f"/proc/{sys.argv[1]}/task")]
for thread in threads:
    assert ptrace(ATTACH, thread, None, None) == 0, os.strerror(ctypes.get_errno())
    os.waitpid(thread, WALL)
time.sleep(float(sys.argv[2]))
for thread in threads:
    ptrace(DETACH, thread, None, None)
"""
"""Stops all threads of a process for a while, as an administrator with gdb does; SIGCONT does not resume them."""

wait_for = Host.wait_for


class Programs:
    """The programs of one installed project, with queries for the tests."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.host = project.host

    def run_directory(self, program: str) -> str:
        return f"/var/lib/procman/{self.project.name}/run/{program}"

    def heartbeat(self, program: str) -> dict[str, Any]:
        return read(self.host.run(["cat", f"{self.run_directory(program)}/heartbeat.json"]).stdout)

    def code(self, program: str) -> str:
        return str(self.heartbeat(program)["verdict"]["code"])

    def phase(self, program: str) -> str:
        return str(self.heartbeat(program)["phase"])

    def pid(self, program: str) -> int:
        return int(show(self.host, f"{program}.service", "MainPID")["MainPID"])

    def pids(self) -> dict[str, int]:
        return {program: self.pid(program) for program in (WORKER, SOLO, BEAT)}

    def events(self, program: str, code: str = "") -> list[dict[str, Any]]:
        """Return the events of a program; with a code, those of its check: others of a test before may come late."""
        done = self.host.run(["cat", f"{self.run_directory(program)}/events.jsonl"], check=False)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        return [event for event in events if not code or event["code"] == code]

    def restarted(self, program: str, before: int) -> Callable[[], bool]:
        return lambda: self.pid(program) not in (0, before) and self.is_valid(program)

    def is_valid(self, program: str) -> bool:
        try:
            heartbeat = self.heartbeat(program)
        except (ValueError, OSError):
            return False
        return bool(heartbeat["pid"] == self.pid(program) and heartbeat["verdict"]["code"] == "PM200")

    def is_importing_anew(self, program: str) -> bool:
        heartbeat = self.heartbeat(program)
        return bool(heartbeat["pid"] == self.pid(program) and heartbeat["phase"] == "importing")

    def nagios(self, program: str) -> tuple[int, str]:
        """Return the output for monitoring about a program."""
        done = self.project.procman("health", "--format", "nagios", program, check=False)
        return done.returncode, done.stdout

    def is_well_for_monitoring(self, program: str) -> bool:
        """Return whether the output for monitoring is OK, apart from the restarts that these tests have caused."""
        status, line = self.nagios(program)
        return status == 0 or (status == 1 and any(f"({code})" in line for code in ("PM103", "PM111", "PM112")))

    def status(self, program: str, user: str | None = None) -> dict[str, Any]:
        document = json.loads(self.project.procman("status", "--json", program, user=user, check=False).stdout)
        [found] = document["programs"]
        return dict(found)

    def ends(self, program: str) -> list[dict[str, Any]]:
        """Return the events about ends of processes of `program`."""
        lines = self.project.procman("events", "--json", program).stdout.splitlines()
        return [event for event in map(json.loads, lines) if event["what"] == "ended"]

    def control(self, *words: str) -> None:
        """Send a control command to the workers, as an administrator does."""
        environment = {
            "DJANGO_SETTINGS_MODULE": "exercise.settings",
            "PYTHONPATH": PROJECTS,
            "CELERY_BROKER_URL": f"amqp://catmaid:{SECRET}@localhost:5672//",
            "DEMO_DATA_DIRECTORY": DATA,
        }
        celery = [f"{VIRTUALENV}/bin/celery", "-A", "mysite", "control", "-d", f"{WORKER}@{self.host_name()}", *words]
        self.host.run(celery, "www-data", environment=environment)

    def host_name(self) -> str:
        return self.host.run(["hostname"]).stdout.strip()

    def hold(self, program: str) -> None:
        text = json.dumps(
            {"format": 1, "program": program, "by": "root", "since": 0.0, "until": None, "reason": "test"}
        )
        self.host.write(f"/var/lib/procman/{self.project.name}/holds/{program}.json", text)

    def release(self, program: str) -> None:
        self.host.run(["rm", f"/var/lib/procman/{self.project.name}/holds/{program}.json"])


@contextmanager
def drop_in(host: Host, program: str, *lines: str) -> Iterator[None]:
    """Change the unit of `program` until the end."""
    file = f"/etc/systemd/system/{program}.service.d/test.conf"
    host.write(file, "\n".join(("[Service]", *lines, "")))
    host.run("systemctl daemon-reload")
    try:
        yield
    finally:
        host.run(f"rm {file} && systemctl daemon-reload")


@pytest.fixture(scope="module")
def well(stocked: Host) -> Iterator[Programs]:
    project = Project(stocked, "well", TOML)
    # For all units with this prefix; a pause of ten seconds after each restart would take most of the time here.
    stocked.write("/etc/systemd/system/well-.service.d/soon.conf", "[Service]\nRestartSec=1\n")
    project.procman("install", "--no-check", "--wait", "60", timeout=180)
    yield Programs(project)
    project.procman("uninstall", "--purge", timeout=180)
    stocked.run("rm -r /etc/systemd/system/well-.service.d")


@pytest.fixture(autouse=True)
def sound(well: Programs) -> None:
    """Each test begins with healthy programs."""
    wait_for(lambda: all(map(well.is_valid, (WORKER, SOLO, BEAT))), SOON, "all are sound")


def test_programs_notify_systemd_and_report_their_status(well: Programs) -> None:
    for program in (WORKER, BEAT):
        found = show(well.host, f"{program}.service", "Type", "NotifyAccess", "WatchdogUSec", "ActiveState")
        assert found == {"Type": "notify", "NotifyAccess": "main", "WatchdogUSec": "4s", "ActiveState": "active"}
    # A task in the main process may block notifications for any time.
    assert show(well.host, f"{SOLO}.service", "WatchdogUSec") == {"WatchdogUSec": "0"}
    wait_for(
        lambda: "it is consuming" in show(well.host, f"{WORKER}.service", "StatusText")["StatusText"],
        SOON,
        "systemctl status says how it is",
    )


def test_messages_and_consumers_of_queues_are_reported(well: Programs) -> None:
    wait_for(lambda: well.heartbeat(WORKER)["queues"], SOON)
    [queue] = well.heartbeat(WORKER)["queues"]
    assert queue == {"name": "well", "messages": 0, "consumers": 1, "since": None}


@pytest.mark.parametrize("program", [WORKER, BEAT])
def test_frozen_main_process_is_restarted_by_systemd(well: Programs, program: str) -> None:
    before = well.pid(program)
    well.host.run(["kill", "-STOP", str(before)])
    wait_for(well.restarted(program, before), WATCHDOG_SECONDS + SOON, f"{program} is back")
    assert well.host.run(["kill", "-0", str(before)], check=False).returncode != 0


def test_killed_worker_is_reported_with_signal_and_task_until_an_order(well: Programs) -> None:
    host, before = well.host, well.pid(WORKER)
    send(host, "counting.tasks.hold", [50800, 60], queue="well")
    wait_for(lambda: counted(host, "started")[50800] == 1, SOON, "the task runs")
    host.run(["kill", "-KILL", str(before)])
    wait_for(well.restarted(WORKER, before), SOON, "it is back")
    health = well.status(WORKER)["health"]
    assert (health["code"], health["level"]) == ("PM111", "WARNING")
    assert ": killed by SIGKILL (cause unknown); running: counting.tasks.hold [" in health["detail"]
    end = well.ends(WORKER)[-1]
    assert (end["reason"], end["tasks"]) == ("killed by SIGKILL (cause unknown)", ["counting.tasks.hold"])
    # systemd keeps its counter at a restart out of the pause before an automatic one.
    with drop_in(host, WORKER, "RestartSec=60"):
        host.run(["kill", "-KILL", str(well.pid(WORKER))])
        wait_for(lambda: show(host, WORKER, "SubState") == {"SubState": "auto-restart"}, SOON, "it pauses")
        host.run(["systemctl", "restart", WORKER])
    wait_for(lambda: well.is_valid(WORKER), SOON, "it is up")
    assert int(show(host, WORKER, "NRestarts")["NRestarts"]) > 0
    status = well.status(WORKER)
    assert (status["restarts"], status["health"]["level"]) == (0, "OK")


def test_end_that_another_user_logs_is_none(well: Programs) -> None:
    before = well.ends(WORKER)
    unit, exited, failed = f"UNIT={WORKER}.service", journal_records.EXITED, journal_records.FAILED
    for fields in (f"MESSAGE_ID={exited}\nEXIT_CODE=killed\nEXIT_STATUS=9", f"MESSAGE_ID={failed}\nUNIT_RESULT=signal"):
        well.host.run(["logger", "--journald"], "www-data", input=f"{fields}\n{unit}\nMESSAGE=forged\n")
    wait_for(lambda: "forged" in well.host.run(["journalctl", "-n", "50", unit]).stdout, SOON, "it is in the journal")
    assert well.ends(WORKER) == before


def test_kill_at_the_stop_timeout_is_an_end_with_its_task(well: Programs) -> None:
    host = well.host
    send(host, "counting.tasks.hold", [50850, 60], queue="well")
    wait_for(lambda: counted(host, "started")[50850] == 1, SOON, "the task runs")
    with drop_in(host, WORKER, "TimeoutStopSec=1"):
        host.run(["systemctl", "restart", WORKER])
    wait_for(lambda: well.is_valid(WORKER), SOON, "it is up")
    end = well.ends(WORKER)[-1]
    assert (end["reason"], end["code"]) == ("killed: it did not stop within its stop timeout", "")
    assert "counting.tasks.hold" in end["tasks"]
    assert well.status(WORKER)["health"]["level"] == "OK"


def test_task_of_a_worker_in_a_debugger_is_finished_after_the_watchdog(well: Programs) -> None:
    host, before = well.host, well.pid(WORKER)
    send(host, "counting.tasks.hold", [50900, 3 * WATCHDOG_SECONDS], queue="well")
    wait_for(lambda: counted(host, "started")[50900] == 1, SOON, "the task runs")
    host.run(["python3", "-c", DEBUGGER, str(before), str(2 * WATCHDOG_SECONDS)])
    found = show(host, f"{WORKER}.service", "SubState", "MainPID")
    assert found == {"SubState": "stop-watchdog", "MainPID": str(before)}
    wait_for(well.restarted(WORKER, before), SOON, "it is back")
    assert counted(host, "finished")[50900] == 1
    ended = host.run(["journalctl", "--no-pager", "_PID=1", "-u", WORKER, "-n", "10"]).stdout
    assert "SIGKILL" not in ended


def test_beat_with_a_blocked_main_thread_is_ended_by_systemd_after_its_stop_timeout(well: Programs) -> None:
    """It still writes heartbeats, but cannot handle the request to stop itself; then it stops notifying systemd."""
    before, events = well.pid(BEAT), len(well.events(BEAT, "PM401"))
    steps = 5 * STALE_SECONDS + WATCHDOG_SECONDS
    with drop_in(well.host, BEAT, "TimeoutStopSec=5"):
        well.host.run(["touch", f"{DATA}/beat-is-deaf"])
        try:
            # A warning until the broker has answered as well.
            found = {"code": "PM401", "level": "CRITICAL"}
            wait_for(lambda: well.heartbeat(BEAT)["verdict"].items() >= found.items(), steps + SOON, "it is found")
            # The process is alive and notifies systemd.
            assert well.pid(BEAT) == before
        finally:
            well.host.run(["rm", f"{DATA}/beat-is-deaf"])
        wait_for(well.restarted(BEAT, before), steps + SOON, "a new process ticks")
    wait_for(lambda: len(well.events(BEAT, "PM401")) == events + 2, SOON, "it has reported both")
    assert [(each["what"], each["code"]) for each in well.events(BEAT, "PM401")[events:]] == [
        ("healing", "PM401"),
        ("healed", "PM401"),
    ]
    ended = well.host.run(["journalctl", "--no-pager", "_PID=1", "-u", BEAT, "-n", "50"]).stdout
    assert "Failed with result 'watchdog'" in ended


def test_worker_that_does_not_consume_is_restarted_gracefully(well: Programs) -> None:
    before = well.pid(WORKER)
    events = len(well.events(WORKER, "PM301"))
    well.control("cancel_consumer", "well")
    send(well.host, "counting.tasks.echo", *([number] for number in range(51000, 51010)), queue="well")
    wait_for(well.restarted(WORKER, before), STALL_SECONDS + SOON, "healed")
    wait_for(
        lambda: all(counted(well.host, "finished")[number] == 1 for number in range(51000, 51010)),
        SOON,
        "the ten tasks",
    )
    wait_for(lambda: len(well.events(WORKER, "PM301")) == events + 2, SOON, "it has reported both")
    healing, healed = well.events(WORKER, "PM301")[events:]
    assert (healing["what"], healing["code"], healing["by"]) == ("healing", "PM301", "inside")
    assert (healed["what"], healed["code"]) == ("healed", "PM301")
    assert show(well.host, f"{WORKER}.service", "Result") == {"Result": "success"}


def test_held_worker_is_healed_only_after_its_release(well: Programs) -> None:
    before = well.pid(WORKER)
    assert well.is_well_for_monitoring(WORKER), well.nagios(WORKER)
    well.hold(WORKER)
    well.control("cancel_consumer", "well")
    send(well.host, "counting.tasks.echo", *([number] for number in range(51100, 51110)), queue="well")
    wait_for(lambda: well.code(WORKER) == "PM301", STALL_SECONDS + SOON, "it is found")
    status, line = well.nagios(WORKER)
    assert (status, line.partition(": ")[0]) == (2, f"WELL CRITICAL - {WORKER}")
    assert (
        "(10 in well), but it has a free slot and consumes nothing (held by root, so it is not healed) (PM301)" in line
    )
    time.sleep(LONG_ENOUGH)
    assert (well.pid(WORKER), well.heartbeat(WORKER)["held"]) == (before, True)
    assert well.heartbeat(WORKER)["verdict"]["level"] == "CRITICAL"
    well.release(WORKER)
    wait_for(well.restarted(WORKER, before), SOON, "healed")
    ten = range(51100, 51110)
    wait_for(lambda: all(counted(well.host, "finished")[number] == 1 for number in ten), SOON, "the ten tasks")
    wait_for(lambda: well.is_well_for_monitoring(WORKER), SOON, "monitoring hears that it is well")


def test_busy_worker_is_healthy_however_long_its_tasks_take(well: Programs) -> None:
    before = well.pids()
    begun = len(counted(well.host, "started"))
    send(well.host, "counting.tasks.hold", [51200, 3 * STALL_SECONDS], [51201, 3 * STALL_SECONDS], queue="well")
    send(well.host, "counting.tasks.hold", [51202, 3 * STALL_SECONDS], queue="alone")
    # More tasks than slots: the others wait, which is no fault.
    send(well.host, "counting.tasks.echo", *([number] for number in range(51210, 51220)), queue="well")
    wait_for(lambda: len(counted(well.host, "started")) == begun + 3, SOON, "the tasks run")
    printed = {}
    while not counted(well.host, "finished")[51200]:
        for program in (WORKER, SOLO):
            verdict = well.heartbeat(program)["verdict"]
            printed[program, verdict["level"]] = (verdict["code"], verdict["reason"])
        time.sleep(0.5)
    assert printed.keys() >= {(WORKER, "OK"), (SOLO, "UNKNOWN")}, printed
    assert printed.keys() <= {(WORKER, "OK"), (SOLO, "UNKNOWN"), (SOLO, "OK")}, printed
    assert well.pids() == before


def test_unreachable_broker_is_reported_and_causes_no_restart(well: Programs) -> None:
    before = well.pids()
    well.host.run("systemctl stop rabbitmq-server", timeout=90)
    wait_for(lambda: well.phase(WORKER) == "disconnected", SOON, "it notices")
    time.sleep(LONG_ENOUGH)
    verdict = well.heartbeat(WORKER)["verdict"]
    assert (verdict["level"], verdict["code"], verdict["remedy"]) == ("WARNING", "PM203", "")
    assert show(well.host, f"{WORKER}.service", "ActiveState") == {"ActiveState": "active"}
    well.host.run("systemctl start rabbitmq-server", timeout=90)
    wait_for(lambda: well.is_valid(WORKER) and well.is_valid(SOLO), SOON + 30, "well again by itself")
    send(well.host, "counting.tasks.echo", [51300], queue="well")
    wait_for(lambda: counted(well.host, "finished")[51300] == 1, SOON, "it consumes")
    assert well.pids() == before


def test_import_that_waits_for_the_broker_outlasts_the_start_timeout_and_a_reload(well: Programs) -> None:
    """As with CATMAID. A daemon-reload counts the start timeout from the start of the process again."""
    host, timeout = well.host, 6
    host.run(["rm", "-f", MAY_START])
    waiting = ("Environment=DJANGO_SETTINGS_MODULE=exercise.waiting", "Environment=PROCMAN_READY_AFTER_SECONDS=2")
    with drop_in(host, WORKER, f"TimeoutStartSec={timeout}", *waiting):
        host.run(["systemctl", "restart", WORKER])
        pid = well.pid(WORKER)
        assert well.is_importing_anew(WORKER)
        assert well.heartbeat(WORKER)["verdict"]["remedy"] == ""
        time.sleep(timeout)
        for _ in range(2):
            host.run("systemctl daemon-reload")
            time.sleep(1)
        assert show(host, f"{WORKER}.service", "ActiveState", "MainPID", "WatchdogUSec") == {
            "ActiveState": "active",
            "MainPID": str(pid),
            "WatchdogUSec": "2min",
        }
        assert "importing" in show(host, f"{WORKER}.service", "StatusText")["StatusText"]
        host.run(["touch", MAY_START])
        wait_for(lambda: well.is_valid(WORKER), SOON, "it is up")
        assert well.pid(WORKER) == pid
        watchdog = {"WatchdogUSec": f"{WATCHDOG_SECONDS}s"}
        wait_for(lambda: show(host, f"{WORKER}.service", "WatchdogUSec") == watchdog, SOON, "it is watched as before")


@pytest.mark.parametrize("form", ["notify", "exec"])
def test_start_that_hangs_before_the_launcher_runs_is_ended_and_tried_again(well: Programs, form: str) -> None:
    host = well.host
    if form == "notify":
        # An interpreter that never comes to the launcher, as on a disk that does not answer.
        host.write("/srv/dead/sitecustomize.py", "import time\nwhile True:\n    time.sleep(1)\n")
        hanging = "Environment=PYTHONPATH=/srv/dead"
    else:
        # As with launcher = false: a log that cannot be opened. A program of Type=exec sends no notifications.
        host.run("rm -f /srv/dead-log && mkfifo /srv/dead-log")
        hanging = "StandardOutput=append:/srv/dead-log"
    with drop_in(host, WORKER, "TimeoutStartSec=2", f"Type={form}", hanging):
        host.run(["systemctl", "restart", "--no-block", WORKER])
        wait_for(lambda: int(show(host, f"{WORKER}.service", "NRestarts")["NRestarts"]) > 0, SOON, "it is tried again")
        ended = host.run(["journalctl", "--no-pager", "_PID=1", "-u", WORKER, "-n", "10"]).stdout
        assert "start operation timed out" in ended
    host.run(["systemctl", "restart", "--no-block", WORKER])
    wait_for(lambda: well.is_valid(WORKER), SOON, "it is up")


def test_worker_that_cannot_finish_its_own_stop_is_ended_by_systemd(well: Programs) -> None:
    """A pool with suspended processes takes no tasks and does not end."""
    host, before = well.host, well.pid(WORKER)
    with drop_in(host, WORKER, "TimeoutStopSec=3"):
        host.run(f"kill -STOP $(pgrep -P {before})")
        send(host, "counting.tasks.echo", *([number] for number in range(51400, 51410)), queue="well")
        wait_for(well.restarted(WORKER, before), STALL_SECONDS + SOON, "healed")
    reported = ["PM302 healing", "PM302 healed"]
    wait_for(
        lambda: [f"{each['code']} {each['what']}" for each in well.events(WORKER)[-2:]] == reported,
        SOON,
        "it is reported",
    )
