"""Gather the workers of other installed projects of the same app that do not run at the moment."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

from procman.celery_cli.node_names import node_name
from procman.deploy.prepare import as_configured
from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import current_generation, manifests_of_others, read_configuration
from procman.install.state.manifest import Manifest
from procman.model import Kind
from procman.preflight.inputs import OtherProgram
from procman.project import Project, Worker


def stopped_workers(project: Project, running: Collection[str]) -> Iterator[OtherProgram]:
    """Yield the workers of the other projects of this scope that have the same app, apart from those in `running`.

    A project of another user can have programs of the same names: `running` has those of the app alone.
    """
    try:
        with Tree() as tree:
            others = [each for each in manifests_of_others(tree, project.directories) if _same_app(project, each)]
            configured = [(each, _configured(tree, each)) for each in others]
    except ProcmanError:
        # Without the rights to read them.
        return
    for manifest, other in configured:
        for program in other.programs if other else ():
            if isinstance(program.options, Worker) and program.name not in running:
                yield OtherProgram(
                    kind=Kind.WORKER,
                    pid=0,
                    user=manifest.user or "you",
                    command="",
                    app=manifest.app,
                    directory=str(manifest.directory),
                    program=program.name,
                    is_procmans=True,
                    node_name=node_name(program.options.node_name, os.uname().nodename),
                )


def _same_app(project: Project, other: Manifest) -> bool:
    is_named_alike = project.app.partition(":")[0].partition(".")[0] == other.app.partition(":")[0].partition(".")[0]
    return is_named_alike and (project.directory == other.directory or project.virtualenv == other.virtualenv)


def _configured(tree: Tree, manifest: Manifest) -> Project | None:
    generation = current_generation(tree, manifest.directories.state)
    if generation is None:
        return None
    return as_configured(generation, read_configuration(tree, manifest.directories.state, generation.number))
