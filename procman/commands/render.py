"""`procman render`: every file, on its way to a person or to a directory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from procman import backends
from procman.errors import ProcmanError
from procman.model import Project, Rendering


def render(project: Project, templates: Path | None) -> Rendering:
    """Return everything PROJECT puts on disk; TEMPLATES, if given, stands in for the key of that name."""
    if templates:
        project = replace(project, templates=templates)
    return backends.files(project.backend).render(project)


def write_below(rendering: Rendering, output: Path) -> list[Path]:
    """Write the files of RENDERING below OUTPUT, an empty or new directory, as if it were `/`; return their paths."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ProcmanError(f"{output} is there already and not empty", hint="Name a directory that is not there yet.")
    written = []
    for file in rendering.files:
        path = output / file.path.relative_to("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.content, encoding="utf-8")
        path.chmod(file.mode)
        written.append(path)
    return written
