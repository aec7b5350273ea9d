"""Compare the imported programs with a procman.toml: the one that exists, or the one that init would write."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from procman.config.load import load
from procman.config.trust import require_trust
from procman.errors import ProcmanError
from procman.init.comparing.compare import ComparedProject, Comparison, compare, identity
from procman.init.comparing.known import known_of
from procman.init.importing.existing import Existing
from procman.init.importing.variables_files import VariablesFile, read_files, variables_of
from procman.init.init import InitReport, NewProject
from procman.init.write_file import FILE
from procman.project import Project


def compared_projects(report: InitReport, *, force: bool, environment: Mapping[str, str]) -> list[ComparedProject]:
    """Return a comparison for each project of `report`; its file counts if it exists, unless `force`.

    `environment` is the caller's, for the directories of user scope. Raises ProcmanError if a procman.toml cannot be
    loaded, or a value that only a person can fill in is missing.
    """
    first, *others = [_compared(each, force=force, environment=environment) for each in report.projects]
    lost = tuple(_not_imported(each) for each in report.left_out)
    return [replace(first, programs=(*first.programs, *lost)), *others]


def _not_imported(existing: Existing) -> Comparison:
    return Comparison(
        existing, None, problem=f"not imported: {existing.problem}" if existing.problem else "not imported"
    )


def _compared(new: NewProject, *, force: bool, environment: Mapping[str, str]) -> ComparedProject:
    is_written = new.path is not None and os.path.lexists(new.path) and not force
    project = _loaded(new, environment, is_written=is_written)
    programs = [each for found in new.programs.values() for each in found]
    files = read_files((path for each in programs for path in each.environment_files), project.user)
    variables = {identity(each): _all_variables(each, files) for each in programs}
    own = new.secrets if new.secrets and not is_written else _variables(project)
    known = known_of(project, programs, variables, own)
    return ComparedProject(new.path, is_written, tuple(compare(new.programs, project, known)))


def _all_variables(existing: Existing, files: Mapping[Path, VariablesFile]) -> dict[str, str]:
    refused = {name: value for path in existing.environment_files for name, value in files[path].refused.items()}
    return {**variables_of(existing.environment_files, files), **refused}


def _loaded(new: NewProject, environment: Mapping[str, str], *, is_written: bool) -> Project:
    path = (new.path or Path(FILE)).absolute()
    if is_written:
        require_trust(path, environment)
        return load(path, environment)
    if new.fill_in:
        missing = "\n".join(new.fill_in)
        hint = f"Run the same command without --compare, fill them in in {path.name}, and compare again."
        raise ProcmanError(f"cannot compare the programs, because values are missing:\n{missing}", hint=hint)
    return load(path, environment, new.text)


def _variables(project: Project) -> Mapping[str, str]:
    if project.environment_file is None:
        return {}
    [file] = read_files([project.environment_file], project.user).values()
    if file.problem:
        hint = "Run the same command with sudo." if os.geteuid() else ""
        raise ProcmanError(f"cannot compare variables: {file.path}: {file.problem}", hint=hint)
    return file.variables
