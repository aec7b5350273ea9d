"""How long the stop of a whole supervisord may take, and the drop-in that makes its systemd unit wait that long.

The drop-in is in no manifest, because its content depends on all programs of that supervisord. It is created, updated
and removed with the projects that ask for it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from procman.backends.supervisor.configuration.merged import assemble
from procman.backends.supervisor.configuration.supervisor_parser import Unreadable, read
from procman.config.keys import SUPERVISOR_UNITS
from procman.errors import ProcmanError
from procman.host.unit_names import STOP_MARGIN_SECONDS
from procman.install.plan.changes import Change
from procman.install.plan.describe import content_of
from procman.install.plan.plan import Plan
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import Installation
from procman.install.state.manifest import Manifest
from procman.model import MARKER, BackendName, RenderedDirectory, Scope, SupervisorMode, SupervisorSettings
from procman.project import ChangeKind, RenderedFile, Rendering
from procman.templating import Templates

FILE = "procman.conf"

EARLIER_COMMENTS = frozenset(
    b"""\
# Written by procman (extend_stop_timeout in procman.toml); every install and uninstall of a project here sizes it anew.
# As long as a stop of all programs may take that this supervisord has, procman's or not: it ends one after the other, and
# kills by itself what does not end within its stopwaitsecs.
# What a supervisord leaves behind that was killed is ended with it, so that the next one starts no second set beside it.
""".splitlines()  # noqa: E501
)
"""The comments that procman 0.1.0 wrote. The drop-in is in no manifest, so its text alone shows who wrote it."""

NOTHING = Rendering((), ())


def drop_in_path(settings: SupervisorSettings, units: Path) -> Path | None:
    """Return the path of the drop-in in the directory `units`; None if the unit of that supervisord is unknown."""
    name = SUPERVISOR_UNITS.get(str(settings.configuration))
    return units / f"{name}.d" / FILE if name and settings.mode is SupervisorMode.EXISTING else None


def drop_in(path: Path, seconds: int) -> RenderedFile:
    """Return the drop-in for a stop that may take `seconds`."""
    text = Templates().render("supervisor/stop_timeout.conf.j2", {"seconds": seconds + STOP_MARGIN_SECONDS})
    return RenderedFile(path, text, 0o644, "root", "root", (), restarts=False, section=True, shared=True)


def is_edited(path: Path, content: bytes) -> bool:
    """Return whether `content` of the drop-in at `path` is not what procman writes, or wrote, for any timeout."""
    found = re.search(rb"^TimeoutStopSec=([0-9]{1,9})$", content, re.MULTILINE)
    if found is None:
        return True
    written = drop_in(path, int(found[1]) - STOP_MARGIN_SECONDS).content.encode().splitlines()
    known = EARLIER_COMMENTS.union(line for line in written if line.startswith(b"#"))
    return [line for line in content.splitlines() if line not in known] != [
        each for each in written if each not in known
    ]


def stop_seconds(
    settings: SupervisorSettings,
    rendering: Rendering,
    removed: Iterable[Path] = (),
    adopted: Mapping[Path, str | None] | None = None,
) -> int:
    """Return how many seconds a stop of all programs may take once `rendering` is installed and `removed` is deleted.

    Unmanaged programs count too. supervisord stops one group after another, and the programs of a group at the same
    time (supervisor 4.3, `ordered_stop_groups_phase_1`). Raises ProcmanError if its configuration cannot be read.
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


def with_shared_files(
    plan: Plan,
    tree: Tree,
    installation: Installation,
    desired: Manifest | None = None,
    rendering: Rendering = NOTHING,
    adopted: Mapping[Path, str | None] | None = None,
) -> Plan:
    """Return `plan` with the change to the drop-in that follows from installing `desired`; None to uninstall."""
    current = installation.current.manifest if installation.current else None
    for manifest in (desired, current):
        if manifest is None or manifest.scope is Scope.USER or manifest.backend is not BackendName.SUPERVISOR:
            continue
        path = drop_in_path(manifest.supervisor, manifest.directories.units)
        if path is None or any(change.path == path for change in plan.changes):
            continue
        projects = [each for each in (desired, *installation.others) if each]
        is_extended = any(_extends_stop_timeout_of(manifest, each) for each in projects)
        settings = manifest.supervisor if is_extended else None
        is_its_own = desired is manifest
        plan = _with(plan, tree, path, settings, rendering if is_its_own else NOTHING, adopted if is_its_own else None)
    return plan


def _extends_stop_timeout_of(installed: Manifest, other: Manifest) -> bool:
    """Return whether the project `other` extends the stop timeout of the supervisord of `installed`."""
    own, settings = other.supervisor, installed.supervisor
    return (
        other.backend is BackendName.SUPERVISOR
        and own.extend_stop_timeout
        and (own.mode, own.configuration) == (settings.mode, settings.configuration)
    )


def _with(
    plan: Plan,
    tree: Tree,
    path: Path,
    settings: SupervisorSettings | None,
    rendering: Rendering,
    adopted: Mapping[Path, str | None] | None,
) -> Plan:
    found = tree.look(path)
    content = found.content if found else None
    is_ours = content is not None and MARKER.encode() in content
    edited = content is not None and is_ours and is_edited(path, content)
    if settings is None:
        return _add(plan, Change(ChangeKind.REMOVE, path, found, None, edited=edited)) if is_ours else plan
    if found is not None and not is_ours:
        problem = f"{path} exists, but is not managed by procman: move it away, or remove extend_stop_timeout"
        return replace(plan, problems=(*plan.problems, problem))
    try:
        file = drop_in(path, stop_seconds(settings, rendering, plan.removed, adopted))
    except ProcmanError:
        # The verification reports what is wrong with that configuration; the drop-in is kept.
        return plan
    if found is None:
        return _add(plan, Change(ChangeKind.CREATE, path, None, file), has_directory=tree.has_directory(path.parent))
    same = content == content_of(file)
    return _add(plan, Change(ChangeKind.KEEP if same else ChangeKind.UPDATE, path, found, file, edited=edited))


def _add(plan: Plan, change: Change, *, has_directory: bool = True) -> Plan:
    parent = RenderedDirectory(change.path.parent, 0o755, "root", "root", shared=True)
    changes = sorted((*plan.changes, change), key=lambda each: each.kind is ChangeKind.REMOVE)
    if change.kind is ChangeKind.KEEP:
        return replace(plan, changes=tuple(changes))
    return replace(
        plan,
        changes=tuple(changes),
        directories=plan.directories if has_directory else (*plan.directories, parent),
        sections=tuple(sorted({*plan.sections, change.path})),
        nothing_to_do=False,
    )
