"""`procman run`: one program in the foreground, with the very launch that the process manager carries out."""

from __future__ import annotations

import os
import pwd
from typing import NoReturn

from procman.commands.names import resolve
from procman.errors import ConfigurationError, ProcmanError
from procman.launch import launch_of, launcher_path
from procman.model import Launch, Project
from procman.run import CLEAN_ENVIRONMENT, replace_process


def run(project: Project, name: str) -> NoReturn:
    """Become the program NAME of PROJECT; its exit status is then the caller's."""
    meant = resolve(project.name, project.programs, [name])
    if len(meant) > 1:
        raise ConfigurationError(
            [f"{name} is several programs"], hint="Name one: " + ", ".join(each.name for each in meant)
        )
    program = meant[0]
    if program.launcher and not launcher_path(project).exists():
        raise ProcmanError(
            f"{launcher_path(project)} is not there: {project.name} is not installed", hint="procman install"
        )
    launch = launch_of(project, program)
    replace_process(
        launch.argv,
        environment=_environment(launch),
        directory=launch.directory,
        user=launch.user,
        group=launch.group,
        umask=launch.umask,
        nice=launch.nice,
    )


def _environment(launch: Launch) -> dict[str, str]:
    # As the start script has it: the password database decides, not the caller's HOME.
    try:
        entry = pwd.getpwnam(launch.user) if launch.user else pwd.getpwuid(os.geteuid())
    except KeyError:
        raise ProcmanError(f"there is no user {launch.user}", hint="Mend the key user in [project].") from None
    home = {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
    return {**CLEAN_ENVIRONMENT, **home, **launch.environment, "PROCMAN_PARENT_PID": str(os.getppid())}
