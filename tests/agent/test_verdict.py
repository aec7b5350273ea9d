"""The verdict on a heartbeat: a table of cases, and rules that hold for any content of the file."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procman.agent.heartbeat_format import FIELDS, MAX_BYTES, read
from procman.agent.verdict import CODES, Evidence, Thresholds, Verdict, format_duration, verdict
from tests.tables import for_each

NOW = 10_000.0
THRESHOLDS = Thresholds(stale_seconds=30, stall_seconds=300)


def heartbeat(**more: Any) -> dict[str, Any]:
    """Return a recent heartbeat of a healthy, idle prefork worker, changed by `more`."""
    return read(json.dumps({**WORKER, **more}))


WORKER = {
    "format": 1,
    "program": "catmaid-celery",
    "kind": "worker",
    "boot_id": "b",
    "pid": 77,
    "started": NOW - 5000,
    "interval": 5,
    "written": NOW - 1,
    "wall": 1.7e9,
    "phase": "consuming",
    "phase_since": NOW - 4000,
    "loop": NOW - 2,
    "pool": "prefork",
    "slots": 2,
    "busy": 0,
    "reserved": 0,
    "finished": 9,
    "progress": NOW - 1,
    "queues": [{"name": "celery", "messages": 0, "consumers": 1, "since": None}],
    "queues_asked": NOW - 3,
}
BEAT: dict[str, Any] = {
    "kind": "beat",
    "phase": "ticking",
    "pool": None,
    "loop": None,
    "slots": None,
    "queues": [],
    "queues_asked": None,
    "tick": NOW - 40,
    "tick_due": NOW + 20,
    "next_due": NOW + 25,
    "next_entry": "nightly",
}
FAILED = {
    **BEAT,
    "failed_entry": "nightly",
    "failed_sends": 1,
    "failed_since": NOW - 31,
    "failed_error": "EncodeError: TypeError",
    "failed_entries": 1,
}
STANDBY = {
    **BEAT,
    "phase": "standby",
    "tick": None,
    "tick_due": None,
    "lock": "redbeat::lock",
    "lock_until": NOW + 1499,
    "lock_retry": 60,
}
QUEUE = {"name": "celery", "messages": 10, "consumers": 1, "since": None}
ABANDONED = {"name": "crop", "messages": 3, "consumers": 0, "since": NOW - 301}
WAITING = {"queues": [QUEUE], "idle_with_messages_since": NOW - 301}
STUCK = {"reserved": 2, "progress": NOW - 301}
OVERDUE = {**BEAT, "tick_due": NOW - 31}

CASES: list[tuple[str, dict[str, Any], str]] = [
    ("healthy and idle", {}, "OK PM200"),
    ("healthy beat", BEAT, "OK PM200"),
    ("just not stale", {"written": NOW - 30}, "OK PM200"),
    ("stale", {"written": NOW - 31}, "CRITICAL PM201"),
    ("stale, beat", {**BEAT, "written": NOW - 31}, "CRITICAL PM201"),
    ("from another clock", {"written": NOW + 31}, "UNKNOWN PM201"),
    *((f"stale, {pool} pool", {"written": NOW - 31, "pool": pool}, "UNKNOWN PM201") for pool in ("solo", "gevent")),
    ("stale while importing", {"written": NOW - 31, "phase": "importing", "pool": None}, "UNKNOWN PM201"),
    ("importing", {"phase": "importing", "phase_since": NOW - 30}, "OK PM203"),
    ("importing for too long", {"phase": "importing", "phase_since": NOW - 3600}, "WARNING PM203"),
    ("starting", {"phase": "starting", "phase_since": NOW - 3}, "OK PM203"),
    ("starting for too long", {"phase": "starting", "phase_since": NOW - 31}, "WARNING PM203"),
    ("disconnected", {"phase": "disconnected", "phase_since": NOW - 1}, "WARNING PM203"),
    ("disconnected for very long", {**WAITING, "phase": "disconnected", "phase_since": 0, "loop": 0}, "WARNING PM203"),
    ("stopping", {"phase": "stopping", "phase_since": NOW - 4000, "loop": NOW - 4000, **WAITING}, "OK PM203"),
    ("loop stuck", {"loop": NOW - 31}, "CRITICAL PM202 warm"),
    ("loop stuck, broker silent", {"loop": NOW - 31, "queues_asked": NOW - 32}, "WARNING PM202"),
    ("loop stuck, broker not asked", {"loop": NOW - 31, "queues_asked": None}, "WARNING PM202"),
    *(
        (f"loop stuck, {pool} pool", {"loop": NOW - 31, "pool": pool, "busy": 1, "slots": 1}, "UNKNOWN PM202")
        for pool in ("solo", "threads", "gevent", "eventlet", None)
    ),
    ("loop unknown", {"loop": None}, "OK PM200"),
    ("ready", {"ready": True}, "OK PM200"),
    ("connected and not ready yet", {"ready": False, "phase_since": NOW - 30}, "OK PM203"),
    ("connected and never ready", {"ready": False}, "WARNING PM203"),
    ("never ready, and messages wait", {"ready": False, **WAITING}, "CRITICAL PM301 warm"),
    ("messages wait, all slots free", WAITING, "CRITICAL PM301 warm"),
    ("messages wait, one slot busy", {**WAITING, "busy": 1}, "CRITICAL PM301"),
    ("messages wait, not for too long", {**WAITING, "idle_with_messages_since": NOW - 300}, "OK PM200"),
    ("all slots busy", {**STUCK, "busy": 2, "queues": [QUEUE], "progress": NOW - 9999}, "OK PM200"),
    ("received and not started", STUCK, "CRITICAL PM302 warm"),
    ("received and not started, one slot busy", {**STUCK, "busy": 1}, "WARNING PM302"),
    ("received and not started yet", {**STUCK, "progress": NOW - 299}, "OK PM200"),
    ("pool unknown", {**STUCK, "busy": None}, "OK PM200"),
    ("queue without consumer", {"queues": [QUEUE, {**ABANDONED, "messages": 0, "since": None}]}, "WARNING PM303"),
    ("and messages wait there", {"queues": [ABANDONED]}, "CRITICAL PM303 warm"),
    ("and messages wait there, while busy", {"queues": [ABANDONED], "busy": 1}, "CRITICAL PM303"),
    ("and messages wait there, not for too long", {"queues": [{**ABANDONED, "since": NOW - 300}]}, "WARNING PM303"),
    ("and messages wait there, solo in a task", {"queues": [ABANDONED], "pool": "solo", "busy": 1}, "UNKNOWN PM303"),
    ("and its task ended just now", {"queues": [ABANDONED], "pool": "solo", "progress": NOW - 300}, "WARNING PM303"),
    (
        "and its task ended long ago",
        {"queues": [ABANDONED], "pool": "solo", "progress": NOW - 301},
        "CRITICAL PM303 warm",
    ),
    (
        "and threads have just finished tasks",
        {"queues": [ABANDONED], "pool": "threads", "progress": NOW - 9},
        "WARNING PM303",
    ),
    (
        "and threads have been busy for too long",
        {"queues": [ABANDONED], "pool": "threads", "busy": 1, "progress": NOW - 999},
        "CRITICAL PM303",
    ),
    ("and processes have just finished tasks", {"queues": [ABANDONED], "progress": NOW - 9}, "CRITICAL PM303 warm"),
    ("consumers not counted", {"queues": [{**QUEUE, "consumers": None}]}, "OK PM200"),
    ("tick not overdue for too long", {**BEAT, "tick_due": NOW - 30}, "OK PM200"),
    ("tick overdue, broker not asked", OVERDUE, "WARNING PM401"),
    ("tick overdue, broker silent since", {**OVERDUE, "queues_asked": NOW - 32}, "WARNING PM401"),
    ("tick overdue, broker answers", {**OVERDUE, "queues_asked": NOW - 5}, "CRITICAL PM401 warm"),
    ("ticking, but an entry is overdue", {**BEAT, "next_due": NOW - 31}, "CRITICAL PM402"),
    ("scheduler without a list of entries", {**BEAT, "next_due": None, "next_entry": None}, "OK PM200"),
    ("a send has just failed", {**FAILED, "failed_since": NOW - 30}, "WARNING PM402"),
    ("the only send failed, and the next is due in hours", {**FAILED, "next_due": NOW + 9000}, "CRITICAL PM402"),
    *(
        (f"sends fail: {error}", {**FAILED, "failed_since": NOW - 3600, "failed_error": error}, expected)
        for error, expected in (
            ("OperationalError: ConnectionRefusedError", "WARNING PM402"),
            ("OperationalError: ConnectionError", "WARNING PM402"),
            ("timeout", "WARNING PM402"),
            ("OperationalError: OutOfMemoryError", "CRITICAL PM402"),
            ("AccessRefused", "CRITICAL PM402"),
        )
    ),
    ("every send fails", {**FAILED, "failed_sends": 8, "failed_entries": 3}, "CRITICAL PM402"),
    ("sends fail, and beat no longer ticks", {**FAILED, **OVERDUE, "queues_asked": NOW}, "CRITICAL PM401 warm"),
    ("on standby for long", STANDBY, "OK PM200"),
    ("on standby, expiry unknown", {**STANDBY, "lock_until": None}, "OK PM200"),
    ("on standby, the lock has just expired", {**STANDBY, "lock_until": NOW - 359}, "OK PM200"),
    ("on standby, the lock expired long ago", {**STANDBY, "lock_until": NOW - 361}, "WARNING PM401"),
    ("no tick yet", {**STANDBY, "phase": "starting", "phase_since": NOW - 300}, "OK PM401"),
    ("no tick for long", {**STANDBY, "phase": "starting", "queues_asked": NOW}, "WARNING PM401"),
    ("scheduler that cannot be observed", {**BEAT, "tick_due": None}, "UNKNOWN PM401"),
    ("a hook is missing", {"missing": ["queues: AttributeError"]}, "WARNING PM204"),
    (
        "a hook is missing, and something is worse",
        {"missing": ["queues: AttributeError"], **WAITING},
        "CRITICAL PM301 warm",
    ),
]


@for_each(("more", "expected"), [case[1:] for case in CASES])
def test_verdict(more: dict[str, Any], expected: str) -> None:
    found = verdict(heartbeat(**more), NOW, THRESHOLDS)
    assert " ".join(filter(None, (found.level, found.code, found.remedy))) == expected
    assert found.reason
    assert found.reason[0].islower() or found.reason[0].isdigit()


def test_every_code_has_a_case() -> None:
    assert {expected.split()[1] for _, _, expected in CASES} == set(CODES)


def test_standby_names_the_lock_and_its_remaining_time() -> None:
    found = verdict(heartbeat(**STANDBY), NOW, THRESHOLDS)
    assert found.reason == "it is on standby; another beat holds the lock redbeat::lock for 24m59s"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, "sending nightly failed 31s ago: EncodeError: TypeError"),
        (
            {"failed_sends": 8, "failed_entries": 2},
            "sending nightly has failed 8 times in a row for 31s: EncodeError: TypeError; 1 more entry fails",
        ),
        (
            {"failed_sends": 8, "failed_entries": 4},
            "sending nightly has failed 8 times in a row for 31s: EncodeError: TypeError; 3 more entries fail",
        ),
    ],
    ids=["once", "often, and another entry", "often, and more entries"],
)
def test_failed_sends_are_counted_with_the_type_of_the_error(more: dict[str, Any], reason: str) -> None:
    assert verdict(heartbeat(**{**FAILED, **more}), NOW, THRESHOLDS).reason == f"it is ticking, but {reason}"


def test_stop_that_exceeds_a_known_timeout_is_critical() -> None:
    limited = THRESHOLDS._replace(stop_seconds=600)
    stopping = {"phase": "stopping", "loop": None}
    assert verdict(heartbeat(**stopping, phase_since=NOW - 629), NOW, limited).level == "OK"
    assert verdict(heartbeat(**stopping, phase_since=NOW - 631), NOW, limited)[::3] == ("CRITICAL", "force")


@pytest.mark.parametrize(
    ("busy", "reason"),
    [
        (2, "it has been stopping for 5m10s; running tasks: 2"),
        (0, "it has been stopping for 5m10s; running tasks: 0"),
        (None, "it has been stopping for 5m10s"),
    ],
)
def test_stopping_worker_reports_how_many_tasks_still_run(busy: int | None, reason: str) -> None:
    found = heartbeat(phase="stopping", phase_since=NOW - 310, busy=busy)
    assert verdict(found, NOW, THRESHOLDS).reason == reason


@pytest.mark.parametrize(
    ("busy", "slots", "counted"),
    [
        (0, 1, "0 of 1 slot is busy"),
        (1, 1, "1 of 1 slot is busy"),
        (1, 2, "1 of 2 slots is busy"),
        (2, 2, "2 of 2 slots are busy"),
    ],
)
def test_number_of_busy_slots_agrees(busy: int, slots: int, counted: str) -> None:
    assert verdict(heartbeat(busy=busy, slots=slots), NOW, THRESHOLDS).reason == f"it is consuming; {counted}"


def test_answer_to_a_callers_own_probe_counts_as_the_brokers_answer() -> None:
    silent = heartbeat(loop=NOW - 31, queues_asked=NOW - 40)
    assert verdict(silent, NOW, THRESHOLDS).remedy == ""
    assert verdict({**silent, "queues_asked": NOW}, NOW, THRESHOLDS).remedy == "warm"


OLD = {"written": NOW - 31, "interval": 5.0}
IDLE = Evidence(idle_seconds=10.0)
ON_ANOTHER = {**OLD, "pool": "solo", "slots": 1}


@for_each(
    ("name", "changed", "evidence", "expected"),
    [
        ("no thread has run for two intervals", OLD, IDLE, "CRITICAL PM201 force"),
        ("it ran, but not for two intervals", OLD, IDLE._replace(acted=True), "CRITICAL PM201 force"),
        ("not looked at for long enough", OLD, Evidence(idle_seconds=9.9), "CRITICAL PM201"),
        ("it runs", OLD, Evidence(idle_seconds=9.9, acted=True), "CRITICAL PM201"),
        ("stopped by a signal", OLD, Evidence(idle_seconds=0.0, is_stopped=True), "CRITICAL PM201 force"),
        ("stopped after it was seen to run", OLD, Evidence(0.0, acted=True, is_stopped=True), "CRITICAL PM201 force"),
        ("a task was running", {**OLD, "busy": 1}, IDLE, "CRITICAL PM201 warm"),
        ("a task may be running", {**OLD, "busy": None}, IDLE, "CRITICAL PM201 warm"),
        ("a task was running while it stopped", {**OLD, "phase": "stopping", "busy": 1}, IDLE, "CRITICAL PM201 warm"),
        ("a pool process uses CPU time", OLD, IDLE._replace(works=True), "CRITICAL PM201 warm"),
        ("no task runs during a start", {**OLD, "phase": "starting", "busy": None}, IDLE, "CRITICAL PM201 force"),
        ("a debugger is attached", OLD, IDLE._replace(excuse="a debugger is attached to it"), "WARNING PM201"),
        ("stopped by a debugger", OLD, Evidence(is_stopped=True, excuse="its cgroup is frozen"), "WARNING PM201"),
        ("it waits for a disk", OLD, IDLE._replace(waits="it waits in the kernel"), "CRITICAL PM201"),
        ("beat", {**BEAT, **OLD}, IDLE, "CRITICAL PM201 force"),
        ("the pool cannot tell", {**ON_ANOTHER, "busy": 1}, IDLE, "UNKNOWN PM201"),
        ("the pool cannot tell, whether busy is unknown", {**ON_ANOTHER, "busy": None}, IDLE, "UNKNOWN PM201"),
        ("the pool cannot tell, but no task runs", {**ON_ANOTHER, "busy": 0}, IDLE, "CRITICAL PM201 force"),
        ("the pool cannot tell, and it runs", ON_ANOTHER, Evidence(1.0, acted=True), "UNKNOWN PM201"),
        ("a recent heartbeat", {}, IDLE._replace(is_stopped=True), "OK PM200"),
    ],
)
def test_old_heartbeat_is_judged_by_what_the_kernel_shows(
    name: str, changed: dict[str, Any], evidence: Evidence, expected: str
) -> None:
    found = verdict(heartbeat(**changed), NOW, THRESHOLDS, evidence)
    assert f"{found.level} {found.code} {found.remedy}".rstrip() == expected, name


@for_each(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0.9, "0s"),
        (59, "59s"),
        (60, "1m"),
        (310, "5m10s"),
        (3600, "1h"),
        (12_000, "3h20m"),
        (86_400, "1d"),
        (1_051_200, "12d4h"),
    ],
)
def test_durations_are_short_and_rounded_down(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


# Reading -------------------------------------------------------------------------------------------------------------


def test_unknown_fields_are_dropped_and_missing_ones_are_none() -> None:
    found = read(json.dumps({**WORKER, "colour": "red", "versions": {"celery": "5.7.0", "kombu": None}}))
    assert "colour" not in found
    assert (found["tick"], found["held"], found["verdict"], found["missing"]) == (None, None, None, [])
    assert found["versions"] == {"celery": "5.7.0", "kombu": None}


@for_each(
    "more",
    [
        {"format": 2},
        {"format": "1"},
        {"pid": None},
        {"pid": True},
        {"pid": 7.5},
        {"pid": 10**15},
        {"kind": "command"},
        {"phase": "asleep"},
        {"written": "now"},
        {"written": None},
        {"program": ["catmaid"]},
        {"program": "cat\x1b[2Jmaid"},
        {"next_entry": "a\nb"},
        {"queues": {}},
        {"queues": [1]},
        {"queues": [{"name": "celery", "messages": "10"}]},
        {"tasks": [{"name": None}]},
        {"missing": [1]},
        {"missing": "all"},
        {"versions": [1]},
        {"versions": {"celery": 5}},
        {"verdict": {"level": "FINE", "code": "PM200", "reason": "", "remedy": ""}},
        {"verdict": {"level": "OK", "code": "PM999", "reason": "", "remedy": ""}},
        {"held": 1},
    ],
)
def test_wrong_type_is_corrupt(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        read(json.dumps({**WORKER, **more}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        json.dumps(WORKER)[:-1],
        json.dumps(WORKER).replace(str(NOW - 1), "NaN"),
        json.dumps(WORKER).replace(str(NOW - 1), "Infinity"),
        json.dumps(WORKER).replace(str(NOW - 1), "1e999"),
        json.dumps(WORKER).replace(str(NOW - 1), "9" * 5000),
        "[" * 60_000,
        json.dumps({**WORKER, "colour": "x" * MAX_BYTES}),
    ],
    ids=lambda text: text[:20],
)
def test_nonsense_is_corrupt(text: str) -> None:
    with pytest.raises(ValueError):
        read(text)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
queues = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.text(alphabet="abc"),
            "messages": st.none() | st.integers(-1, 10**9),
            "consumers": st.none() | st.integers(0, 3),
            "since": st.none() | st.floats(0, 2 * NOW),
        }
    ),
    max_size=3,
)
numbers = st.none() | st.floats(-1e12, 1e12) | st.integers(-(10**12), 10**12)


@given(st.dictionaries(st.sampled_from([*FIELDS, "queues", "tasks", "missing", "versions", "verdict"]), anything))
def test_any_value_of_a_field_is_read_or_corrupt(more: dict[str, Any]) -> None:
    try:
        found = heartbeat(**more)
    except ValueError:
        return
    assert isinstance(verdict(found, NOW, THRESHOLDS), Verdict)


def test_beats_next_entry_has_its_local_time_and_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    try:
        wall = 1.7e9  # Tue 14 Nov 2023 23:13:20 CET
        soon = verdict(heartbeat(**{**BEAT, "wall": wall, "next_due": NOW + 24}), NOW, THRESHOLDS)
        tomorrow = verdict(heartbeat(**{**BEAT, "wall": wall, "next_due": NOW + 3600}), NOW, THRESHOLDS)
        now = verdict(heartbeat(**{**BEAT, "wall": wall, "next_due": NOW - 0.5}), NOW, THRESHOLDS)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert soon.reason == "it is ticking; nightly is due in 24s (23:13:45 CET)"
    assert tomorrow.reason == "it is ticking; nightly is due in 1h (Wed 15 Nov 00:13 CET)"
    assert now.reason == "it is ticking; nightly is due now (23:13:20 CET)"


@pytest.mark.parametrize(
    ("phase", "error", "reason"),
    [
        ("disconnected", "AuthenticationError", ": the broker refuses its user, password or virtual host"),
        ("disconnected", "ConnectionRefusedError", "; the last attempt to connect failed (ConnectionRefusedError)"),
        ("disconnected", None, "keeps trying to connect"),
        ("starting", "AccessRefused", ": the broker refuses its user, password or virtual host (AccessRefused)"),
        ("starting", None, "; the broker may be down"),
    ],
)
def test_reason_names_the_error_of_the_last_attempt_to_connect(phase: str, error: str | None, reason: str) -> None:
    found = verdict(heartbeat(phase=phase, phase_since=NOW - 60, connect_error=error), NOW, THRESHOLDS)
    assert reason in found.reason


@given(st.text() | st.binary().map(lambda content: content.decode("utf-8", "replace")))
def test_any_text_is_read_or_corrupt(text: str) -> None:
    with pytest.raises(ValueError):
        read(text)


TIMES = (
    "written",
    "phase_since",
    "loop",
    "progress",
    "queues_asked",
    "idle_with_messages_since",
    "tick_due",
    "next_due",
    "lock_until",
    "lock_retry",
    "failed_since",
)
COUNTS = ("slots", "busy", "reserved", "failed_sends", "failed_entries")


@given(
    st.dictionaries(st.sampled_from(TIMES), numbers),
    st.dictionaries(st.sampled_from(COUNTS), st.none() | st.integers(-2, 10)),
    queues,
    st.sampled_from(["importing", "starting", "standby", "consuming", "ticking", "disconnected", "stopping"]),
    st.sampled_from(["prefork", "solo", "threads", "gevent", "eventlet", "own", None]),
    st.sampled_from(["worker", "beat"]),
)
def test_verdict_on_any_heartbeat_keeps_the_rules(
    times: dict[str, Any], counts: dict[str, Any], waiting: list[Any], phase: str, pool: str | None, kind: str
) -> None:
    try:
        found = heartbeat(**times, **counts, queues=waiting, phase=phase, pool=pool, kind=kind)
    except ValueError:
        return
    judged = verdict(found, NOW, THRESHOLDS)
    assert judged.code in CODES
    assert judged.reason.isprintable()
    if judged.remedy:
        assert judged.level == "CRITICAL"
    if judged.remedy == "warm":
        assert kind == "beat" or not found["busy"], "a busy worker is never restarted"
        assert phase in ("consuming", "ticking")
    if judged.remedy == "force":
        assert kind == "beat" or pool == "prefork", "a pool that may run tasks in its main process is never killed"
    if phase == "disconnected" and NOW - found["written"] <= 30:
        assert not judged.remedy, "a program is never restarted because its broker is down"
