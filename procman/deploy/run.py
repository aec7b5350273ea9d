"""`procman run`: one program in the foreground, with the very launch that the process manager carries out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

from procman.accounts import account, login_environment
from procman.agent.environment_file import UnusableFileError, read_environment_file
from procman.backends import backend_named
from procman.config.trust import trust_problems
from procman.errors import ProcmanError
from procman.launch import launch_of, launcher_path
from procman.lookup import resolve_one
from procman.project import Launch, Program, Project
from procman.subprocesses import CLEAN_ENVIRONMENT, replace_process


def run(project: Project, name: str) -> NoReturn:
    """Become the program NAME of PROJECT; its exit status is then the caller's."""
    program = resolve_one(project.name, project.programs, name)
    if program.launcher and not launcher_path(project).exists():
        raise ProcmanError(
            f"{launcher_path(project)} is not there: {project.name} is not installed", hint="procman install"
        )
    launch = launch_of(project, program)
    replace_process(
        launch.argv,
        environment=_environment(launch) | _secrets(project, program),
        directory=launch.directory,
        user=launch.user,
        group=launch.group,
        umask=launch.umask,
        nice=launch.nice,
    )


def _environment(launch: Launch) -> dict[str, str]:
    # As the start script has it: the password database decides, not the caller's HOME.
    entry = account(launch.user)
    if entry is None:
        raise ProcmanError(f"there is no user {launch.user}", hint="Mend the key user in [project].")
    own = {**launch.environment, "PROCMAN_PARENT_PID": str(os.getppid())}
    return CLEAN_ENVIRONMENT | login_environment(entry) | own


def _secrets(project: Project, program: Program) -> dict[str, str]:
    """Hand the environment file over as systemd does, which reads it as root; supervisord leaves it to the program."""
    path = project.environment_file
    if path is None or not backend_named(project.backend).environment_file_read_by_root:
        return {}
    if not program.launcher:
        try:
            return read_environment_file(str(path), str(path))
        except UnusableFileError as error:
            raise ProcmanError(str(error)) from None
    # Who could put another file in its place could have root read any; he can read his own by himself.
    entry = account(project.user)
    if os.geteuid() != 0 or project.user is None or entry is None or trust_problems(path, {0}):
        return {}
    return handed_over(path, entry.pw_uid)


def handed_over(path: Path, uid: int) -> dict[str, str]:
    """Return what tells the launcher where the user UID finds the content of PATH, which that user need not see.

    It is a file without a name that nobody but this process, and what it becomes, can reach (memfd_create(2)); the
    launcher looks where systemd would have put it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ProcmanError(f"cannot read the environment file {path}: {error.strerror}") from None
    descriptor = os.memfd_create("environment", 0)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.fchmod(descriptor, 0o400)
    os.fchown(descriptor, uid, -1)
    return {"CREDENTIALS_DIRECTORY": "/proc/self/fd", "PROCMAN_ENVIRONMENT_CREDENTIAL": str(descriptor)}
