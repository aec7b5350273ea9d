"""Where virtualenvs and conda environments are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.init.virtualenvs import activated, has_activation_scripts, import_paths, of_tools, path_hash
from tests.reachable import as_somebody, public_directory


def make(directory: Path, *, conda: bool = False, celery: bool = True) -> Path:
    packages = directory / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    if celery:
        (packages / "celery").mkdir()
        (packages / "celery" / "__init__.py").touch()
    if conda:
        (directory / "conda-meta").mkdir()
    else:
        (directory / "pyvenv.cfg").touch()
    return directory


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "shop"
    directory.mkdir()
    return directory


def found(directory: Path, **environment: str) -> list[Path]:
    top = next(each for each in (directory, *directory.parents) if each.name == "shop").parent
    return of_tools(directory, environment, [top / "home"])


def test_virtualenv_of_poetry_belongs_to_the_nearest_pyproject(project: Path) -> None:
    (project / "pyproject.toml").touch()
    places = project.parent / "home/.cache/pypoetry/virtualenvs"
    own = make(places / f"shop-{path_hash(str(project))}-py3.11")
    make(places / f"shop-{path_hash(str(project.parent))}-py3.11")
    (project / "django").mkdir()
    assert found(project) == found(project / "django") == [own]
    (project / "django" / "pyproject.toml").touch()
    assert found(project / "django") == []


@pytest.mark.parametrize(
    ("variable", "place"), [("POETRY_VIRTUALENVS_PATH", "x"), ("POETRY_CACHE_DIR", "x/virtualenvs")]
)
def test_poetry_may_keep_virtualenvs_elsewhere(project: Path, variable: str, place: str) -> None:
    (project / "pyproject.toml").touch()
    own = make(project.parent / place / f"shop-{path_hash(str(project))}-py3.11")
    assert found(project, **{variable: str(project.parent / "x")}) == [own]


def test_virtualenv_of_uv_may_be_elsewhere(project: Path) -> None:
    (project / "pyproject.toml").touch()
    own = make(project.parent / "uv-env")
    assert found(project, UV_PROJECT_ENVIRONMENT=str(own)) == [own]
    assert found(project, UV_PROJECT_ENVIRONMENT="../uv-env") == [project / "../uv-env"]


def test_virtualenv_of_pipenv_is_named_after_the_path_of_the_pipfile(project: Path) -> None:
    (project / "Pipfile").touch()
    own = make(project.parent / f"home/.local/share/virtualenvs/shop-{path_hash(f'{project}/Pipfile')}")
    assert found(project) == [own]


def test_virtualenv_of_pipenv_may_be_named_in_a_file(project: Path) -> None:
    (project / "Pipfile").touch()
    (project / ".venv").write_text("custom\n")
    own = make(project.parent / "home/.local/share/virtualenvs/custom")
    assert found(project) == [own]


@pytest.mark.parametrize("place", ["home/.virtualenvs", "home/.local/share/virtualenvs", "workon"])
def test_virtualenv_that_names_its_project_is_found(project: Path, place: str) -> None:
    for name, directory in (("own", project), ("other", project.parent / "other")):
        (make(project.parent / place / name) / ".project").write_text(f"{directory}\n")
    assert found(project, WORKON_HOME=str(project.parent / "workon")) == [project.parent / place / "own"]


def test_environment_of_conda_is_named_in_its_file(project: Path) -> None:
    (project / "environment.yml").write_text("channels: [x]\nname: 'shop'  # ours\n")
    envs = project.parent / "home/miniconda3/envs"
    own = make(envs / "shop", conda=True)
    listed = [own, make(envs / "other", conda=True), envs / "removed" / "shop"]
    (project.parent / "home/.conda").mkdir(parents=True)
    (project.parent / "home/.conda/environments.txt").write_text("\n".join(map(str, listed)))
    assert found(project) == [own]


@pytest.mark.parametrize("content", [b"\xff\xfe\0", b"", b"name:\n", b"name: ../../x\n"])
def test_malformed_files_of_the_tools_are_ignored(project: Path, content: bytes) -> None:
    for name in ("environment.yml", "Pipfile", "pyproject.toml", ".venv"):
        (project / name).write_bytes(content)
    assert found(project) == []


def test_base_environment_of_conda_counts_only_with_celery(tmp_path: Path) -> None:
    base, bare = make(tmp_path / "base", conda=True), make(tmp_path / "bare", conda=True, celery=False)
    own = make(tmp_path / "env")
    assert activated({"CONDA_PREFIX": str(bare), "CONDA_DEFAULT_ENV": "base"}) == []
    assert activated({"CONDA_PREFIX": str(bare), "CONDA_DEFAULT_ENV": "shop"}) == [bare]
    assert activated({"CONDA_PREFIX": str(base), "CONDA_DEFAULT_ENV": "base"}) == [base]
    assert activated({"VIRTUAL_ENV": str(own), "CONDA_PREFIX": str(base), "CONDA_DEFAULT_ENV": "base"}) == [own]


def test_only_scripts_that_conda_runs_are_reported(tmp_path: Path) -> None:
    conda = make(tmp_path / "conda", conda=True)
    (conda / "etc/conda/activate.d").mkdir(parents=True)
    assert not has_activation_scripts(conda)
    (conda / "etc/conda/activate.d/gdal.sh").touch()
    assert has_activation_scripts(conda)


def test_directories_of_editable_installs(tmp_path: Path) -> None:
    virtualenv = make(tmp_path / "env")
    packages = virtualenv / "lib/python3.11/site-packages"
    # As pip and setuptools 80 write them for a src layout, and for a package beside others.
    (packages / "__editable__.uvp-0.1.pth").write_text("/srv/uvp/src")
    (packages / "__editable__.flat-0.1.pth").write_text("import __editable___flat_0_1_finder; x.install()")
    (packages / "__editable___flat_0_1_finder.py").write_text(
        "import sys\nMAPPING: dict[str, str] = {'flat': '/srv/flat/flat'}\nNAMESPACES: dict[str, list[str]] = {}\n"
    )
    assert import_paths(virtualenv) == [Path("/srv/uvp/src"), Path("/srv/flat")]


def test_inaccessible_homes_are_ignored() -> None:
    with public_directory() as directory:
        (directory / "shop").mkdir()
        (directory / "home").mkdir(mode=0o000)
        for name in ("Pipfile", "pyproject.toml", "environment.yml"):
            (directory / "shop" / name).write_text("name: shop\n")

        def check() -> None:
            assert found(directory / "shop", WORKON_HOME=str(directory / "home" / "envs")) == []

        as_somebody(check)
