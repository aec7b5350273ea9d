"""`make release` on a copy: one tag, the same bytes twice, and nothing changed when it refuses."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.release import ReleaseError, _normalized, release
from tests.test_package import checkout, tools

pytestmark = [pytest.mark.package, pytest.mark.xdist_group("package")]

__all__ = ["checkout", "tools"]

VERSION_FILES = ("procman/version.py", "procman_django/__init__.py")
"""Where the wheels have their version."""


def _git(directory: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "-C", str(directory), *words], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def repository(checkout: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "repository"
    shutil.copytree(checkout, copy, ignore=shutil.ignore_patterns("dist", "*.egg-info"))
    (copy / ".gitignore").write_text("/dist/\n__pycache__/\n")
    _git(copy, "init", "--quiet")
    _git(copy, "config", "user.name", "Maintainer")
    _git(copy, "config", "user.email", "maintainer@example.org")
    _git(copy, "add", ".")
    _git(copy, "commit", "--quiet", "--message", "Copy")
    return copy


def _release(tools: Path, repository: Path) -> subprocess.CompletedProcess[str]:
    command = [str(tools / "bin" / "python"), "-m", "scripts.release"]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)


def test_release_tags_what_it_built(tools: Path, repository: Path) -> None:
    version = re.search(r'"(.*)\.dev0"', (repository / "procman/version.py").read_text())
    assert version
    released = _release(tools, repository)
    assert (released.returncode, released.stderr) == (0, "")
    version_files = [repository / "procman/version.py", repository / "django_app/procman_django/__init__.py"]
    tag, dist = f"v{version[1]}", repository / "dist"
    names = [f"{name}_procman-{version[1]}" for name in ("celery", "django_celery")]
    wheels, archives = ([dist / f"{name}{end}" for name in names] for end in ("-py3-none-any.whl", ".tar.gz"))
    assert set(dist.iterdir()) == {*wheels, *archives}
    for wheel, path in zip(wheels, VERSION_FILES, strict=True):
        assert f'VERSION = "{version[1]}"' in zipfile.ZipFile(wheel).read(path).decode()
    _assert_has_the_django_app(wheels[1], repository / "django_app")
    for archive in archives:
        with tarfile.open(archive) as opened:
            assert {(each.uid, each.uname) for each in opened.getmembers()} == {(0, "")}
    assert _git(repository, "tag") == tag

    tagged = _git(repository, "show", f"{tag}:CHANGELOG.md")
    heading = re.search(rf"^## {re.escape(version[1])} \((\d{{4}}-\d\d-\d\d)\)$", tagged, re.MULTILINE)
    assert heading
    notes = tagged.partition(f"{heading[0]}\n")[2].partition("\n## ")[0].strip()
    assert _git(repository, "tag", "--list", "--format=%(contents:body)", tag) == notes
    assert "(unreleased)" in (repository / "CHANGELOG.md").read_text().splitlines()[2]
    begun = {re.findall(r'^VERSION = "(.*)"$', path.read_text(), re.MULTILINE)[0] for path in version_files}
    assert len(begun) == 1
    assert begun.pop().endswith(".dev0")
    assert _git(repository, "status", "--porcelain") == ""


def _assert_has_the_django_app(wheel: Path, source: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("procman_django/")}
        [metadata] = [archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA")]
    assert packed == {
        str(path.relative_to(source)) for path in (source / "procman_django").rglob("*") if path.is_file()
    }
    requirements = [line.partition(": ")[2] for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    assert sorted(requirements) == ["Django>=3.2", "celery<6,>=4.4.7"]


@pytest.mark.parametrize(
    ("path", "text", "committed", "message"),
    [
        ("README.md", "changed", False, "uncommitted changes; commit or stash them first:\nM README.md"),
        ("procman/version.py", 'VERSION = "0.2.0"\n', True, "has no development version"),
        ("django_app/procman_django/__init__.py", 'VERSION = "0.1.0.dev0"\n', True, "has another version than"),
        ("CHANGELOG.md", "# Changes\n", True, "has no section `## "),
        ("CHANGELOG.md", "# Changes\n\n## 0.2.0 (unreleased)\n\n## 0.1.0\n\n- It began\n", True, "with an entry"),
    ],
)
def test_release_refuses_what_is_not_ready(
    repository: Path, path: str, text: str, committed: bool, message: str
) -> None:
    (repository / path).write_text(text)
    if committed:
        _git(repository, "commit", "--quiet", "--all", "--message", "Change")
    before = _git(repository, "rev-parse", "HEAD")
    with pytest.raises(ReleaseError, match=re.escape(message)):
        release(repository)
    assert (_git(repository, "rev-parse", "HEAD"), _git(repository, "tag")) == (before, "")


def test_release_refuses_a_checkout_without_a_branch(repository: Path) -> None:
    _git(repository, "checkout", "--quiet", "--detach")
    with pytest.raises(ReleaseError, match="on no branch"):
        release(repository)


@pytest.fixture
def built_at_once(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Replace the build, which takes long, by a function that is called meanwhile."""

    def build(meanwhile: Callable[[], object]) -> None:
        def build(source: Path, output: Path) -> list[Path]:
            meanwhile()
            output.mkdir()
            shutil.copy(source / "procman/templating.py", output / "celery_procman.tar")
            return [output / "celery_procman.tar"]

        monkeypatch.setattr("scripts.release._build", build)

    return build


