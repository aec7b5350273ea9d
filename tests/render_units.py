"""`make units`: render the reference deployments, each into its directory below units/."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from procman.backends import backend_named
from procman.config.load import load
from procman.model import BackendName
from procman.project import Project, RenderedFile, Rendering

UNITS = Path(__file__).parent.parent / "units"

DEPLOYMENTS = {
    "supervisor": (BackendName.SUPERVISOR, "procman.toml"),
    "systemd": (BackendName.SYSTEMD, "procman.toml"),
    "systemd-user": (BackendName.SYSTEMD, "procman-user.toml"),
}
"""By directory: the backend, and the file that describes the project."""

HOME = {"HOME": "/home/catmaid"}


def project(deployment: str) -> Project:
    """Return the project of a deployment."""
    backend, file = DEPLOYMENTS[deployment]
    return replace(load(UNITS / file, HOME), backend=backend)


def rendering(deployment: str) -> Rendering:
    """Return the rendered files of a deployment."""
    desired = project(deployment)
    return backend_named(desired.backend).render(desired)


def agent_files(deployment: str) -> list[RenderedFile]:
    """Return the launcher and the files that it imports, of which units/ has no copy."""
    library = project(deployment).directories.library
    return [file for file in rendering(deployment).files if file.path.parent == library]


def unit_files(deployment: str) -> dict[Path, RenderedFile]:
    """Return all other rendered files, by their path below units/."""
    agent = agent_files(deployment)
    return {
        UNITS / deployment / file.path.relative_to("/"): file
        for file in rendering(deployment).files
        if file not in agent
    }


def main() -> None:
    """Write all files again, and remove those that are no longer rendered."""
    for deployment in DEPLOYMENTS:
        shutil.rmtree(UNITS / deployment, ignore_errors=True)
        for path, file in unit_files(deployment).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.content, encoding="utf-8")
            path.chmod(file.mode)


if __name__ == "__main__":
    main()
