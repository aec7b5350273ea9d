"""U1: every error names the file, the key and the remedy; all problems are reported in one run; no traceback."""

from __future__ import annotations

import json

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


def test_six_mistakes_are_reported_with_file_line_key_and_remedy(host: AttackedHost) -> None:
    host.configure(text=MISTAKES)
    for words in ("check", "render", "diff", "install"):
        done = host.procman(words, check=False)
        assert done.returncode == 2
        assert done.stdout == ""
        for key in KEYS:
            [line] = [line for line in done.stderr.splitlines() if f": {key}: " in line]
            assert line.startswith(f"procman: {CONFIGURATION}:")
            assert any(word in line for word in ("expected", "did you mean", "belongs", "write")), line
    assert not host.pids("supervisord")


def test_hold_beyond_the_calendar_is_refused_and_an_existing_one_is_shown(host: AttackedHost) -> None:
    host.procman("install")
    for span, message in (("99999999999d", "at most 3650d"), ("''", "'' is not a length of time")):
        done = host.procman(f"hold one --for {span}", check=False)
        assert done.returncode == 2
        assert message in done.stderr
        assert "held" not in host.procman("status", check=False).stdout
    assert host.procman("hold one --for 3650d").stdout.startswith("catmaid-one: held until 20")
    path = "/var/lib/procman/catmaid/holds/catmaid-one.json"
    held = json.loads(host.path(path).read_text())
    host.write(path, json.dumps({**held, "until": 8.64e15}))
    assert "until 8.64e+15 s after 1970" in host.procman("status", check=False).stdout
    assert json.loads(host.procman("status --json", check=False).stdout)["programs"][0]["held"]["until"] == 8.64e15
