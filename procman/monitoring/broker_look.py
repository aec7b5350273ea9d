"""Look at the brokers of an installed project without its app: by the records that its workers leave, with kombu."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from procman.accounts import user_id
from procman.agent.broker_record import BROKER_FILE
from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.install.state import json_records
from procman.install.state.generations import LOOK
from procman.install.state.manifest import Manifest
from procman.lookup import Installed, installed_project
from procman.model import Kind
from procman.monitoring.program_view import Moment, now

if TYPE_CHECKING:
    # health reads a look only if the watcher has left one.
    from procman.monitoring.checks.broker_look import BrokerLook
    from procman.probes.broker_facts import BrokerFacts
    from procman.probes.runner import Place

INTERVAL_SECONDS = 55.0
"""The least time between two looks of the watcher; below a minute, so that two checks of 30 s are enough."""


def read_look(tree: Tree, manifest: Manifest, boot: str | None) -> BrokerLook | None:
    """Return the last look of the watcher in this boot; None if there is none, or none that can be read."""
    path = manifest.directories.state / LOOK
    try:
        content = tree.read_private(path)
        if content is None:
            return None
        from procman.monitoring.checks.broker_look import BrokerLook

        look = json_records.from_bytes(BrokerLook, content, path)
    except ProcmanError:
        return None
    return look if look.boot_id == (boot or "") else None


def recent_look(manifest: Manifest, answered: BrokerFacts | None) -> BrokerLook | None:
    """Return the present knowledge of the brokers: what one has just `answered`, or else the watcher's last look."""
    moment = now()
    with Tree() as tree:
        before = read_look(tree, manifest, moment.boot)
    if answered is None and before is None:
        return None
    from procman.monitoring.checks.broker_look import RECENT_SECONDS, BrokerLook, next_look

    if answered is not None:
        brokers = (answered,) if answered.reachable else ()
        return next_look(before, BrokerLook(moment.boot or "", moment.monotonic, moment.wall, brokers))
    return before if before and moment.monotonic - before.at <= RECENT_SECONDS else None


def look_if_due(installed: Installed) -> None:
    """Look at the brokers for the watcher, at most once a minute, and record what they answer."""
    manifest, moment = installed.manifest, now()
    if not records(manifest):
        return
    with Tree() as tree:
        before = read_look(tree, manifest, moment.boot)
        if before and 0 <= moment.monotonic - before.at < INTERVAL_SECONDS:
            return
        look = look_at(installed, before, moment)
        with suppress(ProcmanError):  # a full disk is reported by PM603
            tree.write(manifest.directories.state / LOOK, json_records.to_bytes(look), 0o644)


def look_at(installed: Installed, before: BrokerLook | None, moment: Moment) -> BrokerLook:
    """Ask the brokers now; a reason why that is impossible is part of the answer."""
    from procman.monitoring.checks.broker_look import BrokerLook, next_look, with_programs
    from procman.probes.broker import look_at_brokers

    manifest = installed.manifest
    look = BrokerLook(moment.boot or "", moment.monotonic, moment.wall)
    try:
        require_permission(manifest)
        place, declared = _place_and_queues(installed)
        brokers = look_at_brokers(
            place,
            manifest.project,
            records(manifest),
            queues=sorted({name for queues in declared.values() for name in queues}),
            management_url=manifest.health.management_url,
        )
    except ProcmanError as error:
        return look.with_problem(error.message)
    return next_look(before, look.with_brokers(with_programs(brokers, declared)))


def require_permission(manifest: Manifest) -> None:
    """Raise ProcmanError if the caller may not become the user of the programs, who alone can ask their broker."""
    user = manifest.user
    if user is not None and os.geteuid() not in (0, user_id(user)):
        raise ProcmanError(f"only root and {user} can do that", hint="Run the same command with sudo.")


def _place_and_queues(installed: Installed) -> tuple[Place, Mapping[str, Sequence[str]]]:
    """Return where to ask, and the queues of each worker by procman.toml, whose copy only root can read."""
    from procman.monitoring.broker_query import declared_queues, place_of
    from procman.probes.runner import Place

    manifest = installed.manifest
    if os.geteuid() == 0 or manifest.user is None:
        project = installed_project(installed)
        return place_of(project), declared_queues(project.programs)
    python = (manifest.virtualenv or Path("/usr")) / "bin/python"
    return Place(python, {}, manifest.directory or Path("/"), manifest.user, None), {}


def records(manifest: Manifest) -> dict[str, Path]:
    """Return the record of each worker that has left one. Only its own user opens it (S3)."""
    found = {}
    for program in (each for each in manifest.programs if each.kind is Kind.WORKER):
        directories = manifest.directories.runs(program.name, program.overlap_max)
        # Of several slots, that of the process that was started last.
        latest = max(
            ((_written(each / BROKER_FILE), each / BROKER_FILE) for each in directories), key=lambda each: each[0]
        )
        if latest[0]:
            found[program.name] = latest[1]
    return found


def _written(path: Path) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0
