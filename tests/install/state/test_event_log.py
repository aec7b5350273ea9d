"""The event log: whole lines, files of limited size, and no trust in events that a program writes itself."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.install.safe_fs.untrusted_file import UntrustedFile, read_untrusted
from procman.install.state.event_log import (
    LARGEST,
    Event,
    append_event,
    line_of,
    own_events,
    read_event,
    tasks_of,
    untrusted_events,
)
from tests.tables import for_each

EVENT = Event(
    at=1000.5,
    program="catmaid-celery",
    what="healing",
    code="PM301",
    level="CRITICAL",
    reason="messages wait, nothing is done",
    action="restart, warm",
    tasks=("catmaid.tasks.crop",),
    by="healer",
    task_ids=("0a1b",),
)
OWN = {os.geteuid()}


def test_event_is_read_as_written(tmp_path: Path, tree: Tree) -> None:
    append_event(tree, tmp_path, EVENT)
    append_event(tree, tmp_path, Event(2000.0, "catmaid-crop", "held", by="ann", reason="line\nend \x1b[31m"))
    assert list(own_events(tree, tmp_path)) == [
        EVENT,
        Event(2000.0, "catmaid-crop", "held", by="ann", reason="line\nend \x1b[31m"),
    ]
    assert (tmp_path / "events.jsonl").read_text().count("\n") == 2
    assert (tmp_path / "events.jsonl").stat().st_mode & 0o777 == 0o644


def test_large_log_is_rotated_and_still_read(tmp_path: Path, tree: Tree) -> None:
    line = line_of(EVENT) + "\n"
    (tmp_path / "events.jsonl").write_text(line * (LARGEST // len(line)))
    for _ in range(3):
        append_event(tree, tmp_path, EVENT)
    assert (tmp_path / "events.jsonl.1").stat().st_size > LARGEST
    assert (tmp_path / "events.jsonl").stat().st_size < 10 * len(line)
    assert len(list(own_events(tree, tmp_path))) == LARGEST // len(line) + 3


def test_link_in_place_of_log_is_not_followed(tmp_path: Path, tree: Tree) -> None:
    (tmp_path / "target").write_text("precious")
    (tmp_path / "events.jsonl").symlink_to("target")
    with pytest.raises(ProcmanError):
        append_event(tree, tmp_path, EVENT)
    assert (tmp_path / "target").read_text() == "precious"


def test_program_can_report_only_about_itself(tmp_path: Path) -> None:
    reported = {"at": 5, "program": "catmaid-crop", "what": "healed", "by": "root"}
    (tmp_path / "events.jsonl").write_text(json.dumps(reported) + "\n")
    assert list(untrusted_events(tmp_path, "catmaid-celery", OWN)) == [
        Event(5.0, "catmaid-celery", "healed", by="inside")
    ]


@for_each(
    "line",
    [
        b"",
        b"half a li",
        b"[]",
        b"7",
        b"\xff\xfe",
        b'{"what": "found"}',
        b'{"at": "now"}',
        b'{"at": true}',
        b'{"at": NaN}',
        b'{"at": Infinity}',
        b'{"at": -1}',
        b'{"at": 1e300}',
        b"[" * 100_000,
    ],
)
def test_line_that_is_not_an_event_is_ignored(line: bytes) -> None:
    assert read_event(line) is None


def test_field_of_wrong_type_is_empty_and_long_field_is_cut() -> None:
    event = read_event(b'{"at": 1, "what": 7, "tasks": "x", "reason": ["a"], "code": "%s"}' % (b"P" * 5000))
    assert event == Event(1.0, "", "", code="P" * 1000)
    many = read_event(json.dumps({"at": 1, "tasks": [*range(5), *map(str, range(100))]}).encode())
    assert many
    assert many.tasks == tuple(map(str, range(20)))


@pytest.mark.parametrize("ids", [["1"], "12", [1, 2], None])
def test_ids_that_do_not_match_the_tasks_are_dropped(ids: object) -> None:
    event = read_event(json.dumps({"at": 1, "tasks": ["a", "b"], "task_ids": ids}).encode())
    assert event == Event(1.0, "", "", tasks=("a", "b"))


def test_event_names_the_tasks_of_a_heartbeat() -> None:
    assert tasks_of({}) == {"tasks": (), "task_ids": ()}
    assert tasks_of({"tasks": [{"name": "a"}]}) == {"tasks": ("a",), "task_ids": ()}
    both = [{"name": "a", "id": "1"}, {"name": "b", "id": None}]
    assert tasks_of({"tasks": both}) == {"tasks": ("a", "b"), "task_ids": ("1", "")}


def test_only_end_of_long_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a" * 100 + b"end")
    assert read_untrusted(tmp_path / "file", OWN, 5) == b"aaend"
    assert read_untrusted(tmp_path / "none", OWN, 5) is None
    assert read_untrusted(tmp_path / "file", None, 5) == b"aaend"


@pytest.mark.parametrize("kind", ["link", "pipe", "directory", "somebody else's"])
def test_untrustworthy_event_file_is_not_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "events.jsonl"
    match kind:
        case "link":
            (tmp_path / "target").write_text(line_of(EVENT))
            path.symlink_to("target")
        case "pipe":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case _:
            path.write_text(line_of(EVENT))
    owners = OWN if kind != "somebody else's" else {os.geteuid() + 1}
    with pytest.raises(UntrustedFile):
        read_untrusted(path, owners, 100)
    assert list(untrusted_events(tmp_path, "catmaid-celery", owners)) == []
