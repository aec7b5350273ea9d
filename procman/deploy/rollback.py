"""`procman rollback`: installs the files and programs of an earlier generation as a new generation."""

from __future__ import annotations

from dataclasses import replace

from procman.deploy.install import Report, carry_out, states_of
from procman.deploy.prepare import prepare_generation
from procman.deploy.rollout import RolloutOptions, all_done
from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import Installation, number_before, read_installation
from procman.install.state.lock import hold_lock
from procman.install.state.manifest import Manifest, digest
from procman.lookup import Installed


def rollback(installed: Installed, number: int | None, options: RolloutOptions) -> tuple[int, Report]:
    """Roll back to generation `number`, or to the one before the current; return its number and what was done.

    The rollback is planned, verified and carried out like an install; procman.toml is not changed. With
    `options.wait_seconds`, a program that does not become healthy is reported, and nothing else is rolled back.
    """
    directories = installed.manifest.directories
    with hold_lock(directories.shared_state, options.lock_seconds, options.reporter.progress), Tree() as tree:
        installation = read_installation(tree, directories)
        chosen = number if number is not None else _before(installation)
        prepared = prepare_generation(tree, installation, chosen, {}, is_ordered=True)
        outcome = carry_out(tree, prepared, replace(options, verb="rolled back"))
        if options.wait_seconds is None:
            all_done(outcome)
        states = states_of(prepared.plan.generation.manifest) if outcome.failures else ()
        return chosen, Report(prepared.plan, tuple(outcome.failures), states=states)


def _before(installation: Installation) -> int:
    if installation.current is None:
        raise ProcmanError("nothing is installed; name the generation to roll back to", hint="procman history")
    number = number_before(installation.current, installation.numbers)
    if number is None:
        raise ProcmanError(
            f"generation {installation.current.number} has no earlier generation to roll back to",
            hint="Choose one with `procman history`, then: procman rollback N",
        )
    return number


def differs_from_disk(manifest: Manifest) -> bool:
    """Return whether an install from the procman.toml on disk would undo the rollback."""
    try:
        return digest(manifest.configuration_file.read_bytes()) != manifest.configuration_digest
    except OSError:
        return False
