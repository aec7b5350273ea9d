"""Which project a command is about, and which orders it takes after a command that was interrupted."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.config.find_file import path_for_host
from procman.errors import ConfigurationError, ProcmanError
from procman.install.state.generations import Generation
from procman.install.state.manifest import Pending
from procman.lookup import Chosen, Installed, configured, installed, is_meant_by_default
from procman.model import Adopted, Adoption
from tests.install import sample


def test_no_program_is_started_beside_one_that_has_yet_to_be_stopped(tmp_path: Path) -> None:
    """R12."""
    wish = sample.DESIRED_STATES["one"]
    manifest = sample.manifest(tmp_path, wish, sample.rendering(tmp_path, wish))
    adopted = Adopted("systemd:celery.service", "catmaid-celery", was_running=True, was_enabled=True)
    pending = Pending(1, (), (), adoptions=(Adoption("celery.service", (adopted,)),))
    Installed(Generation(1, manifest), Pending(1, (1,), ())).require_whole()
    with pytest.raises(ProcmanError, match=r"interrupted before it had stopped celery\.service") as error:
        Installed(Generation(1, manifest), pending).require_whole()
    assert error.value.hint.startswith("procman install completes it")


def write_for_host(name: str) -> Path:
    path = path_for_host(name)
    path.parent.mkdir(parents=True)
    path.write_text(
        f'[project]\nname = "{name}"\napp = "shop"\ndirectory = "/srv"\nvirtualenv = "/srv/env"\nuser = "nobody"\n'
        '[worker.celery]\n[supervisor]\nmode = "embedded"\n'
    )
    return path


def chosen(directory: Path, name: str | None = None) -> Chosen:
    return Chosen(None, name, {}, directory)


def test_file_in_etc_is_used_where_no_other_is_found(tmp_path: Path) -> None:
    path = write_for_host("shop")
    assert configured(chosen(tmp_path)).configuration_file == path
    assert is_meant_by_default(path, {}, tmp_path)
    (tmp_path / "procman.toml").write_text(path.read_text().replace("shop", "near"))
    assert configured(chosen(tmp_path)).name == "near"
    assert configured(chosen(tmp_path, "shop")).configuration_file == path
    assert not is_meant_by_default(path, {}, tmp_path)


def test_one_of_several_files_in_etc_is_chosen_by_name(tmp_path: Path) -> None:
    paths = {name: write_for_host(name) for name in ("shop", "blog")}
    with pytest.raises(ConfigurationError, match="several projects are known: blog, shop") as error:
        configured(chosen(tmp_path))
    assert error.value.hint == "Choose one with --project NAME."
    assert not is_meant_by_default(paths["shop"], {}, tmp_path)
    assert configured(chosen(tmp_path, "blog")).configuration_file == paths["blog"]


@pytest.mark.parametrize("name", [None, "shop"])
def test_project_that_is_not_installed_yet_is_reported_with_the_command_for_that(
    tmp_path: Path, name: str | None
) -> None:
    path = write_for_host("shop")
    with pytest.raises(ConfigurationError) as error:
        installed(chosen(tmp_path, name))
    assert error.value.hint == f"{path} is not installed: procman --project shop install"
