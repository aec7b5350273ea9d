"""The secrets of an imported file: written to an environment file that no other user can read, and never printed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from procman.agent.environment_file import parse_environment_file
from procman.cli.init import init
from procman.config.load import load
from procman.errors import ProcmanError
from procman.init.environment_file import line_of, path_beside, write_secrets

OLD = """\
[program:shop-celery]
command = /env/bin/celery -A shop worker -b amqp://me:hunter21@host//
directory = /srv/shop
user = nobody
environment = PGPASSWORD="hunter22",LEVEL="1"
"""


def run(directory: Path, *words: str) -> Result:
    (directory / "old.conf").write_text(OLD)
    (directory / "shop").mkdir(exist_ok=True)
    words = ("--from", str(directory / "old.conf"), "--name", "shop", str(directory / "shop"), *words)
    done = CliRunner().invoke(init, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert "hunter2" not in done.stdout + done.stderr
    return done


def test_secrets_are_in_a_private_file_beside_procman_toml(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        done = run(tmp_path, "--output", str(tmp_path / "procman.toml"))
    finally:
        os.umask(before)
    path, text = tmp_path / "procman.env", (tmp_path / "procman.toml").read_text()
    found, configuration = path.stat(), (tmp_path / "procman.toml").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o600, configuration.st_uid)
    variables = parse_environment_file(path.read_text())
    assert variables == {"CELERY_BROKER_URL": "amqp://me:hunter21@host//", "PGPASSWORD": "hunter22"}
    assert "hunter2" not in text
    assert 'environment_file = "procman.env"' in text
    assert f"wrote {path}, which only you can read, with PGPASSWORD, CELERY_BROKER_URL" in done.stderr


def test_procman_toml_names_the_file(tmp_path: Path) -> None:
    run(tmp_path, "--output", str(tmp_path / "shop.toml"))
    text = (tmp_path / "shop.toml").read_text().replace('mode = "existing"', 'mode = "embedded"')
    text = text.replace("# virtualenv = ", "virtualenv = ")
    (tmp_path / "shop.toml").write_text(text)
    assert load(tmp_path / "shop.toml", {}).environment_file == tmp_path / "shop.env"


def test_existing_environment_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "procman.env"
    path.write_text("MINE=1\n")
    done = run(tmp_path, "--output", str(tmp_path / "procman.toml"), "--force")
    assert path.read_text() == "MINE=1\n"
    assert f"note: cannot write {path}: it already exists, and is kept" in done.stderr
    assert f"into {path}, with mode 0600: PGPASSWORD, CELERY_BROKER_URL" in done.stderr


def test_without_a_file_the_names_are_listed(tmp_path: Path) -> None:
    done = run(tmp_path, "--output", "-")
    assert not list(tmp_path.glob("*.env"))
    assert "FILL IN: put these variables of the imported programs into it" in done.stdout
    assert "fill in project.environment_file: put these variables of the imported programs into it" in done.stderr
    assert "PGPASSWORD, CELERY_BROKER_URL" in done.stderr


def test_link_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "procman.env"
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ProcmanError, match="already exists"):
        write_secrets({"A": "b"}, path)
    assert not (tmp_path / "elsewhere").exists()


def test_directory_that_cannot_be_written_is_reported_without_values(tmp_path: Path) -> None:
    with pytest.raises(ProcmanError) as failed:
        write_secrets({"A": "hunter22"}, tmp_path / "missing" / "procman.env")
    assert "A" in failed.value.hint
    assert "hunter22" not in str(failed.value) + failed.value.hint


def test_environment_file_has_another_name_than_procman_toml() -> None:
    assert path_beside(Path("conf/shop.toml")) == Path("conf/shop.env")
    assert path_beside(Path("shop.env")) == Path("shop.env.env")


@given(st.text(st.characters(codec="utf-8")) | st.text(alphabet="ab'\"\\$`#; \n\r\t={}"))
def test_every_secret_is_read_back_or_left_out(value: str) -> None:
    line = line_of("NAME", value)
    if line is None:
        assert "\0" in value or any(ord(each) >= 0xFDD0 for each in value)
    else:
        assert parse_environment_file(f"A=1\n{line}B=2\n") == {"A": "1", "NAME": value, "B": "2"}
