"""Limits of this host that procman.toml does not mention; an install warns about them and continues."""

from __future__ import annotations

from procman.backends import backend_named
from procman.host.stop_order import not_started_at_boot
from procman.host.systemd_stop_limits import cut_by_reboot
from procman.model import Scope
from procman.project import Project


def warnings(project: Project) -> list[str]:
    """Return the warnings, each with its fix."""
    found = backend_named(project.backend).host_check.warnings(project)
    if project.scope is Scope.SYSTEM:
        cut = cut_by_reboot(max(program.stop_timeout_seconds for program in project.programs))
        found += [cut] if cut else []
        found += not_started_at_boot(project.after)
    return found
