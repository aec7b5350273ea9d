"""A roll-back restores an earlier generation; the same install after it changes nothing."""

from __future__ import annotations

from pathlib import Path

from tests.install import sample

ONE, TWO = sample.DESIRED_STATES["one"], sample.DESIRED_STATES["two"]


def test_install_of_what_a_roll_back_put_there_changes_nothing(host: Path) -> None:
    """R2."""
    sample.install(host, ONE)
    sample.install(host, TWO)
    assert sample.roll_back(host, 1).generation.number == 3
    assert sample.loaded(host).keys() == {"catmaid-celery", "catmaid-beat"}
    assert sample.plan(host, ONE).nothing_to_do
    assert not sample.plan(host, TWO).nothing_to_do
    assert sample.roll_back(host, 1).nothing_to_do


def test_what_was_taken_over_comes_back_with_the_generation_before(host: Path) -> None:
    theirs = host / "etc/supervisor/conf.d/theirs.conf"
    theirs.write_text("[program:theirs]\ncommand=/bin/theirs\n")
    theirs.chmod(0o640)
    sample.install(host, ONE)
    sample.install(host, TWO, adopt={theirs: "; left\n"})
    back = sample.roll_back(host, 1)
    assert theirs.read_text() == "[program:theirs]\ncommand=/bin/theirs\n"
    assert theirs.stat().st_mode & 0o777 == 0o640
    assert back.generation.manifest.replaced == ()

    # What somebody has changed since is his.
    sample.install(host, TWO, adopt={theirs: "; left\n"})
    theirs.write_text("; changed\n")
    sample.roll_back(host, 1)
    assert theirs.read_text() == "; changed\n"
