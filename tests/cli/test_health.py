"""The command line of health: exit statuses for wrong usage, and the streams that are used (U2, U3)."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from procman.cli.main import run
from tests.celery_environments import CELERY_5_7, environment_of
from tests.cli.test_imports import COUNTING
from tests.product import Product, eventually

pytestmark = [pytest.mark.supervisord, pytest.mark.xdist_group("health command line")]

SLEEP = '[command.sleep]\nargv = ["sleep", "1000"]\nlauncher = false\n[health]\nfree_space_mib = 1\nheal = false'


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    """A project with one healthy command."""
    environment = environment_of(CELERY_5_7)
    assert environment
    product = Product(environment)
    try:
        product.configure(SLEEP)
        product.procman("install", "--wait", "60")
        yield product
    finally:
        product.close()


@pytest.mark.parametrize(
    "arguments",
    [["--no-such-option"], ["--format", "xml"], ["--timeout", "soon"], ["--timeout", "0"], ["--output"], ["--watch"]],
)
def test_wrong_usage_exits_with_3_which_monitoring_takes_for_unknown(
    arguments: list[str], product: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    done = product.procman("health", *arguments, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert "Error:" in done.stderr


def test_help_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["health", "--help"]) == 0


def test_unknown_program_exits_with_3_and_prints_a_line_for_nagios(product: Product) -> None:
    plain = product.procman("health", "crop", check=False)
    assert (plain.returncode, plain.stdout) == (3, "")
    assert "no program crop" in plain.stderr
    nagios = product.procman("health", "crop", "--format", "nagios", check=False)
    assert nagios.returncode == 3
    assert nagios.stdout == "PROCMAN UNKNOWN - no program crop; the programs are catmaid-sleep\n"


def test_missing_configuration_exits_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["--config", str(tmp_path / "none.toml"), "health", "--format", "nagios"])
    assert status == 3
    assert capsys.readouterr().out.startswith("PROCMAN UNKNOWN - ")


def test_json_is_the_same_by_either_option(product: Product) -> None:
    found = [json.loads(product.procman("health", *words).stdout) for words in (["--json"], ["--format", "json"])]
    assert [each["level"] for each in found] == ["OK", "OK"]
    assert found[0].keys() == found[1].keys()


def test_output_file_that_cannot_be_written_exits_with_3(product: Product) -> None:
    done = product.procman("health", "--output", str(product.directory / "none" / "health.prom"), check=False)
    assert done.returncode == 3
    assert "cannot be written" in done.stderr
    done = product.procman("health", "--output", str(product.directory), check=False)
    assert done.returncode == 3
    assert done.stderr == (
        f"procman: {product.directory} is a directory\n  Name a file in it, such as {product.directory}/procman.prom\n"
    )


def test_expired_timeout_exits_with_3(product: Product) -> None:
    done = product.procman("health", "--timeout", "0.001", "--format", "nagios", check=False)
    assert done.returncode == 3
    assert done.stdout == "PROCMAN UNKNOWN - no result within 0.001 s, because a check hangs\n"


def test_broker_that_cannot_be_queried_is_reported(product: Product) -> None:
    """The project has neither a worker nor a beat whose launch could be used."""
    done = product.procman("health", "--probe", check=False)
    assert done.returncode == 3
    assert "catmaid: unknown PM501: cannot query the broker: the project has neither a worker nor" in done.stdout


@pytest.mark.parametrize(("command", "number", "status"), [("health", signal.SIGINT, 0), ("status", signal.SIGTERM, 0)])
def test_watch_refreshes_the_output_until_it_is_interrupted(
    command: str, number: signal.Signals, status: int, product: Product
) -> None:
    controller, terminal = pty.openpty()
    words = [sys.executable, "-m", "procman", "--config", str(product.configuration), command, "--watch"]
    environment = {**product.environment, "TERM": "xterm"}
    with subprocess.Popen(words, stdout=terminal, stderr=terminal, stdin=terminal, env=environment) as process:
        os.close(terminal)
        shown = bytearray()

        def is_shown_twice() -> bool:
            shown.extend(os.read(controller, 4096))
            return shown.count(b" running") >= 2

        eventually(is_shown_twice, "it is shown twice")
        process.send_signal(number)
        assert process.wait(120) == status
    shown.extend(os.read(controller, 4096))
    os.close(controller)
    # The lines before the command come back.
    assert shown.endswith(b"\x1b[?1049l")
    assert b"Traceback" not in shown


def test_file_is_complete_and_has_no_colours_on_a_terminal(product: Product, tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    words = [sys.executable, "-m", "procman", "--config", str(product.configuration), "health", "--output"]
    subprocess.run(
        [*words, tmp_path / "health"], stdout=terminal, env={**product.environment, "TERM": "xterm"}, check=True
    )
    os.close(terminal)
    os.close(controller)
    assert (tmp_path / "health").read_text().startswith("NAME           HEALTH  DETAIL\ncatmaid-sleep  ok")


def test_page_about_one_program_names_its_files(product: Product) -> None:
    page = product.procman("status", "sleep").stdout
    assert page.startswith("catmaid-sleep ([command.sleep])\n       State: RUNNING since ")
    assert f"  Defined in: {product.directory}/c/procman/supervisor/conf.d/catmaid-sleep.conf\n" in page
    [program] = json.loads(product.procman("status", "--json", "sleep").stdout)["programs"]
    assert program["log_file"] in page
    assert (program["queues"], program["tasks"], program["next_entries"], program["ends"]) == ([], [], [], [])


@pytest.mark.parametrize("command", ["status", "health"])
def test_commands_that_monitoring_calls_import_nothing_heavy(product: Product, command: str) -> None:
    words = [sys.executable, "-c", COUNTING, "--config", str(product.configuration), command]
    done = subprocess.run(
        words, env=product.environment, capture_output=True, text=True, check=True, cwd=product.directory
    )
    modules = set(done.stderr.splitlines()[-1].split())
    heavy = {"jinja2", "psutil", "subprocess", "supervisor", "urllib.request", "ssl", "xmlrpc", "difflib"}
    assert "procman.agent.verdict" in modules
    assert not modules & heavy
    assert not modules & {
        "procman.config.keys",
        "procman.install.plan.plan",
        "procman.probes.app_script",
        "procman.probes.broker",
    }