def test_release_that_fails_at_the_end_changes_no_branch_and_no_tag(
    repository: Path, built_at_once: Callable[[Callable[[], object]], None]
) -> None:
    built_at_once(lambda: _git(repository, "commit", "--quiet", "--allow-empty", "--message", "Meanwhile"))
    with pytest.raises(ReleaseError, match="merge"):
        release(repository)
    assert _git(repository, "log", "-1", "--format=%s") == "Meanwhile"
    assert _git(repository, "tag") == ""

    (repository / "dist").rmdir()
    (repository / "dist").write_text("")
    built_at_once(lambda: None)
    (repository / ".gitignore").write_text("/dist\n__pycache__/\n")
    _git(repository, "commit", "--quiet", "--all", "--message", "Ignore the file")
    with pytest.raises(ReleaseError, match="dist: File exists"):
        release(repository)
    assert _git(repository, "log", "-1", "--format=%s") == "Ignore the file"
    assert _git(repository, "tag") == ""


def test_release_ignores_autocrlf_and_signs_as_the_checkout_does(
    repository: Path,
    built_at_once: Callable[[Callable[[], object]], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "gitconfig").write_text("[core]\nautocrlf = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    _git(repository, "config", "core.autocrlf", "false")
    built_at_once(lambda: None)
    _, [file] = release(repository)
    assert b"\r" not in file.read_bytes()
    _git(repository, "config", "tag.gpgSign", "true")
    _git(repository, "config", "gpg.program", "/bin/false")
    text = (repository / "CHANGELOG.md").read_text()
    (repository / "CHANGELOG.md").write_text(text.replace("(unreleased)\n", "(unreleased)\n\n- One\n", 1))
    _git(repository, "commit", "--quiet", "--all", "--message", "Change")
    with pytest.raises(ReleaseError, match="gpg failed to sign"):
        release(repository)


def test_source_distribution_has_the_same_bytes_whenever_it_is_packed(tmp_path: Path) -> None:
    made = []
    for name, moment in (("one", 1_000_000_000), ("two", 1_500_000_000)):
        (tmp_path / name).mkdir()
        with tarfile.open(tmp_path / name / "a.tar.gz", "w:gz") as archive:
            for member in ("b", "a") if name == "one" else ("a", "b"):
                info = tarfile.TarInfo(member)
                info.mtime, info.uid, info.uname = moment, moment % 7, name
                archive.addfile(info)
        made.append(_normalized((tmp_path / name / "a.tar.gz").read_bytes(), 1_700_000_000))
    assert made[0] == made[1]
