"""Passwords in command lines."""

from __future__ import annotations

import pytest

from procman.secrets import masked_command, words_hold_password
from tests.tables import for_each


@for_each(
    ("words", "expected"),
    [
        (["flower", "--password", "hunter2"], True),
        (["flower", "--basic-token", "abc"], True),
        (["flower", "--url=amqp://u:p@h"], True),
        (["flower", "--password", "--port"], False),
        (["flower", "--password", "/run/secret"], False),
        (["flower", "--token", "3"], False),
        (["flower", "--password"], False),
        (["password", "hunter2"], False),
        ([], False),
        (["flower", "--basic_auth", "u:p"], True),
        (["flower", "--basic-auth", "u:p"], True),
        (["flower", "--api-key", "abc"], True),
        (["flower", "--api_key=abc"], True),
        (["flower", "--passphrase=abc"], True),
        (["flower", "--pwd=abc"], True),
        (["flower", "--pwd", "abc"], True),
        (["flower", "--pass", "abc"], True),
        (["flower", "--password", "20231199"], True),
        (["flower", "--auth", "u:p"], True),
        (["flower", "--auth", ".*@example\\.com"], False),
        (["/usr/bin/curl", "-u", "u:p", "http://h"], True),
        (["/usr/bin/curl", "http://h", "--user", "u:p"], True),
        (["docker", "run", "-u", "1000:1000"], False),
        (["curl", "-H", "Authorization: Bearer abc"], True),
        (["curl", "-H", "X-Api-Key: abc"], True),
        (["curl", "-H", "Accept: text/html"], False),
        (["env", "SECRET_KEY=abc", "celery"], True),
        (["/bin/sh", "-c", "DB_PASSWORD=abc exec celery"], True),
        (["send", "Endpoint=sb://h/;SharedAccessKey=abc"], True),
        (["mysql", "-pabc"], True),
        (["mysqldump", "-p", "db"], False),
        (["mkdir", "-p", "dir"], False),
        (["redis-cli", "-a", "abc"], True),
        (["sshpass", "-p", "abc", "ssh"], True),
        (["mail", "--password-file", "/run/secret"], False),
    ],
)
def test_password_after_an_option_is_found(words: list[str], expected: bool) -> None:
    assert words_hold_password(words) is expected


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["flower", "--basic_auth", "u:p", "--port", "1"], "flower --basic_auth *** --port 1"),
        (["curl", "-u", "u:p", "-H", "Authorization: Bearer abc"], "curl -u *** -H Authorization: Bearer ***"),
        (["flower", "--password", "two words"], "flower --password ***"),
        (["celery", "-A", "mysite", "worker"], "celery -A mysite worker"),
        (["x", "--token", "amqp://u:p@h"], "x --token ***"),
    ],
)
def test_password_of_a_command_line_is_masked(words: list[str], shown: str) -> None:
    assert masked_command(words) == shown
