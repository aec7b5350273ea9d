"""The wheel of django-celery-procman is complete."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.celery_environments import ENVIRONMENT
from tests.test_package import tools

from .environments import DJANGO_APP

__all__ = ["tools"]

pytestmark = [pytest.mark.package, pytest.mark.xdist_group("package")]


def test_wheel_has_every_module_template_and_static_file(tools: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(DJANGO_APP, source, ignore=shutil.ignore_patterns("__pycache__"))
    python, words = tools / "bin" / "python", ("-m", "build", "--no-isolation", "--wheel", f"--outdir={tmp_path}")
    done = subprocess.run([python, *words, source], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [wheel] = tmp_path.glob("*.whl")
    assert wheel.name.startswith("django_celery_procman-")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("procman_django/")}
        [metadata] = [archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA")]
    sources = (path for path in (source / "procman_django").rglob("*") if path.is_file())
    assert packed == {str(path.relative_to(source)) for path in sources}
    requirements = [line.partition(": ")[2] for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    assert sorted(requirements) == ["Django>=3.2", "celery<6,>=4.4.7"]
