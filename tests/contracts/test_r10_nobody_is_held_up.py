"""R10: status and health end within their time, whatever hangs."""

from __future__ import annotations

import signal
import time

import pytest

from tests.attacks.host import AttackedHost

RUN = "/var/lib/procman/catmaid/run/catmaid-one"

ENDS_SECONDS = 40.0
"""Every time limit on the way is shorter; without one it would be for ever."""

HANGING = {
    "supervisord is stopped": "kill -STOP $(cat /var/lib/procman/supervisor/supervisord.pid)",
    "socket accepts and says nothing": "rm {socket} && exec python3 -c '{listener}' > /dev/null 2>&1 &",
    "files of a program are pipes": f"for name in heartbeat.json events.jsonl; do mkfifo {RUN}/$name; done",
    "log of supervisord is a pipe": "rm -f {log} && mkfifo {log}",
}
"""What hangs whoever waits for it."""

LISTENER = """
import socket, time
listener = socket.socket(socket.AF_UNIX)
listener.bind("/var/lib/procman/supervisor/supervisor.sock")
listener.listen()
held = []
while True:
    held.append(listener.accept())
"""


@pytest.mark.parametrize("what", HANGING)
def test_they_end_and_say_what_they_could_not_tell(host: AttackedHost, what: str) -> None:
    host.procman("install --wait 30")
    place = "/var/lib/procman/supervisor"
    host.write("/opt/listener.py", LISTENER)
    command = HANGING[what].replace("{socket}", f"{place}/supervisor.sock").replace("{log}", f"{place}/supervisord.log")
    host.root(command.replace("python3 -c '{listener}'", "python3 /opt/listener.py"))
    for words, statuses in (("status", (0, 4)), ("status --json", (0, 4)), ("health", (0, 2, 3)), ("events", (0,))):
        begun = time.monotonic()
        done = host.procman(words, check=False)
        assert time.monotonic() - begun < ENDS_SECONDS, words
        assert done.returncode in statuses, done.stdout + done.stderr
        if "supervisord is stopped" in what and words == "status":
            assert (done.returncode, done.stdout.count("UNKNOWN")) == (4, 2)
            assert "kill -CONT" in done.stdout
    for pid in host.pids("supervisord"):
        host.run(f"kill -{signal.SIGCONT} {pid}", "root", check=False)
