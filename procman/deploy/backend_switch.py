"""Stops a project's programs under the process manager that it leaves, and starts them again if that fails."""

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
    """Stop all programs of `installation` gracefully, beat first, and their supervisord if no other project uses it.

    Change files only after this returns: no program is left then, so two beats never run at once. If a program cannot
    be stopped, starts those already stopped, according to `desired_states`, and raises ProcmanError.
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
    """Start `programs` of `manifest`, whose files are installed, again, according to `desired_states`."""
    controller = controller_of(manifest)
    for program in sorted(programs, key=on_the_way_up):
        desired = desired_states.get(program.name, program.autostart)
        options.reporter.activate(controller, Activation(Action.ADD, program, desired))
