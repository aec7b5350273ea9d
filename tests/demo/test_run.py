"""`make demo` works without root, and in a checkout that belongs to another user."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.django_projects import DEMO
from tests.reachable import IS_ROOT, SOMEBODY, SYSTEM_PYTHON, make_virtualenv, public_directory
from tests.redis_server import free_port

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

    @contextmanager
    def served(self) -> Iterator[tuple[str, str]]:
        """Run `make demo-web`, and yield the address and the password that it prints."""
        words = [*self._command("web.sh", self.top / "tools/bin/python"), str(free_port())]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **self._as_somebody) as server:
            try:
                assert server.stdout is not None
                lines = iter(server.stdout.readline, "")
                address, password = (
                    next(line.split()[1] for line in lines if line.split()[:1] == [name])
                    for name in ("address", "password")
                )
                yield address, password
            finally:
                server.kill()

    def _command(self, name: str, *words: Path) -> list[str]:
        command = [self.checkout / "demo" / name, self.top / "tools/bin/procman", *words, self.directory]
        return ["sh", *map(str, command)]

    @property
    def _as_somebody(self) -> dict[str, Any]:
        somebody = {"user": SOMEBODY, "group": pwd.getpwnam(SOMEBODY).pw_gid, "extra_groups": []} if IS_ROOT else {}
        environment = {"PATH": os.defpath, "HOME": str(self.directory.parent)}
        return {"cwd": "/", "env": environment, "text": True, **somebody}

    def _run(self, name: str, *words: Path) -> str:
        done = subprocess.run(
            self._command(name, *words),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_SECONDS,
            check=False,
            **self._as_somebody,
        )
        assert done.returncode == 0, done.stdout
        return str(done.stdout)


@pytest.fixture
def demo() -> Iterator[Demo]:
    with public_directory() as top:
        demo = Demo(top)
        for part in ("procman", "templates", "demo", "django_app"):
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
    assert "\nconcurrency = 4\n" in (demo.directory / "procman.toml").read_text()
    with demo.served() as (address, password):
        shown = page_for("admin", password, address)
        assert "catmaid-celery-beat" in shown
        assert "cleanup-cropped-stacks" in shown
    assert demo.stop().splitlines() == [
        "Stopping the demo; a running task is finished first.",
        "The demo is stopped and all of its files are removed.",
    ]
    assert not demo.directory.exists()


def page_for(user: str, password: str, address: str) -> str:
    """Return the page at `address` of the admin, as `user` sees it once the server answers."""
    cookies = CookieJar()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(cookies))
    login = f"{address.partition('/admin/')[0]}/admin/login/?next={urllib.parse.urlsplit(address).path}"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            opener.open(login).close()
            break
        except OSError:
            assert time.monotonic() < deadline, "the web server does not answer"
            time.sleep(0.2)
    token = next(cookie.value or "" for cookie in cookies if cookie.name == "csrftoken")
    fields = {"username": user, "password": password, "csrfmiddlewaretoken": token}
    with opener.open(login, urllib.parse.urlencode(fields).encode()) as answer:
        return str(answer.read().decode())
