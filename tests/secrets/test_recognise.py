"""Passwords in a text and their masking, whatever text another user passes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings, strategies

from procman.secrets import holds_password, is_secret, masked, masked_command, values_of, words_hold_password
from procman.secrets.recognise import LONGEST_LINE, LONGEST_TEXT
from tests.growth import grows_linearly
from tests.tables import for_each


@for_each(
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
        ("celery flower --basic_auth u:p", "celery flower --basic_auth ***"),
        ("flower --api-key abc --port 1", "flower --api-key *** --port 1"),
        ("flower --api_key=abc --passphrase=d --pwd=e", "flower --api_key=*** --passphrase=*** --pwd=***"),
        ("flower --password 20231199", "flower --password ***"),
        ("env SECRET_KEY=abc celery worker", "env SECRET_KEY=*** celery worker"),
        ("PGPASSWORD=20231199 psql", "PGPASSWORD=*** psql"),
        ("curl -H 'Authorization: Bearer abc' x", "curl -H 'Authorization: Bearer ***' x"),
        ("Authorization: Basic YTpi", "Authorization: Basic ***"),
        ("-H Private-Token: abc", "-H Private-Token: ***"),
        ("Endpoint=sb://h/;SharedAccessKey=a/b+c=", "Endpoint=sb://h/;SharedAccessKey=***"),
        ("AccountName=x;AccountKey=abc==;Suffix=y", "AccountName=x;AccountKey=***;Suffix=y"),
        ("{'USER': 'u', 'PASSWORD': 'it\\'s'}", "{'USER': 'u', 'PASSWORD': '***'}"),
        ('{"api_key": "abc"}', '{"api_key": "***"}'),
        ("-bamqp://u:p@h", "-bamqp://u:***@h"),
    ],
)
def test_password_is_found_and_masked(text: str, shown: str) -> None:
    assert holds_password(text)
    assert masked(text) == shown


@for_each(
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
        "SECRET_KEY=$SECRET_KEY",
        "DB_PASSWORD=%(ENV_DB_PASSWORD)s",
        "DB_PASSWORD=${DB_PASSWORD}",
        "the password: it must be changed",
        "a token is missing",
        "--key x --routing-key y",
        "MAX_TOKENS=4096",
        "GOOGLE_APPLICATION_CREDENTIALS=/etc/google.json",
    ],
)
def test_text_without_a_password_is_unchanged(text: str) -> None:
    assert not holds_password(text)
    assert masked(text) == text


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


HOSTILE = (
    *("a.", "a-", "://", "://:", "://a:@", "x://a:b@,", "http://h:80/", "@", ";:,"),
    *("password=", "password=password", 'password="\\', "token=/a/", "token=true", "a_token: ", "--password ", "'a':'"),
    *(
        "'",
        '"',
        "\\",
        "=",
        "-",
        "_",
        "A_",
        "SECRET_",
        "authorization: ",
        "authorization",
        " ",
        "\n",
        "$(",
        "%(ENV_",
        "é",
    ),
)
"""Texts that made, or could make, a regular expression try every way to divide them."""


@pytest.mark.thorough
@pytest.mark.parametrize(
    "call",
    [
        holds_password,
        lambda text: is_secret("A_TOKEN", text),
        lambda text: is_secret(text, "a"),
        lambda text: words_hold_password(text.split(" ")),
        lambda text: masked_command([text, text]),
        lambda text: masked(text, ("a.a.a.b", "password=x")),
        lambda text: values_of({"A_TOKEN": text}, private=True),
    ],
    ids=["holds", "value", "name", "words", "command", "masked", "values"],
)
def test_time_grows_with_the_length_only(call: Callable[[str], object]) -> None:
    assert [unit for unit in HOSTILE if not grows_linearly(call, unit, 6_000)] == []


@pytest.mark.parametrize("unit", ["a.", "a-", "://a:@", "password=", "\n"], ids=ascii)
def test_megabytes_are_cut(unit: str) -> None:
    text = unit * (3_000_000 // len(unit))
    shown = masked(text)
    assert len(shown) < LONGEST_TEXT * 3
    assert max(map(len, shown.split("\n"))) < LONGEST_LINE + 60
    assert shown.endswith(f"... ({len(text) - LONGEST_TEXT} more characters)")


def test_password_at_the_limit_is_not_shown_in_part() -> None:
    before = "x\n" * (LONGEST_TEXT // 2 - 10)
    assert "hun" not in masked(f"{before}amqp://user:hunter2hunter2hunter2@host//")
    assert "hun" not in masked(f"{before}0123456789 hunter2hunter2 1", ["hunter2hunter2"])
    assert "hun" not in masked("x" * (LONGEST_LINE - 3) + "hunter2" + "x" * 100, ["hunter2"])
