"""What runs a process, by recorded control groups of systemd."""

from __future__ import annotations

import pytest

from procman.host.runner import Runner, _unit_in


@pytest.mark.parametrize(
    ("path", "runner"),
    [
        ("/system.slice/celery.service", Runner(unit="celery.service")),
        ("/system.slice/system-celery.slice/celery@w1.service", Runner(unit="celery@w1.service")),
        ("/machine.slice/machine-a.scope/payload/system.slice/celery.service", Runner(unit="celery.service")),
        ("/user.slice/user-7.slice/session-3.scope", Runner()),
        ("/user.slice/user-7.slice/user@7.service/init.scope", Runner()),
        ("/user.slice/user-7.slice/user@7.service/app.slice/a.service", Runner(unit="a.service", is_of_user=True)),
        ("/", Runner()),
        ("", Runner()),
    ],
)
def test_unit_is_in_the_path_of_the_control_group(path: str, runner: Runner) -> None:
    assert _unit_in(path) == runner
