"""Projects to render: the reference deployment and variations of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from procman.backends.supervisor import renderer
from procman.config.load import load
from procman.project import Project, RenderedFile

REFERENCE = Path(__file__).parents[3] / "units" / "procman.toml"


def reference(**changes: object) -> Project:
    """Return the project of units/procman.toml with `changes` to its fields."""
    return replace(load(REFERENCE, {}), **changes)  # type: ignore[arg-type]


def with_programs(project: Project, **changes: object) -> Project:
    """Return `project` with `changes` to the fields of each program."""
    programs = tuple(replace(program, **changes) for program in project.programs)  # type: ignore[arg-type]
    return replace(project, programs=programs)


def embedded(tmp_path: Path, home: Path, text: str = "") -> Project:
    """Return a project of the user with `home` under procman's own supervisord, with `text` added to procman.toml."""
    configuration = tmp_path / "procman.toml"
    configuration.write_text(
        '[project]\nname = "demo"\napp = "mysite"\ndirectory = "/srv/demo"\nvirtualenv = "/srv/env"\nscope = "user"\n'
        f'[worker.celery]\n[beat]\n[supervisor]\nmode = "embedded"\n{text}'
    )
    return load(configuration, {"HOME": str(home)})


def rendered(project: Project) -> dict[str, RenderedFile]:
    """Return the files of `project` by path."""
    return {str(file.path): file for file in renderer.render(project).files}


def sections(project: Project) -> str:
    """Return every section of `project` that supervisord includes, as one text."""
    return "".join(file.content for file in renderer.render(project).files if file.section)
