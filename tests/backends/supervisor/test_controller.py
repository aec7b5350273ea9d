"""Messages and the printed command of supervisor's controller, and modules that it must not import."""

from __future__ import annotations

import subprocess
import sys

from procman.backends.supervisor.client import Fault
from tests.backends.supervisor.real_supervisord import Supervisord, installed


def test_faults_have_plain_messages() -> None:
    assert Fault(10, "BAD_NAME: a", "a").message == "a: supervisord has not loaded it"
    assert Fault(21, "NOT_EXECUTABLE: command at '/x' is not executable", "a").message == (
        "a: supervisord is not allowed to execute it (command at '/x' is not executable)"
    )


def test_printed_command_restarts_the_program(supervisord: Supervisord) -> None:
    command = supervisord.controller().command_line(installed("a"))
    assert command == f"supervisorctl -c {supervisord.configuration} restart a"


def test_status_imports_no_slow_modules() -> None:
    code = (
        "import sys, procman.backends.supervisor.controller\n"
        "print(sorted({'supervisor', 'jinja2', 'psutil', 'subprocess', 'glob', 'socket'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # `socket` is needed, and shows that the list is compared.
    assert found.stdout == "['socket']\n"
