"""Read what a program recorded about the restarts by which it healed itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from procman.agent.heartbeat_format import MAX_BYTES
from procman.agent.strict_json import parse
from procman.install.safe_fs.untrusted_file import UntrustedFile, read_untrusted
from procman.install.state.manifest import Manifest
from procman.model import InstalledProgram, Kind, Level, Result
from procman.monitoring.program_view import Moment, owners

HEALED_INSIDE = "healed.json"


def healed_inside(
    manifest: Manifest, program: InstalledProgram, moment: Moment
) -> tuple[tuple[float, ...], tuple[Result, ...]]:
    """Return when `program` reports that it stopped itself because it was unhealthy, within this boot.

    The program could have written anything into that file; a file that cannot be read counts as no restart, because it
    must not end healing, and is a result (PM205).
    """
    if not program.launcher or program.kind is Kind.COMMAND:
        return (), ()
    times: list[float] = []
    problems: list[Result] = []
    for directory in manifest.directories.runs(program.name, program.overlap_max):
        found, problem = _healed_in(directory / HEALED_INSIDE, program, moment)
        times += found
        problems += problem
    return tuple(times), tuple(problems)


def _healed_in(path: Path, program: InstalledProgram, moment: Moment) -> tuple[tuple[float, ...], tuple[Result, ...]]:
    try:
        content = read_untrusted(path, owners(program.user), MAX_BYTES + 1)
        return ((), ()) if content is None else (_times(parse(content.decode("utf-8"), most=MAX_BYTES), moment), ())
    except (UntrustedFile, ValueError) as error:
        detail = f"{HEALED_INSIDE}, its record of its own restarts, is ignored: {error}"
        return (), (Result("PM205", program.name, Level.WARNING, detail, f"rm {path}"),)


def _times(record: Any, moment: Moment) -> tuple[float, ...]:
    restarts = record.get("restarts") if isinstance(record, dict) else None
    if not isinstance(restarts, list) or not all(isinstance(each, dict) for each in restarts):
        raise ValueError("it is not a record of restarts")
    times = [each.get("at") for each in restarts if each.get("boot_id") == moment.boot]
    if not all(type(each) in (int, float) for each in times):
        raise ValueError("the time of a restart is not a number")
    return tuple(map(float, times))
