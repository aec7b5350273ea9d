"""From what is rendered to what a manifest remembers of it, and back; `status` needs neither."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import Generation, store_of
from procman.install.state.manifest import InstalledFile, Manifest, digest
from procman.model import InstalledProgram
from procman.project import Beat, Project, RenderedFile, Rendering


def content_of(file: RenderedFile) -> bytes:
    """Return FILE as bytes; what is left of somebody else's file may hold bytes that are no UTF-8."""
    return file.content.encode("utf-8", "surrogateescape")


def describe(
    project: Project,
    rendering: Rendering,
    programs: Sequence[InstalledProgram],
    *,
    procman: str,
    configuration: bytes,
    templates_digest: str,
) -> Manifest:
    """Return the manifest of RENDERING, before it was compared with the disk.

    PROCMAN is the version, CONFIGURATION the content of procman.toml.
    """
    return Manifest(
        procman=procman,
        project=project.name,
        scope=project.scope,
        backend=project.backend,
        configuration_file=project.configuration_file,
        configuration_digest=digest(configuration),
        templates_digest=templates_digest,
        directories=project.directories,
        supervisor=project.supervisor,
        programs=tuple(programs),
        files=tuple(installed_file(file) for file in rendering.files),
        rendered_directories=rendering.directories,
        environment_file=project.environment_file,
        log_files=tuple(Path(program.log_file) for program in programs if program.log_file),
        schedule_files=tuple(
            program.options.schedule_file
            for program in project.programs
            if isinstance(program.options, Beat) and program.options.schedule_file
        ),
        app=project.app,
        directory=project.directory,
        virtualenv=project.virtualenv,
        writable_paths=project.writable_paths,
        health=project.health,
    )


def installed_file(file: RenderedFile) -> InstalledFile:
    """Return what a manifest remembers of FILE."""
    return InstalledFile(
        file.path,
        digest(content_of(file)),
        file.mode,
        file.owner,
        file.group,
        file.programs,
        file.restarts,
        file.section,
        file.shared,
    )


def rendering_of(tree: Tree, state: Path, generation: Generation) -> Rendering:
    """Return what GENERATION put on disk, to be planned and applied once more: that is a roll-back."""
    store = store_of(state, generation.number)
    files = []
    for file in generation.manifest.files:
        content = tree.read_private(store / file.digest)
        if content is None or digest(content) != file.digest:
            raise ProcmanError(
                f"{store / file.digest} is missing or damaged: it is {file.path} of generation {generation.number}",
                hint="choose another generation, or install from procman.toml",
            )
        files.append(
            RenderedFile(
                path=file.path,
                content=content.decode("utf-8", "surrogateescape"),
                mode=file.mode,
                owner=file.owner,
                group=file.group,
                programs=file.programs,
                restarts=file.restarts,
                section=file.section,
                shared=file.shared,
            )
        )
    return Rendering(generation.manifest.rendered_directories, tuple(files))
