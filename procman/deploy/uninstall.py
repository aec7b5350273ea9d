"""`procman uninstall`: stops the programs gracefully, beat first, and removes every file that procman wrote (R9)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from procman.backends import controller_of, process_manager
from procman.deploy.adopt import load_restored
from procman.deploy.adoption_plan import adopted_by
from procman.deploy.cut_drainers import cut_by_stop
from procman.deploy.order_records import log_events, ordered
from procman.deploy.prepare import with_shared_files
from procman.deploy.rollout import RolloutOptions, activate, all_done
from procman.install.plan.plan import make_removal
from procman.install.plan.removal import Remains, clear, remove_files, restore
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import Installation, read_installation
from procman.install.state.lock import hold_lock
from procman.lookup import Installed
from procman.model import Adopted


def uninstall(installed: Installed, *, purge: bool, options: RolloutOptions) -> Remains:
    """Undo every install of the project; `purge` also removes logs, generations and backups.

    After an interruption, the next run completes it. Returns what remains.
    """
    directories = installed.manifest.directories
    with hold_lock(directories.shared_state, options.lock_seconds, options.reporter.progress), Tree() as tree:
        return remove_all(tree, read_installation(tree, directories), options, purge=purge)


def remove_all(tree: Tree, installation: Installation, options: RolloutOptions, *, purge: bool) -> Remains:
    """Remove `installation`, or the rest of it. The lock must be held."""
    generation = installation.current or installation.latest
    assert generation
    manifest = generation.manifest
    controller = controller_of(manifest)
    restored: tuple[Path, ...] = ()
    if installation.live:
        for cut in cut_by_stop(manifest, controller, manifest.programs):
            options.reporter.announce(cut.text)
        returned = _returned(installation)
        removal = replace(make_removal(installation, tree), returned=returned)
        remove_files(tree, with_shared_files(removal, tree, installation))
        # A supervisord or systemd reads them only when the adopted programs are brought back.
        restored = tuple(restore(tree, manifest.directories.state, installation.replaced))
        all_done(activate(tree, manifest, replace(options, verb="uninstalled")))
        others = [each for each in manifest.programs if each.name not in {one.program for one in returned}]
        load_restored(tree, manifest, restored, others, options)
    log = None
    if process_manager(manifest) not in map(process_manager, installation.others):
        log = controller.shutdown(options.reporter.progress)
    # Never a directory outside procman's own: an edited supervisord.conf may log anywhere.
    if log and purge and manifest.directories.shared_state in log.parents:
        tree.remove_tree(log.parent)
    log_events(manifest, [ordered("", "uninstalled")])
    remains = clear(tree, manifest.directories, installation, purge=purge)
    remains = replace(remains, restored=(*restored, *remains.restored))
    return replace(remains, stays=(*remains.stays, log)) if log and not purge else remains


def _returned(installation: Installation) -> tuple[Adopted, ...]:
    """Return the adopted programs to bring back; after an interruption, only those that have not been yet."""
    pending = installation.pending
    return pending.returned if pending and pending.uninstall else adopted_by(installation)
