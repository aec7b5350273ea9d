"""Files match the patterns of `[include]` as in supervisord."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.backends.supervisor.configuration.includes import included, matched, merged


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("conf.d/a.conf", "conf.d/*.conf"),
        ("conf.d/a.conf", "conf.d/../conf.d/?.conf"),
        ("conf.d/a.conf", "*/a.conf"),
        ("conf.d/a.conf", "conf.d/a.conf"),
        ("conf.d/.a.conf", "conf.d/.*.conf"),
        ("conf.d/.a.conf", "conf.d/*.conf"),
        ("conf.d/a.ini", "conf.d/*.conf"),
        ("conf.d/sub/a.conf", "conf.d/*.conf"),
        ("conf.d/sub/a.conf", "conf.d/**"),
        ("conf.d/[a].conf", "conf.d/[a].conf"),
        (".hidden/a.conf", "*/a.conf"),
    ],
)
def test_future_file_is_matched_like_an_existing_one(tmp_path: Path, name: str, pattern: str) -> None:
    path = tmp_path / name
    before = matched(path, f"{tmp_path}/{pattern}")
    path.parent.mkdir(parents=True)
    path.touch()
    assert before == (path in [Path(found).resolve() for found in included([f"{tmp_path}/{pattern}"])])


def test_files_are_ordered_by_pattern_then_by_name(tmp_path: Path) -> None:
    for name in ("b.conf", "d.conf", "a.ini"):
        (tmp_path / name).touch()
    patterns = [f"{tmp_path}/*.ini", f"{tmp_path}/*.conf"]
    files = merged(patterns, [tmp_path / "c.conf", tmp_path / "x.txt"], [tmp_path / "d.conf"])
    assert [file.name for file in files] == ["a.ini", "b.conf", "c.conf"]
