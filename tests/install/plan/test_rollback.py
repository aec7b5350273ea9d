"""A rollback restores an earlier generation; an install of the same content after it changes nothing."""

from __future__ import annotations

from pathlib import Path

from tests.install import sample

ONE, TWO = sample.DESIRED_STATES["one"], sample.DESIRED_STATES["two"]


def test_install_of_restored_generation_changes_nothing(host: Path) -> None:
    """R2."""
    sample.install(host, ONE)
    sample.install(host, TWO)
    assert sample.roll_back(host, 1).generation.number == 3
    assert sample.loaded(host).keys() == {"catmaid-celery", "catmaid-beat"}
    assert sample.plan(host, ONE).nothing_to_do
    assert not sample.plan(host, TWO).nothing_to_do
    assert sample.roll_back(host, 1).nothing_to_do


def test_rollback_restores_file_adopted_since(host: Path) -> None:
    foreign = host / "etc/supervisor/conf.d/foreign.conf"
    foreign.write_text("[program:foreign]\ncommand=/bin/foreign\n")
    foreign.chmod(0o640)
    sample.install(host, ONE)
    sample.install(host, TWO, adopt={foreign: "; left\n"})
    back = sample.roll_back(host, 1)
    assert foreign.read_text() == "[program:foreign]\ncommand=/bin/foreign\n"
    assert foreign.stat().st_mode & 0o777 == 0o640
    assert back.generation.manifest.replaced == ()

    # A file that was changed since is left alone.
    sample.install(host, TWO, adopt={foreign: "; left\n"})
    foreign.write_text("; changed\n")
    sample.roll_back(host, 1)
    assert foreign.read_text() == "; changed\n"


def test_rollback_between_two_adoptions_from_one_file_restores_what_the_first_had_left(host: Path) -> None:
    foreign = sample.foreign(host)
    foreign.write_text("[program:a]\n[program:b]\n")
    sample.install(host, ONE)
    sample.install(host, TWO, adopt={foreign: "[program:b]\n"})
    sample.install(host, ONE, adopt={foreign: "; nothing\n"})
    sample.roll_back(host, 2)
    assert foreign.read_text() == "[program:b]\n"
    sample.roll_back(host, 1)
    assert foreign.read_text() == "[program:a]\n[program:b]\n"
