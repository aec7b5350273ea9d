"""`make units`: renders units/procman.toml and writes the files below units/, by backend."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from procman import backends
from procman.config.load import load
from procman.model import BackendName, Project, RenderedFile, Rendering

UNITS = Path(__file__).parent.parent / "units"

BACKENDS = (BackendName.SUPERVISOR,)


def project(backend: BackendName) -> Project:
    """Return the reference deployment under BACKEND."""
    return replace(load(UNITS / "procman.toml", {}), backend=backend)


def rendering(backend: BackendName) -> Rendering:
    """Return what is rendered of it."""
    return backends.files(backend).render(project(backend))


def place(backend: BackendName, file: RenderedFile) -> Path:
    """Return where FILE stands below units/."""
    return UNITS / backend.value / file.path.relative_to("/")


def main() -> None:
    """Write all anew, so that what is no longer rendered is gone."""
    for backend in BACKENDS:
        shutil.rmtree(UNITS / backend.value, ignore_errors=True)
        for file in rendering(backend).files:
            path = place(backend, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.content, encoding="utf-8")
            path.chmod(file.mode)


if __name__ == "__main__":
    main()
