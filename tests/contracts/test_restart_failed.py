"""`procman restart --failed` restarts programs that are down although they should run, and no others."""

from __future__ import annotations

import signal

from tests.attacks.host import AttackedHost
from tests.product import eventually

PROGRAMS = """
[project]
name = "catmaid"
app = "mysite"
directory = "/opt/catmaid"
virtualenv = "/opt/venv"
user = "celery"
[defaults.program]
start_seconds = 0
[command.broken]
argv = ["sh", "-c", "test -e /opt/catmaid/repaired && exec sleep 1000; exit 7"]
start_seconds = 1
[command.broken.supervisor]
startretries = 0
[command.fine]
argv = ["sleep", "1000"]
[command.stopped]
argv = ["sleep", "1000"]
[command.spare]
argv = ["sleep", "1000"]
autostart = false
[supervisor]
mode = "embedded"
"""


def test_only_programs_that_should_run_and_do_not_are_restarted(host: AttackedHost) -> None:
    host.configure(text=PROGRAMS)
    host.procman("install")
    host.procman("stop stopped")
    eventually(lambda: "FATAL" in host.procman("status broken", check=False).stdout, "it has failed")
    before = host.asleep()

    assert host.procman("restart --failed fine").stdout == "no program has failed\n"
    host.root("touch /opt/catmaid/repaired")
    assert host.procman("restart --failed").stdout == "catmaid-broken: restarted\n"
    assert set(before) < set(host.asleep())
    assert len(host.asleep()) == len(before) + 1
    assert host.procman("restart --failed").stdout == "no program has failed\n"

    supervisord = host.pids("supervisord.conf")[0]
    host.root(f"kill -{signal.SIGSTOP} {supervisord}")
    unknown = host.procman("restart --failed fine", check=False)
    host.root(f"kill -{signal.SIGCONT} {supervisord}")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "the state of catmaid-fine is unknown" in unknown.stderr
