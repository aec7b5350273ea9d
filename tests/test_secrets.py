"""The detection and masking of secrets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies

from procman import secrets
from procman.probes import app_script
from procman.secrets import holds_password, is_secret, masked, words_hold_password


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("amqp://guest:guest@localhost//", "amqp://guest:***@localhost//"),
        ("amqp://u:p@ss@h", "amqp://u:***@h"),
        ("amqp://u:pa/ss@h/v", "amqp://u:***@h/v"),
        ("amqp://u:p#a?s:s@h/v", "amqp://u:***@h/v"),
        ("amqp://u:it's@h", "amqp://u:***@h"),
        ("amqp://u:12345@h", "amqp://u:***@h"),
        ("redis://:pw@h:6379/0", "redis://:***@h:6379/0"),
        ("db+postgresql://u:p@h/x", "db+postgresql://u:***@h/x"),
        ("sentinel://:a@h1:1;sentinel://:b@h2:2", "sentinel://:***@h1:1;sentinel://:***@h2:2"),
        ("amqp://u:p@h,amqp://u:q@i", "amqp://u:***@h,amqp://u:***@i"),
        ('{"a":"amqp://u:p@h","b":"amqp://u:q@i"}', '{"a":"amqp://u:***@h","b":"amqp://u:***@i"}'),
        ("cannot reach amqp://u:p@h: refused", "cannot reach amqp://u:***@h: refused"),
        ("redis://h/0?password=p&ssl=1", "redis://h/0?password=***&ssl=1"),
        ("celery flower --basic_auth=u:p --port=5555", "celery flower --basic_auth=*** --port=5555"),
        ("celery flower --basic-auth=u:p", "celery flower --basic-auth=***"),
        ("--token=12-x", "--token=***"),
        ("export DB_PASSWORD='two words' x", "export DB_PASSWORD='***' x"),
        ('SECRET="two words" x', 'SECRET="***" x'),
        ("host=db password=p user=u", "host=db password=*** user=u"),
    ],
)
def test_password_is_found_and_masked(text: str, shown: str) -> None:
    assert holds_password(text)
    assert masked(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "user:word@host",
        "redis://h:6379/0",
        "http://h:8000/a@b",
        "http://h:8000",
        "http://[::1]:80/a@b",
        "mysql://u@h/db",
        "amqp://u:@h",
        "see http://h:80, or write to me@example.org",
        "--password-file=/run/secret",
        "--password=/run/secret",
        "--password=~/secret",
        "--token=3",
        "token=true",
        "tokens=a",
        "mytoken=a",
    ],
)
def test_text_without_a_password_is_unchanged(text: str) -> None:
    assert not holds_password(text)
    assert masked(text) == text


@pytest.mark.parametrize(
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
    ],
)
def test_password_after_an_option_is_found(words: list[str], expected: bool) -> None:
    assert words_hold_password(words) is expected


NAMES = strategies.text("abcXYZ09._~-", max_size=6)
PASSWORDS = strategies.text(strategies.characters(codec="utf-8", exclude_categories=("Cc", "Z")), min_size=1)


@settings(deadline=None)
@given(NAMES, PASSWORDS, strategies.sampled_from(["", ":5672", "//", "/vhost", "?a=1"]))
def test_no_part_of_a_password_remains(user: str, password: str, rest: str) -> None:
    # Digits and a slash are a port and a path; in a list, a new URL starts after a comma.
    if password[0].isdigit() or any(each in password for each in ";,\"'"):
        password = "x" + password.translate(dict.fromkeys(map(ord, ";,\"'")))
    assert masked(f"before amqp://{user}:{password}@host{rest} after") == f"before amqp://{user}:***@host{rest} after"


@given(strategies.text())
def test_masking_twice_changes_nothing(text: str) -> None:
    assert masked(masked(text)) == masked(text)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("DB_PASSWORD", "hunter2", True),
        ("PASSWORD", "hunter2", True),
        ("SECRET_KEY", "abc", True),
        ("STRIPE_API_KEY", "abc", True),
        ("AWS_ACCESS_KEY_ID", "abc", False),
        ("KEY", "abc", False),
        ("MYSQL_PASSWD", "abc", True),
        ("api_token", "abc", True),
        ("PASSWORDLESS", "abc", False),
        ("TOKENIZER", "abc", False),
        ("SECRETS", "abc", False),
        ("DB_PASSWORD", "", False),
        ("DB_PASSWORD_FILE", "/run/secrets/db", False),
        ("TOKEN_LIFETIME", "3600", False),
        ("TOKEN_RATE", "0.5", False),
        ("USE_TOKEN", "true", False),
        ("USE_TOKEN", "No", False),
        ("BROKER", "amqp://guest:guest@localhost", True),
        ("BROKER", "amqp://localhost", False),
        ("DSN", "host=db password=p", True),
    ],
)
def test_variable_is_a_secret_by_its_name_or_value(name: str, value: str, expected: bool) -> None:
    assert is_secret(name, value) is expected


def test_app_probe_has_the_same_secret_words() -> None:
    """The probe runs with the project's Python and cannot import them."""
    assert app_script.SECRET_WORDS == secrets._SECRET_WORDS
