"""The format of the record of running tasks, whose author is not trusted."""

from __future__ import annotations

import random

import pytest

from procman.agent.task_record import FILES, SIZE, RunningTask, TaskRecord, read
from procman.agent.task_record_layout import MAGIC, SLOT_BODY, SLOTS, START_TICKS_AT, slot_offset
from tests.agent.task_records import BEGAN, BOOT, record_of, slot

CROP = RunningTask("6d4f1e7a", "shop.crop", 120.5, 1796000000.5, 4711, acks_late=True)
MAIL = RunningTask("\u00e9-2", "shop.mail", 110.0, 1795999990.0, is_rejected_if_lost=True)


def test_tasks_are_read_in_the_order_of_their_start() -> None:
    expected = TaskRecord(BOOT, 4242, 100.0, BEGAN, (MAIL, CROP), unrecorded=7)
    assert read(bytes(record_of(CROP, MAIL, unrecorded=7))) == expected
    assert expected.total == 9


def test_every_slot_can_be_used() -> None:
    tasks = [CROP._replace(id=str(number), started=float(number)) for number in range(SLOTS)]
    assert read(bytes(record_of(*tasks))).tasks == tuple(tasks)


def test_a_slot_cut_anywhere_while_it_is_written_costs_no_other_slot() -> None:
    body = slot(MAIL)[SLOT_BODY:]
    for written in range(len(body)):
        content = record_of(CROP)
        begin = slot_offset(1) + SLOT_BODY
        content[begin : begin + written] = body[:written]
        assert read(bytes(content)).tasks == (CROP,)


def test_a_damaged_slot_is_counted_and_costs_no_other_slot() -> None:
    chance = random.Random(1)
    for _ in range(200):
        content = record_of(CROP, MAIL)
        place = chance.randrange(slot_offset(0), slot_offset(0) + len(slot(CROP)))
        content[place] ^= 1 << chance.randrange(8)
        found = read(bytes(content))
        assert (found.tasks, found.damaged) == ((MAIL,), 1)


@pytest.mark.parametrize(
    ("text", "kept"),
    [("x" * 200, "x" * 128), ("\u00e9" * 100, "\u00e9" * 64), ("x" + "\u00e9" * 64, "x" + "\u00e9" * 63)],
    ids=["ascii", "even", "odd"],
)
def test_an_id_that_is_too_long_is_cut_at_a_character(text: str, kept: str) -> None:
    [task] = read(bytes(record_of(CROP._replace(id=text)))).tasks
    assert (task.id, task.is_cut) == (kept, True)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * SIZE,
        bytes(record_of(CROP))[:-1],
        b"X" + bytes(record_of(CROP))[1:],
        bytes(record_of(CROP._replace(name="\x1b[2J"))),
        bytes(record_of(CROP._replace(started=float("nan")))),
        bytes(record_of(CROP._replace(started_wall=-1.0))),
    ],
    ids=["empty", "zeros", "cut", "magic", "unprintable", "not-a-number", "negative"],
)
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(content)


@pytest.mark.parametrize("earlier", [b"pmtasks1", b"pmtasks2"])
def test_record_of_another_version_is_refused_as_such(earlier: bytes) -> None:
    content = bytes(record_of(CROP)).replace(MAGIC, earlier, 1)
    for found in (content, content[: SIZE // 2]):
        with pytest.raises(ValueError, match="another version of procman wrote it"):
            read(found)


def test_random_bytes_are_refused_or_read() -> None:
    chance = random.Random(2)
    for _ in range(300):
        content = record_of(CROP, MAIL)
        for _ in range(chance.randrange(1, 30)):
            content[chance.randrange(SIZE if chance.random() < 0.1 else 1200)] = chance.randrange(256)
        try:
            found = read(bytes(content))
        except ValueError:
            continue
        assert set(found.tasks) <= {CROP, MAIL}


def test_start_of_the_process_is_read_if_it_was_recorded() -> None:
    assert read(bytes(record_of(CROP))).start_ticks is None
    content = record_of(CROP, ticks=2**40 + 1)
    assert read(bytes(content)).start_ticks == 2**40 + 1
    content[START_TICKS_AT] ^= 1
    assert read(bytes(content)) == read(bytes(record_of(CROP)))


def test_names_of_records_are_listed_newest_first() -> None:
    assert FILES[:3] == ("tasks.record", "tasks.record.1", "tasks.record.2")
