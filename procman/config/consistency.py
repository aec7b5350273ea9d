"""What no single key can see: clashes between names, and keys that do not go together."""

from __future__ import annotations

from procman.config.document import Document
from procman.config.systemd import check_directives
from procman.model import BackendName, Program, Project, Scope, Worker

LONGEST_NAME = 63
RESERVED_NAME = "procman"
"""/var/lib/procman and /etc/procman hold every project's; a project's data would be given to its user there."""
ONLY_SYSTEMD = "supervisord cannot do this"


def check(document: Document, project: Project) -> None:
    """Note every problem between the keys of PROJECT in DOCUMENT."""
    _check_user(document, project)
    _check_names(document, project)
    _check_node_names(document, project.programs)
    _check_launcher(document, project)
    _check_backend(document, project)
    check_directives(document, project)


def _check_user(document: Document, project: Project) -> None:
    if project.scope is Scope.SYSTEM and project.user is None:
        document.complain("project.user", 'missing: name the user the programs run as, such as "www-data"')
    if project.scope is Scope.USER:
        for key, value in (("user", project.user), ("group", project.group)):
            if value is not None:
                document.complain(
                    f"project.{key}", 'not allowed with scope = "user": programs run as whoever installs them'
                )


def _check_names(document: Document, project: Project) -> None:
    if project.name == RESERVED_NAME:
        document.complain("project.name", f"{RESERVED_NAME} is taken: its directories are procman's own")
    owners: dict[str, str] = {project.name: "project.name", f"{project.name}-health": "procman's own health program"}
    for program in project.programs:
        if len(program.name) > LONGEST_NAME:
            document.complain(program.key, f"the name {program.name} is longer than {LONGEST_NAME} characters")
        other = owners.setdefault(program.name, program.key)
        if other != program.key:
            document.complain(program.key, f"the name {program.name} is taken by {other}: rename one of them")


def _check_node_names(document: Document, programs: tuple[Program, ...]) -> None:
    # With the same node name twice, the second worker dies with ResourceLocked on AMQP (Celery 5.7).
    owners: dict[str, str] = {}
    for program in programs:
        if isinstance(program.options, Worker):
            other = owners.setdefault(program.options.node_name, program.key)
            if other != program.key:
                document.complain(
                    f"{program.key}.hostname",
                    f"{other} has the node name {program.options.node_name} too; it must be unique",
                )


def _check_launcher(document: Document, project: Project) -> None:
    if project.environment_file is None or project.backend is BackendName.SYSTEMD:
        return
    for program in project.programs:
        if not program.launcher:
            document.complain(
                f"{program.key}.launcher",
                "environment_file is read by the launcher: remove launcher = false, or environment_file",
            )


def _check_backend(document: Document, project: Project) -> None:
    for program in project.programs:
        for name, value in (
            ("memory_high_mib", program.memory_high_mib),
            ("memory_max_mib", program.memory_max_mib),
            ("cpu_weight", program.cpu_weight),
            ("tasks_max", program.tasks_max),
            ("nice", program.nice if program.nice < 0 else None),
        ):
            if value is not None and project.backend is not BackendName.SYSTEMD:
                document.complain(f"{program.key}.{name}", f'{ONLY_SYSTEMD}: {value} needs backend = "systemd"')
        if program.nice < 0 and project.scope is Scope.USER:
            document.complain(f"{program.key}.nice", 'below 0 is not possible with scope = "user": only root may do it')
        high, most = program.memory_high_mib, program.memory_max_mib
        if high is not None and most is not None and high > most:
            document.complain(f"{program.key}.memory_high_mib", f"it is above memory_max_mib ({most})")
