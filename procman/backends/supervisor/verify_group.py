"""Verify that supervisord can start programs with a group other than the user's own, before the install (S3)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from procman.accounts import user_name
from procman.backends.supervisor.client import ANSWER_SECONDS, Client
from procman.backends.supervisor.configuration.main_file import MainFile
from procman.backends.supervisor.renderer import script_path
from procman.errors import ProcmanError
from procman.launch import group_of
from procman.model import SupervisorMode
from procman.project import Project, Rendering
from procman.subprocesses import CLEAN_ENVIRONMENT, capture

ROOT_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
"""The PATH of a start script as long as it has root's rights (start.sh.j2)."""

DROPS_RIGHTS = "exec setpriv --reuid "
"""What a changed template must keep: supervisord starts the script of a program with a group as root (S3)."""

COMMANDS = {"setpriv": (("--help",), "--reuid"), "getent": (("initgroups", "root"), "root")}
"""The commands that such a start script needs, each with arguments and a word that only the right one answers."""

PACKAGES = {"setpriv": "util-linux", "getent": "the GNU C library"}


def problems_of_group(project: Project, rendering: Rendering, main: MainFile) -> Iterator[str]:
    """Yield why the supervisord of `main` must not or cannot start the programs that have a group, if any has one."""
    grouped = [program for program in project.programs if group_of(project, program)]
    if not grouped:
        return
    named = "project.group" if project.group else f"{grouped[0].key}.group"
    key = f"{project.configuration_file}: {named}"
    if other := _not_root(project, main):
        yield f"{key}: only root can set a group, and {other}: remove the key, or run supervisord as root"
    for command, package in PACKAGES.items():
        if not _is_usable(command):
            yield f"{key}: the start scripts need the {command}(1) of {package} in {ROOT_PATH}: install it"
    scripts = {script_path(project, program.name) for program in grouped}
    for file in rendering.files:
        if file.path in scripts and DROPS_RIGHTS not in file.content:
            yield f"{file.path}: root runs it, and it does not drop root's rights with setpriv: fix the template"


def _not_root(project: Project, main: MainFile) -> str:
    """Return which user, other than root, the supervisord of `main` runs as; empty for root, or if it is unknown."""
    if project.supervisor.mode is SupervisorMode.EMBEDDED:
        return ""
    if main.user not in (None, "root", "0"):
        return f"the supervisord of {main.path} becomes {main.user} (user= under [supervisord])"
    try:
        user = Client(main, "", ANSWER_SECONDS).reporter().user
    except ProcmanError:
        return ""
    return f"the supervisord of {main.path} runs as {user_name(user)}" if user else ""


def _is_usable(command: str) -> bool:
    """Return whether the command can do what a start script needs: BusyBox's setpriv cannot, and musl has no list."""
    words, expected = COMMANDS[command]
    found = shutil.which(command, path=ROOT_PATH)
    if found is None:
        return False
    try:
        answer = capture([found, *words], environment=CLEAN_ENVIRONMENT, timeout=ANSWER_SECONDS)
    except ProcmanError:
        return False
    return answer.status == 0 and expected in answer.stdout
