"""Converts a rendering into what a manifest records of it, and back; `status` does not import this."""

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
    """Return the content of `file` as bytes; the remainder of an adopted file may contain bytes that are not UTF-8."""
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
    """Return the manifest of `rendering`, with the fields it shares with `project`, before a comparison with the disk.

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
        log_files=tuple(Path(file) for program in programs for file in program.log_files),
        left_out=left_out,
    )


def installed_file(file: RenderedFile) -> InstalledFile:
    """Return what a manifest records of `file`."""
    return record_of(InstalledFile, file, digest=digest(content_of(file)))


def record_of(kind: type[Record], source: object, **others: object) -> Record:
    """Return a record of `kind` with every field that `source` has too; `others` are the rest, and take precedence."""
    shared = {field.name: getattr(source, field.name) for field in fields(kind) if hasattr(source, field.name)}
    return kind(**shared | others)


def rendering_of(tree: Tree, state: Path, generation: Generation) -> Rendering:
    """Return the files and directories of `generation`, from its stored copies, for a rollback."""
    store = store_of(state, generation.number)
    files = []
    for file in generation.manifest.files:
        content = tree.read_private(store / file.digest)
        if content is None or digest(content) != file.digest:
            raise ProcmanError(
                f"{store / file.digest} is missing or damaged; it is {file.path} of generation {generation.number}",
                hint="choose another generation, or install from procman.toml",
            )
        files.append(record_of(RenderedFile, file, content=content.decode("utf-8", "surrogateescape")))
    return Rendering(generation.manifest.rendered_directories, tuple(files))
