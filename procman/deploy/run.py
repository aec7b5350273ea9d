"""`procman run`: runs one program in the foreground, with the same launch as under the process manager."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

from procman.accounts import account, login_environment
from procman.agent.environment_file import UnusableFileError, read_environment_file
from procman.backends import backend_named
from procman.config.trust import trust_problems
from procman.errors import ProcmanError
from procman.host.file_locks import holder_of, lock_holders
from procman.launch import launch_of, launcher_path
from procman.program_names import resolve_one
from procman.project import Launch, Program, Project
from procman.subprocesses import CLEAN_ENVIRONMENT, replace_process

LOCK = "lock"
"""The file in the run directory that the launcher locks for the life of the program."""


def run(project: Project, name: str) -> NoReturn:
    """Replace this process with the program `name` of `project`; the exit status is the program's own."""
    program = resolve_one(project.name, project.programs, name)
    if program.launcher and not launcher_path(project).exists():
        raise ProcmanError(
            f"{project.name} is not installed: {launcher_path(project)} does not exist", hint="procman install"
        )
    launch = launch_of(project, program)
    own = {"PROCMAN_PARENT_PID": str(os.getppid()), **_secrets(project, program, launch)}
    replace_process(
        launch.argv,
        environment=environment_of(launch) | own,
        directory=launch.directory,
        user=launch.user,
        group=launch.group,
        umask=launch.umask,
        nice=launch.nice,
    )


def running_process(project: Project, name: str) -> int | None:
    """Return the process that the program `name` of `project` would wait for; None if none holds its lock."""
    launch = launch_of(project, resolve_one(project.name, project.programs, name))
    directory = launch.environment.get("PROCMAN_RUN_DIRECTORY")
    return holder_of(Path(directory) / LOCK, lock_holders()) if directory else None


def environment_of(launch: Launch) -> dict[str, str]:
    """Return the whole environment of a process of `launch`, but for the variables of its environment file."""
    # As in the start script: HOME comes from the password database, not from the caller.
    entry = account(launch.user)
    if entry is None:
        raise ProcmanError(f"there is no user {launch.user} on this host", hint="Fix the key user in [project].")
    return {**CLEAN_ENVIRONMENT, **login_environment(entry), **launch.environment}


def _secrets(project: Project, program: Program, launch: Launch) -> dict[str, str]:
    """Pass the environment file on as systemd does, which reads it as root; supervisord leaves it to the program."""
    path = launch.environment_file
    if path is None or not backend_named(project.backend).environment_file_read_by_root:
        return {}
    if not program.launcher:
        try:
            return read_environment_file(str(path), str(path))
        except UnusableFileError as error:
            raise ProcmanError(str(error)) from None
    # A user who could replace the file could make root read any file; the program reads such a file itself.
    entry = account(launch.user)
    if os.geteuid() != 0 or launch.user is None or entry is None or trust_problems(path, {0}):
        return {}
    return handed_over(path, entry.pw_uid)


def handed_over(path: Path, uid: int) -> dict[str, str]:
    """Return the variables through which the launcher, running as `uid`, finds a copy of `path`, readable to it or not.

    The copy is an anonymous file that only this process, and the program it becomes, can reach (memfd_create(2)); the
    launcher finds it as it finds a credential of systemd's.
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
