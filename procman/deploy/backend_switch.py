"""The end of all programs under the process manager that a project is to leave; undone if it cannot be completed."""

from __future__ import annotations

from collections.abc import Iterable

from procman.backends import controller_of, process_manager
from procman.deploy.prepare import DesiredStates
from procman.deploy.rollout import RolloutOptions
from procman.errors import ProcmanError
from procman.install.plan.activations import on_the_way_down, on_the_way_up
from procman.install.state.generations import Installation
from procman.install.state.manifest import Manifest
from procman.model import Action, Activation, InstalledProgram


def leave(installation: Installation, desired_states: DesiredStates, options: RolloutOptions) -> None:
    """End all programs of INSTALLATION warm, beat first, and their supervisord if nobody else needs it.

    Only when none of them is left may the files change: there is never a moment of two beats. Raises ProcmanError; then
    those that were ended run again, as DESIRED_STATES say.
    """
    assert installation.current
    old = installation.current.manifest
    controller = controller_of(old)
    ended: list[InstalledProgram] = []
    try:
        for program in sorted(old.programs, key=on_the_way_down):
            options.reporter.activate(controller, Activation(Action.REMOVE, program))
            ended.append(program)
        if process_manager(old) not in map(process_manager, installation.others):
            controller.shutdown(options.reporter.progress)
    except ProcmanError:
        come_back(old, ended, desired_states, options)
        raise


def come_back(
    manifest: Manifest, programs: Iterable[InstalledProgram], desired_states: DesiredStates, options: RolloutOptions
) -> None:
    """Have PROGRAMS of MANIFEST, whose files are all in place, run again as DESIRED_STATES say."""
    controller = controller_of(manifest)
    for program in sorted(programs, key=on_the_way_up):
        desired = desired_states.get(program.name, program.autostart)
        options.reporter.activate(controller, Activation(Action.ADD, program, desired))
