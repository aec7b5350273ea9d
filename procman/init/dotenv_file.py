"""Make a `.env` of the project its environment file, unless the settings load it themselves."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from procman.init.draft import Draft
from procman.init.importing.variables_files import VariablesFile, read_files
from procman.probes.app import AppFacts

NAME = ".env"

REMARK = "The settings do not load it themselves."


def ask_with_dotenv(draft: Draft, top: Path, ask: Callable[[], AppFacts | None]) -> AppFacts | None:
    """Return the app's answers, with the variables of the `.env` in or below `top` if the settings do not load it.

    `ask` loads the app with the variables of `draft`, which then names the file.
    """
    before = list(draft.warnings)
    facts, path = ask(), _nearest(draft.path("directory"), top)
    if path is None or draft.get("project", "environment_file") is not None:
        return facts
    if facts and facts.opened is not None and _is_among(path, facts.opened):
        draft.found("variables", path, "the settings load them")
        return facts
    file = read_files([path], draft.text("project", "user"))[path]
    objection = _objection(file)
    if objection:
        draft.warn(f"{path} cannot be the environment file: {objection}")
        return facts
    return _ask_again(draft, file, facts, before, ask)


def _ask_again(
    draft: Draft, file: VariablesFile, without: AppFacts | None, before: list[str], ask: Callable[[], AppFacts | None]
) -> AppFacts | None:
    """Return the app's answers with the variables of `file`, and without it if they make no certain difference."""
    is_certain = without is None or without.opened is not None
    warnings, draft.warnings = draft.warnings, before
    draft.variables_of_file = dict(file.variables)
    answers = ask() if is_certain else None
    if answers:
        draft.put("project", "environment_file", file.path, REMARK)
        draft.found("variables", file.path, "the environment file, because the settings do not load it themselves")
        return answers
    draft.warnings, draft.variables_of_file = warnings, {}
    draft.warn(f"if the settings do not load {file.path} themselves, name it in environment_file of [project]")
    return without


def _nearest(directory: Path | None, top: Path) -> Path | None:
    """Return the `.env` in `directory` or the nearest directory above it up to `top`."""
    if directory is None:
        return None
    above = [each for each in directory.parents if each.is_relative_to(top)]
    return next((each / NAME for each in (directory, *above) if os.path.lexists(each / NAME)), None)


def _is_among(path: Path, opened: tuple[Path, ...]) -> bool:
    return os.path.realpath(path) in map(os.path.realpath, opened)


def _objection(file: VariablesFile) -> str:
    """Return why a program cannot read the file as it is; no value is shown."""
    if file.problem:
        return file.problem
    if file.refused:
        return f"procman refuses {', '.join(file.refused)} in it; `procman explain PM705` lists what it accepts"
    if not file.is_usable:
        lines = ", ".join(map(str, file.not_understood[:5])) or "with `export`"
        return f"it has lines that are not NAME=VALUE ({lines}); see `procman explain PM705`"
    return ""
