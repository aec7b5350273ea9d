"""The orders of remote control that a worker notes, and how many. tests/django_app gives a real worker some."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import monotonic
from types import ModuleType
from typing import Any

import pytest

from procman.agent.control_orders import HOUR, MOST_IDS, MOST_PER_HOUR, TARGETS, ControlOrders, text_of
from procman.agent.settings import HealthSettings
from procman.agent.worker_state import WorkerState


class Worker:
    """Celery's handlers of orders, and the agent that follows them."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.reported: list[str] = []
        self.done: list[dict[str, Any]] = []
        module = ModuleType("celery.worker.control")
        self.handlers: dict[str, Any] = dict.fromkeys((*TARGETS, "ping"), self._carry_out)
        module.Panel = type("Panel", (), {"data": self.handlers})  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "celery.worker.control", module)
        self.observed = WorkerState(HealthSettings("crop", "worker", str(directory)))
        self.orders = ControlOrders(self.observed, self.reported.append)
        self.orders._follow()

    def _carry_out(self, state: object, **named: Any) -> str:
        self.done.append(named)
        return "done"

    def order(self, name: str, **named: Any) -> Any:
        return self.handlers[name]("state", **named)

    def events(self) -> list[dict[str, Any]]:
        self.orders.write()
        path = self.directory / "events.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    return Worker(tmp_path, monkeypatch)


def test_order_is_carried_out_and_noted_with_its_target(worker: Worker) -> None:
    assert worker.order("revoke", task_id="3f1c", terminate=True, signal="SIGTERM") == "done"
    assert worker.done == [{"task_id": "3f1c", "terminate": True, "signal": "SIGTERM"}]
    [event] = worker.events()
    assert (event["program"], event["what"], event["by"]) == ("crop", "ordered", "inside")
    assert event["reason"] == "remote control: revoke: task_id 3f1c, terminate True"


def test_question_is_no_order(worker: Worker) -> None:
    worker.order("ping")
    assert worker.events() == []


def test_shutdown_is_noted_although_it_does_not_return(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(tmp_path, monkeypatch)

    def shut_down(state: object) -> None:
        raise SystemExit

    worker.handlers["shutdown"] = worker.orders._noting("shutdown", shut_down)
    with pytest.raises(SystemExit):
        worker.order("shutdown")
    assert [event["reason"] for event in worker.events()] == ["remote control: shutdown"]


def test_heartbeat_is_woken_to_write_it(worker: Worker) -> None:
    woken: list[bool] = []
    worker.observed.on_change = lambda: woken.append(True)
    worker.order("cancel_consumer", queue="crop")
    assert woken == [True]


def test_thousands_of_orders_leave_room_for_other_events(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[bool] = []
    worker.observed.on_change = lambda: woken.append(True)
    for number in range(MOST_PER_HOUR + 50):
        worker.order("revoke", task_id=str(number))
    assert len(woken) == MOST_PER_HOUR + 1
    assert len(worker.done) == MOST_PER_HOUR + 50
    assert len(worker.events()) == MOST_PER_HOUR + 1
    assert "further orders are not noted" in worker.events()[-1]["reason"]
    later = monotonic() + HOUR + 1
    monkeypatch.setattr("procman.agent.control_orders.monotonic", lambda: later)
    worker.order("revoke", task_id="later")
    assert worker.events()[-1]["reason"] == "remote control: revoke: task_id later"


def test_failure_to_note_does_not_keep_an_order_from_being_carried_out(worker: Worker) -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError

    assert worker.order("revoke", task_id=Odd()) == "done"
    assert worker.observed.missing == {"orders": "RuntimeError"}


def test_order_whose_target_cannot_be_shown_is_noted_by_its_name(worker: Worker) -> None:
    deep: list[Any] = []
    for _ in range(100000):
        deep = [deep]
    worker.order("revoke", task_id="3f1c", terminate=deep)
    assert [event["reason"] for event in worker.events()] == ["remote control: revoke: its target cannot be shown"]


@pytest.mark.parametrize(
    ("name", "named", "text"),
    [
        (
            "revoke",
            {"task_id": [str(number) for number in range(MOST_IDS + 2)]},
            "revoke: task_id 0 1 2 3 4 and 2 more",
        ),
        ("rate_limit", {"task_name": "crop", "rate_limit": "10/m"}, "rate_limit: task_name crop, rate_limit 10/m"),
        ("revoke_by_stamped_headers", {"headers": {"token": "secret"}}, "revoke_by_stamped_headers"),
        ("add_consumer", {"queue": "a\nb", "exchange": "e"}, "add_consumer: queue a?b"),
        ("shutdown", {}, "shutdown"),
    ],
)
def test_text_has_the_target_and_nothing_secret(name: str, named: dict[str, Any], text: str) -> None:
    assert text_of(name, named) == f"remote control: {text}"
