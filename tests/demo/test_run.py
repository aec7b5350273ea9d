"""`make demo` works without root, and in a checkout that belongs to another user."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.django_projects import DEMO
from tests.reachable import IS_ROOT, SOMEBODY, SYSTEM_PYTHON, make_virtualenv, public_directory

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]

PATIENCE_SECONDS = 300
REQUIRED = ("click", "jinja2", "markupsafe", "psutil", "supervisor", "tomli")
"""The packages that procman imports, and those that they import."""


@dataclass(frozen=True)
class Demo:
    """A checkout that only its owner can write to, and the directory for the files of the demo."""

    top: Path

    @property
    def directory(self) -> Path:
        return self.top / "home" / "demo"

    @property
    def checkout(self) -> Path:
        return self.top / "checkout"

    def run(self) -> str:
        return self._run("run.sh", self.top / "tools/bin/python")

    def stop(self) -> str:
        return self._run("stop.sh")

    def _run(self, name: str, *words: Path) -> str:
        somebody: dict[str, Any] = (
            {"user": SOMEBODY, "group": pwd.getpwnam(SOMEBODY).pw_gid, "extra_groups": []} if IS_ROOT else {}
        )
        done = subprocess.run(
            ["sh", self.checkout / "demo" / name, self.top / "tools/bin/procman", *words, self.directory],
            cwd="/",
            env={"PATH": os.defpath, "HOME": str(self.directory.parent)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
            **somebody,
        )
        assert done.returncode == 0, done.stdout
        return str(done.stdout)


@pytest.fixture
def demo() -> Iterator[Demo]:
    with public_directory() as top:
        demo = Demo(top)
        for part in ("procman", "templates", "demo"):
            shutil.copytree(DEMO.parent / part, demo.checkout / part, ignore=shutil.ignore_patterns("var"))
        _install_procman(top / "tools", demo.checkout)
        _script(make_virtualenv(demo.directory / "env").with_name("celery"), "celery")
        if IS_ROOT:
            subprocess.run(["chown", "-R", SOMEBODY, demo.directory.parent], check=True)
        yield demo
        demo.stop()


def _install_procman(directory: Path, checkout: Path) -> None:
    python = SYSTEM_PYTHON if IS_ROOT else sys.executable
    subprocess.run([python, "-m", "venv", "--without-pip", directory], check=True)
    [packages] = directory.glob("lib/python3.*/site-packages")
    (packages / "checkout.pth").write_text(f"{checkout}\n")
    for name in REQUIRED:
        spec = find_spec(name)
        if spec and spec.origin:
            shutil.copytree(Path(spec.origin).parent, packages / name)
    for command, module in {"procman": "procman", "supervisorctl": "supervisor.supervisorctl"}.items():
        _script(directory / "bin" / command, module)


def _script(path: Path, module: str) -> None:
    path.write_text(f'#!/bin/sh\nexec {path.with_name("python")} -m {module} "$@"\n')
    path.chmod(0o755)


def test_demo_runs_without_root_and_leaves_nothing_behind(demo: Demo) -> None:
    printed = demo.run()
    assert "crop_forgotten.tiff, two hours old, was removed" in printed
    init = printed.partition("$ procman init ")[2].partition("Next, type:")[0]
    assert "periodic task   cleanup-cropped-stacks" in init, "procman init has asked the app"
    assert "note: " not in init
    assert not (demo.checkout / "demo" / "var").exists()
    assert demo.stop().splitlines() == [
        "Stopping the demo; a running task is finished first.",
        "The demo is stopped and all of its files are removed.",
    ]
    assert not demo.directory.exists()
