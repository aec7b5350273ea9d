"""The part of procman's files that the Django app reads (docs/django.md): its code reads what procman writes."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from procman import model
from procman.agent import heartbeat_format, own_events, run_files
from procman.agent.settings import BOOT_ID, HealthSettings
from procman.agent.verdict import CODES, Thresholds, Verdict, verdict
from procman.agent.worker_state import ActiveTask, Measured, WorkerState
from procman.backends import backend_named
from procman.config.load import load
from procman.host.process import boot_id
from procman.install.safe_fs.tree import Tree
from procman.install.state import json_records
from procman.install.state.desired_states import DesiredState, write_desired
from procman.install.state.event_log import Event, append_event, line_of
from procman.install.state.generations import HEALING
from procman.install.state.holds import Hold, write_hold
from procman.model import Level, ProgramState, Result, State
from procman.monitoring.checks import heartbeat as checks
from procman.monitoring.checks.inputs import EndReport
from procman.monitoring.ends import event_of
from procman.monitoring.heal import PROJECT
from procman.monitoring.heal_policy import Observation, decide, decide_all
from procman.monitoring.healing_history import Case, HealingHistory
from tests.install import sample
from tests.install.sample import DESIRED_STATES
from tests.monitoring import test_heal_policy as heal

from .environments import DJANGO_APP

WORKER, BEAT = "catmaid-celery", "catmaid-beat"


@pytest.fixture(scope="module")
def app() -> Iterator[Any]:
    """Return a function that imports a module of the app; those that it is used for need no Django."""
    sys.path.insert(0, str(DJANGO_APP))
    yield lambda name: import_module(f"procman_django.{name}")
    sys.path.remove(str(DJANGO_APP))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """Install a project with a worker and a beat, under a umask that lets no other user read anything."""
    before = os.umask(0o077)
    host = sample.make_host(tmp_path / "host")
    (host / "procman.toml").write_bytes(sample.CONFIGURATION)
    sample.install(host, DESIRED_STATES["one"])
    state = sample.directories(host).state
    _write_all(state)
    yield state
    os.umask(before)


def _write_all(state: Path) -> None:
    """Write a file of every kind that the app reads, with the code that writes it on a host."""
    heartbeat(state)
    own_events.record(settings(state), print, "ordered", reason="remote control: shutdown")
    with Tree() as tree:
        append_event(tree, state, Event(time.time(), WORKER, "found", "PM112", "WARNING", "a task was killed"))
        tree.write(state / HEALING, json_records.to_bytes(HealingHistory("boot")), 0o644)
        write_hold(tree, state, Hold(WORKER, "alice", time.time(), None, "to look at it"), 0o755)
        write_desired(tree, state, DesiredState(BEAT, False, "bob", time.time(), boot_id(), "1"), 0o755)


def settings(state: Path) -> HealthSettings:
    return HealthSettings(WORKER, "worker", str(state / "run" / WORKER), boot_id=Path(BOOT_ID).read_text().strip())


def heartbeat(state: Path) -> dict[str, Any]:
    """Write the heartbeat of a busy worker as its agent does, and return it."""
    observed = WorkerState(settings(state))
    observed.enter("starting")
    observed.enter("consuming")
    now = time.monotonic()
    task = ActiveTask("3f1c", "catmaid.crop", now - 70)
    observed.measure = lambda: Measured(slots=2, busy=1, reserved=0, scheduled=1, tasks=(task,))
    observed.queues = [{"name": "crop", "messages": 3, "consumers": 1, "since": None}]
    observed.node_name, observed.pool = "crop@host", "prefork"
    observed.next_entries = [{"name": "nightly", "due": now + 600}]
    found = observed.heartbeat(now)
    found["verdict"] = dict(verdict(found, now, Thresholds(30, 300))._asdict())
    run_files.replace(str(state / "run" / WORKER / heartbeat_format.FILE), json.dumps(found))
    return found


def test_app_shows_what_procman_and_its_agent_write(state: Path, app: Any) -> None:
    installed, programs = app("installed"), app("programs")
    [project], problems = installed.installed_projects([str(state.parent)])
    assert (project.name, project.problem, problems) == ("catmaid", "", [])
    assert project.stale_seconds == 30
    view = programs.view_of(project)
    worker, beat = (next(each for each in view.programs if each.name == name) for name in (WORKER, BEAT))
    assert (worker.kind, worker.state, worker.node_name, worker.pool) == ("worker", "RUNNING", "crop@host", "prefork")
    assert (worker.busy, worker.slots, worker.queued, worker.scheduled) == (1, 2, 3, 1)
    assert [(task.id, task.name, round(task.seconds)) for task in worker.tasks] == [("3f1c", "catmaid.crop", 70)]
    assert [(entry.name, round(entry.at - time.time(), -1)) for entry in worker.entries] == [("nightly", 600)]
    assert worker.memory > 1024**2
    assert worker.held
    assert (worker.health.level, worker.health.code) == ("WARNING", "PM112")
    assert (beat.kind, beat.state, beat.health.reason) == ("beat", "STOPPED", "it was stopped by bob")
    assert {(event.what, event.by) for event in view.events} == {("found", ""), ("ordered", "inside")}


READ = (
    "",
    "generations",
    "generations/1",
    "generations/1/manifest.json",
    "events.jsonl",
    "healing.json",
    "holds",
    f"holds/{WORKER}.json",
    "desired",
    f"desired/{BEAT}.json",
    "run",
    f"run/{WORKER}/heartbeat.json",
    f"run/{WORKER}/events.jsonl",
)


@pytest.mark.root("only in system scope can every user read them")
@pytest.mark.parametrize("name", READ)
def test_every_user_can_read_the_interface(state: Path, name: str) -> None:
    status = (state / name).stat()
    assert stat.S_IMODE(status.st_mode) == (0o755 if stat.S_ISDIR(status.st_mode) else 0o644)


@pytest.mark.root("only in system scope can every user read them")
def test_projects_of_a_host_can_be_listed(state: Path) -> None:
    assert stat.S_IMODE(state.parent.stat().st_mode) == 0o755


TOML = """
[project]
name = "shop"
app = "shop"
directory = "{directory}"
virtualenv = "{directory}/env"
user = "nobody"
backend = "{backend}"

