"""Control characters in text of programs, other users and their files are printed in escaped form."""

from __future__ import annotations

import json

from tests.attacks.host import CONFIGURATION, AttackedHost
from tests.product import eventually

SEQUENCE = "\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\x08\x00\r"
"""Sets a title, clears the screen, changes colours, and overwrites the line."""

SPEAKING = """
[project]
name = "catmaid"
app = "mysite"
directory = "/opt/catmaid"
virtualenv = "/opt/venv"
user = "celery"
[command.one]
argv = ["sh", "/opt/catmaid/speak"]
start_seconds = 0
[supervisor]
mode = "embedded"
"""

SHOWING = (
    "logs one",
    "logs",
    "status",
    "status one",
    "status --json",
    "queues",
    "events",
    "health",
    "health -v",
    "diff -v",
    "diff --json",
    "install --dry-run -v",
    "history",
    "render",
    "check -v",
)

EVENT = {
    "format": 1, "at": 1_700_000_000, "program": SEQUENCE, "what": f"found{SEQUENCE}", "code": f"PM201{SEQUENCE}",
    "level": SEQUENCE, "reason": f"because {SEQUENCE}", "action": SEQUENCE, "tasks": [SEQUENCE], "by": SEQUENCE,
}  # fmt: skip

MISTAKES = """
["command"."\\u001b[31m"]
argv = ["x"]
"\\u001b[31m" = "\\u001b[31m"
"""


def assert_harmless(text: str) -> None:
    """Check that `text` contains no control character that a terminal would act on."""
    assert not [character for character in text if ord(character) < 32 and character not in "\n\t"], repr(text)
    assert not [character for character in text if 0x7F <= ord(character) < 0xA0], repr(text)


def test_output_of_others_sends_no_control_character_to_terminal(host: AttackedHost) -> None:
    host.path("/opt/catmaid/said").write_text(f"said {SEQUENCE}\n")
    host.write("/opt/catmaid/speak", "cat /opt/catmaid/said; exec sleep 1000\n")
    host.configure(text=SPEAKING)
    host.procman("install")
    eventually(
        lambda: "owned" in host.path("/var/log/catmaid/catmaid-one.log").read_text(), "it has written the sequence"
    )
    host.path("/var/lib/procman/catmaid/run/catmaid-one/events.jsonl").write_text(json.dumps(EVENT) + "\n")
    host.root("chown celery /var/lib/procman/catmaid/run/catmaid-one/events.jsonl")
    script = host.path("/etc/procman/catmaid/catmaid-one.sh")
    script.write_text(f"{script.read_text()}# {SEQUENCE}\n")
    for words in SHOWING:
        done = host.procman(words, check=False)
        assert_harmless(done.stdout + done.stderr)
    assert "owned" in host.procman("logs one").stdout
    assert "owned" in host.procman("diff -v").stdout


def test_error_messages_send_no_control_character_to_terminal(host: AttackedHost) -> None:
    host.configure(rest=MISTAKES)
    for words in ("status", "install", "check"):
        done = host.procman(words, check=False)
        assert_harmless(done.stdout + done.stderr)
    host.configure()
    host.procman("install")
    for words in ("status", "restart", "logs", "hold"):
        # The caller's own words, but perhaps pasted from another source.
        done = host.run(f"procman --config {CONFIGURATION} {words} \"$(printf '\\033[31m')\"", "root", check=False)
        assert done.returncode == 2
        assert_harmless(done.stdout + done.stderr)
