"""Make a release of the checkout in the working directory: `make release`.

The version is that of procman/version.py without `.dev0`, and that of django-celery-procman, too. In a clone, the files
with the version and CHANGELOG.md are changed and committed, the wheel and the source distribution of both are built
twice and compared, and the commit is tagged. Only then do the commit, the tag and the next development version reach
the checkout, and the files its dist/. Nothing is pushed or uploaded.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

VERSION_FILE, CHANGELOG = Path("procman/version.py"), Path("CHANGELOG.md")
DISTRIBUTIONS = {Path(): VERSION_FILE, Path("django_app"): Path("django_app/procman_django/__init__.py")}
"""The files that hold the version, by the directories that are built."""

UNRELEASED = "unreleased"

SETTINGS = ("user.name", "user.email", "user.signingKey", "commit.gpgSign", "tag.gpgSign", "gpg.format", "gpg.program")
"""The settings of the checkout that its clone needs to commit and tag, and to sign both."""


class ReleaseError(Exception):
    """A reason why there is no release; nothing was changed."""


def release(checkout: Path) -> tuple[str, list[Path]]:
    """Release what is committed in `checkout`; return the tag and the files in its dist/."""
    changed = _git(checkout, "status", "--porcelain")
    if changed:
        raise ReleaseError(f"there are uncommitted changes; commit or stash them first:\n{changed}")
    if _git(checkout, "rev-parse", "--abbrev-ref", "HEAD") == "HEAD":
        raise ReleaseError("the checkout is on no branch; check out main first")
    version = _next_version(checkout)
    tag = f"v{version}"
    if _git(checkout, "tag", "--list", tag):
        raise ReleaseError(f"{tag} is tagged already; set the next version in {VERSION_FILE}")
    with tempfile.TemporaryDirectory(prefix="procman-release-") as directory:
        clone = _clone(checkout, Path(directory) / "release")
        notes = _finish_changelog(clone / CHANGELOG, version)
        _set_version(clone, version)
        _git(clone, "commit", "--quiet", "--all", "--message", f"Release {version}")
        built = _build_twice(clone, Path(directory))
        _git(clone, "tag", "--annotate", "--cleanup=verbatim", "--message", f"procman {version}\n\n{notes}", tag)
        _begin_next(clone, version)
        # The tag comes last: the merge fails if something was committed here meanwhile.
        _git(checkout, "fetch", "--quiet", "--no-tags", str(clone), "HEAD")
        copied = _copy(built, checkout / "dist")
        try:
            _git(checkout, "merge", "--quiet", "--ff-only", "FETCH_HEAD")
        except ReleaseError:
            for file in copied:
                file.unlink()
            raise
        _git(checkout, "fetch", "--quiet", str(clone), "tag", tag)
        return tag, copied


def _next_version(checkout: Path) -> str:
    versions = {path: _development_version(checkout, path) for path in DISTRIBUTIONS.values()}
    for path, version in versions.items():
        if version != versions[VERSION_FILE]:
            raise ReleaseError(f"{path} has another version than {VERSION_FILE}; set both to the next one")
    return versions[VERSION_FILE]


def _development_version(checkout: Path, path: Path) -> str:
    text = (checkout / path).read_text(encoding="utf-8")
    found = re.search(r'^VERSION = "(\d+\.\d+\.\d+)\.dev0"$', text, re.MULTILINE)
    if not found:
        raise ReleaseError(f'{path} has no development version, such as VERSION = "0.2.0.dev0"')
    return found[1]


def _set_version(checkout: Path, version: str) -> None:
    for path in (checkout / each for each in DISTRIBUTIONS.values()):
        text = path.read_text(encoding="utf-8")
        text = re.sub(r'^VERSION = ".*"$', f'VERSION = "{version}"', text, flags=re.MULTILINE)
        path.write_text(text, encoding="utf-8")


def _finish_changelog(path: Path, version: str) -> str:
    """Date the section of `version`, and return its text."""
    text = path.read_text(encoding="utf-8")
    heading = f"## {version} ({UNRELEASED})\n"
    before, found, after = text.partition(heading)
    notes = after.partition("\n## ")[0].strip()
    if not found or not notes:
        raise ReleaseError(f"{CHANGELOG} has no section `{heading.strip()}` with an entry")
    path.write_text(f"{before}## {version} ({time.strftime('%Y-%m-%d', time.gmtime())})\n{after}", encoding="utf-8")
    return notes


def _begin_next(clone: Path, version: str) -> None:
    major, minor, _ = version.split(".")
    following = f"{major}.{int(minor) + 1}.0"
    _set_version(clone, f"{following}.dev0")
    path = clone / CHANGELOG
    title, rest = path.read_text(encoding="utf-8").split("\n## ", 1)
    path.write_text(f"{title}\n## {following} ({UNRELEASED})\n\n## {rest}", encoding="utf-8")
    _git(clone, "commit", "--quiet", "--all", "--message", f"Begin {following}")


def _build_twice(source: Path, directory: Path) -> list[Path]:
    """Build from two clones in different places; return the files of the first. ReleaseError if any byte differs."""
    builds = []
    for name in ("first", "second"):
        clone = _clone(source, directory / name / "source")
        builds.append(_build(clone, directory / name / "dist"))
    for one, other in zip(*builds, strict=True):
        if one.name != other.name or one.read_bytes() != other.read_bytes():
            raise ReleaseError(f"two builds of {one.name} differ")
    return builds[0]


def _build(source: Path, output: Path) -> list[Path]:
    moment = int(_git(source, "-c", "log.showSignature=false", "log", "-1", "--format=%ct"))
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(moment)}
    build = [sys.executable, "-m", "build", "--no-isolation", f"--outdir={output}"]
    for directory in DISTRIBUTIONS:
        _run([*build, str(source / directory)], environment=environment)
    for archive in output.glob("*.tar.gz"):
        archive.write_bytes(_normalized(archive.read_bytes(), moment))
    return sorted(output.iterdir())


def _normalized(archive: bytes, moment: int) -> bytes:
    """Return a .tar.gz with the same files, in order of their names, owned by root and changed at `moment`."""
    plain = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive)) as found,
        tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as made,
    ):
        for member in sorted(found.getmembers(), key=lambda member: member.name):
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime, member.pax_headers = moment, {}
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            made.addfile(member, found.extractfile(member) if member.isfile() else None)
    return gzip.compress(plain.getvalue(), mtime=moment)


def _copy(files: list[Path], directory: Path) -> list[Path]:
    try:
        directory.mkdir(exist_ok=True)
        return [Path(shutil.copy(file, directory)) for file in files]
    except OSError as error:
        raise ReleaseError(f"cannot write to {directory}: {error.strerror}") from None


def _clone(source: Path, target: Path) -> Path:
    # With autocrlf, the bytes would depend on the configuration of the user.
    _run(["git", "clone", "--quiet", "--no-hardlinks", "--config=core.autocrlf=false", str(source), str(target)])
    for key in SETTINGS:
        value = _git(source, "config", "--default=", key)
        if value:
            _git(target, "config", key, value)
    return target


def _git(checkout: Path, *words: str) -> str:
    return _run(["git", "-C", str(checkout), *words]).strip()


def _run(words: list[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"`{' '.join(words)}` failed:\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def main() -> int:
    """Release the checkout in the working directory, and print what to do next."""
    os.umask(0o022)
    try:
        tag, files = release(Path.cwd())
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    for file in files:
        print(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  dist/{file.name}")
    print(f"Tagged {tag}. To publish it:")
    print(f"  git push origin HEAD {tag}")
    print(f"  python3 -m twine upload {' '.join(f'dist/{file.name}' for file in files)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
