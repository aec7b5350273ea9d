"""Render the lines of a Dockerfile that put the agent into an image."""

from __future__ import annotations

from dataclasses import dataclass

from procman.backends.record import Rule
from procman.export.containers import OF_IMAGE, TOP, agent_files, probe_seconds, probe_words
from procman.export.mounts import schedule_directory
from procman.launch import group_of, user_of
from procman.project import Program, Project, RenderedFile, Rendering
from procman.templating import Templates

FILE = TOP / "Dockerfile.procman"
AGENT = TOP / "agent"

OF_EVERYONE = ("/tmp", "/var/tmp")  # noqa: S108  # they keep their owner and mode


@dataclass(frozen=True)
class Dockerfile:
    """The export target `dockerfile`."""

    name: str = "dockerfile"
    rules: tuple[Rule, ...] = OF_IMAGE

    def render(self, project: Project) -> Rendering:
        """Return the lines to add to a Dockerfile, and the files of the agent that they copy."""
        values = {
            "project": project,
            "copy": (f"{AGENT.relative_to(TOP)}/", f"{project.directories.library}/"),
            "commands": _commands(project),
            "probe": probe_words(project, "live"),
            "interval": project.health.interval_seconds,
            "timeout": probe_seconds(project),
        }
        text = Templates(project.templates).render("dockerfile/Dockerfile.j2", values)
        users = tuple(program.name for program in project.programs)
        return Rendering((), (RenderedFile(FILE, text, 0o644, None, None, users), *agent_files(project, AGENT)))

    def notes(self, _: Project) -> tuple[str, ...]:
        """Return what the lines assume because no key sets it: nothing."""
        return ()


TARGET = Dockerfile()


def _commands(project: Project) -> list[tuple[str, ...]]:
    """Return the commands that make the directories which programs write to, one for each user.

    A new volume gets the owner that its directory has in the image, else root.
    """
    owned: dict[tuple[str, ...], list[str]] = {}
    for program in project.programs:
        owned.setdefault(_owner(project, program), []).append(str(project.directories.run(program.name)))
    for program in project.programs:
        schedule = schedule_directory(project, program)
        if schedule:
            owned[_owner(project, program)].append(str(schedule))
    shared = [str(path) for path in dict.fromkeys(project.writable_paths) if str(path) not in OF_EVERYONE]
    if shared:
        owned.setdefault(_options(project.user, project.group), []).extend(shared)
    return [("install", "-d", *options, *paths) for options, paths in owned.items()]


def _owner(project: Project, program: Program) -> tuple[str, ...]:
    return _options(user_of(project, program), group_of(project, program))


def _options(user: str | None, group: str | None) -> tuple[str, ...]:
    return ("-o", str(user), *(("-g", group) if group else ()))
