"""The additional files of a booted host: Debian packages, and wheels for a host without a network.

The packages are installed in an overlay of the root, never in the machine's own, and the written files are kept in one
archive, the layer. It is created once for each root, list of packages and state of the machine (20 s, 45 MB of
downloads); unpacking it takes half a second.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import roots
from .cache import CACHE, WHEELS, filling_the_cache, keep_the_latest
from .overlay import Overlay
from .roots import SUITE

KEPT = 3
"""How many layers, and how many wheels of procman, stay in the cache."""

NOT_IN_A_WHEEL = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")

PACKAGES = (
    *("systemd", "systemd-sysv", "systemd-container", "libpam-systemd", "dbus", "dbus-user-session"),
    *("rabbitmq-server", "postgresql", "supervisor", "python3-venv"),
    *("iproute2", "iptables", "procps", "strace", "sudo", "tcc"),
)
"""A host is booted with the systemd-nspawn of its own layer, so that the machine itself needs none of them."""

PIP = "/opt/pip/run"
"""The pip of Debian's python3-venv in a host: a virtualenv with a pip of its own takes seconds more."""

MAKE_LAYER = """
set -eu
rm -f /var/lib/man-db/auto-update  # an index of man pages takes seconds
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d  # Debian's way to say: install, start nothing
chmod 0755 /usr/sbin/policy-rc.d
mount -t tmpfs tmpfs /var/lib/apt/lists
apt-get --quiet update
apt-get --quiet --yes --no-install-recommends -o Dir::Cache::archives=/run/debs -o APT::Keep-Downloaded-Packages=true \
    -o Dpkg::Options::=--force-confold install "$@"
apt-get --quiet -o Dir::Cache::archives=/run/debs autoclean
umount /var/lib/apt/lists
rm /usr/sbin/policy-rc.d

mkdir -p /opt/pip
python3 -m zipfile --extract /usr/share/python-wheels/pip-*.whl /opt/pip
python3 -m compileall -q /opt/pip
printf '#!/bin/sh\\nexec python3 /opt/pip/pip "$@"\\n' > /opt/pip/run
chmod 0755 /opt/pip/run

# Nothing starts at boot but what systemd needs; a host enables what it wants.
rm -rf /etc/systemd/system/*.wants /etc/systemd/system/*.requires
for script in /etc/rc3.d/S*; do
    [ ! -e "$script" ] || update-rc.d "${script#*/S??}" disable
done
mkdir -p /etc/systemd/system-preset
echo 'disable *' > /etc/systemd/system-preset/00-procman-host.preset
systemctl --quiet preset-all
ln -sf /dev/null /etc/systemd/system/console-getty.service

: > /etc/machine-id  # empty: every host makes its own
: > /etc/fstab
echo procman-host > /etc/hostname
printf '127.0.0.1 localhost\\n127.0.1.1 procman-host\\n::1 localhost\\n' > /etc/hosts
"""


def layer(packages: Sequence[str] = PACKAGES, suite: str = SUITE) -> Path:
    """Return the archive of the files that installing `packages` and naming the host writes, created if not cached."""
    root = roots.root(suite)
    made = CACHE / "host" / suite / f"layer-{_key(packages, root)}.tar"
    with filling_the_cache(suite):
        if not made.exists():
            _make_layer(packages, suite, root, made)
        keep_the_latest(made, "layer-*.tar", KEPT)
    return made


def wheelhouse(requirements: Sequence[str], python: str = "/usr/bin/python3", suite: str = SUITE) -> Path:
    """Return a directory of wheels for `pip install --no-index --find-links`, at the same path inside a host.

    `requirements` are names with versions for pip; `python` is an interpreter of a host of `suite`. If the directory is
    not cached, that interpreter creates it, with the machine's network and pip settings.
    """
    made = WHEELS / suite / _digest(python, *sorted(requirements))
    under = layer(suite=suite)
    with filling_the_cache(suite):
        if not made.exists():
            _make_wheels(under, suite, list(requirements), python, made)
    return made


def build_wheel(project: Path) -> Path:
    """Return the wheel of a source tree in pure Python, at the same path inside a host; rebuilt if a file has changed.

    The checkout's virtualenv builds it, for hosts of all suites.
    """
    with tempfile.TemporaryDirectory() as directory:
        copy = shutil.copytree(project, Path(directory, "project"), ignore=NOT_IN_A_WHEEL)
        made = WHEELS / f"built-{_digest(*_contents(copy))}"
        with filling_the_cache():
            if not made.exists():
                part = made.with_suffix(".part")
                shutil.rmtree(part, ignore_errors=True)
                pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
                subprocess.run([*pip, f"--wheel-dir={part}", str(copy)], check=True)
                part.rename(made)
            keep_the_latest(made, "built-*", KEPT)
    return next(made.glob("*.whl"))


def _make_layer(packages: Sequence[str], suite: str, root: Path | None, made: Path) -> None:
    debs = CACHE / "host" / suite / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    part = made.with_suffix(".part")
    environment = {"DEBIAN_FRONTEND": "noninteractive", "SYSTEMD_OFFLINE": "1"}
    with Overlay(bind=[debs], root=root) as overlay:
        overlay.run(["sh", "-c", MAKE_LAYER, "make", *packages], environment)
        overlay.pack(part)
    part.rename(made)


def _make_wheels(under: Path, suite: str, requirements: list[str], python: str, made: Path) -> None:
    part = made.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    with Overlay(under, bind=[part], root=roots.made(suite)) as overlay:
        overlay.run([python, "-m", "venv", "--without-pip", "/tmp/env"], {"PYTHONPATH": ""})
        pip = [PIP, "--python", "/tmp/env/bin/python"]
        overlay.run([*pip, "wheel", f"--wheel-dir=/run/{part.name}", *requirements], {"PYTHONPATH": ""})
    part.rename(made)


def _contents(tree: Path) -> Iterator[str]:
    for path in sorted(tree.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(tree))
            yield hashlib.sha256(path.read_bytes()).hexdigest()


def _key(packages: Sequence[str], root: Path | None) -> str:
    """Return a key for a layer: its commands, and the files of the root that it contains changed copies of."""
    files = ("/var/lib/dpkg/status", "/etc/passwd", "/etc/group")
    return _digest(MAKE_LAYER, *packages, *(roots.read(file, root) for file in files))


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
