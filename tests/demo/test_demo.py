"""The demo project works as its README describes, on every Celery version."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.celery_environments import CeleryEnvironment
from tests.django_projects import DEMO

pytestmark = pytest.mark.celery

PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Demo:
    """The demo with a data directory of its own."""

    python: Path
    data: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.defpath,
            "PYTHONDONTWRITEBYTECODE": "1",
            "DEMO_DATA_DIRECTORY": str(self.data),
            "DEMO_CLEANUP_SECONDS": "1",
            "DEMO_CROP_MAX_AGE_SECONDS": "3",
        }

    def manage(self, *words: str) -> str:
        return self.run(str(DEMO / "manage.py"), *words)

    def run(self, *words: str) -> str:
        return subprocess.run(
            [self.python, *words],
            cwd=DEMO,
            env=self.environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=PATIENCE_SECONDS,
        ).stdout

    def lines(self, name: str) -> list[int]:
        path = self.data / "counted" / name
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    @contextmanager
    def celery(self, *words: str, end: signal.Signals = signal.SIGTERM) -> Iterator[None]:
        with (self.data / f"{words[0]}.log").open("w") as log:
            process = subprocess.Popen(
                [self.python, "-m", "celery", "-A", "mysite", *words, "-l", "info"],
                cwd=DEMO,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                yield
                process.send_signal(end)
                assert process.wait(PATIENCE_SECONDS) == (0 if end == signal.SIGTERM else -end)
            finally:
                # The whole group, because the pool of a killed worker survives, with the task that it runs.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture
def demo(celery_environment: CeleryEnvironment, tmp_path: Path) -> Demo:
    return Demo(celery_environment.python, tmp_path)


def wait_until(happened: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_crops_are_created_and_old_ones_removed(demo: Demo) -> None:
    with demo.celery("worker"):
        printed = demo.manage("crop", "--count", "2", "--seconds", "0.5", "--wait").splitlines()
        names = [line.split()[1] for line in printed if line.startswith("finished")]
        assert sorted(printed) == sorted([f"{verb} {name}" for name in names for verb in ("sent", "finished")])
        assert len(names) == 2
        assert set(demo.manage("crop", "--list").splitlines()) == {f"finished {name}" for name in names}
        assert [pages_of(path.read_bytes()) for path in demo.data.glob("media/crops/*.tiff")] == [8, 8]
        with demo.celery("beat", "--pidfile=", "-s", str(demo.data / "schedule")):
            wait_until(lambda: not list(demo.data.glob("media/crops/*")))


def pages_of(tiff: bytes) -> int:
    assert tiff[:4] == b"II*\0"
    pages, at = 0, struct.unpack_from("<I", tiff, 4)[0]
    while at:
        count = struct.unpack_from("<H", tiff, at)[0]
        values = {tag: value for tag, _, _, value in struct.iter_unpack("<HHII", tiff[at + 2 : at + 2 + 12 * count])}
        assert values[256] * values[257] == values[279]
        assert len(set(tiff[values[273] : values[273] + values[279]])) > 100
        pages, at = pages + 1, struct.unpack_from("<I", tiff, at + 2 + 12 * count)[0]
    return pages


def test_incomplete_crop_is_not_listed(demo: Demo) -> None:
    with demo.celery("worker", end=signal.SIGKILL):
        demo.manage("crop", "--seconds", "600")
        wait_until(lambda: list(demo.data.glob("media/crops/*.part")))
        assert demo.manage("crop", "--list") == ""


def test_counting_tasks_write_one_line_each(demo: Demo) -> None:
    demo.run(
        "-c",
        "import mysite\nfrom counting.tasks import echo, hold\nhold.delay(100, 0.5)\nfor n in range(20): echo.delay(n)",
    )
    with demo.celery("worker", "--prefetch-multiplier=32"):
        wait_until(lambda: len(demo.lines("finished")) >= 21)
    assert sorted(demo.lines("finished")) == [*range(20), 100]
    assert demo.lines("started") == [100]


SEND = """
from counting.tasks import echo
import mysite
for number in range(20):
    echo.delay("x" * 4_000_000)
"""
RECEIVE_WHILE_SENDING = """
import queue, subprocess, sys
from mysite import celery_app

sender = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
channel = celery_app.connection().channel()
received = 0
while received < 20:
    all_sent = sender.poll() is not None
    try:
        received += bool(channel._get("celery"))
    except queue.Empty:
        assert not all_sent, received
"""


def test_message_is_complete_when_it_appears(demo: Demo) -> None:
    demo.run("-c", RECEIVE_WHILE_SENDING, SEND)
