"""What will work less well on this host than procman.toml may lead to expect; an install says it and goes on."""

from __future__ import annotations

from pathlib import Path

from procman.model import BackendName, Project, Scope, SupervisorMode

SUPERVISOR_UNITS = {
    Path("/etc/supervisor/supervisord.conf"): "supervisor.service",
    Path("/etc/supervisord.conf"): "supervisord.service",
}
"""The units of Debian's and Red Hat's packages, by supervisord's configuration."""


def warnings(project: Project) -> list[str]:
    """Return the warnings, each with its remedy."""
    if project.backend is BackendName.SYSTEMD:
        from procman.backends.systemd import verify

        return verify.warnings(project)
    unit = SUPERVISOR_UNITS.get(project.supervisor.configuration)
    if project.scope is Scope.USER or project.supervisor.mode is SupervisorMode.EMBEDDED or unit is None:
        return []
    from procman.backends.systemd.cutting import cut_short

    cut = cut_short(unit, max(program.stop_timeout_seconds for program in project.programs))
    return [cut] if cut else []
