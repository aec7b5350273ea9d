"""`procman reload` makes a command reload in the same process, and ends none that does not handle its signal."""

from __future__ import annotations

import json

import pytest

from tests.attacks.host import AttackedHost
from tests.product import Product, eventually

WAITS = "while :; do sleep 0.1; done"

RELOAD = """
[command.counts]
argv = ["sh", "-c", "trap 'echo {instance} >> DATA/counted' HUP; WAITS"]
instances = 2
reload_signal = "HUP"
[command.asks]
argv = ["sleep", "1000"]
directory = "DATA"
umask = "0027"
reload_command = ["sh", "-c", '''echo "$MAINPID $SECRET $PWD $(umask)" > answer''']
[command.stopped]
argv = ["sleep", "1000"]
autostart = false
reload_signal = "HUP"
[command.other]
argv = ["sleep", "1000"]
[beat]
autostart = false
"""

REFUSE = """
[command.deaf]
argv = ["sleep", "1000"]
reload_signal = "HUP"
[command.ignores]
argv = ["sh", "-c", "trap '' USR1; exec sleep 1000"]
reload_signal = "USR1"
[command.fails]
argv = ["sleep", "1000"]
reload_command = ["sh", "-c", "echo no $SECRET >&2; exit 3"]
[command.ends]
argv = ["sh", "-c", "trap 'echo bad code; exit 5' HUP; WAITS"]
reload_signal = "HUP"
start_seconds = 5
"""

SUPERVISORD_AS_ROOT = """
[command.asks]
argv = ["sleep", "1000"]
reload_command = ["sh", "-c", "id > /opt/catmaid/answer"]
"""


def configure(product: Product, programs: str) -> None:
    secrets = product.directory / "secrets"
    secrets.write_text("SECRET=kept-from-view\n")
    secrets.chmod(0o600)
    product.data.mkdir()
    product.environment["SUDO_USER"] = "ann"
    programs = programs.replace("DATA", str(product.data)).replace("WAITS", WAITS)
    product.configure(programs, project=f'environment_file = "{secrets}"')
    product.procman("install", "--wait", "30")


def pids(product: Product) -> dict[str, int]:
    return {name: each["pid"] for name, each in product.status().items()}


@pytest.mark.supervisord
@pytest.mark.celery
def test_commands_reload_by_signal_or_command_in_the_same_process(product: Product) -> None:
    configure(product, RELOAD)
    before = pids(product)

    done = product.procman("reload")
    names = ("catmaid-counts-1", "catmaid-counts-2", "catmaid-asks")
    assert done.stdout.splitlines() == [f"{name}: reloaded" for name in names]
    assert done.stderr == "catmaid-stopped: stopped on purpose, so it is not reloaded\n"
    assert pids(product) == before
    eventually(lambda: (product.data / "counted").read_text() == "1\n2\n", "each instance got the signal once")
    expected = f"{before['catmaid-asks']} kept-from-view {product.data} 0027\n"
    assert (product.data / "answer").read_text() == expected
    events = [json.loads(line) for line in product.procman("events", "--json").stdout.splitlines()]
    assert [(each["program"], each["by"]) for each in events if each["what"] == "reloaded"] == [
        (name, "ann") for name in names
    ]

    cannot = product.procman("reload", "asks", "other", check=False)
    assert (cannot.returncode, cannot.stdout) == (1, "")
    assert "catmaid-other cannot reload: neither reload_signal nor reload_command is set" in cannot.stderr
    assert "procman restart catmaid-other" in cannot.stderr
    beat = product.procman("reload", "asks", "other", "beat", check=False).stderr
    assert "catmaid-celery-beat cannot reload: only a [command.NAME] can" in beat
    assert "procman restart catmaid-other catmaid-celery-beat" in beat
    stopped = product.procman("reload", "stopped", check=False)
    assert stopped.returncode == 1
    assert "catmaid-stopped: cannot be reloaded, because it is STOPPED" in stopped.stderr
    assert "procman start catmaid-stopped" in stopped.stderr

    # A new signal is in no file of supervisord's, so it restarts nothing, and counts at once.
    text = product.configuration.read_text()
    product.configuration.write_text(text.replace('"HUP"', '"USR1"'))
    product.procman("install")
    assert pids(product) == before
    assert "would be ended by USR1" in product.procman("reload", "counts", check=False).stderr


@pytest.mark.supervisord
@pytest.mark.celery
def test_reload_that_would_end_a_command_or_does_is_a_failure(product: Product) -> None:
    configure(product, REFUSE)
    before = pids(product)
    for name, reason in {
        "deaf": f"was not reloaded, because its process {before['catmaid-deaf']} would be ended by HUP",
        "ignores": f"was not reloaded, because its process {before['catmaid-ignores']} ignores USR1",
        "fails": "could not be reloaded",
        "ends": f"ended after its reload: its process {before['catmaid-ends']} is gone",
    }.items():
        done = product.procman("reload", name, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"catmaid-{name}: {reason}" in done.stderr
        assert "kept-from-view" not in done.stderr
    assert "  | bad code" in done.stderr
    now = pids(product)
    assert [name for name in before if now[name] != before[name]] == ["catmaid-ends"]


@pytest.mark.supervisord
@pytest.mark.root
def test_reload_command_runs_as_the_service_user(host: AttackedHost) -> None:
    host.configure(rest=SUPERVISORD_AS_ROOT)
    host.procman("install")
    assert host.procman("reload").stdout == "catmaid-asks: reloaded\n"
    assert host.path("/opt/catmaid/answer").read_text().startswith("uid=2991(celery) gid=2991(celery)")
    host.assert_untouched()
