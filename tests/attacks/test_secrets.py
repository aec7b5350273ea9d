"""S2: with a canary in every place that takes a secret, search everything that other users could read."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.attacks.host import CONFIGURATION, STRANGER, AttackedHost
from tests.celery_environments import CELERY_5_7, environment_of
from tests.product import Product, eventually

CANARY = f"c4n4ry-0f-{os.getpid()}"
"""Different for each process, because other processes may run the same tests at the same time."""

ENVIRONMENT_FILE = f"""
DB_PASSWORD={CANARY}
export_me='{CANARY}'
RESULT_URL=redis://:{CANARY}@localhost:1/0
PLAIN={CANARY}
"""

PROGRAMS = """
[worker.celery]
concurrency = 1

[beat]
"""

REFUSED = {
    "a variable named like a secret": f"[environment]\nDB_PASSWORD = '{CANARY}'",
    **{
        f"the variable {name}": f"[environment]\n{name} = '{CANARY}'"
        for name in ("PGPASSWORD", "MYSQL_PWD", "DB_PASS", "REDISCLI_AUTH", "APIKEY", "GITHUB_PAT", "PRIVATE_KEY_PEM")
    },
    "a password of digits only": "[environment]\nDB_PASS = '20231199'",
    "an option with a blank": f"[command.flower]\nargv = ['celery', 'flower', '--basic_auth', 'user:{CANARY}']",
    "a header": f"[command.ping]\nargv = ['/usr/bin/curl', '-H', 'Authorization: Bearer {CANARY}']",
    "a variable with a key": f"[environment]\nSTRIPE_API_KEY = '{CANARY}'",
    "a variable with a URL": f"[environment]\nBROKER = 'amqp://user:{CANARY}@host//'",
    "a variable of one program": f"[worker.celery.environment]\nAUTH_TOKEN = '{CANARY}'",
    "a variable without quotes": f"[environment]\nDB_PASSWORD = {CANARY}",
    "a variable in a list": f"[environment]\nDB_PASSWORD = ['{CANARY}']",
    "the broker as an option": f"[worker.more]\nextra_arguments = ['--broker=amqp://user:{CANARY}@host//']",
    "the broker as two words": f"[worker.more]\nextra_arguments = ['-b', 'amqp://user:{CANARY}@host//']",
    "an option of a command": f"[command.flower]\nargv = ['celery', 'flower', '--basic_auth=user:{CANARY}']",
    "two words of a command": f"[command.flower]\nargv = ['celery', 'flower', '--password', '{CANARY}']",
    "an option of supervisord": f"[worker.more.supervisor]\nserverurl = 'http://user:{CANARY}@host'",
    "a directive of systemd": f"[worker.more.systemd]\nBindPaths = '/srv/x?password={CANARY}'",
    "the management of RabbitMQ": f"[health]\nmanagement_url = 'http://user:{CANARY}@localhost:15672'",
    "a command for events": f"[health]\non_event = ['/bin/mail', '--password={CANARY}']",
    "an unknown key": f"[worker.more]\npassword = '{CANARY}'",
    "an unknown table": f"[secrets]\nbroker = '{CANARY}'",
    "a key of another type": f"[worker.more]\nconcurrency = '{CANARY}'",
    "a choice": f"[worker.more]\npool = '{CANARY}'",
}
"""Places in procman.toml where a secret is refused; the refusal must not show it."""

RUN_COMMANDS = (
    "check --json",
    "render",
    "diff -v",
    "diff --json",
    "install --wait 60",
    "status --json",
    "status celery",
    "queues",
    "queues --json",
    "list --json",
    "health -v",
    "health --format json",
    "health --format nagios --probe",
    "hold celery",
    "events --json",
    "release celery",
    "heal",
    "restart celery",
    "history",
    "stop",
    "status",
    "uninstall",
    "uninstall --purge",
)
"""From install to uninstall. Other tests check the output and exit status of these commands."""


class Watch:
    """A thread that reads what every user can read of each process, as fast as possible."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self.looks = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.01):
            self.looks += 1
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    words = (process / "cmdline").read_bytes()
                    is_sender = b"apply_async" in words  # the test's own
                    if CANARY.encode() in words and not is_sender:
                        self.found.add(f"command line: {words!r}")
                    # Those of supervisord and procman; the programs are meant to have the variables.
                    ours = b"supervisord" in words or b"-m\0procman" in words
                    if ours and CANARY.encode() in (process / "environ").read_bytes():
                        self.found.add(f"environment of {words!r}")


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    environment = environment_of(CELERY_5_7)
    assert environment
    product = Product(environment)
    secrets = product.directory / "celery.env"
    secrets.touch(0o600)
    secrets.write_text(ENVIRONMENT_FILE)
    configure(product)
    try:
        yield product
    finally:
        product.close()


def configure(product: Product, more: str = "", programs: str = PROGRAMS) -> None:
    """Write procman.toml with canaries in the places that may contain secrets."""
    product.configure(programs)
    text = product.configuration.read_text().replace(
        "[environment]", f'environment_file = "{product.directory}/celery.env"\n\n[environment]', 1
    )
    product.configuration.write_text(f"# The old password was {CANARY}.\n{text}\n{more}\n")
    product.configuration.chmod(0o600)


def readable_by_others(product: Product) -> Iterator[Path]:
    """Yield the files whose own mode lets others read them, whatever their directory's, except the project's data."""
    for path in product.directory.rglob("*"):
        with suppress(OSError):
            status = path.lstat()
            is_program_log = path.suffix == ".log" and path.parent.name == "log"
            is_of_project = is_program_log or path.is_relative_to(product.data)
            if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077 and not is_of_project:
                yield path


