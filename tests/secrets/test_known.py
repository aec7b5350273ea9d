"""Secrets are hidden by their values, in every form in which an error quotes them, and nothing else is."""

from __future__ import annotations

import re
import urllib.parse

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from procman.secrets import known_secrets
from tests.growth import grows_linearly
from tests.tables import for_each

PRIVATE = {
    "DB_PASSWORD": "C4n p@ss/w",
    "BROKER": "redis://:S3cr3tA#bcdE/Fgh1@h:1/0",
    "ENCODED": "amqp://user:per%2Fcent%40@h//",
    "SALT": "x7Kq92mPzL",
    "BACKUP": "Tr0ub4dor and three",
    "GREETING": "short",
    "PEM_PRIVATE_KEY": "-----BEGIN-----\nMIIEvQIBADANBgkq\n-----END-----",
    "SENTRY_DSN": "https://0123456789abcdef@sentry.example.org/5",
    "ADMIN_PASS": "catmaid",
    "PIN_PASSWORD": "20231199",
}


@for_each(
    ("text", "shown"),
    [
        ("login failed for C4n p@ss/w.", "login failed for ***."),
        ("Port could not be cast to integer value as 'S3cr3tA'", "Port could not be cast to integer value as '***'"),
        ("cannot resolve s3cr3ta", "cannot resolve ***"),
        ("no host bcdE/Fgh1", "no host ***/***"),
        ("redis://:S3cr3tA#bcdE/Fgh1@h:1/0", "redis://:***@h:1/0"),
        ("password per/cent@ or per%2Fcent%40", "password *** or ***"),
        ("quoted C4n%20p%40ss%2Fw", "quoted ***"),
        ("salt x7Kq92mPzL, backup Tr0ub4dor and three", "salt ***, backup ***"),
        ("key MIIEvQIBADANBgkq", "key ***"),
        ("DSN https://0123456789abcdef@sentry.example.org/5", "DSN https://***@sentry.example.org/5"),
        ("short", "short"),
        # A password that is a word is hidden where it is alone.
        ("role catmaid has password 'catmaid'", "role *** has password '***'"),
        ("/srv/catmaid/app.py, catmaid-celery, catmaid.tasks", "/srv/catmaid/app.py, catmaid-celery, catmaid.tasks"),
        ("code 20231199, line 120231199", "code ***, line 120231199"),
    ],
)
def test_value_is_hidden(text: str, shown: str) -> None:
    assert known_secrets(PRIVATE, {}).masked(text) == shown


HARMLESS = (
    *("/srv/catmaid/media", "./data/x", "~/celery", "/var/lib/x:/srv/y/z"),
    *(
        "production",
        "Production",
        "CRITICAL",
        "8123456789",
        "2026-11-29",
        "10.0.0.128",
        "10.0.0.128:5672",
        "1.5,2.25,3.75",
    ),
    *("db.example.org", "db.example.org:5432", "localhost:5672", "a.example.org,b.example.org", "me@example.org"),
    *("mysite.settings", "mysite.celery:app", "django_redis.cache.RedisCache", "my_app.tasks"),
    *("de_DE.UTF-8", "de_DE@euro", "C.UTF-8", "Europe/Berlin", "America/Argentina/Buenos_Aires"),
    *("redis://localhost:6379/0", "amqp://guest:guest@localhost:5672//", "https://example.org/api/"),
)


@for_each("value", HARMLESS)
def test_usual_value_of_an_environment_file_is_shown(value: str) -> None:
    assert known_secrets({"SETTING": value}, {}).values == ()


@pytest.mark.parametrize(
    "value", ["eyJhbGciOi.eyJzdWIiOiIx.SflKxwRJSM", "hunter22", "9f86d081884c7d65", "/9j+4AAQSkZJRg"]
)
def test_other_value_of_an_environment_file_is_hidden(value: str) -> None:
    assert known_secrets({"SETTING": value}, {}).masked(f"is {value}!") == "is ***!"


def test_of_other_variables_only_secrets_are_hidden() -> None:
    known = known_secrets({}, {"SALT": "x7Kq92mPzL", "DB_PASSWORD": "hunter22", "BROKER": "amqp://u:pa55@h//"})
    assert known.masked("x7Kq92mPzL hunter22 pa55") == "x7Kq92mPzL *** ***"


@pytest.mark.parametrize(
    ("password", "text"),
    [
        ('80"abcd', 'Cannot connect to redis://:80"abcd@h:1/0: refused'),
        ("80,abcd", "Cannot connect to redis://:80,abcd@h:1/0: refused"),
        ("80/abcd", "Cannot connect to redis://:80/abcd@h:1/0: refused"),
        ("6f:4k/Q7bb", "Port could not be cast to integer value as '6f:4k'"),
        ("ab\\cd#x", repr(ValueError("Port could not be cast to integer value as " + repr("ab\\cd")))),
        ("ab'cd#x", repr(ValueError("Port could not be cast to integer value as " + repr("ab'cd")))),
    ],
)
def test_odd_password_of_a_url_is_hidden_however_an_error_quotes_it(password: str, text: str) -> None:
    shown = known_secrets({"BROKER": f"redis://:{password}@h:1/0"}, {}).masked(text)
    assert not [piece for piece in re.split(r"[\W]", password) if piece and piece in shown.replace("redis", "")]


PASSWORDS = st.text(st.sampled_from("Xy7#/?[]@:%&= "), min_size=6, max_size=20)


@given(PASSWORDS)
def test_error_of_the_url_parser_shows_no_piece_of_a_password(password: str) -> None:
    # Digits alone are a port.
    assume(not password.isdigit())
    url = f"amqp://user:{password}@host:5672//"
    errors = [url, password]
    try:
        parts = urllib.parse.urlsplit(url)
        errors += [parts.netloc, parts.path, parts.hostname or ""]
        parts.port  # noqa: B018
    except ValueError as error:
        errors.append(str(error))
    shown = known_secrets({"BROKER": url}, {}).masked("\n".join(errors))
    pieces = [piece for piece in re.split(r"[/#?\[\]@:]", password) if len(piece) > 3]
    assert not [piece for piece in pieces if piece in shown]


@pytest.mark.parametrize("value", ["aaaaaaaaaaab", "a.a.a.a.", "1111", "aaaa"])
def test_time_grows_with_the_length_only(value: str) -> None:
    known = known_secrets({"DB_PASSWORD": value}, {})
    assert grows_linearly(known.masked, "a", 8_000)
    assert grows_linearly(known.masked, "1", 8_000)
