"""Comments that ignore a finding, and PM951 about those that are of no use."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.model import Level
from tests.lint.valid_files import VALID_SECTION, VALID_UNIT, judged

IGNORE = "procman: ignore PM902 because no task takes longer"
SHORT = VALID_SECTION.replace("stopwaitsecs=900", "stopwaitsecs=20")
OTHER = SHORT.replace("site-worker", "other").replace("-l info", "-n other@%%h")


@pytest.mark.parametrize(
    "text",
    [
        f"# {IGNORE}\n{SHORT}",
        f"{SHORT}; {IGNORE}\n",
        SHORT.replace("=20", f"=20 ; {IGNORE}"),
        SHORT.replace("worker]", f"worker] #{IGNORE}"),
        SHORT.replace("worker]", f"worker] ;[1] #{IGNORE}"),
        SHORT.replace("user=", f"# {IGNORE.replace('PM902', 'PM903, pm902 PM902')}\nkillasgroup=false\nuser=").replace(
            "killasgroup=true\n", ""
        ),
    ],
    ids=["above the section", "in it", "behind an option", "behind the header", "with a bracket", "several codes"],
)
def test_comment_ignores_a_finding_of_its_section(tmp_path: Path, text: str) -> None:
    found = judged(tmp_path, f"{text}\n{OTHER}")
    first, other = [each for each in found if each.code == "PM902"]
    assert (first.accepted, first.level, first.reason) == (True, Level.OK, "no task takes longer")
    assert (other.accepted, other.level, other.program) == (False, Level.CRITICAL, "program:other")
    assert "PM951" not in [each.code for each in found]


def test_password_in_a_reason_is_not_shown(tmp_path: Path) -> None:
    reason = "procman: ignore PM902 because redis://:hunter22@localhost/0 is a cache"
    [found] = judged(tmp_path, f"{SHORT}; {reason}\n")
    assert found.reason == "redis://:***@localhost/0 is a cache"


def test_comment_before_the_first_section_concerns_the_file(tmp_path: Path) -> None:
    found = judged(tmp_path, f"# {IGNORE}\n\n{SHORT}\n{OTHER}")
    assert [(each.code, each.accepted) for each in found] == [("PM902", True)] * 2


def test_comment_above_a_section_does_not_concern_the_one_before(tmp_path: Path) -> None:
    found = judged(tmp_path, f"{SHORT}\n# {IGNORE}\n{OTHER}")
    assert [each.accepted for each in found] == [False, True]


def test_comment_in_a_drop_in_concerns_its_unit(tmp_path: Path) -> None:
    (tmp_path / "site.service.d").mkdir()
    (tmp_path / "site.service.d/override.conf").write_text(f"# {IGNORE}\n[Service]\nNice=5\n")
    [found] = judged(tmp_path, VALID_UNIT.replace("=15min", "=20"), "site.service")
    assert (found.code, found.accepted, found.file) == ("PM902", True, tmp_path / "site.service")


@pytest.mark.parametrize(
    ("comment", "why"),
    [
        ("procman: ignore PM902", "needs their codes and a reason"),
        ("procman: ignore PM902 because", "needs their codes and a reason"),
        ("procman: ignore because I know better", "needs their codes and a reason"),
        ("procman: ignore PM702 because of that", "PM702 is no code of `check --lint`"),
        ("procman: ignore PM904 because of that", "PM904 no longer applies here"),
    ],
)
def test_comment_that_is_of_no_use_is_reported_and_ignores_nothing(tmp_path: Path, comment: str, why: str) -> None:
    text = f"{SHORT}# {comment}\n"
    found = judged(tmp_path, text)
    assert [each.code for each in found] == ["PM902", "PM951"]
    assert (found[0].level, found[1].level, found[1].line) == (Level.CRITICAL, Level.WARNING, text.count("\n"))
    assert why in found[1].why


@pytest.mark.parametrize("code", ["PM921", "PM923", "PM924", "PM949"])
def test_comment_may_concern_what_only_the_host_or_other_files_show(tmp_path: Path, code: str) -> None:
    assert judged(tmp_path, f"{VALID_SECTION}# procman: ignore {code} because it is so in production\n") == []


def test_value_of_an_option_is_no_comment(tmp_path: Path) -> None:
    unit = VALID_UNIT.replace("=15min", "=20").replace("User=", f"Environment='A= # {IGNORE}'\nUser=")
    assert [each.accepted for each in judged(tmp_path, unit, "site.service")] == [False]


def test_comment_may_concern_a_program_whose_script_is_not_here(tmp_path: Path) -> None:
    text = SHORT.replace("/opt/env/bin/celery -A site worker", "/opt/no/start")
    assert judged(tmp_path, f"{text}; {IGNORE}\n") == []


def test_comment_about_a_shell_no_longer_applies_with_exec(tmp_path: Path) -> None:
    script = tmp_path / "start"
    text = VALID_SECTION.replace("/opt/env", f"{script} /opt/env") + "; procman: ignore PM905 because it is wanted\n"
    script.write_text('#!/bin/sh\n"$@"\n')
    assert [(each.code, each.accepted) for each in judged(tmp_path, text)] == [("PM905", True)]
    script.write_text('#!/bin/sh\nexec "$@"\n')
    assert [(each.code, each.accepted) for each in judged(tmp_path, text)] == [("PM951", False)]
