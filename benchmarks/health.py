"""Compare `procman health` with `celery inspect ping` of the same worker, and of 40 programs with one.

python -m benchmarks.health [--pairs N]. The worker is the demo's, with the filesystem transport: it needs no broker,
and no broker answers faster. It is checked with the demo's settings, and with settings that import the requirements
of CATMAID, because a ping loads the project first. The 40 programs are launchers with a replacement for Celery that
sleeps: 40 real workers would measure the machine's memory.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.installed import bin_directory
from benchmarks.paired import HEADER, measure, row
from tests.celery_environments import CELERY_5_7, CelerySpec, environment_of
from tests.product import DEMO, Product

PROGRAMS = 40

STAND_IN = "import time\ndef main():\n    time.sleep(100000)\n"

TOML = """
[project]
name = "{name}"
app = "none"
directory = "{directory}"
virtualenv = "{prefix}"
scope = "user"
[worker.celery]
pool = "solo"
instances = {count}
start_seconds = 0
[supervisor]
mode = "embedded"
[health]
heal = false
"""

CATMAID = CelerySpec(
    version=CELERY_5_7.version,
    pythons=CELERY_5_7.pythons,
    requirements=(
        *CELERY_5_7.requirements,
        *("django-guardian>=2.4", "django-taggit>=5", "djangorestframework>=3.15", "requests>=2.32"),
        *("matplotlib>=3.8", "networkx>=3.2", "numpy>=1.26", "pillow>=10", "scipy>=1.11"),
    ),
    suffix="-catmaid",
)
"""The requirements of CATMAID that its app imports."""

CATMAID_SETTINGS = """
import matplotlib.pyplot, networkx, numpy, PIL.Image, requests
import scipy.cluster.hierarchy, scipy.ndimage, scipy.sparse, scipy.spatial
from mysite.settings import *

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
INSTALLED_APPS = [
    *("django.contrib." + name for name in ("auth", "contenttypes", "sessions", "messages", "staticfiles", "admin")),
    *("rest_framework", "rest_framework.authtoken", "guardian", "taggit"),
    *INSTALLED_APPS,
]
"""

FORMATS = ("text", "nagios", "openmetrics")


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    given = parser.parse_args()
    bin_ = bin_directory()
    print(HEADER)
    for spec, settings, what in ((CELERY_5_7, "", "the demo"), (CATMAID, CATMAID_SETTINGS, "what CATMAID requires")):
        with worker(bin_, spec, settings) as (procman, ping):
            for form in FORMATS:
                pairs = measure([*procman, "health", "--format", form], ping, pairs=given.pairs)
                print(row(f"{what}: `--format {form}` against ping", pairs), flush=True)
    with sleepers(bin_) as (many, one):
        # These programs never consume, which health reports.
        pairs = measure(many, one, pairs=given.pairs, statuses=(0, 1))
    print(row(f"{PROGRAMS} programs against one", pairs))


@contextmanager
def worker(bin_: Path, spec: CelerySpec, settings: str) -> Iterator[tuple[list[str], list[str]]]:
    """Install the demo's worker on `spec`, with `settings` if any; yield the commands for health and for a ping."""
    environment = environment_of(spec)
    assert environment
    product = Product(environment)
    name = "loaded" if settings else "mysite.settings"
    (product.directory / "loaded.py").write_text(settings)
    os.environ.update(product.environment, DJANGO_SETTINGS_MODULE=name)
    del os.environ["PYTHONPATH"]  # root does not run procman with files that others can write
    celery = ["/usr/bin/env", f"PYTHONPATH={product.directory}", str(product.virtualenv / "bin/celery")]
    celery += ["--workdir", str(DEMO), "-A", "mysite"]
    # The ping ends with the first answer, whatever its timeout.
    ping = [*celery, "inspect", "ping", "--timeout", "20", "-d", f"catmaid-celery@{socket.gethostname()}"]
    try:
        product.configure("[worker.celery]\n[health]\nheal = false")
        configured = product.configuration.read_text()
        with_settings = f'"{name}"\npython_path = ["{product.directory}"]'
        product.configuration.write_text(configured.replace('"mysite.settings"', with_settings))
        product.procman("install", "--wait", "60")
        yield _procman(bin_, product.configuration), ping
    finally:
        product.close()


@contextmanager
def sleepers(bin_: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Install two projects, of 40 programs and of one; yield the command for the health of each."""
    directory = Path(tempfile.mkdtemp(prefix="pmb"))
    for variable, name in {"XDG_CONFIG_HOME": "c", "XDG_STATE_HOME": "s", "XDG_DATA_HOME": "d"}.items():
        os.environ[variable] = str(directory / name)
    (directory / "celery").mkdir()
    (directory / "celery" / "__init__.py").touch()
    (directory / "celery" / "__main__.py").write_text(STAND_IN)
    commands = []
    try:
        for name, count in {"many": PROGRAMS, "one": 1}.items():
            configuration = directory / name / "procman.toml"
            configuration.parent.mkdir()
            configuration.write_text(TOML.format(name=name, directory=directory, prefix=bin_.parent, count=count))
            subprocess.run(
                [*_procman(bin_, configuration), "install", "--no-check"], check=True, stdout=subprocess.DEVNULL
            )
            commands.append([*_procman(bin_, configuration), "health"])
        time.sleep(10)
        yield commands[0], commands[1]
    finally:
        for name in ("many", "one"):
            words = _procman(bin_, directory / name / "procman.toml")
            subprocess.run([*words, "uninstall", "--purge"], check=False, stdout=subprocess.DEVNULL)
        shutil.rmtree(directory)


def _procman(bin_: Path, configuration: Path) -> list[str]:
    return [f"{bin_}/procman", "--config", str(configuration)]


if __name__ == "__main__":
    main()
