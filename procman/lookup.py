"""Find the project of a command, from procman.toml or among the installed ones."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from procman.config.directories import directories_for
from procman.config.find_file import Located, files_for_host, find, locate, usable
from procman.config.peek_identity import read_identity
from procman.config.read_file import STANDARD_INPUT
from procman.errors import ConfigurationError, ProcmanError
from procman.install.plan.drift import is_as_installed
from procman.install.safe_fs.file_info import PathError
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import (
    Generation,
    current_generation,
    read_configuration,
    read_installation,
    read_pending,
)
from procman.install.state.manifest import Manifest, Pending
from procman.install.state.scope_directories import installed_projects
from procman.model import Directories, Scope

if TYPE_CHECKING:
    from procman.backends.base import ExportTarget
    from procman.project import Project


CHOOSE = "Choose one with --project NAME."


class Chosen(NamedTuple):
    """The options and the place of the caller, which decide on the project."""

    configuration: Path | None
    """--config."""
    name: str | None
    """--project."""
    environment: Mapping[str, str]
    directory: Path
    """The working directory."""


class Installed(NamedTuple):
    """An installed project: its generation, and the actions that an interrupted command left pending."""

    generation: Generation
    pending: Pending | None
    file_problem: str = ""
    """Why its procman.toml could not be used to find it, or is invalid; empty if it is not."""

    @property
    def manifest(self) -> Manifest:
        """Return the manifest of the current generation."""
        return self.generation.manifest

    @property
    def is_half_removed(self) -> bool:
        """Return whether an uninstall was interrupted: files are meant to be missing."""
        return self.pending is not None and self.pending.uninstall

    def require_whole(self) -> None:
        """Raise ProcmanError after an interrupted uninstall, whose programs may have no files any more.

        Also after an interrupted adoption: an existing program may still run, and would run beside its successor (R12).
        """
        if self.is_half_removed:
            raise ProcmanError(
                f"an uninstall of {self.manifest.project} was interrupted",
                hint="procman uninstall completes it; procman install brings everything back",
            )
        if self.pending and self.pending.adoptions:
            labels = ", ".join(each.label for each in self.pending.adoptions)
            raise ProcmanError(
                f"an install was interrupted before it had stopped {labels}",
                hint="procman install completes it; procman uninstall brings everything back",
            )


def configured(chosen: Chosen, text: str | None = None, target: ExportTarget | None = None) -> Project:
    """Return the project of the procman.toml that is named, found, or recorded at the last install.

    `text` is that of a procman.toml from standard input, which takes the place of all these. `target` is what the
    project is rendered for, by default its backend.
    """
    # Imported only here: `status` should not wait for the import of the loader.
    from procman.config.load import load
    from procman.config.trust_project import require_trusted_templates, require_trusted_uses

    if text is None:
        project = load(_to_load(chosen), chosen.environment, target=target)
    else:
        project = load(STANDARD_INPUT, chosen.environment, text, target, directory=chosen.directory)
        project = replace(project, configuration_text=text)
    if project.templates:
        require_trusted_templates(project.templates, chosen.environment)
    require_trusted_uses(project, chosen.environment)
    return project


def _to_load(chosen: Chosen) -> Path:
    """Return the procman.toml that is named, found, in /etc/procman, or recorded at the last install."""
    path = None if chosen.name else find(chosen.configuration, chosen.environment, chosen.directory)
    if path is None:
        known = _not_installed(chosen) or installed(chosen).manifest.configuration_file
        path = find(known, chosen.environment, chosen.directory)
    assert path  # find() with an explicit path returns it or raises
    return path


def _not_installed(chosen: Chosen) -> Path | None:
    """Return the procman.toml in /etc/procman of a project that is meant, and that is not installed yet."""
    names = {name for name, _ in installed_anywhere(chosen.environment)}
    found = {name: path for name, path in files_for_host().items() if name not in names}
    if chosen.name or not found:
        return found.get(chosen.name or "")
    known = sorted({*names, *found})
    if len(known) > 1:
        raise ConfigurationError([f"several projects are known: {', '.join(known)}"], hint=CHOOSE)
    return found[known[0]]


def is_meant_by_default(path: Path, environment: Mapping[str, str], directory: Path) -> bool:
    """Return whether a command in `directory` that names no project uses the procman.toml `path`."""
    try:
        return _to_load(Chosen(None, None, environment, directory)) == path
    except ProcmanError:
        return False


def installed(chosen: Chosen, *, formerly: bool = False, acts: bool = False, partly: bool = False) -> Installed:
    """Return the installed project that `--project` or the procman.toml found names, or else the only one.

    A procman.toml that is missing, invalid or not root's to use means the project that was installed from it, and
    `file_problem` describes it (S3: the file decides nothing). If no project was, and the caller only shows (not
    `acts`), a file that was found, not named, means the only installed project. With `formerly`, a procman.toml may
    also name an uninstalled project that still has files to purge; with `partly`, one whose first install was
    interrupted, which may have changed files already.
    """
    located = None if chosen.name else locate(chosen.configuration, chosen.environment, chosen.directory)
    if located is None:
        return _only_one(chosen)
    try:
        path = usable(located, chosen.environment)
        name, scope = read_identity(path)
    except ConfigurationError as error:
        return _despite(error, located, chosen, acts=acts)
    found = _read(directories_for(name, scope, chosen.environment), formerly=formerly, partly=partly)
    if found is None:
        raise ProcmanError(f"{name} is not installed ({path})", hint=_remedy(path, chosen.environment))
    return found._replace(file_problem=_problem_in(path, found.manifest, chosen.environment))


def _remedy(path: Path, environment: Mapping[str, str]) -> str:
    """Return how to use a project that is not installed; another one may have been installed from its file."""
    others = [
        each.manifest.project for each in _every_installed(environment) if each.manifest.configuration_file == path
    ]
    renamed = [f"{other} was installed from this file: procman --project {other}" for other in others]
    return "\n".join(["procman install", *renamed])


def _despite(error: ConfigurationError, located: Located, chosen: Chosen, *, acts: bool) -> Installed:
    """Return the project that was installed from the unusable procman.toml `located`; raise `error` if none was."""
    every = _every_installed(chosen.environment)
    found = [each for each in every if each.manifest.configuration_file == located.path]
    if not found and not acts and not located.why:
        found = every
    if len(found) != 1:
        names = ", ".join(each.manifest.project for each in every)
        if names:
            error.hint = (
                f"{error.hint}\nTo use an installed project without the file: --project NAME ({names})".lstrip()
            )
        raise error
    return found[0]._replace(file_problem=_in_short(error))


def _problem_in(path: Path, manifest: Manifest, environment: Mapping[str, str]) -> str:
    """Return why the procman.toml `path` is invalid; the one that was installed is not."""
    try:
        if path == manifest.configuration_file and is_as_installed(manifest, path.read_bytes()):
            return ""
        # Imported only for a changed file: `status` should not wait for it.
        from procman.config.load import load

        load(path, environment)
    except ConfigurationError as error:
        return _in_short(error)
    except OSError:
        pass  # replaced just now
    return ""


def _in_short(error: ConfigurationError) -> str:
    first, more = error.problems[0].rstrip("."), len(error.problems) - 1
    return f"{first} (and {more} more)" if more else first


def _every_installed(environment: Mapping[str, str]) -> list[Installed]:
    """Return the installed projects whose record can be read."""
    found = []
    for _, directories in installed_anywhere(environment):
        with suppress(ProcmanError):
            found += [each for each in [_read(directories)] if each]
    return found


def installed_project(installed: Installed) -> Project:
    """Return the project of the procman.toml that is kept with the generation, in system scope for root alone."""
    from procman.config.load import load

    manifest = installed.manifest
    with Tree() as tree:
        content = read_configuration(tree, manifest.directories.state, installed.generation.number)
    return load(manifest.configuration_file, dict(os.environ), content.decode("utf-8"))


def installed_at(state: Path) -> Installed | None:
    """Return the project installed with its state in the directory `state`; None if it is not installed."""
    with Tree() as tree:
        generation = current_generation(tree, state)
        return Installed(generation, read_pending(tree, state)) if generation else None


def _only_one(chosen: Chosen) -> Installed:
    places = installed_anywhere(chosen.environment)
    matching = [each for each in places if chosen.name in (None, each[0])]
    if len(matching) == 1:
        found = _read(matching[0][1])
        if found:
            return found
    if not chosen.name and (lost := _of_missing_file(chosen)):
        return lost
    names = ", ".join(sorted({name for name, _ in places}))
    if chosen.name and not matching:
        known = f"; installed: {names}" if names else ", and neither is any other"
        raise ConfigurationError([f"project {chosen.name} is not installed{known}"], hint=_install(chosen.name))
    if not places:
        raise ConfigurationError(
            [f"no procman.toml in {chosen.directory} or above, and no project is installed"],
            hint=_install() or "`procman init` writes one; --config PATH names an existing one.",
        )
    raise ConfigurationError([f"several projects are installed: {names}"], hint=CHOOSE)


def _install(name: str | None = None) -> str:
    """Return how to install the project `name`, or each one, that has a procman.toml in /etc/procman; empty if none."""
    found = {each: path for each, path in files_for_host().items() if name in (None, each)}
    return "\n".join(f"{path} is not installed: procman --project {each} install" for each, path in found.items())


def _of_missing_file(chosen: Chosen) -> Installed | None:
    """Return the project whose procman.toml was in the working directory, or the nearest one above, and is gone."""
    above = (chosen.directory, *chosen.directory.parents)
    every = [each for each in _every_installed(chosen.environment) if each.manifest.configuration_file.parent in above]
    nearest = max((len(each.manifest.configuration_file.parts) for each in every), default=0)
    found = [each for each in every if len(each.manifest.configuration_file.parts) == nearest]
    if len(found) != 1 or os.path.lexists(found[0].manifest.configuration_file):
        return None
    return found[0]._replace(file_problem=f"{found[0].manifest.configuration_file}: no such file")


def installed_anywhere(environment: Mapping[str, str]) -> list[tuple[str, Directories]]:
    """Return the name and directories of each installed project, of every scope that `environment` leads to."""
    found = []
    for scope in Scope:
        if scope is Scope.USER and not environment.get("HOME"):
            continue
        shared = directories_for("any", scope, environment).shared_state
        try:
            with Tree() as tree:
                names = installed_projects(tree, shared)
        except PathError:
            if scope is Scope.SYSTEM:
                raise
            # HOME may be another user's, as sudo leaves it to root; the projects there are not root's.
            continue
        found += [(name, directories_for(name, scope, environment)) for name in names]
    return found


def _read(directories: Directories, *, formerly: bool = False, partly: bool = False) -> Installed | None:
    with Tree() as tree:
        generation, pending = current_generation(tree, directories.state), read_pending(tree, directories.state)
        if generation is None and (formerly or (partly and pending)):
            generation = read_installation(tree, directories).latest
        return Installed(generation, pending) if generation else None
