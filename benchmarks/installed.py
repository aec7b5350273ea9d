"""procman as its users have it: from its wheel, compiled, with supervisor beside it, and no word to Python of ours.

A checkout is not compiled where PYTHONDONTWRITEBYTECODE is set, and an editable install pays for its finder at every
start: both would be measured, and neither is there where procman is used.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.celery_environments import CACHE, make_virtualenv

CHECKOUT = Path(__file__).parent.parent


def bin_directory() -> Path:
    """Install the checkout as it is now, and return the directory with `procman`, `supervisorctl` and `python`.

    Takes the variables that change how Python works out of this process's environment, and so out of its children's.
    """
    for name in [name for name in os.environ if name.startswith("PYTHON")]:
        del os.environ[name]
    virtualenv = CACHE / "benchmarks"
    # The first time with what it requires, which setup.cfg alone lists.
    make_virtualenv(virtualenv, Path(sys.executable), (str(CHECKOUT),))
    pip = [virtualenv / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--force-reinstall", "--no-deps", str(CHECKOUT)], check=True)
    return virtualenv / "bin"
