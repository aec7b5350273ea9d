"""Compare the exposure of procman's units and of other units, as systemd rates it: python -m benchmarks.exposure.

Debian's units come from its packages and Celery's from its source, downloaded with apt-get and pip.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from procman.backends.systemd.renderer import render
from procman.config.load import load
from procman.model import BackendName
from procman.project import Sandbox

REFERENCE = Path(__file__).parent.parent / "units" / "procman.toml"
DEBIAN = {"supervisor": "supervisor.service", "nginx-common": "nginx.service", "redis-server": "redis-server.service"}
CELERY = ("celery.service", "celerybeat.service")


def main() -> None:
    """Print the table of docs/systemd.md, least exposed first."""
    with tempfile.TemporaryDirectory() as directory:
        found = [*ours(Path(directory)), *of_debian(Path(directory)), *of_celery(Path(directory))]
        print("| unit | exposure |\n|---|---:|")
        for score, name in sorted((exposure(path), name) for name, path in found):
            print(f"| {name} | {score:.1f} |")


def ours(directory: Path) -> Iterator[tuple[str, Path]]:
    """Yield procman's worker and beat in every sandbox."""
    project = replace(load(REFERENCE, {}), backend=BackendName.SYSTEMD)
    for sandbox in Sandbox:
        for file in render(replace(project, systemd=replace(project.systemd, sandbox=sandbox))).files:
            if file.path.suffix == ".service":
                path = directory / sandbox.value / file.path.name
                path.parent.mkdir(exist_ok=True)
                path.write_text(file.content)
                what = "beat" if file.path.stem.endswith("beat") else "worker"
                yield f'procman, {what}, `sandbox = "{sandbox.value}"`', path


def of_debian(directory: Path) -> Iterator[tuple[str, Path]]:
    """Yield the units of Debian's packages."""
    subprocess.run(["apt-get", "--quiet", "download", *DEBIAN], cwd=directory, check=True, capture_output=True)
    for package, unit in DEBIAN.items():
        [archive] = directory.glob(f"{package}_*.deb")
        tree = directory / package
        subprocess.run(["dpkg-deb", "--extract", archive, tree], check=True)
        yield (
            f"Debian's {package.removesuffix('-common')} {unquote(archive.name.split('_')[1])}",
            next(tree.rglob(unit)),
        )


def of_celery(directory: Path) -> Iterator[tuple[str, Path]]:
    """Yield the units that Celery ships as examples."""
    pip = [sys.executable, "-m", "pip", "--quiet", "download", "--no-deps", "--no-binary=celery"]
    subprocess.run([*pip, "celery"], cwd=directory, check=True, capture_output=True)
    [archive] = directory.glob("celery-*.tar.gz")
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if Path(member.name).name in CELERY:
                text = tar.extractfile(member)
                assert text
                path = directory / Path(member.name).name
                path.write_bytes(text.read())
                yield f"Celery's {path.name}, {archive.name.removesuffix('.tar.gz').partition('-')[2]}", path


def exposure(unit: Path) -> float:
    """Return the rating of a unit file by `systemd-analyze security`: 0 to 10, lower is better."""
    words = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(unit)]
    output = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    [score] = re.findall(r"Overall exposure level for \S+: ([0-9.]+)", output)
    return float(score)


if __name__ == "__main__":
    main()
