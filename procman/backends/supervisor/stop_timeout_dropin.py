"""How long the stop of a whole supervisord may take, and the drop-in that has its systemd unit wait for so long."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from procman.backends.supervisor.configuration.merged import assemble
from procman.backends.supervisor.configuration.supervisor_parser import Unreadable, read
from procman.config.keys import SUPERVISOR_UNITS
from procman.errors import ProcmanError
from procman.host.unit_names import STOP_MARGIN_SECONDS
from procman.model import SupervisorMode, SupervisorSettings
from procman.project import RenderedFile, Rendering
from procman.templating import Templates

FILE = "procman.conf"


def drop_in_path(settings: SupervisorSettings, units: Path) -> Path | None:
    """Return where in the directory UNITS the drop-in for the unit of SETTINGS stands; None if that is not known."""
    name = SUPERVISOR_UNITS.get(str(settings.configuration))
    return units / f"{name}.d" / FILE if name and settings.mode is SupervisorMode.EXISTING else None


def drop_in(path: Path, seconds: int) -> RenderedFile:
    """Return the drop-in PATH for a stop that takes SECONDS."""
    text = Templates().render("supervisor/stop_timeout.conf.j2", {"seconds": seconds + STOP_MARGIN_SECONDS})
    return RenderedFile(path, text, 0o644, "root", "root", (), restarts=False, section=True, shared=True)


def is_edited(path: Path, content: bytes) -> bool:
    """Say whether CONTENT of the drop-in PATH is no longer what procman writes, for whatever time."""
    found = re.search(rb"^TimeoutStopSec=([0-9]{1,9})$", content, re.MULTILINE)
    return found is None or drop_in(path, int(found[1]) - STOP_MARGIN_SECONDS).content.encode() != content


def stop_seconds(
    settings: SupervisorSettings,
    rendering: Rendering,
    removed: Iterable[Path] = (),
    adopted: Mapping[Path, str | None] | None = None,
) -> int:
    """Return how long a stop of all programs may take, everybody's, once RENDERING is in place and REMOVED is gone.

    supervisord ends one group after the other, and the programs of a group at the same time (supervisor 4.3,
    `ordered_stop_groups_phase_1`). Raises ProcmanError where it cannot read its configuration.
    """
    configuration = assemble(settings, rendering, removed, adopted or {})
    directories = [directory.path for directory in rendering.directories]
    try:
        reading = read(configuration.main_source, configuration.included, directories)
    except Unreadable as error:
        raise ProcmanError(f"{settings.configuration}: supervisord cannot read it: {error}") from None
    longest: dict[str, int] = defaultdict(int)
    for process in reading.processes:
        longest[process.group] = max(longest[process.group], int(process.fields["stopwaitsecs"]))
    return sum(longest.values())
