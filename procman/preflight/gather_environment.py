"""Read the environment file as the user that will read it: root for a unit, the programs' user under supervisord."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from procman.accounts import user_id, user_name
from procman.agent.environment_file import (
    LARGEST,
    EnvironmentFileError,
    read_assignments,
    refused_lines,
)
from procman.backends import backend_named
from procman.config.private_file import private_content
from procman.config.trust import trust_problems
from procman.errors import ProcmanError
from procman.preflight.dotenv import differences
from procman.preflight.inputs import EnvironmentFile
from procman.preflight.variables import replacing
from procman.project import Launch, Project


def read_environment(
    project: Project, launches: Mapping[str, Launch], table: str = "project"
) -> tuple[EnvironmentFile | None, dict[str, str]]:
    """Return facts about the project's environment file, and the variables that it sets.

    The key is in `table`. No problem shows a value. Root itself reads the file only if no other user could have placed
    a link there (S3).
    """
    path = project.environment_file
    if path is None:
        return None, {}
    try:
        return _read(path, project, launches, table)
    except OSError as error:
        root_reads_it = backend_named(project.backend).environment_file_read_by_root
        if isinstance(error, PermissionError) and os.geteuid() != 0 and root_reads_it:
            raise ProcmanError(
                f"only root can read {path}, and the checks need it",
                hint="Run the same command with sudo.",
            ) from None
        problem = f"cannot read {path}: {error.strerror}"
        return EnvironmentFile(path, (problem,), remedy=_remedy(path, error, project, table)), {}
    except ProcmanError as error:
        problem = f"cannot read {path} as {project.user}: {error.hint or error.message}"
        return EnvironmentFile(path, (problem,), remedy=_remedy(path, None, project, table)), {}


def _read(
    path: Path, project: Project, launches: Mapping[str, Launch], table: str
) -> tuple[EnvironmentFile, dict[str, str]]:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        problem = f"{path} is not a regular file"
        return EnvironmentFile(path, (problem,), remedy=f"Correct environment_file in [{table}]."), {}
    if found.st_size > LARGEST:
        problem = f"{path}: larger than {LARGEST} bytes; this is not an environment file"
        return EnvironmentFile(path, (problem,), remedy=f"Correct environment_file in [{table}]."), {}
    user = user_id(project.user)
    why = trust_problems(path, {0, -1 if user is None else user, int(os.environ.get("SUDO_UID") or 0)})
    owner, mode = user_name(found.st_uid), stat.S_IMODE(found.st_mode)
    file = EnvironmentFile(path, (), owner=owner, mode=mode, trusted=not why, why="; ".join(why))
    content = private_content(path, project.user)
    try:
        assignments = read_assignments(content.decode("utf-8", "surrogateescape"))
    except EnvironmentFileError as error:
        return replace(file, problems=_with_places(path, error.problems)), {}
    refused = refused_lines(assignments)
    file = replace(
        file,
        refused=_with_places(path, refused),
        replacing=replacing(assignments, launches.values()),
        ambiguous=differences(assignments),
    )
    lines = {line for line, _ in refused}
    return file, {each.name: each.value for each in assignments if each.line not in lines}


def _with_places(path: Path, problems: Iterable[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(f"{path}:{line}: {message}" for line, message in problems)


def _remedy(path: Path, error: OSError | None, project: Project, table: str) -> str:
    if isinstance(error, FileNotFoundError):
        return f"Create {path} with NAME=value lines and mode 0640, or correct environment_file in [{table}]."
    return f"Let {project.user or 'your user'} read it; check the owners and modes: namei -l {path}"
