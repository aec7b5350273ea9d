"""`procman uninstall`: the programs stopped warm, beat first, and every file that procman wrote removed (R9)."""

from __future__ import annotations

from dataclasses import replace

from procman.backends.base import Progress
from procman.commands.controller import controller_of
from procman.commands.install import LOCK_PATIENCE_SECONDS, Told, activate
from procman.commands.select import Installed
from procman.install.generations import read_installation
from procman.install.lock import hold_lock
from procman.install.paths import Tree
from procman.install.plan import make_removal
from procman.install.uninstall import Remains, clear, remove_files


def uninstall(installed: Installed, *, purge: bool, progress: Progress, told: Told) -> Remains:
    """Undo every install of the project; with PURGE also logs, generations and what was set aside.

    Interrupted anywhere, it is completed by the next run. Returns what is left, to be listed.
    """
    manifest = installed.manifest
    controller = controller_of(manifest)
    with hold_lock(manifest.directories.shared_state, LOCK_PATIENCE_SECONDS, progress), Tree() as tree:
        installation = read_installation(tree, manifest.directories)
        log = None
        if installation.current:
            remove_files(tree, make_removal(installation, tree))
            activate(tree, manifest, controller, progress, told)
        if not any(other.supervisor == manifest.supervisor for other in installation.others):
            log = controller.close_down(progress)
        if log and purge:
            tree.remove_tree(log.parent)
        remains = clear(tree, manifest.directories, installation, purge=purge)
    if log and not purge:
        return replace(remains, stays=(*remains.stays, log))
    return remains
