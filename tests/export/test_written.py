"""`procman export --output` replaces its own earlier export and nothing else."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from procman.cli.main import run
from procman.deploy.export import Export, write_export
from procman.deploy.render import write_below
from procman.errors import ProcmanError
from procman.install.safe_fs.file_info import PathError
from procman.install.safe_fs.tree import Tree
from procman.project import Rendering
from tests.export.projects import FULL, readme, rendering


def written(output: Path, text: str = FULL, target: str = "kubernetes", project: str = "shop") -> list[Path]:
    return write_export(Export(project, target, rendering(text, target)), output)


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def refused(output: Path, text: str = FULL, target: str = "kubernetes", project: str = "shop") -> str:
    """Return the message with which the export is refused, having changed nothing."""
    before = contents(output)
    with pytest.raises(ProcmanError) as raised:
        written(output, text, target, project)
    assert contents(output) == before
    return raised.value.message


SMALLER = FULL.replace("[command.flower]", "[command.monitor]").replace('keda_broker = "rabbitmq"\n', "")
SMALLER = SMALLER.replace("max_replicas = 6\n", "")


@pytest.mark.parametrize("target", ["compose", "dockerfile", "kubernetes"])
def test_second_export_changes_nothing(tmp_path: Path, target: str) -> None:
    files = written(tmp_path / "out", FULL, target)
    before = contents(tmp_path / "out")
    assert written(tmp_path / "out", FULL, target) == files
    assert contents(tmp_path / "out") == before
    assert {str(path.relative_to(tmp_path / "out")) for path in files} == before.keys() - {f".procman-export-{target}"}
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755


def test_files_that_it_no_longer_has_are_removed(tmp_path: Path) -> None:
    written(tmp_path)
    own = tmp_path / "production.yaml"
    own.write_text("mine")
    written(tmp_path, SMALLER)
    found = contents(tmp_path)
    assert "shop-flower.yaml" not in found
    assert "shop-monitor.yaml" in found
    assert not (tmp_path / "keda").exists()
    assert own.read_text() == "mine"
    assert {path for path in found if path not in ("production.yaml", ".procman-export-kubernetes")} == {
        str(file.path.relative_to("/")) for file in rendering(SMALLER, "kubernetes").files
    }


def test_agent_of_an_earlier_procman_is_removed(tmp_path: Path) -> None:
    new = rendering(FULL, "kubernetes")
    files = (replace(f, path=Path(f"{f.path}".replace("agent-1-", "agent-1-earlier-"))) for f in new.files)
    write_export(Export("shop", "kubernetes", Rendering((), tuple(files))), tmp_path)
    assert [*tmp_path.glob("shop-agent-1-earlier-*")]
    written(tmp_path)
    assert not [*tmp_path.glob("shop-agent-1-earlier-*")]
    assert len([*tmp_path.glob("shop-agent-1-*")]) == 1


def test_record_is_one_of_sha256sum(tmp_path: Path) -> None:
    written(tmp_path, FULL, "compose")
    words = ["sha256sum", "--check", "--strict", "--quiet", ".procman-export-compose"]
    subprocess.run(words, cwd=tmp_path, check=True)


def test_file_that_was_changed_is_kept(tmp_path: Path) -> None:
    written(tmp_path, FULL, "compose")
    with (tmp_path / "compose.yaml").open("a") as file:
        file.write("# mine\n")
    assert refused(tmp_path, SMALLER, "compose") == f"{tmp_path}/compose.yaml was changed after procman wrote it"
    (tmp_path / "compose.yaml").unlink()
    written(tmp_path, SMALLER, "compose")


def test_changed_file_that_would_be_removed_is_kept(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "shop-flower.yaml").write_text("mine")
    assert "shop-flower.yaml was changed" in refused(tmp_path, SMALLER)


def test_foreign_files_are_kept(tmp_path: Path) -> None:
    (tmp_path / "compose.override.yaml").write_text("mine")
    (tmp_path / "compose.yaml").write_text("mine")
    assert refused(tmp_path, FULL, "compose") == f"{tmp_path}/compose.yaml is not a file that procman wrote"
    (tmp_path / "compose.yaml").unlink()
    written(tmp_path, FULL, "compose")
    assert (tmp_path / "compose.override.yaml").read_text() == "mine"


@pytest.mark.parametrize("name", ["agent", "compose.yaml", "agent/probe.py", ".procman-export-compose"])
@pytest.mark.parametrize("exists", [True, False])
def test_no_link_is_followed(tmp_path: Path, name: str, exists: bool) -> None:
    target, output = tmp_path / "target", tmp_path / "out"
    if exists:
        written(target, FULL, "compose")
    (output / name).parent.mkdir(parents=True)
    (output / name).symlink_to(target / name)
    before = contents(target)
    assert name in refused(output, FULL, "compose")
    assert contents(target) == before


def test_export_of_another_project_is_kept(tmp_path: Path) -> None:
    written(tmp_path)
    assert "another project" in refused(tmp_path, readme(), project="catmaid")


def test_two_targets_share_a_directory(tmp_path: Path) -> None:
    for target in ("compose", "dockerfile", "compose"):
        written(tmp_path, FULL, target)
    assert (tmp_path / "Dockerfile.procman").exists()


@pytest.mark.parametrize("writes", [1, 3])
def test_interrupted_export_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    written(tmp_path)
    calls: list[Path] = []
    real = Tree.write

    def write(tree: Tree, path: Path, content: bytes, mode: int) -> None:
        calls.append(path)
        if len(calls) > writes:
            raise PathError("no space")
        real(tree, path, content, mode)

    with monkeypatch.context() as patch:
        patch.setattr(Tree, "write", write)
        with pytest.raises(PathError):
            written(tmp_path, SMALLER)
    written(tmp_path, SMALLER)
    assert not (tmp_path / "shop-flower.yaml").exists()


def test_record_removes_nothing_outside(tmp_path: Path) -> None:
    outside, output = tmp_path / "kept", tmp_path / "out"
    outside.write_text("")
    written(output)
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    with (output / ".procman-export-kubernetes").open("a") as record:
        record.write(f"{digest}  ../kept\n{digest}  {outside}\n")
    written(output)
    assert outside.exists()


def test_unwritable_directory_needs_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> None:
        raise PathError(f"{tmp_path} cannot be written", hint="run as root") from PermissionError(13, "denied")

    monkeypatch.setattr(Tree, "make_directory", write)
    with pytest.raises(PathError) as of_export:
        written(tmp_path)
    with pytest.raises(PathError) as of_render:
        write_below(rendering(FULL, "compose"), tmp_path)
    assert of_export.value.hint == of_render.value.hint == "Name a directory that you can write to: --output DIR"


def test_command_prints_the_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configuration = tmp_path / "procman.toml"
    configuration.write_text(FULL)
    for _ in range(2):
        assert run(["--config", str(configuration), "export", "compose", "--output", str(tmp_path / "out")]) == 0
        assert f"{tmp_path}/out/compose.yaml" in capsys.readouterr().out.splitlines()
