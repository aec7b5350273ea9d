"""supervisord's protocol: events are answered at once, checks run by their own clock, and its end ends the listener."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from procman.monitoring.supervisord_listener import NoSupervisord, listen


@dataclass
class Listening:
    """A listener in a thread, and supervisord's ends of its pipes."""

    to_it: int
    from_it: int
    looks: list[float] = field(default_factory=list)
    thread: threading.Thread | None = None
    error: Exception | None = None
    look_seconds: float = 0.0

    def answers(self, count: int) -> bytes:
        """Return the next `count` bytes that it writes."""
        found = b""
        while len(found) < count:
            found += os.read(self.from_it, count - len(found))
        return found

    def ended(self) -> bool:
        assert self.thread
        self.thread.join(10)
        return not self.thread.is_alive()


@pytest.fixture
def listening() -> Iterator[Listening]:
    reading, to_it = os.pipe()
    from_it, writing = os.pipe()
    own = Listening(to_it, from_it)

    def look() -> float:
        own.looks.append(time.monotonic())
        time.sleep(own.look_seconds)
        return 0.05

    def run() -> None:
        try:
            listen(look, reading, writing)
        except NoSupervisord as error:
            own.error = error
        finally:
            os.close(writing)

    own.thread = threading.Thread(target=run, daemon=True)
    own.thread.start()
    yield own
    os.close(own.to_it)
    own.ended()


def event(payload: bytes = b"when:1795354713") -> bytes:
    head = b"ver:3.0 server:supervisor serial:21 pool:health poolserial:10 eventname:TICK_60 len:%d\n" % len(payload)
    return head + payload


ANSWER = b"RESULT 2\nOKREADY\n"


def test_listener_is_ready_at_once_and_answers_each_event(listening: Listening) -> None:
    assert listening.answers(6) == b"READY\n"
    for _ in range(3):
        os.write(listening.to_it, event())
        assert listening.answers(len(ANSWER)) == ANSWER


def test_event_in_pieces_is_answered_when_it_is_complete(listening: Listening) -> None:
    listening.answers(6)
    whole = event(b"a payload\nof two lines len:99")
    for start in range(0, len(whole), 7):
        os.write(listening.to_it, whole[start : start + 7])
        time.sleep(0.01)
    os.write(listening.to_it, event())
    assert listening.answers(2 * len(ANSWER)) == 2 * ANSWER


def test_listener_checks_without_any_event(listening: Listening) -> None:
    deadline = time.monotonic() + 30
    while len(listening.looks) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert all(later - earlier >= 0.05 for earlier, later in zip(listening.looks, listening.looks[1:], strict=False))


def test_event_during_a_check_is_answered_after_it(listening: Listening) -> None:
    listening.look_seconds = 0.3
    listening.answers(6)
    os.write(listening.to_it, event())
    assert listening.answers(len(ANSWER)) == ANSWER


def test_listener_ends_with_its_supervisord(listening: Listening) -> None:
    listening.answers(6)
    closed = os.dup(listening.to_it)
    os.close(listening.to_it)
    os.close(closed)
    assert listening.ended()
    assert listening.error is None
    listening.to_it = os.open(os.devnull, os.O_WRONLY)


def test_invalid_event_ends_the_listener(listening: Listening) -> None:
    listening.answers(6)
    os.write(listening.to_it, b"GET / HTTP/1.1\n")
    assert listening.ended()
    assert "GET /" in str(listening.error)