[worker.celery]

[beat]
"""


@pytest.mark.parametrize("backend", ["supervisor", "systemd"])
def test_run_directories_of_system_scope_can_be_read_by_every_user(tmp_path: Path, backend: str) -> None:
    path = tmp_path / "procman.toml"
    path.write_text(TOML.format(directory=tmp_path, backend=backend))
    project = load(path, {"HOME": str(tmp_path)})
    modes = {each.path: each.mode for each in backend_named(project.backend).renderer.render(project).directories}
    places = project.directories
    wanted = [places.state, places.state / "run", *(places.run(program.name) for program in project.programs)]
    assert {modes[each] for each in wanted} == {0o755}


@pytest.mark.parametrize("code", [*CODES, "PM101"])
def test_remedies_are_those_of_health(app: Any, code: str) -> None:
    levels, phases = ("OK", "WARNING", "CRITICAL", "UNKNOWN"), ("starting", "standby", "consuming")
    for level, phase, (ready, starting) in product(levels, phases, ((True, 0), (False, 0), (False, 2))):
        fields = {"phase": phase, "ready": ready, "pool_starting": starting}
        shown = app("remedies").remedy("crop", level, code, fields)
        expected = checks._hint(Verdict(level, code, ""), fields).format(name="crop")
        if level == "OK":
            assert shown == ""
        elif (code, level) != ("PM201", "WARNING"):  # only procman sees a debugger
            assert shown == (expected or "procman health crop")


def test_watcher_writes_its_record_at_every_check(app: Any) -> None:
    assert app("watcher").RECORD == HEALING
    state = ProgramState("", desired=True, state=State.RUNNING)
    found = Observation(PROJECT, state, "", (Result("PM601", None, Level.OK, "the disk has space"),))
    history = HealingHistory("boot")
    for check in range(3):
        # `heal_programs` writes a history that has changed.
        after, _ = decide_all(history, [found], model.HealthSettings(), 30.0 * check, 1000.0 + 30 * check)
        assert after != history
        history = after


def test_app_counts_an_end_and_a_heal_that_needs_sigkill_once(app: Any) -> None:
    log = app("event_log")

    def restarts(*events: Event) -> int:
        read = "".join(f"{line_of(event)}\n" for event in events)
        return int(log.restarts_of(list(log._events(read.encode(), None)), heal.NAME, 0))

    story = Case(heal.NAME)
    events: list[Event] = []
    for check in range(12):
        decided = decide(story, heal.FROZEN, heal.SETTINGS, 1000 + 30.0 * check, 5000 + 30.0 * check)
        story, events = decided.case, [*events, *decided.events]
    assert [event.what for event in events] == ["found", "healing", "healing"]
    assert restarts(*events) == 1
    killed = EndReport(model.End(5000.0, "killed by SIGKILL", 7))
    assert restarts(event_of(heal.NAME, killed)) == 1
    assert restarts(event_of(heal.NAME, killed, of_pool=True)) == 0
    assert restarts(event_of(heal.NAME, EndReport(killed.end._replace(is_forced=True)))) == 0


def test_every_field_that_the_app_reads_is_in_the_format() -> None:
    known = {*heartbeat_format.FIELDS, *heartbeat_format.TASK, *heartbeat_format.QUEUE, *heartbeat_format.ENTRY}
    known |= {*heartbeat_format.VERDICT, "tasks", "queues", "next_entries", "verdict"}
    others = {"desired", "by", "at", "until", "program", "boot_id"}
    sources = [
        (DJANGO_APP / "procman_django" / name).read_text()
        for name in ("programs.py", "decisions.py", "heartbeats.py", "remedies.py")
    ]
    read = set(
        re.findall(r'(?:fields|heartbeat\.fields|verdict|each|task|entry|order|found), "(\w+)"', "\n".join(sources))
    )
    read |= set(re.findall(r'fields\.get\("(\w+)"', "\n".join(sources)))
    assert len(read) > 15
    assert read <= known | others, read - known - others


def test_page_names_every_file_that_the_app_reads() -> None:
    page = (DJANGO_APP.parent / "docs/django.md").read_text()
    names = ("manifest.json", "heartbeat.json", "events.jsonl", "healing.json")
    for name in (*names, "desired/PROGRAM.json", "holds/PROGRAM.json"):
        assert name in page


def test_page_and_app_name_the_same_version_of_the_interface(app: Any) -> None:
    page = (DJANGO_APP.parent / "docs/django.md").read_text()
    app("files")
    assert f"it is interface version {import_module('procman_django').INTERFACE}, " in page


def test_app_imports_nothing_of_procman() -> None:
    for path in (DJANGO_APP / "procman_django").rglob("*.py"):
        assert not re.search(r"^\s*(?:from|import) procman\b", path.read_text(), re.MULTILINE), path
