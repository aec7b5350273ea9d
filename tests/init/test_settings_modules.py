"""The choice between the settings modules that a project's files name."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.init.settings_modules import ChosenSettings, choose_settings


def choose(top: Path, named: dict[str, str], modules: list[str], exported: str | None = None) -> ChosenSettings:
    for path, settings in named.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(f'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")\n')
    for module in modules:
        file = top / f"{module.replace('.', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return choose_settings(top, [top / path for path in named], [top], exported)


APP, WSGI, MANAGE = "site/celery.py", "site/wsgi.py", "manage.py"


@pytest.mark.parametrize(
    ("named", "modules", "chosen"),
    [
        ({MANAGE: "site.settings"}, [], "site.settings"),
        ({APP: "s.local", WSGI: "s.production", MANAGE: "s.local"}, [], "s.production"),
        ({APP: "s.base", WSGI: "s.prod", MANAGE: "s.local"}, [], "s.prod"),
        ({APP: "s.base", WSGI: "s.local", MANAGE: "s.local"}, [], "s.base"),
        ({APP: "s.one", WSGI: "s.two", MANAGE: "s.three"}, [], "s.one"),
        ({APP: "s.dev", MANAGE: "s.dev"}, ["s.production"], "s.production"),
        ({MANAGE: "s.settings_dev"}, ["s.settings_prod", "s.prod"], "s.settings_prod"),
        ({MANAGE: "s.local"}, ["s.live"], "s.live"),
        ({MANAGE: "s.local"}, ["s.staging"], "s.local"),
        ({APP: "s.dev", MANAGE: "s.local"}, [], "s.local"),
        ({}, ["s.production"], None),
    ],
)
def test_settings_for_production_are_preferred(
    tmp_path: Path, named: dict[str, str], modules: list[str], chosen: str | None
) -> None:
    found = choose(tmp_path, named, modules)
    assert found.module == chosen
    assert bool(found.note) == (set(named.values()) - {chosen} != set())


def test_every_file_that_names_other_settings_is_reported(tmp_path: Path) -> None:
    found = choose(tmp_path, {APP: "s.local", WSGI: "s.production", MANAGE: "s.local"}, [])
    assert found.for_development == "s.local"
    assert found.note == (
        "DJANGO_SETTINGS_MODULE: manage.py and site/celery.py name s.local, site/wsgi.py names s.production; "
        "s.production is written; change settings if this host needs another"
    )


def test_settings_of_the_environment_are_used_if_the_project_has_them(tmp_path: Path) -> None:
    found = choose(tmp_path, {WSGI: "s.production", MANAGE: "s.local"}, ["s.staging"], "s.staging")
    assert found.module == "s.staging"
    assert "your environment names s.staging; s.staging is written" in found.note
    assert choose(tmp_path, {MANAGE: "s.local"}, [], "other.settings").module == "s.local"
