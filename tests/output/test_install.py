"""The report of a failed install names the log, which outlives the programs that are removed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from procman.deploy.failure import Failure
from procman.output.install import failure_lines
from tests.backends.supervisor.real_supervisord import installed

LOG = "/var/log/site/site-celery.log"


@pytest.mark.parametrize(
    ("file", "heading"), [(LOG, f"  last lines of its log, {LOG}:"), (None, "  last lines of its log:")]
)
def test_failed_program_is_shown_with_its_log_and_its_place(file: str | None, heading: str) -> None:
    program = replace(installed("site-celery"), log_file=file)
    failure = Failure(program, "it crashed", "procman logs site-celery\nfix it", ("last",))
    assert [*failure_lines(failure)] == ["site-celery: it crashed", "  fix it", heading, "  | last"]
    silent = replace(failure, log=())
    assert [*failure_lines(silent)] == ["site-celery: it crashed", "  procman logs site-celery", "  fix it"]
