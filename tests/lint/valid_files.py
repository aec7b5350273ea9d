"""A section of supervisord and a unit of systemd without findings, which tests break, and the lint of one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from procman.lint.inputs import Finding
from procman.lint.lint import lint

VALID_SECTION = """\
[program:site-worker]
command=/opt/env/bin/celery -A site worker -l info
directory=/opt/site
user=www-data
stdout_logfile=/var/log/site.log
autorestart=true
startsecs=10
startretries=1000
stopwaitsecs=900
killasgroup=true
"""

VALID_UNIT = """\
[Unit]
StartLimitIntervalSec=0

[Service]
User=www-data
ExecStart=/opt/env/bin/celery -A site worker -l info
KillMode=mixed
TimeoutStopSec=15min
Restart=always
RestartSec=5
"""


def judged(directory: Path, text: str, name: str = "site.conf") -> list[Finding]:
    """Return the findings of a lint of one file."""
    file = directory / name
    file.write_text(text)
    return list(lint([file]).findings)


def codes(found: Sequence[Finding]) -> list[str]:
    return [each.code for each in found]
