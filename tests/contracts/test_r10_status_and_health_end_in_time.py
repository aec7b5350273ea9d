"""R10: status and health end within their time, whatever hangs."""

from __future__ import annotations

import signal
import time

import pytest

from tests.attacks.host import CONFIGURATION, HANGS_SECONDS, AttackedHost
from tests.product import eventually

RUN = "/var/lib/procman/catmaid/run/catmaid-worker"

CELERY = "import time\ndef main():\n    time.sleep(1000)\n"
"""Stands for Celery in a program whose heartbeat is read."""

ENDS_SECONDS = 40.0
"""Every time limit on the way is shorter; without one it would be for ever."""

HANGING = {
    "supervisord is stopped": "kill -STOP $(cat /var/lib/procman/supervisor/supervisord.pid)",
    "socket accepts and says nothing": "rm {socket} && exec python3 -c '{listener}' > /dev/null 2>&1 &",
    "files of a frozen worker are pipes": "kill -STOP {worker}; "
    f"for name in heartbeat.json events.jsonl healed.json; do rm -f {RUN}/$name && mkfifo {RUN}/$name; done",
    "log of supervisord is a pipe": "rm -f {log} && mkfifo {log}",
}
"""What hangs whoever waits for it."""

STATUSES = {"status": (0, 4), "health": (0, 1, 2, 3), "events": (0,), "heal": (0,)}
"""What may be asked meanwhile, and how that may end."""

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
    for name, text in (("__init__", ""), ("__main__", CELERY)):
        host.write(f"/opt/catmaid/celery/{name}.py", text)
    host.configure(rest="[worker.worker]\n")
    host.procman("install")
    eventually(lambda: len(host.asleep()) == 2 and len(host.pids("launcher.py")) == 1, "all have started")
    place = "/var/lib/procman/supervisor"
    host.write("/opt/listener.py", LISTENER)
    command = HANGING[what].replace("{socket}", f"{place}/supervisor.sock").replace("{log}", f"{place}/supervisord.log")
    command = command.replace("{worker}", str(host.pids("launcher.py")[0]))
    host.root(command.replace("python3 -c '{listener}'", "python3 /opt/listener.py"))
    begun = time.monotonic()
    # Side by side, for each may sit out a time limit of its own.
    asked = {words: host.start(f"exec procman --config {CONFIGURATION} {words}") for words in STATUSES}
    for words, process in asked.items():
        said, mistakes = process.communicate(timeout=HANGS_SECONDS)
        assert time.monotonic() - begun < ENDS_SECONDS, words
        assert process.returncode in STATUSES[words], said + mistakes
        assert "Traceback" not in mistakes
        if what == "supervisord is stopped" and words == "status":
            assert (process.returncode, said.count("UNKNOWN")) == (4, 3)
            assert "kill -CONT" in said
    for pid in host.pids("supervisord"):
        host.run(f"kill -{signal.SIGCONT} {pid}", "root", check=False)
