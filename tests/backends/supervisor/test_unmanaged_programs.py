"""Programs of sections that procman does not manage are drained and adopted without losing a task."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from procman.backends.supervisor.client import Client
from procman.backends.supervisor.graceful_stop import drain, unload
from procman.errors import ProcmanError
from procman.host import process
from procman.model import Action
from tests.backends.supervisor.real_supervisord import Supervisord, activate, eventually, ignore, installed, state

pytestmark = pytest.mark.supervisord


def drain_and_unload(supervisord: Supervisord, *names: str) -> list[str]:
    client = supervisord.controller().client
    drain(client, names, 20, ignore, user=None)
    return unload(client, names)


def assert_finished_and_none_left(events: list[str]) -> None:
    """Assert that the worker has finished its task, and that no worker started in its place could receive one."""
    assert events[:4] == ["start", "ready", "term", "finished"]
    assert "ready" not in events[4:]


def _behind_a_script(supervisord: Supervisord, import_seconds: float = 1) -> None:
    script = supervisord.directory / "run.sh"
    script.write_text(f"#!/bin/sh\n{supervisord.worker_command('a', 1, import_seconds)}\nexit $?\n")
    script.chmod(0o755)
    supervisord.section("a", command=script)
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))


def _old(supervisord: Supervisord, task_seconds: float = 2) -> Path:
    """Write a section like the one in CATMAID's documents, which loses tasks when supervisord stops it."""
    file = supervisord.worker("a", task_seconds, import_seconds=1, stopasgroup="true", stopwaitsecs=1)
    text = file.read_text()
    file.unlink()
    theirs = supervisord.sections / "theirs.conf"
    theirs.write_text(text + "[program:other]\ncommand=sleep 1000\n[group:catmaid]\nprograms=a,other\n")
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    return theirs


def test_program_of_an_unmanaged_section_is_drained(supervisord: Supervisord) -> None:
    theirs = _old(supervisord)
    theirs.write_text("")
    drain_and_unload(supervisord, "catmaid:a", "catmaid:other")
    assert_finished_and_none_left(supervisord.events("a"))
    assert supervisord.names() == []


def test_other_members_of_a_group_keep_running(supervisord: Supervisord) -> None:
    _old(supervisord)
    other = supervisord.info("catmaid:other")["pid"]
    [printed] = drain_and_unload(supervisord, "catmaid:a")
    assert "catmaid:a" in printed
    assert supervisord.state("catmaid:a") == "STOPPED"
    assert supervisord.info("catmaid:other")["pid"] == other
    assert drain_and_unload(supervisord, "catmaid:a") == [printed]


def test_adopted_program_never_runs_twice(supervisord: Supervisord) -> None:
    theirs = _old(supervisord)
    theirs.write_text("[program:other]\ncommand=sleep 1000\n[group:catmaid]\nprograms=other\n")
    supervisord.worker("a", task_seconds=2)
    activate(supervisord, Action.ADD, installed("a"))
    eventually(lambda: supervisord.events("a")[-1] == "ready")
    events = supervisord.events("a")
    assert events[:4] == ["start", "ready", "term", "finished"]
    assert events.count("ready") == 2
    assert supervisord.state("catmaid:a") == "STOPPED"


def test_adopted_program_without_a_group_is_drained(supervisord: Supervisord) -> None:
    theirs = supervisord.worker("a", 2, import_seconds=1, stopasgroup="true", stopwaitsecs=1)
    theirs = theirs.rename(theirs.with_name("theirs.conf"))
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    theirs.write_text("")
    supervisord.worker("a", 2)
    activate(supervisord, Action.ADD, installed("a"))
    eventually(lambda: supervisord.events("a")[-1] == "ready")
    assert supervisord.events("a")[:4] == ["start", "ready", "term", "finished"]
    assert supervisord.client.call("reloadConfig") == [[[], [], []]]


def test_adopted_program_stopped_on_purpose_stays_stopped(supervisord: Supervisord) -> None:
    """R11."""
    theirs = _old(supervisord, task_seconds=0)
    supervisord.stop("catmaid:a")
    before = supervisord.events("a")
    theirs.write_text("")
    supervisord.worker("a")
    desired = state(supervisord, installed("a")).desired
    assert "left stopped" in activate(supervisord, Action.ADD, installed("a"), desired)
    time.sleep(1.5)
    assert supervisord.events("a") == before


def test_process_of_the_same_name_configured_elsewhere_keeps_running(supervisord: Supervisord) -> None:
    (supervisord.sections / "theirs.conf").write_text("[program:x]\nprocess_name=a\ncommand=sleep 1000\n")
    supervisord.start()
    supervisord.section("a")
    pid = eventually(lambda: supervisord.info("x:a")["pid"])
    activate(supervisord, Action.ADD, installed("a"))
    assert supervisord.info("x:a")["pid"] == pid


def test_worker_behind_a_waiting_script_is_drained(supervisord: Supervisord) -> None:
    """TERM to only the script would end it and leave the worker running for ever."""
    _behind_a_script(supervisord)
    drain_and_unload(supervisord, "a")
    # A worker left behind by a killed script would be ready by now.
    time.sleep(1.5)
    assert_finished_and_none_left(supervisord.events("a"))


def test_worker_that_a_script_is_about_to_start_is_not_left_running(
    supervisord: Supervisord, monkeypatch: pytest.MonkeyPatch
) -> None:
    _behind_a_script(supervisord)
    children, looks = process.children, []

    def none_at_first(pid: int) -> list[int]:
        looks.append(pid)
        return children(pid) if len(looks) > 1 else []

    monkeypatch.setattr(process, "children", none_at_first)
    drain(supervisord.controller().client, ["a"], 20, ignore, user=None)
    time.sleep(1.5)
    assert_finished_and_none_left(supervisord.events("a"))


def test_worker_that_supervisord_starts_meanwhile_is_not_left_running(
    supervisord: Supervisord, monkeypatch: pytest.MonkeyPatch
) -> None:
    _behind_a_script(supervisord, import_seconds=3)
    call = Client.call

    def on_a_busy_host(client: Client, method: str, *arguments: object) -> object:
        if method == "stopProcess":
            time.sleep(1.5)  # in this time, supervisord restarts a killed process
        return call(client, method, *arguments)

    monkeypatch.setattr(Client, "call", on_a_busy_host)
    drain(supervisord.controller().client, ["a"], 20, ignore, user=None)
    time.sleep(3.5)
    assert_finished_and_none_left(supervisord.events("a"))


def test_script_with_several_processes_is_refused(supervisord: Supervisord) -> None:
    supervisord.section("a", command="sh -c 'sleep 1000 & sleep 1001 & wait'")
    supervisord.start()
    main = eventually(lambda: supervisord.info("a")["pid"])
    assert isinstance(main, int)
    eventually(lambda: len(process.children(main)) == 2)
    with pytest.raises(ProcmanError, match="a script with 2 child processes") as caught:
        drain_and_unload(supervisord, "a")
    assert "supervisorctl stop a" in caught.value.hint
    assert supervisord.info("a")["pid"] == main
