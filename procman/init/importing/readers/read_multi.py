"""Read the defaults of Celery's init scripts and of `celery multi` (`init --from /etc/default/celeryd`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from procman.init.importing.existing import Existing, Reading, Remark
from procman.init.importing.readers.celery_defaults import Defaults, beat_of, read_defaults, workers_of
from procman.init.importing.readers.read_init_d import of_script


def read(files: Sequence[Path], _: Mapping[str, str], root: Path = Path("/")) -> Reading:
    """Return the nodes that the files of defaults define.

    The init script or unit that reads a file decides what it means; a file alone is read as Celery's own init script
    reads it, and what has to be adopted is then unknown. Raises ProcmanError.
    """
    programs, remarks = list[Existing](), list[Remark]()
    for file in files:
        script = root / "etc/init.d" / file.name
        if script.is_file():
            reading = of_script(script, root)
            programs += reading.programs
            remarks += reading.remarks
        else:
            defaults = read_defaults([file])
            programs += _programs(defaults, file)
            what = f"there is no {script}, which would read it"
            why = "if a unit of systemd reads it, name that unit with --from instead, so that it is adopted"
            remarks += [*defaults.remarks, Remark(str(file), what, why, doubtful=True)]
    return Reading(tuple(programs), tuple(remarks), tuple(files))


def _programs(defaults: Defaults, file: Path) -> list[Existing]:
    has_workers = any(name.startswith("CELERYD_") for name in defaults.variables)
    has_beat = any(name.startswith("CELERYBEAT_") for name in defaults.variables)
    workers = workers_of(defaults, str(file), default_user="") if has_workers or not has_beat else []
    return workers or [beat_of(defaults, file, default_user="")]
