"""Adopted sections are removed from an unmanaged file, and the rest of it is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from supervisor.options import UnhosedConfigParser

from procman.backends.supervisor.configuration.takeover import remaining, takeover
from procman.errors import ProcmanError

FILE = Path("/etc/supervisor/conf.d/theirs.conf")
NAMES = {"catmaid-celery", "catmaid-celery-beat"}

CATMAID = """; CATMAID\r
[program:catmaid-app]
command = /opt/catmaid/run-gevent.sh
user = www-data

[program:catmaid-celery]
command = /opt/catmaid/run-celery.sh
user = www-data
stdout_logfile = /var/log/catmaid/celery.log ;

; The beat
[program:catmaid-celery-beat]
command = /opt/catmaid/run-beat.sh
  --verbose

# All of it
[group:catmaid]
programs=catmaid-app, catmaid-celery,catmaid-celery-beat ; three
priority=5
"""


def test_other_bytes_of_the_file_are_unchanged() -> None:
    assert (
        takeover(FILE, CATMAID, NAMES)
        == """; CATMAID\r
[program:catmaid-app]
command = /opt/catmaid/run-gevent.sh
user = www-data


; The beat

# All of it
[group:catmaid]
programs=catmaid-app ; three
priority=5
"""
    )


def test_file_without_procmans_programs_is_unchanged() -> None:
    text = CATMAID + "[group:g]\nprograms = a ,  ; first\n\n  b\n"
    assert takeover(FILE, text, {"somebody-else"}) == text


def test_nothing_is_left_of_a_file_with_only_adopted_sections(tmp_path: Path) -> None:
    file = tmp_path / "ours.conf"
    file.write_text("[program:catmaid-celery]\ncommand=x\n\n[group:catmaid]\nprograms=catmaid-celery\n")
    assert remaining(file, NAMES) is None


def test_missing_file_is_not_reported_as_a_lack_of_permission(tmp_path: Path) -> None:
    with pytest.raises(ProcmanError) as caught:
        remaining(tmp_path / "nope", NAMES)
    assert caught.value.message == f"{tmp_path}/nope does not exist"
    assert "sudo" not in caught.value.hint
    with pytest.raises(ProcmanError, match="is a directory"):
        remaining(tmp_path, NAMES)


def test_line_ends_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "theirs.conf"
    file.write_bytes(b"[program:a]\r\ncommand=x\r\n[program:catmaid-celery]\r\ncommand=y\r\n")
    assert remaining(file, NAMES) == "[program:a]\r\ncommand=x\r\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("programs=catmaid-celery,a,b\n", "programs=a,b\n"),
        ("programs = a , catmaid-celery , b\n", "programs = a , b\n"),
        ("programs:a,catmaid-celery\n", "programs:a\n"),
        ("programs=a,\n  catmaid-celery, ; this\n\n  b\npriority=1\n", "programs=a,b\npriority=1\n"),
        ("programs=\n  a,\n  catmaid-celery\n", "programs=a\n"),
        ("programs=catmaid-celery,a\nprograms=a,catmaid-celery\n", "programs=catmaid-celery,a\nprograms=a\n"),
        ("programs=a,catmaid-celery", "programs=a"),
    ],
)
def test_only_adopted_names_are_removed_from_a_group(text: str, expected: str) -> None:
    assert takeover(FILE, f"[group:g]\n{text}", NAMES) == f"[group:g]\n{expected}"


@pytest.mark.parametrize("kind", ["program", "fcgi-program", "eventlistener"])
def test_every_kind_of_program_is_adopted(kind: str) -> None:
    assert takeover(FILE, f"[{kind}:catmaid-celery] ; x\ncommand=x\n[x]\n", NAMES) == "[x]\n"


def test_group_named_like_a_program_with_other_members_is_refused() -> None:
    with pytest.raises(ProcmanError, match=r"theirs\.conf:3: .* but also contains a"):
        takeover(FILE, "[x]\n\n[group:catmaid-celery]\nprograms=a,catmaid-celery\n", NAMES)


def test_empty_group_is_kept() -> None:
    assert takeover(FILE, "[group:g]\nprograms=\n", NAMES) == "[group:g]\nprograms=\n"


LINES = st.sampled_from(
    [
        "[program:catmaid-celery]",
        "[program:a] ; comment",
        "[program:b]",
        "[group:g]",
        "[group:h]",
        "programs=a,catmaid-celery",
        "programs = catmaid-celery , b ; c",
        "programs=catmaid-celery",
        "programs=a,",
        "   b,catmaid-celery",
        "",
        "; programs=catmaid-celery",
        "command=x=y",
        "  more",
    ]
)


@given(st.lists(LINES, max_size=12))
def test_supervisor_reads_the_remaining_sections_unchanged(lines: list[str]) -> None:
    text = "[supervisord]\n" + "\n".join(lines) + "\n"
    before = _parsed(text)
    assume(before is not None)
    assert before is not None
    after = _parsed(takeover(FILE, text, NAMES))
    expected = {name: options for name, options in before.items() if name != "program:catmaid-celery"}
    for name in [name for name in expected if name.startswith("group:")]:
        members = expected[name].get("programs")
        assume(not any("\n" in member for member in members or ()))
        # A repeated section is handled place by place; this test does not cover that.
        assume(text.count(f"[{name}]") == 1)
        if members and not [member for member in members if member != "catmaid-celery"]:
            del expected[name]
        elif members:
            expected[name]["programs"] = [member for member in members if member != "catmaid-celery"]
    assert after == expected


def _parsed(text: str) -> dict[str, dict[str, Any]] | None:
    parser = UnhosedConfigParser()
    try:
        parser.read_string(text)
    except Exception:
        return None
    found: dict[str, dict[str, Any]] = {}
    for section in parser.sections():
        options: dict[str, Any] = dict(parser.items(section))
        if section.startswith("group:") and "programs" in options:
            options["programs"] = [each.strip() for each in str(options["programs"]).split(",") if each.strip()]
        found[section] = options
    return found
