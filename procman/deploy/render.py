"""`procman render`: every file, on its way to a person or to a directory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from procman.backends import backend_named
from procman.config.read_file import normalised
from procman.errors import ProcmanError
from procman.install.plan.describe import content_of
from procman.install.safe_fs.tree import Tree
from procman.project import Project, Rendering


def render(project: Project, templates: Path | None) -> Rendering:
    """Return everything PROJECT puts on disk; TEMPLATES, if given, stands in for the key of that name."""
    if templates:
        project = replace(project, templates=templates)
    return backend_named(project.backend).render(project)


def write_below(rendering: Rendering, output: Path) -> list[Path]:
    """Write the files of RENDERING below OUTPUT, an empty or new directory, as if it were `/`; return their paths.

    OUTPUT may stand in a directory of everybody's, such as /tmp, but nobody else may have made it: root follows no link
    that others could plant there meanwhile (S3).
    """
    top = normalised(output.absolute())
    written = []
    with Tree() as tree:
        if tree.look(top) is not None and (not tree.has_directory(top) or tree.names(top)):
            raise ProcmanError(
                f"{output} is there already and not empty", hint="Name a directory that is not there yet."
            )
        for file in rendering.files:
            path = top / file.path.relative_to("/")
            for directory in list(path.parents)[-2::-1]:
                tree.make_directory(directory, 0o755)
            tree.write(path, content_of(file), file.mode)
            written.append(output / file.path.relative_to("/"))
    return written
