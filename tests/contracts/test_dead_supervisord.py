"""A supervisord that has died is reported once, and comes back without the programs that were stopped on purpose."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.product import Product, eventually

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]

SLEEP = '[command.{name}]\nargv = ["/bin/sleep", "1000"]\n'
PROGRAMS = (
    SLEEP.format(name="off") + "autostart = false\n" + "".join(SLEEP.format(name=name) for name in ("one", "two"))
)
CAUSE = "supervisord is not running: nothing answers at "


def kill_supervisord(product: Product) -> None:
    pid = product.supervisord_pid()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}").exists() and not product.processes(), "all programs have ended")


def install_another(product: Product) -> Path:
    """Install a second project under the same supervisord, and return its procman.toml."""
    product.configure(SLEEP.format(name="big"))
    other = product.directory / "mill" / "procman.toml"
    other.parent.mkdir()
    other.write_text(product.configuration.read_text().replace('name = "catmaid"', 'name = "mill"'))
    mine, product.configuration = product.configuration, other
    product.procman("install")
    product.configuration = mine
    return other


def spawned(product: Product, name: str) -> int:
    log = product.directory / "s/procman/supervisor/supervisord.log"
    return log.read_text().count(f"spawned: '{name}'")


def test_dead_supervisord_is_reported_once_and_brought_back_as_it_was(product: Product) -> None:
    install_another(product)
    product.configure(PROGRAMS)
    installed = product.procman("install")
    assert "catmaid-off: loaded, not started (autostart = false)\n" in installed.stdout
    assert f"restart   {product.procman_line} restart one\n" in installed.stdout
    product.procman("stop", "two")
    kill_supervisord(product)

    status = product.procman("status", check=False)
    assert (status.returncode, status.stdout.count(CAUSE)) == (3, 1)
    assert "procman start" in status.stdout
    states = product.status()
    assert {name: (each["state"], each["wanted"]) for name, each in states.items()} == {
        "catmaid-one": ("STOPPED", True),
        "catmaid-two": ("STOPPED", False),
        "catmaid-off": ("STOPPED", False),
    }
    nagios = product.procman("health", "--format", "nagios", check=False)
    assert nagios.returncode == 2
    assert nagios.stdout.startswith(f"CATMAID CRITICAL - {CAUSE}")
    for words in (["health"], ["health", "one"], ["health", "--format", "nagios"]):
        assert product.procman(*words, check=False).stdout.count(CAUSE) == 1, words
    metrics = product.procman("health", "--format", "openmetrics", check=False).stdout
    assert 'program="",code="PM113"} 2' in metrics

    back = product.procman("install", "--wait", "30")
    assert "supervisord was not running; it was started, and with it catmaid-one, mill-big\n" in back.stderr
    assert "stopped on purpose, so not started: catmaid-two\n" in back.stderr
    assert product.procman("status").returncode == 0
    assert (product.status()["catmaid-two"]["state"], product.status()["catmaid-two"]["wanted"]) == ("STOPPED", False)
    assert [spawned(product, f"catmaid-{name}") for name in ("one", "two", "off")] == [2, 1, 0]
    assert not list(product.supervisord_configuration.parent.rglob("*held*"))

    kill_supervisord(product)
    restarted = product.procman("restart", "one")
    assert restarted.stdout == "catmaid-one: started together with supervisord\n"
    assert "with it mill-big\n" in restarted.stderr
    kill_supervisord(product)
    started = product.procman("start")
    assert started.stdout == "catmaid-one: started together with supervisord\n"
    assert spawned(product, "catmaid-two") == 1
    kill_supervisord(product)
    assert product.procman("start", "two").stdout == "catmaid-two: started together with supervisord\n"
    eventually(lambda: product.procman("status", check=False).returncode == 0, "both run")
    events = [json.loads(line) for line in product.procman("events", "--json", "two").stdout.splitlines()]
    assert [event["what"] for event in events] == ["installed", "stopped", "started"]


def test_program_that_another_command_started_after_its_stop_comes_back(product: Product) -> None:
    product.configure(SLEEP.format(name="one") + SLEEP.format(name="two"))
    product.procman("install")
    product.procman("stop")
    product.supervisorctl("start", "catmaid-two")
    kill_supervisord(product)
    assert {name: each["wanted"] for name, each in product.status().items()} == {
        "catmaid-one": False,
        "catmaid-two": True,
    }
    started = product.procman("start")
    assert started.stdout == "catmaid-two: started together with supervisord\n"
    assert "stopped on purpose, so not started: catmaid-one\n" in started.stderr


def test_file_that_holds_programs_back_is_no_obstacle_after_a_kill(product: Product) -> None:
    product.configure(SLEEP.format(name="one"))
    product.procman("install")
    [section] = product.supervisord_configuration.parent.rglob("catmaid-one.conf")
    left = section.with_name("~held-back.conf")
    left.write_text("[program:catmaid-one]\nautostart=false\n")
    assert "nothing changed" in product.procman("install").stdout
    kill_supervisord(product)
    product.procman("start")
    assert not left.exists()
    assert product.status()["catmaid-one"]["pid"]
