"""Verify that supervisord can start each program as its user, with its group, before the install (S3)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence

from procman.accounts import named_user, user_name
from procman.backends.supervisor.client import ANSWER_SECONDS, Client
from procman.backends.supervisor.configuration.main_file import MainFile
from procman.backends.supervisor.renderer import script_path
from procman.errors import ProcmanError
from procman.launch import group_of, user_of
from procman.model import Scope, SupervisorMode
from procman.project import Program, Project, Rendering
from procman.subprocesses import CLEAN_ENVIRONMENT, capture

ROOT_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
"""The PATH of a start script as long as it has root's rights (start.sh.j2)."""

DROPS_RIGHTS = "exec setpriv --reuid "
"""What a changed template must keep: supervisord starts the script of a program with a group as root (S3)."""

COMMANDS = {"setpriv": (("--help",), "--reuid"), "getent": (("initgroups", "root"), "root")}
"""The commands that such a start script needs, each with arguments and a word that only the right one answers."""

PACKAGES = {"setpriv": "util-linux", "getent": "the GNU C library"}


def problems_of_users(project: Project, rendering: Rendering, main: MainFile) -> Iterator[str]:
    """Yield why the supervisord of `main` must not or cannot start programs of `project` as their user and group."""
    if manager := _manager_without_rights(project, main):
        yield from _not_changed(project, main, manager)
    grouped = [program for program in project.programs if group_of(project, program)]
    if not grouped:
        return
    yield from _missing_commands(_place(project, grouped[0], "group"))
    scripts = {script_path(project, program.name) for program in grouped}
    for file in rendering.files:
        if file.path in scripts and DROPS_RIGHTS not in file.content:
            yield f"{file.path}: root runs it, and it does not drop root's rights with setpriv: fix the template"


def _not_changed(project: Project, main: MainFile, manager: str) -> Iterator[str]:
    """Yield the keys that only a supervisord of root can apply, which this one of the user `manager` is not."""
    others = [each for each in project.programs if user_of(project, each) not in (None, manager)]
    grouped = [each for each in project.programs if group_of(project, each)]
    remedies = {_place(project, each, "user"): f"set it to {manager}" for each in others}
    remedies |= {_place(project, each, "group"): "remove it" for each in grouped}
    for place, remedy in remedies.items():
        why = f"only root can change it, and the supervisord of {main.path} runs as {manager}"
        yield f"{place}: {why}: {remedy}, or run supervisord as root"


def _place(project: Project, program: Program, key: str) -> str:
    """Return the file and the key, `user` or `group`, that decides for `program`."""
    own = getattr(program.options, key, None)
    return f"{project.configuration_file}: {program.key if own else 'project'}.{key}"


def _manager_without_rights(project: Project, main: MainFile) -> str:
    """Return the user, other than root, that the supervisord of `main` runs as; empty if it is root or unknown.

    In user scope, no program has another user than its supervisord.
    """
    if project.supervisor.mode is SupervisorMode.EMBEDDED or project.scope is Scope.USER:
        return ""
    name = named_user(main.user) if main.user else _listening(main)
    return "" if name == "root" else name


def _listening(main: MainFile) -> str:
    try:
        user = Client(main, "", ANSWER_SECONDS).reporter().user
    except ProcmanError:
        return ""
    return "" if user is None else user_name(user)


def _missing_commands(place: str) -> Iterator[str]:
    for command, package in PACKAGES.items():
        if not _is_usable(command):
            yield f"{place}: the start scripts need the {command}(1) of {package} in {ROOT_PATH}: install it"


def _is_usable(command: str) -> bool:
    """Return whether the command can do what a start script needs: BusyBox's setpriv cannot, and musl has no list."""
    words, expected = COMMANDS[command]
    found = shutil.which(command, path=ROOT_PATH)
    return found is not None and expected in _answer([found, *words])


def _answer(argv: Sequence[str]) -> str:
    try:
        answer = capture(argv, environment=CLEAN_ENVIRONMENT, timeout=ANSWER_SECONDS)
    except ProcmanError:
        return ""
    return answer.stdout if answer.status == 0 else ""
