"""Programs are added, replaced, restarted and removed in a real supervisord after an install."""

from __future__ import annotations

import time

import pytest

from procman.errors import ProcmanError
from procman.model import Action, Activation
from tests.backends.supervisor.real_supervisord import Supervisord, activate, eventually, ignore, installed, state

pytestmark = pytest.mark.supervisord


def test_added_program_is_loaded_and_started(supervisord: Supervisord) -> None:
    supervisord.start()
    supervisord.section("a")
    assert activate(supervisord, Action.ADD, installed("a")) == "added and started"
    eventually(lambda: supervisord.state("a") == "RUNNING")
    pid = supervisord.info("a")["pid"]
    assert activate(supervisord, Action.ADD, installed("a")) == "was already loaded"
    assert supervisord.info("a")["pid"] == pid


def test_added_program_without_autostart_is_not_started(supervisord: Supervisord) -> None:
    supervisord.start()
    supervisord.worker("a", autostart="false")
    activate(supervisord, Action.ADD, installed("a", autostart=False))
    assert supervisord.state("a") == "STOPPED"
    time.sleep(1.5)
    assert supervisord.events("a") == []


def test_added_program_interrupted_before_its_start_is_started(supervisord: Supervisord) -> None:
    """R2: a program without autostart that ran under the adopted section."""
    supervisord.section("a", autostart="false")
    supervisord.start()
    activate(supervisord, Action.ADD, installed("a", autostart=False), desired=True)
    eventually(lambda: supervisord.state("a") == "RUNNING")


def test_program_without_a_section_is_not_stopped_for_a_replacement(supervisord: Supervisord) -> None:
    file = supervisord.section("a")
    supervisord.start()
    pid = eventually(lambda: supervisord.info("a")["pid"])
    file.unlink()
    with pytest.raises(ProcmanError, match="a: supervisord no longer reads its section"):
        activate(supervisord, Action.REPLACE, installed("a"))
    assert supervisord.info("a")["pid"] == pid


