"""`procman lost` of an installed project, whose workers left records: its output and exit status."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from procman.agent.task_record import BEGUN, FINISHED, SIZE, WAITING, RunningTask
from procman.host.process import boot_id
from procman.install.state.event_log import Event, line_of
from tests.agent.task_records import record_of
from tests.celery_environments import CELERY_5_7, environment_of
from tests.product import Product

pytestmark = [pytest.mark.supervisord, pytest.mark.celery, pytest.mark.xdist_group("lost command line")]

WORKERS = "[worker.crop]\nautostart = false\n[worker.mail]\nautostart = false\n[health]\nheal = false"
GONE_PID = 2**22 + 7
"""Above the kernel's greatest pid."""
BEGAN = time.time() - 100
TASK = RunningTask("0b5b1c5e-7c43-4f4e-9d8e-0d3f4f0c8a51", "mill.crop", 10.0, BEGAN, GONE_PID + 1, progress=BEGUN)
LATE = TASK._replace(acks_late=True)
PAGE = (Path(__file__).parents[2] / "docs/lost.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def installed() -> Iterator[Product]:
    """Two workers that have not been started yet."""
    environment = environment_of(CELERY_5_7)
    assert environment
    product = Product(environment)
    try:
        product.configure(WORKERS)
        product.procman("install")
        yield product
    finally:
        product.close()


@pytest.fixture
def product(installed: Product) -> Iterator[Product]:
    yield installed
    for path in (run_directory(installed, "crop"), run_directory(installed, "mail")):
        if path.is_file():
            path.unlink()
        for file in path.glob("*"):
            file.unlink()


def run_directory(product: Product, worker: str) -> Path:
    return product.directory / f"s/procman/catmaid/run/catmaid-{worker}"


def left(product: Product, *tasks: RunningTask, name: str = "tasks.record", **more: Any) -> Path:
    """Write a record that the worker `crop` left."""
    path = run_directory(product, "crop") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(record_of(*tasks, **{"pid": GONE_PID, "began": BEGAN - 10, "boot": boot_id(), **more}))
    return path


def lost(product: Product, *words: str) -> tuple[int, list[str], str]:
    """Return the exit status of `procman lost`, the lines that it prints, and its messages."""
    done = product.procman("lost", *words, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


def outcomes(product: Product, *words: str) -> dict[str, str]:
    """Return the texts in the last column, by task id."""
    status, lines, _ = lost(product, *words)
    assert status == 0
    begin = lines[0].index("OUTCOME")
    column = lines[0].index("ID")
    return {line[column:].split()[0]: line[begin:] for line in lines[1:-1]}


def test_nothing_lost_is_one_line(product: Product) -> None:
    assert lost(product) == (0, ["no task was interrupted"], "")
    left(product)
    assert lost(product) == (0, ["no task was interrupted"], "")


def test_each_outcome_is_shown(product: Product) -> None:
    tasks = [
        TASK._replace(id="gone"),
        TASK._replace(id="not-begun", progress=WAITING),
        TASK._replace(id="finished", progress=FINISHED),
        LATE._replace(id="late"),
        LATE._replace(id="back"),
    ]
    left(product, *tasks, transport="redis", visibility=3600.0)
    left(product, LATE._replace(id="rabbit"), name="tasks.record.1", transport="amqp")
    events = [Event(BEGAN + 5, "catmaid-crop", "handed-back", tasks=("mill.crop",), task_ids=("back",))]
    lines = [line_of(event) for event in events]
    again = Event(BEGAN + 6, "catmaid-crop", "lost", action="sent again", tasks=("mill.crop",), task_ids=("again",))
    lines.append(json.dumps({**json.loads(line_of(again)), "started": BEGAN, "acknowledged": "late"}))
    (run_directory(product, "crop") / "events.jsonl").write_text("".join(f"{line}\n" for line in lines))
    at = time.strftime("%H:%M", time.localtime(BEGAN + 3600))
    assert outcomes(product) == {
        "gone": "gone",
        "not-begun": "had not begun",
        "finished": "may have finished",
        "late": f"redelivered by Redis at {at}",
        "back": "handed back",
        "rabbit": "redelivered by RabbitMQ",
        "again": "sent again",
    }


def test_name_selects_a_program(product: Product) -> None:
    left(product, TASK)
    assert outcomes(product, "crop") == {TASK.id: "gone"}
    assert lost(product, "mail") == (0, ["no task was interrupted"], "")


def test_program_of_another_project_is_wrong_usage(product: Product) -> None:
    status, lines, message = lost(product, "shop-celery")
    assert (status, lines) == (2, [])
    assert message.splitlines() == ["procman: no program shop-celery; the programs are catmaid-crop, catmaid-mail"]


def test_project_can_be_named_anywhere(product: Product, tmp_path: Path) -> None:
    left(product, TASK)
    words = [sys.executable, "-m", "procman", "--project", "catmaid", "lost"]
    done = subprocess.run(words, env=product.environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1], done.stderr) == (0, "1 task interrupted", "")
    words[4] = "shop"
    done = subprocess.run(words, env=product.environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "shop" in done.stderr


def test_every_field_of_json_is_documented(product: Product) -> None:
    left(product, TASK, unrecorded=3)
    status, lines, _ = lost(product, "--json")
    document = json.loads("\n".join(lines))
    assert (status, document["format"], document["project"]) == (0, 1, "catmaid")
    [task] = document["tasks"]
    assert (task["program"], task["id"], task["name"]) == ("catmaid-crop", TASK.id, "mill.crop")
    assert (task["started"], task["acknowledged"], task["outcome"]) == (pytest.approx(BEGAN), "early", "gone")
    [unrecorded] = document["unrecorded"]
    assert unrecorded == {"program": "catmaid-crop", "pid": GONE_PID, "number": 3, "at": None}
    table = PAGE.partition("## JSON")[2]
    names = [*(f"`{name}" for name in [*document, *unrecorded]), *(f"`.{name}`" for name in task)]
    assert [name for name in names if name not in table] == []


@pytest.mark.parametrize("columns", [60, 120])
def test_terminal_gets_lines_that_fit(product: Product, columns: int) -> None:
    left(product, TASK, LATE._replace(id="late"), transport="redis", visibility=3600.0)
    status, shown = on_terminal(product, columns)
    assert status == 0
    assert max(map(len, shown)) <= columns
    assert shown[0] == f"mill.crop [{TASK.id}]"
    assert shown[-1] == "2 tasks interrupted"
    assert "\x1b" not in "".join(shown)


def on_terminal(product: Product, columns: int) -> tuple[int, Sequence[str]]:
    """Run `procman lost` on a terminal; return its exit status and the lines shown."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    words = [sys.executable, "-m", "procman", "--config", str(product.configuration), "lost"]
    done = subprocess.run(words, stdout=terminal, env={**product.environment, "TERM": "xterm"}, check=False)
    os.close(terminal)
    shown = os.read(controller, 65536).decode()
    os.close(controller)
    return done.returncode, shown.splitlines()


@pytest.mark.parametrize("content", [b"", b"no record", bytes(SIZE)])
def test_record_that_cannot_be_used_is_a_problem(product: Product, content: bytes) -> None:
    left(product, TASK._replace(id="older"), name="tasks.record.1")
    path = run_directory(product, "crop") / "tasks.record"
    path.write_bytes(content)
    status, lines, message = lost(product)
    assert (status, lines[-1]) == (1, "1 task interrupted")
    assert message == f"procman: catmaid-crop: {path} cannot be used: it is not a record of tasks\n"
    _, lines, _ = lost(product, "--json")
    assert json.loads("\n".join(lines))["problems"] == [message.strip().removeprefix("procman: ")]


def test_directory_that_cannot_be_entered_is_one_problem(product: Product) -> None:
    directory = run_directory(product, "crop")
    directory.rmdir()
    directory.write_text("")
    status, lines, message = lost(product)
    assert (status, lines) == (1, ["no task was interrupted"])
    assert message == f"procman: catmaid-crop: {directory}/tasks.record cannot be read: Not a directory\n"


def test_damaged_task_is_counted(product: Product) -> None:
    path = left(product, TASK, LATE)
    content = bytearray(path.read_bytes())
    content[300] ^= 1
    path.write_bytes(content)
    status, lines, _ = lost(product)
    assert (status, lines[-2:]) == (0, ["1 task interrupted", f"catmaid-crop: and 1 more of process {GONE_PID}"])
