"""procman as its users have it: from its wheel, compiled, with supervisor beside it, and no word to Python of ours.

A checkout is not compiled where PYTHONDONTWRITEBYTECODE is set, and an editable install pays for its finder at every
start: both would be measured, and neither is there where procman is used.
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
    """Install the checkout as it is now, and return the directory with `procman`, `supervisorctl` and `python`.

    Takes the variables that change how Python works out of this process's environment, and so out of its children's.
    """
    for name in [name for name in os.environ if name.startswith("PYTHON")]:
        del os.environ[name]
    virtualenv = CACHE / "benchmarks"
    subprocess.run([sys.executable, "-m", "venv", "--clear", virtualenv], check=True)
    with tempfile.TemporaryDirectory() as directory:
        # What setuptools leaves in the tree that it builds in would be in the next wheel too.
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
