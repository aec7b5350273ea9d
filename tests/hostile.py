"""Values that break naive quoting, for all tests that write files for another program."""

from __future__ import annotations

from hypothesis import settings, strategies

HOSTILE = (
    "",
    " ",
    "plain",
    "two words",
    " leading",
    "trailing ",
    "trailing backslash\\",
    "a\\nb",
    "a ;b",
    "a #b",
    "a ; b # c ;d",
    ";a",
    "#a",
    "; a",
    "a;b#c",
    "a\N{NO-BREAK SPACE};b",
    "a\N{IDEOGRAPHIC SPACE}#b",
    "\N{NO-BREAK SPACE}a\N{NO-BREAK SPACE}",
    "%",
    "100%",
    "100 % ;",
    "%%",
    "%s",
    "%d %(",
    "%(ENV_PATH)s",
    "%(ENV_NOT_SET)s",
    "%(here)s",
    "%%(here)s",
    "%(here).0s",
    "%(program_name)s",
    "%(program_name).0s",
    "%(process_num)02d",
    "%h-%n-%i",
    "amqp://u:p%40ss@h:5672//",
    "'",
    '"',
    "it's",
    "'quoted'",
    '"quoted"',
    "both ' and \"",
    "'\"'\"'",
    "\\'",
    '\\"',
    "$HOME",
    "${HOME}",
    "$(id)",
    "`id`",
    "$((1+1))",
    "~",
    "~root",
    "~/x",
    "a:~root",
    "-",
    "-e",
    "--help",
    "*",
    "/*",
    "[a-z]",
    "{a,b}",
    "!!",
    "a&b|c>d<e",
    "(a)",
    "A=b",
    "=",
    "a=b=c",
    "[program:evil]",
    "command=/bin/id",
    "none",
    "AUTO",
    "syslog",
    "1_000",
    "é",
    "Ünïcödé",
    "日本語",
    "\N{PILE OF POO}",
    "\N{RIGHT-TO-LEFT OVERRIDE}abc",
    "\N{ZERO WIDTH SPACE}",
    "\N{ZERO WIDTH NO-BREAK SPACE}",
    # Bytes 0x81 to 0x88, with which dash marks its own quoting.
    "\N{LATIN CAPITAL LETTER A WITH ACUTE}\N{LATIN CAPITAL LETTER A WITH GRAVE}",
    "x" * 10_000,
    " ;" * 2_000,
)
"""Texts that can be written to every file."""

REFUSED = (
    "a\nb",
    "a\n[program:evil]\ncommand=/bin/id",
    "a\n ;b",
    "\n",
    "a\rb",
    "a\tb",
    "a\0b",
    "a\x1b[2Jb",
    "a\x7fb",
    "a\x85b",
    "a\x1c;b",
    "a\N{LINE SEPARATOR}b",
    "a\N{PARAGRAPH SEPARATOR}b",
    "a\udc80b",
    "a\ud800b",
    "a\ufffeb",
    "a\ufdd0b",
    "a\U0001ffffb",
)
"""Texts that can be written to no file."""

TEXTS = strategies.lists(
    strategies.sampled_from([text for text in HOSTILE if len(text) < 50])
    | strategies.sampled_from("abc;#%'\"\\$`~ \N{NO-BREAK SPACE}()sd=:,[]{}!*-")
    | strategies.characters(),
    max_size=12,
).map("".join)
"""Combinations of hostile pieces; some of them cannot be written."""


def examples(number: int) -> int:
    """Return how many random examples a test tries: `number`, or fewer in `make unit`."""
    default = settings.default
    assert default
    return max(1, number * default.max_examples // 100)