def test_loaded_stop_timeout_applies_if_the_new_one_is_shorter(
    supervisord: Supervisord, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisord.worker("a", task_seconds=2, stopwaitsecs=20)
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    supervisord.worker("a", task_seconds=2, stopwaitsecs=1)
    monkeypatch.setattr("procman.backends.graceful_stop.MARGIN_SECONDS", 0)
    activation = Activation(Action.REPLACE, installed("a", stop_timeout=1), old_stop_timeout_seconds=20)
    assert supervisord.controller().activate(activation, ignore) == "restarted"
    assert supervisord.events("a")[:4] == ["start", "ready", "term", "finished"]


def test_section_that_supervisord_does_not_read_is_an_error(supervisord: Supervisord) -> None:
    supervisord.start()
    with pytest.raises(ProcmanError, match="a: supervisord does not read its section"):
        activate(supervisord, Action.ADD, installed("a"))


def test_replaced_program_finishes_its_task_before_the_new_section_runs(supervisord: Supervisord) -> None:
    supervisord.worker("a", task_seconds=1)
    supervisord.section("b")
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    supervisord.worker("a", task_seconds=1, priority=5)
    supervisord.section("b", priority=5)
    theirs = supervisord.info("b")["pid"]
    activate(supervisord, Action.REPLACE, installed("a"))
    eventually(lambda: supervisord.events("a")[-1] == "ready")
    found = supervisord.events("a")
    assert found[:4] == ["start", "ready", "term", "finished"]
    # supervisord may start the old section once more before it is ordered to stop: that process has no task yet.
    assert found[4:-2] in ([], ["start"], ["start", "term"], ["start", "ready"], ["start", "ready", "term"])
    assert found[-2:] == ["start", "ready"]
    [[_, changed, _]] = supervisord.client.call("reloadConfig")
    assert changed == ["b"]
    assert supervisord.info("b")["pid"] == theirs


def test_running_program_without_autostart_is_restarted(supervisord: Supervisord) -> None:
    supervisord.section("a", autostart="false")
    supervisord.start()
    supervisord.client.call("startProcess", "a", False)
    supervisord.section("a", autostart="false", priority=5)
    activate(supervisord, Action.REPLACE, installed("a", autostart=False))
    eventually(lambda: supervisord.state("a") == "RUNNING")


def test_program_that_was_just_started_is_restarted_with_a_new_section(supervisord: Supervisord) -> None:
    """A forked supervisord that has not yet executed the program would ignore TERM."""
    supervisord.section("a", autostart="false")
    supervisord.start(exec_seconds=1)
    supervisord.client.call("startProcess", "a", False)
    supervisord.section("a", autostart="false", priority=5)
    began = time.monotonic()
    activate(supervisord, Action.REPLACE, installed("a", autostart=False))
    assert time.monotonic() - began < 20, "it waited for a process that never got the order to end"
    eventually(lambda: supervisord.state("a") == "RUNNING")


def test_new_section_does_not_start_a_program_stopped_on_purpose(supervisord: Supervisord) -> None:
    """R11."""
    supervisord.worker("a")
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    supervisord.stop("a")
    before = supervisord.events("a")
    supervisord.worker("a", priority=5)
    assert "left stopped" in activate(supervisord, Action.REPLACE, installed("a"))
    assert "left stopped" in activate(supervisord, Action.RESTART, installed("a"))
    time.sleep(1.5)
    assert supervisord.events("a") == before
    assert not state(supervisord, installed("a")).desired


def test_start_of_a_stopped_program_loads_its_new_section(supervisord: Supervisord) -> None:
    supervisord.section("a", command="sleep 1000")
    supervisord.start()
    eventually(lambda: supervisord.state("a") == "RUNNING")
    supervisord.stop("a")
    supervisord.section("a", command=supervisord.worker_command("new"))
    activate(supervisord, Action.REPLACE, installed("a"))
    supervisord.controller().start([installed("a")], ignore)
    eventually(lambda: supervisord.events("new") == ["start", "ready"])


def test_new_section_of_a_stopped_program_is_loaded_without_a_start(supervisord: Supervisord) -> None:
    supervisord.section("a", autostart="false")
    supervisord.start()
    supervisord.worker("a", autostart="false")
    activate(supervisord, Action.REPLACE, installed("a", autostart=False))
    assert supervisord.client.call("reloadConfig") == [[[], [], []]]
    time.sleep(1.5)
    assert supervisord.events("a") == []


@pytest.mark.parametrize("action", [Action.REPLACE, Action.RESTART])
def test_interrupted_activation_is_completed_by_the_next(supervisord: Supervisord, action: Action) -> None:
    """R2: a stop by an interrupted procman does not count as a stop on purpose."""
    supervisord.worker("a")
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    supervisord.worker("a", priority=5)
    supervisord.stop("a")
    activate(supervisord, action, installed("a"), desired=True)
    eventually(lambda: supervisord.state("a") == "RUNNING")
    assert supervisord.client.call("reloadConfig") == [[[], [], []]]


def test_activation_interrupted_between_unloading_and_loading_is_completed(supervisord: Supervisord) -> None:
    """R2."""
    supervisord.worker("a")
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    supervisord.stop("a")
    supervisord.client.call("removeProcessGroup", "a")
    activate(supervisord, Action.REPLACE, installed("a"), desired=True)
    eventually(lambda: supervisord.state("a") == "RUNNING")


def test_program_in_fatal_state_is_started_from_its_new_section(supervisord: Supervisord) -> None:
    supervisord.section("a", command="/nonexistent/x", startretries=0)
    supervisord.start()
    eventually(lambda: supervisord.state("a") == "FATAL")
    supervisord.section("a")
    activate(supervisord, Action.REPLACE, installed("a"))
    eventually(lambda: supervisord.state("a") == "RUNNING")


def test_longer_stop_timeout_applies_to_a_task_that_is_running_at_the_install(supervisord: Supervisord) -> None:
    """R7: supervisord itself would kill it after one second, the timeout of the loaded section."""
    supervisord.worker("a", task_seconds=3, stopwaitsecs=1)
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    supervisord.worker("a", task_seconds=3, stopwaitsecs=20)
    activation = Activation(Action.REPLACE, installed("a"), old_stop_timeout_seconds=1)
    supervisord.controller().activate(activation, ignore)
    eventually(lambda: supervisord.state("a") == "RUNNING")
    assert supervisord.events("a")[:4] == ["start", "ready", "term", "finished"]


def test_removed_program_finishes_its_task_and_is_unloaded(supervisord: Supervisord) -> None:
    file = supervisord.worker("a", task_seconds=1)
    supervisord.section("b")
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    file.unlink()
    assert activate(supervisord, Action.REMOVE, installed("a")) == "stopped and unloaded"
    assert activate(supervisord, Action.REMOVE, installed("a")) == "was already unloaded"
    assert supervisord.events("a")[-1] == "finished"
    assert supervisord.names() == ["b:b"]


def test_removal_without_a_running_supervisord_does_nothing(supervisord: Supervisord) -> None:
    assert "not running" in activate(supervisord, Action.REMOVE, installed("a"))


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("PASSWORD=hunter2\n", "theirs.conf"),
        ('[program:x]\ncommand=x\nenvironment=A="hunter2",B\n', "theirs.conf:1"),
        ("[program:x]\ncommand=sleep 1\n[program:y]\nstartsecs=soon\ncommand=x\n", "theirs.conf:3"),
        ("[group:x]\nprograms=nobody\n", "theirs.conf:1"),
        ("[program:x]\ncommand=\xff\n", "theirs.conf"),
    ],
)
def test_file_that_cannot_be_read_is_named(supervisord: Supervisord, content: str, where: str) -> None:
    supervisord.start()
    supervisord.section("a")
    (supervisord.sections / "theirs.conf").write_text(content, encoding="latin-1")
    with pytest.raises(ProcmanError, match=str(supervisord.sections / where)) as caught:
        activate(supervisord, Action.ADD, installed("a"))
    assert "hunter2" not in caught.value.message
