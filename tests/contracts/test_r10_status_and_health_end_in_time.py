"""R10: status and health end within their time limit, whatever hangs."""

from __future__ import annotations

import signal
import time

import pytest

from tests.attacks.host import CONFIGURATION, HANGS_SECONDS, AttackedHost
from tests.product import eventually

RUN = "/var/lib/procman/catmaid/run/catmaid-worker"

CELERY = "import time\ndef main():\n    time.sleep(1000)\n"
"""Replaces Celery in a program whose heartbeat is read."""

ENDS_SECONDS = 100.0
"""Longer than every time limit involved; without one, a command would never end."""

HANGING = {
    "supervisord is stopped": "kill -STOP $(cat /var/lib/procman/supervisor/supervisord.pid)",
    "socket accepts and never answers": "rm {socket} && exec python3 -c '{listener}' > /dev/null 2>&1 &",
    "files of a frozen worker are pipes": "kill -STOP {worker}; "
    f"for name in heartbeat.json events.jsonl healed.json; do rm -f {RUN}/$name && mkfifo {RUN}/$name; done",
    "log of supervisord is a pipe": "rm -f {log} && mkfifo {log}",
}
"""Faults that block a command without a time limit."""

STATUSES = {"status": (0, 4), "health": (0, 1, 2, 3), "events": (0,), "heal": (0,)}
"""Commands that must end in spite of the fault, and their possible exit statuses."""

LISTENER = """
import socket, time
listener = socket.socket(socket.AF_UNIX)
listener.bind("/var/lib/procman/supervisor/supervisor.sock")
listener.listen()
held = []
while True:
    held.append(listener.accept())
"""


@pytest.mark.parametrize("fault", HANGING)
def test_commands_end_in_time_and_report_unknown_states(host: AttackedHost, fault: str) -> None:
    for name, text in (("__init__", ""), ("__main__", CELERY)):
        host.write(f"/opt/catmaid/celery/{name}.py", text)
    host.configure(rest="[worker.worker]\n")
    host.procman("install")
    eventually(lambda: len(host.asleep()) == 2 and len(host.pids("launcher.py")) == 1, "all have started")
    place = "/var/lib/procman/supervisor"
    host.write("/opt/listener.py", LISTENER)
    command = (
        HANGING[fault].replace("{socket}", f"{place}/supervisor.sock").replace("{log}", f"{place}/supervisord.log")
    )
    command = command.replace("{worker}", str(host.pids("launcher.py")[0]))
    host.root(command.replace("python3 -c '{listener}'", "python3 /opt/listener.py"))
    begun = time.monotonic()
    # In parallel, because each may wait for a time limit of its own.
    asked = {words: host.start(f"exec procman --config {CONFIGURATION} {words}") for words in STATUSES}
    for words, process in asked.items():
        output, errors = process.communicate(timeout=HANGS_SECONDS)
        assert time.monotonic() - begun < ENDS_SECONDS, words
        assert process.returncode in STATUSES[words], output + errors
        assert "Traceback" not in errors
        if fault == "supervisord is stopped" and words == "status":
            assert (process.returncode, output.count(" UNKNOWN ")) == (4, 3)
            assert "kill -CONT" in output
    for pid in host.pids("supervisord"):
        host.run(f"kill -{signal.SIGCONT} {pid}", "root", check=False)
