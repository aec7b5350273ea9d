"""Render the lines of a Dockerfile that put the agent into an image."""

from __future__ import annotations

from dataclasses import dataclass

from procman.backends.record import Rule
from procman.export.containers import RULES, TOP, agent_files, probe_seconds, probe_words
from procman.launch import user_of
from procman.project import Project, RenderedFile, Rendering
from procman.templating import Templates

FILE = TOP / "Dockerfile.procman"
AGENT = TOP / "agent"


@dataclass(frozen=True)
class Dockerfile:
    """The export target `dockerfile`."""

    name: str = "dockerfile"
    rules: tuple[Rule, ...] = RULES

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


TARGET = Dockerfile()


def _commands(project: Project) -> list[tuple[str, ...]]:
    """Return the commands that make the directories of lock and heartbeat, one for each user."""
    owned: dict[str, list[str]] = {}
    for program in project.programs:
        owned.setdefault(str(user_of(project, program)), []).append(str(project.directories.run(program.name)))
    return [("install", "-d", "-o", user, *paths) for user, paths in owned.items()]
