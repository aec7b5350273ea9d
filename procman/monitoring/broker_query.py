"""Query the broker of an installed project, with the environment and user of its programs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from procman.agent.environment_file import EnvironmentFileError, parse_environment_file
from procman.config.private_file import private_content
from procman.errors import ProcmanError
from procman.host.rabbitmqctl import consumer_timeout_seconds
from procman.launch import launch_of
from procman.lookup import Installed, installed_project
from procman.probes.broker import ask_broker as ask
from procman.probes.broker_facts import BrokerFacts, is_here
from procman.probes.runner import Place
from procman.project import Command, Launch, Program, Project, Worker

SHORTEST_TIMEOUT = 60.0
"""In seconds; RabbitMQ looks for messages that are not acknowledged once a minute."""


def ask_broker(installed: Installed) -> BrokerFacts:
    """Return the answers of the project's broker, by the procman.toml that is kept with the generation.

    Raises ProcmanError if the broker cannot be queried, for example because the caller is neither root nor the user of
    the programs.
    """
    project = installed_project(installed)
    url = project.health.management_url
    return ask(place_of(project), project.app, programs=declared_queues(project.programs), management_url=url)


def place_of(project: Project) -> Place:
    """Return where and as whom a worker or beat of `project` runs. Raises ProcmanError if that cannot be found out."""
    launch = launch_of(project, _program_of_app(project))
    environment = {name: value for name, value in launch.environment.items() if not name.startswith("PROCMAN_")}
    python = project.virtualenv / "bin" / "python"
    return Place(
        python,
        environment,
        launch.directory,
        launch.user,
        launch.group,
        _environment_file(launch),
        launch.environment_file,
        project.configuration_file,
    )


def with_server_timeout(facts: BrokerFacts, seconds: float) -> BrokerFacts:
    """Add RabbitMQ's own consumer timeout if it matters for tasks of `seconds` and can be asked for on this host."""
    if seconds <= SHORTEST_TIMEOUT or not facts.version or not is_here(facts.host):
        return facts
    return replace(facts, server_timeout=consumer_timeout_seconds())


def declared_queues(programs: Iterable[Program]) -> dict[str, tuple[str, ...]]:
    """Return the `queues` of each worker, by program; none: those of the app."""
    return {each.name: each.options.queues for each in programs if isinstance(each.options, Worker)}


def _program_of_app(project: Project) -> Program:
    """Return the program whose launch is used: a worker or beat, because a command may have another environment."""
    of_celery = [program for program in project.programs if not isinstance(program.options, Command)]
    if not of_celery:
        raise ProcmanError("the project has neither a worker nor a beat, so no program shows how to load its app")
    return of_celery[0]


def _environment_file(launch: Launch) -> dict[str, str]:
    if launch.environment_file is None:
        return {}
    try:
        content = private_content(launch.environment_file, launch.user)
        return parse_environment_file(content.decode("utf-8", "surrogateescape"))
    except (OSError, EnvironmentFileError, ProcmanError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ProcmanError(
            f"cannot read the environment file {launch.environment_file}: {reason}",
            hint="Run this as root or as the user of the programs.",
        ) from None
