"""The programs of a file that was taken over from somebody else, when it is given back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from procman.backends.lookup import controller_of
from procman.deploy.rollout import How
from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.install.state.manifest import Manifest
from procman.model import Action, Activation, InstalledProgram


def load_theirs(
    tree: Tree, manifest: Manifest, restored: Iterable[Path], programs: Iterable[InstalledProgram], how: How
) -> None:
    """Have those of PROGRAMS run that the files RESTORED define; what is not loaded is told, for a person to see to."""
    controller = controller_of(manifest)
    for path in restored:
        how.say(f"{path} is again as it was before procman took it over")
        found = tree.look(path)
        text = (found.content if found else None) or b""
        for program in programs:
            if f":{program.name}]".encode() not in text and path.stem != program.name:
                continue
            try:
                how.told(program, controller.activate(Activation(Action.ADD, program, True), how.progress))
            except ProcmanError as error:
                how.say(f"{program.name}: could not be loaded from {path} again: {error.message}; see to it by hand")
