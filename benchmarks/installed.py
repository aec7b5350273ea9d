"""Install procman as its users do: from its wheel, compiled, with supervisor, and without variables for Python.

A checkout is not compiled if PYTHONDONTWRITEBYTECODE is set, and an editable install starts its finder every time.
A benchmark would measure both, and users have neither.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.celery_environments import CACHE

CHECKOUT = Path(__file__).parent.parent
LEFT_OUT = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")


def bin_directory() -> Path:
    """Install the current checkout, and return the directory with `procman`, `supervisorctl` and `python`.

    Removes the variables that change how Python works from the environment of this process and its children.
    """
    for name in [name for name in os.environ if name.startswith("PYTHON")]:
        del os.environ[name]
    virtualenv = CACHE / "benchmarks"
    subprocess.run([sys.executable, "-m", "venv", "--clear", virtualenv], check=True)
    with tempfile.TemporaryDirectory() as directory:
        # Files that setuptools leaves in the tree of a build would be in the next wheel, too.
        copy = Path(directory, "procman")
        shutil.copytree(CHECKOUT, copy, ignore=LEFT_OUT)
        pip: list[str | Path] = [
            virtualenv / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        subprocess.run([*pip, copy], check=True)
    return virtualenv / "bin"
