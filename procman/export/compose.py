"""Render a project as services of Compose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from procman.backends.record import Rule
from procman.export.containers import (
    RULES,
    TOP,
    Contained,
    agent_files,
    contained,
    memory_problems,
    probe_seconds,
    probe_words,
    volume_name,
)
from procman.export.mounts import schedule_directory
from procman.launch import group_of, user_of
from procman.project import Command, Program, Project, RenderedFile, Rendering
from procman.templating import Templates

FILE = TOP / "compose.yaml"
AGENT = TOP / "agent"


def problems(project: Project) -> Iterator[tuple[str, str]]:
    """Yield the keys of `project` that Compose cannot follow, each with the reason and what to do."""
    for program in project.programs:
        yield from memory_problems(program, program.memory_max_mib, "memory_max_mib")


@dataclass(frozen=True)
class Compose:
    """The export target `compose`."""

    name: str = "compose"
    rules: tuple[Rule, ...] = (*RULES, Rule(examine=problems))

    def render(self, project: Project) -> Rendering:
        """Return the compose file, and the files of the agent that it mounts."""
        services = contained(project)
        volumes = [name for each in services for name, _ in _volumes(project, each.program)]
        values = {
            "project": project,
            "image": _image(project),
            "services": [_service(project, each) for each in services],
            "volumes": [*dict.fromkeys(volumes)],
        }
        text = Templates(project.templates).render("compose/compose.yaml.j2", values)
        users = tuple(program.name for program in project.programs)
        return Rendering((), (RenderedFile(FILE, text, 0o644, None, None, users), *agent_files(project, AGENT)))

    def notes(self, _: Project) -> tuple[str, ...]:
        """Return what the file assumes because no key sets it: nothing, as the image is a variable."""
        return ()


TARGET = Compose()


def _image(project: Project) -> str:
    variable = f"{project.name.upper().replace('-', '_')}_IMAGE"
    return f"${{{variable}:-{project.kubernetes.image or project.name}}}"


def _volumes(project: Project, program: Program) -> list[tuple[str, Path]]:
    schedule = schedule_directory(project, program)
    data = [(f"data-{volume_name(path)}", path) for path in dict.fromkeys(project.writable_paths)]
    return [*([("schedule", schedule)] if schedule else []), *data]


def _service(project: Project, each: Contained) -> dict[str, object]:
    program, launch = each.program, each.launch
    return {
        "name": program.name,
        "kind": each.kind.value,
        "argv": launch.argv,
        "directory": launch.directory,
        "user": ":".join(filter(None, (user_of(project, program), group_of(project, program)))),
        "environment": launch.environment.items(),
        "environment_file": launch.environment_file,
        "stop_signal": program.options.stop_signal if isinstance(program.options, Command) else "TERM",
        "grace": f"{each.grace_seconds}s",
        "autostart": program.autostart,
        "memory": f"{program.memory_max_mib}m" if program.memory_max_mib else None,
        "tasks": program.tasks_max,
        "probe": ("CMD", *probe_words(project, "live")) if each.has_heartbeat else (),
        "interval": f"{project.health.interval_seconds}s",
        "timeout": f"{probe_seconds(project)}s",
        "failures": project.health.failures,
        "agent": project.directories.library,
        "run": project.directories.run(program.name),
        "volumes": _volumes(project, program),
    }
