"""`procman render`: every file of a project, to be printed or written to a directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from procman.backends import backend_named
from procman.config.read_file import normalised
from procman.errors import ProcmanError
from procman.install.plan.describe import content_of
from procman.install.safe_fs.file_info import PathError
from procman.install.safe_fs.tree import Tree
from procman.project import Project, Rendering


def render(project: Project, templates: Path | None) -> Rendering:
    """Return every directory and file of `project`; `templates` overrides the key of that name."""
    if templates:
        project = replace(project, templates=templates)
    return backend_named(project.backend).render(project)


def write_below(rendering: Rendering, output: Path) -> list[Path]:
    """Write the files of `rendering` below `output`, an empty or new directory, as if it were `/`; return their paths.

    `output` may be in a directory that everyone can write to, such as /tmp, but must not be another user's: root
    follows no link that others could plant there (S3).
    """
    top = normalised(output.absolute())
    written = []
    with Tree() as tree, elsewhere("Name a directory that you can write to: --output DIR"):
        if tree.look(top) is not None and (not tree.has_directory(top) or tree.names(top)):
            raise ProcmanError(f"{output} exists and is not an empty directory", hint="Name a new or empty directory.")
        for file in rendering.files:
            path = top / file.path.relative_to("/")
            for directory in list(path.parents)[-2::-1]:
                tree.make_directory(directory, 0o755)
            tree.write(path, content_of(file), file.mode)
            written.append(output / file.path.relative_to("/"))
    return written


@contextmanager
def elsewhere(hint: str) -> Iterator[None]:
    """Replace the hint of an error about missing rights: here it is the directory that can change, not the user."""
    try:
        yield
    except PathError as error:
        if isinstance(error.__cause__, PermissionError):
            raise PathError(error.message, hint=hint) from error.__cause__
        raise
