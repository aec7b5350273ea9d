"""The errors of systemctl, in one line and with its own advice."""

from __future__ import annotations

import pytest

from procman.host.systemctl import _reason, _remedy

FAILED = """\
Job for shop-web.service failed because the control process exited with error code.
See "systemctl status shop-web.service" and "journalctl -xeu shop-web.service" for details."""


@pytest.mark.parametrize(
    ("output", "reason", "remedy"),
    [
        (FAILED, FAILED.splitlines()[0], "See `journalctl -xeu shop-web.service`."),
        ("Job for shop-web.service canceled.", "Job for shop-web.service canceled.", "See `journalctl -xe`."),
    ],
)
def test_error_has_one_line_and_names_the_journal_of_the_unit(output: str, reason: str, remedy: str) -> None:
    assert (_reason(output), _remedy(output)) == (reason, remedy)