@pytest.mark.supervisord
@pytest.mark.celery
def test_no_command_shows_a_secret_to_other_users(product: Product) -> None:
    shown: dict[str, str] = {}
    with Watch() as watch:
        for command in RUN_COMMANDS:
            done = product.procman(*command.split(), check=False)
            shown[command] = done.stdout + done.stderr
            if command == "install --wait 60":
                # The arguments of a task are secret, too.
                product.send("hold", 1, CANARY)
                eventually(lambda: product.counted("started") == {1: 1}, "the task has started, and failed")
            files = [path for path in readable_by_others(product) if CANARY.encode() in path.read_bytes()]
            assert not files, f"after {command}: {files}"
    assert [command for command, text in shown.items() if CANARY in text] == []
    assert watch.found == set()
    assert watch.looks > len(RUN_COMMANDS)
    # The secret was in use, so the searches could have found it.
    assert "celery.env" in shown["render"]


@pytest.mark.supervisord
@pytest.mark.celery
def test_message_of_an_install_is_recorded_without_a_value_of_the_environment_file(product: Product) -> None:
    product.procman("install", "--message", f"the new password is {CANARY}")
    try:
        history = product.procman("history").stdout
        assert "the new password is ***" in history
        assert [path for path in readable_by_others(product) if CANARY.encode() in path.read_bytes()] == []
    finally:
        product.procman("uninstall", "--purge")


@pytest.mark.parametrize("table", REFUSED.values(), ids=list(REFUSED))
def test_misplaced_secret_is_refused_and_not_shown(product: Product, table: str) -> None:
    configure(product, table, "[worker.celery]\nconcurrency = 1\n")
    if "[environment]" in table:
        text = product.configuration.read_text()
        product.configuration.write_text(text.replace("[environment]\nDEMO", "[worker.celery.environment]\nDEMO"))
    for command in ("check", "render", "install"):
        done = product.procman(command, check=False)
        assert done.returncode == 2, done.stdout + done.stderr
        assert CANARY not in done.stdout + done.stderr
        if table.startswith("[environment]\nDB_PASS ="):
            assert 'set public = ["DB_PASS"] in [project]' in done.stderr
    configure(product)


PIECES = (f"Fir{os.getpid()}st", f"Sec{os.getpid()}ond", f"Thi{os.getpid()}rd")
"""Of a password that is not percent-encoded: a parser of URLs takes the first piece for the port, and quotes it."""

PRINTED = f"""
CELERY_BROKER_URL='amqp://:{PIECES[0]}#{PIECES[1]}/{PIECES[2]}@127.0.0.1:1/0'
DB_PASSWORD={CANARY}
"""


def leaked(product: Product, *arguments: str) -> tuple[list[str], str]:
    """Run procman; return the secrets in its output, and the output."""
    done = product.procman(*arguments, check=False)
    shown = done.stdout + done.stderr
    return [each for each in (*PIECES, CANARY) if each.lower() in shown.lower()], shown


@pytest.mark.supervisord
@pytest.mark.celery
def test_failed_install_shows_no_part_of_a_password(product: Product) -> None:
    configure(product)
    (product.directory / "celery.env").write_text(PRINTED)
    found, shown = leaked(product, "install", "--wait", "30", "--keep-failed")
    assert "Port could not be cast to integer value as '***'" in shown
    assert found == []
    for command in ("check", "check --json", "health --probe", "events --json", "status --json"):
        assert leaked(product, *command.split())[0] == [], command
    product.procman("uninstall", "--purge")


EXISTING = f"""
[program:catmaid-celery]
command=/opt/env/bin/celery -A mysite worker --broker=amqp://user:{CANARY}@host//
environment=DB_PASSWORD="{CANARY}",BROKER="amqp://user:{CANARY}@host//"
"""


def test_secrets_of_imported_files_are_not_copied(product: Product) -> None:
    file = product.directory / "existing.conf"
    file.write_text(EXISTING)
    for words in (("init", "--from", str(file), "--output", "-"), ("check", "--lint", str(file))):
        done = (
            product.procman(*words, str(product.directory))
            if words[0] == "init"
            else product.procman(*words, check=False)
        )
        assert CANARY not in done.stdout + done.stderr
    file.unlink()


def found_by(host: AttackedHost, user: str) -> list[str]:
    """Return the files written on `host`, and the processes, in which `user` can read the canary."""
    files = " ".join(path for path, (_, _, kind) in host.changed().items() if kind == "-")
    processes = "/proc/[0-9]*/cmdline /proc/[0-9]*/environ"
    # A character class, so that grep does not find its own command line.
    return host.run(f"grep -lsa {CANARY[:-1]}[{CANARY[-1]}] {files} {processes}", user, check=False).stdout.split()


def test_other_user_of_host_finds_no_secret(host: AttackedHost) -> None:
    host.write("/etc/catmaid/celery.env", ENVIRONMENT_FILE, 0o640)
    host.root("chgrp celery /etc/catmaid/celery.env")
    host.configure('environment_file = "/etc/catmaid/celery.env"')
    text = host.path(CONFIGURATION).read_text()
    host.write(CONFIGURATION, f"# The old password was {CANARY}.\n{text}", 0o600)
    host.procman("install --wait 30")
    eventually(lambda: len(host.asleep()) == 2, "the programs have started")
    # The programs have the canary, and root finds it in the environment file.
    assert CANARY in host.path(f"/proc/{host.asleep()[0]}/environ").read_text()
    assert "/etc/catmaid/celery.env" in found_by(host, "root")
    host.procman("restart one")
    assert found_by(host, STRANGER) == []
    host.procman("uninstall")
    assert found_by(host, STRANGER) == []
