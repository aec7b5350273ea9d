"""U2: the exit status reports what happened."""

from __future__ import annotations

import signal

import pytest

from procman.cli.main import COMMANDS
from tests.attacks.host import CONFIGURATION, TOML, AttackedHost
from tests.product import eventually

FAILING = """
[project]
name = "catmaid"
app = "mysite"
directory = "/opt/catmaid"
virtualenv = "/opt/venv"
user = "celery"
[defaults.program]
start_seconds = 0
[command.one]
argv = ["sh", "-c", "exit 7"]
[supervisor]
mode = "embedded"
"""


def status(host: AttackedHost, words: str) -> int:
    return host.procman(words, check=False).returncode


def test_success_usage_and_configuration(host: AttackedHost) -> None:
    assert status(host, "status") == 1
    assert status(host, "diff") == 0
    assert status(host, "diff --exit-code") == 1
    assert status(host, "install --wait 30") == 0
    assert status(host, "diff --exit-code") == 0
    for command in COMMANDS:
        assert status(host, f"{command} --no-such-option") == (3 if command == "health" else 2)
    assert status(host, "status no-such-program") == 2
    host.configure(rest="[worker.x]\nnonsense = 1\n")
    assert status(host, "install") == 2
    assert status(host, "health") == 1, "healthy, but procman.toml has changed since the install"


def test_running_and_unknown(host: AttackedHost) -> None:
    host.procman("install --wait 30")
    assert (status(host, "status"), status(host, "health")) == (0, 0)
    host.procman("stop two")
    assert (status(host, "status"), status(host, "health")) == (0, 0)
    supervisord = host.pids("supervisord.conf")[0]
    host.root(f"kill -{signal.SIGSTOP} {supervisord}")
    assert (status(host, "status"), status(host, "health")) == (4, 3)
    host.root(f"kill -{signal.SIGCONT} {supervisord}")


def test_failed_program(host: AttackedHost) -> None:
    host.configure(text=FAILING)
    host.procman("install")
    eventually(lambda: status(host, "status") == 3, "it has failed")
    # Between two attempts; during one, its state is STARTING.
    eventually(lambda: status(host, "health") == 2, "health reports it")
    host.procman("stop")
    assert status(host, "run one") == 7


def test_interrupted_command_names_the_command_that_completes_it(host: AttackedHost) -> None:
    host.configure(text=TOML.replace("start_seconds = 0", "start_seconds = 60"))
    with host.start(f"exec procman --config {CONFIGURATION} install --no-check --wait 60") as install:
        eventually(lambda: bool(host.pids("sleep")), "a program is started, and waited for")
        [pid] = host.pids("procman-under-test")
        host.root(f"kill -INT {pid}")
        _, errors = install.communicate(timeout=120)
    assert install.returncode == 130
    assert errors.endswith(
        "procman: interrupted\n  `procman install` completes it; `procman status` shows the steps that are left.\n"
    )


@pytest.mark.parametrize(
    ("words", "file", "line"),
    [
        ("logs -f one", "log/catmaid/catmaid-one.log", "a line"),
        ("events -f --json", "lib/procman/catmaid/events.jsonl", '{"format": 1, "at": 1.0, "what": "a line"}'),
    ],
    ids=["logs", "events"],
)
def test_interruption_is_the_normal_end_of_following_and_needs_no_message(
    host: AttackedHost, words: str, file: str, line: str
) -> None:
    host.procman("install --no-check")
    with host.start(f"exec procman --config {CONFIGURATION} {words}") as following:
        host.root(f"echo '{line}' >> /var/{file}")
        assert following.stdout
        assert any("a line" in each for each in following.stdout)
        [pid] = host.pids("procman-under-test")
        host.root(f"kill -INT {pid}")
        _, errors = following.communicate(timeout=120)
    assert (following.returncode, errors) == (130, "")


def test_interrupted_restart_names_the_program_that_will_not_start_again(host: AttackedHost) -> None:
    host.configure(
        text=TOML.replace(
            'argv = ["sleep", "1000"]', 'argv = ["sh", "-c", "trap : TERM; sleep 1000 & wait; sleep 1000"]', 1
        )
    )
    host.procman("install --no-check")
    eventually(lambda: len(host.asleep()) == 2, "the shell has its trap, and both programs sleep")
    with host.start(f"exec procman --config {CONFIGURATION} restart one") as restart:
        status_now = f"procman --config {CONFIGURATION} status"
        eventually(lambda: "STOPPING" in host.run(status_now, "root", check=False).stdout, "the program is stopping")
        [pid] = host.pids("procman-under-test")
        host.root(f"kill -INT {pid}")
        _, errors = restart.communicate(timeout=120)
    assert restart.returncode == 130
    assert errors.endswith(
        "procman: interrupted\n"
        "  catmaid-one may stop now, and will not start again. Start it with: procman start catmaid-one\n"
    )
