"""From what is rendered to what a manifest remembers of it, and back; `status` needs neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import Generation, store_of
from procman.install.state.manifest import InstalledFile, Manifest, digest
from procman.model import InstalledProgram
from procman.project import Project, RenderedFile, Rendering

Record = TypeVar("Record", InstalledFile, InstalledProgram, Manifest, RenderedFile)


def content_of(file: RenderedFile) -> bytes:
    """Return FILE as bytes; what is left of somebody else's file may hold bytes that are no UTF-8."""
    return file.content.encode("utf-8", "surrogateescape")


def describe(
    project: Project,
    rendering: Rendering,
    programs: Sequence[InstalledProgram],
    configuration: bytes,
    *,
    procman: str,
    templates_digest: str,
    left_out: tuple[str, ...] = (),
) -> Manifest:
    """Return the manifest of `rendering` before it is compared with the disk, with the fields that `project` has too.

    `configuration` is the content of procman.toml, `procman` the version.
    """
    return record_of(
        Manifest,
        project,
        procman=procman,
        project=project.name,
        configuration_digest=digest(configuration),
        templates_digest=templates_digest,
        programs=tuple(programs),
        files=tuple(installed_file(file) for file in rendering.files),
        rendered_directories=rendering.directories,
        log_files=tuple(Path(program.log_file) for program in programs if program.log_file),
        left_out=left_out,
    )


def installed_file(file: RenderedFile) -> InstalledFile:
    """Return what a manifest remembers of FILE."""
    return record_of(InstalledFile, file, digest=digest(content_of(file)))


def record_of(kind: type[Record], source: object, **others: object) -> Record:
    """Return the record of KIND with every field that SOURCE has too; OTHERS are the rest, and go before."""
    shared = {field.name: getattr(source, field.name) for field in fields(kind) if hasattr(source, field.name)}
    return kind(**shared | others)


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
        files.append(record_of(RenderedFile, file, content=content.decode("utf-8", "surrogateescape")))
    return Rendering(generation.manifest.rendered_directories, tuple(files))
