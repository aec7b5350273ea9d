"""`procman init --compare` reads old programs that really run, with a real Celery, from /proc."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from procman.celery_cli.canonical import canonical
from procman.cli.main import run
from procman.host import process
from procman.subprocesses import SYSTEM_PATH
from tests.backends.supervisor.real_supervisord import Supervisord, eventually
from tests.celery_environments import CELERY_5_7, environment_of
from tests.product import DEMO, Product

WORKER = "-A mysite worker -P solo -Q {queue} -n crop@%h -l warning"


@pytest.fixture
def product(monkeypatch: pytest.MonkeyPatch) -> Iterator[Product]:
    # Of a developer's own directories, procman would have none.
    monkeypatch.setenv("PATH", SYSTEM_PATH)
    environment = environment_of(CELERY_5_7)
    assert environment
    found = Product(environment)
    found.data.mkdir()
    yield found
    found.close()


def compare(capsys: pytest.CaptureFixture[str], *sources: Path) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit status of a comparison, and its programs."""
    words = [word for source in sources for word in ("--from", str(source))]
    status = run(
        ["init", str(DEMO), *words, "--scope", "user", "--compare", "--json", "--output", "/nonexistent/p.toml"]
    )
    output = capsys.readouterr()
    assert output.out, output.err
    [project] = json.loads(output.out)["projects"]
    return status, project["programs"]


def celery_in(pid: int) -> int:
    """Return `pid` once it executes Celery; before that it is a copy of what runs it."""
    return pid if pid and canonical(process.arguments(pid)) else 0


def unexplained(program: dict[str, Any]) -> dict[str, tuple[str, str]]:
    found = (each for each in program["values"] if not (each["equal"] or each["reason"]))
    return {each["name"]: (each["old"], each["new"]) for each in found}


@pytest.mark.celery
def test_program_of_supervisord(product: Product, supervisord: Supervisord, capsys: pytest.CaptureFixture[str]) -> None:
    def write(queue: str, more: str = "") -> Path:
        command = f"{product.virtualenv}/bin/celery {WORKER}".format(queue=queue).replace("%", "%%")
        environment = f'DEMO_DATA_DIRECTORY="{product.data}",DJANGO_SETTINGS_MODULE="mysite.settings"{more}'
        return supervisord.section("crop", command, directory=DEMO, umask="027", environment=environment)

    file = write("crop")
    supervisord.start()
    pid = eventually(lambda: celery_in(supervisord.client.call("getProcessInfo", "crop")["pid"]))
    status, [program] = compare(capsys, file)
    assert (program["pid"], unexplained(program), status) == (pid, {}, 0)
    # The process has the old file still, and does not get the variable.
    write("other", ',MORE="1"')
    status, [program] = compare(capsys, file)
    assert unexplained(program) == {"--queues": ("crop", "other"), "MORE": (None, "1")}
    assert status == 1
