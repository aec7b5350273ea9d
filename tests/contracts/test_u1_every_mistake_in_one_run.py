"""U1: every error names the file, the key and the remedy; all problems are reported in one run; no traceback."""

from __future__ import annotations

from tests.attacks.host import CONFIGURATION, AttackedHost

MISTAKES = """
[project]
name = "Catmaid"
app = "mysite"
directory = "/opt/catmaid"
virtualenv = "~/env"
user = "celery"
colour = "red"
[worker.celery]
concurency = 2
stop_timeout_seconds = "600"
[supervisor]
mode = "embeded"
"""

KEYS = (
    "project.name", "project.virtualenv", "project.colour", "worker.celery.concurency",
    "worker.celery.stop_timeout_seconds", "supervisor.mode",
)  # fmt: skip


def test_six_mistakes_are_six_messages_with_file_line_key_and_remedy(host: AttackedHost) -> None:
    host.configure(text=MISTAKES)
    for words in ("check", "render", "diff", "install"):
        done = host.procman(words, check=False)
        assert done.returncode == 2
        assert done.stdout == ""
        for key in KEYS:
            [line] = [line for line in done.stderr.splitlines() if f": {key}: " in line]
            assert line.startswith(f"procman: {CONFIGURATION}:")
            assert any(word in line for word in ("expected", "did you mean", "possible here", "belongs", "write")), line
    assert not host.pids("supervisord")
