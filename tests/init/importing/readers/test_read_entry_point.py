"""A shell script that starts Celery is a program by itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from procman.errors import ProcmanError
from procman.init.importing.existing import Existing, Reading
from procman.init.importing.readers.read_entry_point import read

KOBO = """\
#!/bin/bash
set -e
source /etc/profile
cd "${KPI_SRC_DIR:-/srv/src}"

echo "Starting workers"
AUTOSCALE_MIN="${CELERY_AUTOSCALE_MIN:-2}"
AUTOSCALE_MAX="${CELERY_AUTOSCALE_MAX:-6}"
exec celery -A kobo worker --loglevel=info \\
    --hostname=kpi_worker@%h \\
    --queues=kpi_queue --exclude-queues=slow \\
    --autoscale ${AUTOSCALE_MIN},${AUTOSCALE_MAX} --uid="${UWSGI_USER}"
"""


def reading(directory: Path, text: str) -> Reading:
    (directory / "run_worker.bash").write_text(text)
    return read([directory / "run_worker.bash"], {"CELERY_AUTOSCALE_MIN": "9"})


def one(directory: Path, text: str) -> Existing:
    [program] = reading(directory, text).programs
    return program


def test_script_is_a_program(tmp_path: Path) -> None:
    program = one(tmp_path, KOBO.replace("source /etc/profile\n", ""))
    assert program.command
    assert program.command.project == {"app": "kobo"}
    assert program.command.values == {
        "loglevel": "info",
        "hostname": "kpi_worker@%h",
        "queues": ["kpi_queue"],
        "exclude_queues": ["slow"],
        "autoscale": [6, 2],
    }
    assert (program.name, program.source, program.directory) == ("run_worker", None, Path("/srv/src"))
    assert [(each.place.rpartition(":")[2], each.what) for each in program.remarks if not each.doubtful] == [
        ("3", 'cd "${KPI_SRC_DIR:-/srv/src}"'),
        ("6", 'AUTOSCALE_MIN="${CELERY_AUTOSCALE_MIN:-2}"'),
        ("7", 'AUTOSCALE_MAX="${CELERY_AUTOSCALE_MAX:-6}"'),
    ]
    assert [each.what for each in program.remarks if each.doubtful] == ["--uid=${UWSGI_USER}"]


def test_script_without_a_directory_of_its_own_has_none(tmp_path: Path) -> None:
    program = one(tmp_path, "exec /env/bin/celery -A x worker\n")
    assert (program.directory, program.problem) == (None, "")


@pytest.mark.parametrize("last", ['exec celery "$@"', "exec celery -A x $1", 'celery -A x "${1}" -c 2'])
def test_script_that_needs_arguments_is_a_problem(tmp_path: Path, last: str) -> None:
    program = one(tmp_path, f"#!/bin/sh\n{last}\n")
    assert program.command is None
    assert program.problem.endswith("come from what starts it: name that file with --from instead")


def test_script_without_celery_is_none(tmp_path: Path) -> None:
    program = one(tmp_path, '#!/bin/sh\nexec gunicorn "$@"\n')
    assert (program.command, program.problem) == (None, "")


def test_files_of_variables_are_named(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("export A=1\n")
    found = reading(tmp_path, f". {tmp_path}/env\nexec celery -A x worker\n")
    assert found.files == (tmp_path / "run_worker.bash", tmp_path / "env")


def test_fifo_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.sh")
    with pytest.raises(ProcmanError, match="not a regular file"):
        read([tmp_path / "run.sh"], {})
