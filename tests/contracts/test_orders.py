"""Orders of an administrator: events with their author, and a restart that is interrupted is no stop on purpose."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tests.product import Product, eventually

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]

QUICK = '[command.quick]\nargv = ["/bin/sleep", "1000"]\n'
SLOW = '[command.slow]\nargv = ["/bin/sh", "{script}"]\nstop_timeout_seconds = 60\n'
SCRIPT = "trap 'while [ ! -e {free} ]; do sleep 0.1; done; exit' TERM\nwhile :; do sleep 0.1; done\n"


def events(product: Product, *names: str) -> list[tuple[str, str, str]]:
    """Return program, kind and reason of each event; each has an author."""
    found = [json.loads(line) for line in product.procman("events", "--json", *names).stdout.splitlines()]
    assert {event["by"] for event in found} == {"ann"}
    return [(event["program"].removeprefix("catmaid-"), event["what"], event["reason"]) for event in found]


def test_every_order_is_an_event_with_its_author(product: Product) -> None:
    product.environment["SUDO_USER"] = "ann"
    product.configure(QUICK)
    product.procman("install", "--wait", "30", "--message", "first")
    assert product.procman("start").stdout == "catmaid-quick: already running\n"
    product.procman("stop", "quick")
    assert product.procman("start", "quick").stdout == "catmaid-quick: started\n"
    product.procman("restart", "quick")
    product.configure(QUICK + "nice = 1\n")
    product.procman("install")
    product.procman("rollback")
    product.procman("hold", "quick", "--reason", "upgrade")
    product.procman("release", "quick")
    assert events(product) == [
        ("", "installed", "generation 1: first"),
        ("quick", "installed", "started together with supervisord"),
        ("quick", "stopped", ""),
        ("quick", "started", ""),
        ("quick", "restarted", ""),
        ("", "installed", "generation 2"),
        ("quick", "installed", "restarted"),
        ("", "rolled back", "generation 3, which is generation 1 again"),
        ("quick", "rolled back", "restarted"),
        ("quick", "held", "upgrade"),
        ("quick", "released", ""),
    ]
    product.procman("uninstall")
    written = (product.directory / "s/procman/catmaid/events.jsonl").read_text().splitlines()
    assert [json.loads(line)["what"] for line in written[-2:]] == ["uninstalled", "uninstalled"]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT], ids=lambda number: number.name)
def test_interrupted_restart_is_no_stop_on_purpose(product: Product, number: signal.Signals) -> None:
    free, script = product.directory / "free", product.directory / "slow.sh"
    script.write_text(SCRIPT.format(free=free))
    product.configure(SLOW.format(script=script))
    product.procman("install")
    eventually(lambda: state(product) == ("RUNNING", True), "it runs")

    # The tests themselves may run under nohup, which ignores SIGHUP for every process that it starts.
    words = ["env", "--default-signal=HUP", sys.executable, "-m", "procman"]
    words += ["--config", str(product.configuration), "restart", "slow"]
    restart = subprocess.Popen(words, env=product.environment, cwd=product.directory, stderr=subprocess.PIPE)
    eventually(lambda: state(product) == ("STOPPING", True), "it stops")
    going_on = product.procman("status", check=False)
    assert going_on.returncode == 3
    assert "being restarted by " in going_on.stdout

    restart.send_signal(number)
    restart.communicate(timeout=120)
    free.touch()
    eventually(lambda: state(product) == ("STOPPED", True), "it is stopped, and should run")
    left = product.procman("status", check=False)
    assert left.returncode == 3
    assert "was not completed" in left.stdout
    assert "procman start catmaid-slow" in left.stdout

    product.procman("start", "slow")
    eventually(lambda: state(product) == ("RUNNING", True), "it runs again")
    assert product.procman("status").returncode == 0
    product.procman("stop", "slow")
    assert state(product) == ("STOPPED", False)
    assert product.procman("status").returncode == 0


def test_program_that_its_launcher_refuses_is_not_waited_for(product: Product) -> None:
    variables = product.directory / "celery.env"
    variables.write_text("A=1\n")
    variables.chmod(0o600)
    product.configure(QUICK, project=f'environment_file = "{variables}"')
    product.procman("install", "--wait", "30")
    variables.write_text("CELERY_WORKER_DETACH=1\n")
    refused = product.procman("restart", "--no-check", "--wait", "250", check=False, timeout=120)
    assert refused.returncode == 1
    assert refused.stderr.startswith("catmaid-quick: cannot be started: ")
    assert f"{variables}:1: remove CELERY_WORKER_DETACH" in refused.stderr


def state(product: Product) -> tuple[str, bool]:
    [found] = product.status().values()
    return found["state"], found["wanted"]
