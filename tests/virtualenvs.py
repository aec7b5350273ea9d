"""Virtualenvs that tests need beside their own, made once and kept in .cache."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path(__file__).parent.parent / ".cache"


def python_with(name: str, *requirements: str) -> Path:
    """Return the Python of the virtualenv .cache/NAME, made now unless it is there and was made for REQUIREMENTS."""
    CACHE.mkdir(exist_ok=True)
    virtualenv = CACHE / name
    python, made_for = virtualenv / "bin" / "python", virtualenv / "made-for"
    wanted = "\n".join([sys.version, *requirements])
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made_for.exists() and made_for.read_text() == wanted):
            shutil.rmtree(virtualenv, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", virtualenv], check=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
            made_for.write_text(wanted)
    return python
