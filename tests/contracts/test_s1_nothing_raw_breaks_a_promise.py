"""S1: raw options cannot set what the promises depend on; tests/attacks puts hostile text into every key."""

from __future__ import annotations

from pathlib import Path

from procman.config import supervisor_options, systemd_directives
from tests.config.documents import problems_with

CELERY = (
    "--pidfile=/x",
    "--detach",
    "--app=evil",
    "--workdir=/tmp",
    "--uid=0",
    "--gid=0",
    "--logfile=/etc/passwd",
    "-D",
)
"""Options of Celery that detach a program from its process manager, or change its user or app."""


def test_raw_option_that_breaks_a_promise_is_refused_with_its_key(tmp_path: Path) -> None:
    options = "".join(f'{name} = "1"\n' for name in supervisor_options.RESERVED)
    directives = "".join(f'{name} = "1"\n' for name in systemd_directives.RESERVED)
    text = (
        f"[worker.celery.supervisor]\n{options}[worker.celery.systemd]\n{directives}[systemd.directives]\n{directives}"
    )
    problems = problems_with(tmp_path, text)
    for table, names in (
        ("worker.celery.supervisor", supervisor_options.RESERVED),
        ("worker.celery.systemd", systemd_directives.RESERVED),
        ("systemd.directives", systemd_directives.RESERVED),
    ):
        for name in names:
            assert [each for each in problems if f": {table}.{name}: cannot be set: " in each], name


def test_celery_option_that_breaks_a_promise_is_refused_with_its_key(tmp_path: Path) -> None:
    for option in CELERY:
        [problem] = problems_with(tmp_path, f'[worker.w]\nextra_arguments = ["{option}"]\n')
        assert ": worker.w.extra_arguments: " in problem, option
