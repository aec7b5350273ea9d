"""An interrupted uninstall: what status, health and install report until it is complete."""

from __future__ import annotations

import json
import signal

from tests.attacks.host import AttackedHost
from tests.product import eventually

SLOW_TO_STOP = """
[project]
name = "catmaid"
app = "mysite"
directory = "/opt/catmaid"
virtualenv = "/opt/venv"
user = "celery"
[defaults.program]
start_seconds = 0
[command.one]
argv = ["sleep", "1000"]
[command.two]
# It ends when it has read a line, not at SIGTERM.
argv = ["sh", "-c", "trap '' TERM; exec cat /opt/catmaid/end"]
stop_timeout_seconds = 60
[supervisor]
mode = "embedded"
"""

END = "echo > /opt/catmaid/end"


def reads(host: AttackedHost) -> bool:
    found = (host.path(f"/proc/{pid}/cmdline") for pid in host.pids("/opt/catmaid/end"))
    return any(path.read_bytes().startswith(b"cat") for path in found)


def interrupt_uninstall(host: AttackedHost) -> None:
    """Interrupt an uninstall that has removed the files and waits for one program to end."""
    eventually(lambda: reads(host), "that program ignores SIGTERM")
    with host.start("exec procman --config /etc/catmaid/procman.toml uninstall") as uninstall:
        try:
            eventually(lambda: not any(host.path("/etc/procman/catmaid").iterdir()), "the files are removed")
            eventually(lambda: not host.asleep(), "one program has ended")
        finally:
            host.root(f"kill -{signal.SIGINT} {host.pids('uninstall')[0]}")
        _, shown = uninstall.communicate(timeout=120)
    assert "The same command completes it" in shown


def test_status_and_health_advise_to_complete_it_and_install_reports_that_it_reverses_it(host: AttackedHost) -> None:
    host.configure(text=SLOW_TO_STOP)
    host.root("mkfifo -m 666 /opt/catmaid/end")
    host.procman("install")
    interrupt_uninstall(host)

    status = host.procman("status", check=False)
    assert status.returncode == 3
    assert "an uninstall was interrupted; steps left: " in status.stdout
    assert status.stdout.endswith("\n  procman uninstall\n")
    assert "install\n" not in status.stdout.replace("uninstall", "")
    assert "missing" not in status.stdout
    document = json.loads(host.procman("status --json", check=False).stdout)
    assert (document["interrupted"], document["in_sync"], document["differences"]) == ("uninstall", False, [])

    health = host.procman("health", check=False)
    assert "warning PM601: an uninstall was interrupted\n  procman uninstall\n" in health.stdout
    assert "missing" not in health.stdout

    check = host.procman("check", check=False)
    assert "next   an uninstall of catmaid was interrupted: procman " in check.stderr, check.stdout
    assert "--dry-run" not in check.stderr

    for command in ("start", "restart one"):
        refused = host.procman(command, check=False)
        assert refused.returncode == 1
        assert refused.stderr.startswith("procman: an uninstall of catmaid was interrupted\n  procman uninstall ")
    assert "an uninstall of catmaid was interrupted; " in host.procman("install --dry-run").stderr
    host.root(END)
    installed = host.procman("install")
    assert (
        "an uninstall of catmaid was interrupted; this install brings back its files and programs\n" in installed.stderr
    )
    assert "interrupted" not in host.procman("status", check=False).stdout
    assert "interrupted" not in host.procman("install").stderr

    interrupt_uninstall(host)
    host.root(END)
    assert "catmaid: uninstalled\n" in host.procman("uninstall").stdout
    assert host.procman("status", check=False).returncode == 1
