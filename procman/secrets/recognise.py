"""Recognise the names of secrets and passwords in a text, and hide them.

One pattern judges the names of variables, options and settings, wherever they occur. The text may be another user's, so
the time grows in proportion to its length, and `masked` limits it. The probe of the app runs this file as a part of its
own text (app_script.py), so it needs nothing but Python 3.6.
"""

import re
from itertools import chain
from typing import Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Set, Tuple
from urllib.parse import quote, unquote

# Names ---------------------------------------------------------------------------------------------------------------

_SECRET_NAME = re.compile(
    r"""
    (?:
      (?P<password>
          PASS (?: WORDS? | WD | PHRASE | CODE ) | PSWD | _PASS
        | (?<! _OLD ) (?<= [A-Z0-9] ) _PWD?
        | (?: DB | PG | SQL | REDIS | MQ | AMQP | RABBIT | SMTP | MAIL | LDAP | FTP | SSH | USER | ADMIN | ROOT )
          (?: PASS | PWD )
      )
    | (?P<other>
          SECRET (?: _KEY_BASE )? | (?<= [A-Z0-9] ) _ (?: SECRETS | PAT | BEARER ) | _CREDENTIALS? | ERLANG_COOKIE
        | (?: BASIC | REDIS | REDISCLI | VALKEY | NPM | DOCKER | NEO4J | PROXY ) _? AUTH
        | (?<! _PUBLIC ) (?<! _PUBLISHABLE ) (?<! _[EB]OS ) (?<! _PAD ) (?<! _UNK ) (?<! _STOP ) (?<! _NEXT ) _TOKEN
        | (?: API | AUTH | ACCESS | REFRESH | BEARER | BOT | SECRET ) _? TOKENS?
        | (?: SECRET | API | ACCESS | PRIVATE | SIGNING | ENCRYPTION | AUTH | MASTER | FERNET ) _? KEYS?
        | _ (?: ACCOUNT | ADMIN | AES | APP | APPLICATION | CIPHER | COOKIE | CRYPTO | DECRYPTION | DEPLOY | HMAC )
          _? KEYS?
        | _ (?: JWT | LICEN[CS]E | RSA | SALT | SERVER | SERVICE_ROLE | SHARED | SIGNATURE | SSH | STORAGE ) _? KEYS?
        | _ (?: SUBSCRIPTION | WEBHOOK | WRITE ) _? KEYS?
        | _ (?: ALGOLIA | DATADOG | MAILGUN | OPENAI | SENDGRID | STRIPE | SUPABASE | TWILIO ) _? KEYS?
      )
    )
    (?: _ (?: PEM | BASE64 | B64 | HEX | JSON | OLD | NEW | CURRENT | PREVIOUS | FALLBACKS? | PRIMARY | SECONDARY
        | PROD | PRODUCTION | LIVE | STAGING | TEST | DEV | DEVELOPMENT | SANDBOX | LOCAL ) )*
    \Z
    """,
    re.VERBOSE,
)
"""A secret word at the end of a name, as `_words_of` returns it. KEY alone is not one: PRIMARY_KEY, ROUTING_KEY."""

LONGEST_NAME = 200

_SWITCH = re.compile(r"(?i)(?:true|false|yes|no|on|off|none|null|[01])?\Z")
_REFERENCE = re.compile(r"\$[A-Za-z_]\w*\Z|\$\{\w+\}\Z|\$\([^)]*\)\Z|%\(ENV_\w+\)s\Z|\*+\Z")
"""The name of another variable, as shells and supervisord expand it, or a secret that is already hidden."""
_NUMBER = re.compile(r"[0-9.]+\Z")
_PATH = re.compile(r"~/|\.{0,2}/(?:[a-z][a-z0-9._-]*/|[\w.-]+\.[a-z]{2,5}\Z)")
"""A path; many a random key begins with a slash too."""


def _words_of(name: str) -> str:
    """Return `name` as _UPPER_CASE_WORDS without the digits at its end: `sharedAccessKey2` is `_SHARED_ACCESS_KEY`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[a-z][0-9])(?=[A-Z])", "_", name[-LONGEST_NAME:]).upper()
    return "_" + re.sub(r"[^A-Z0-9]+", "_", words).strip("_").rstrip("0123456789_")


def _kind_of(name: str) -> str:
    """Return `password` or `other`, if `name` is that of a secret; else an empty string."""
    found = _SECRET_NAME.search(_words_of(name))
    return (found.lastgroup or "") if found else ""


def is_secret_name(name: object) -> bool:
    """Return whether the last word of `name` marks its value as a secret; digits may follow, as in DB_PASSWORD2."""
    return isinstance(name, str) and bool(_kind_of(name))


def _is_telling(kind: str, value: str) -> bool:
    """Return whether `value` can be a secret of this kind; only a password may be a number or begin like a path."""
    if not kind or _SWITCH.match(value) or _REFERENCE.match(value):
        return False
    return kind == "password" or not (_NUMBER.match(value) or _PATH.match(value))


def is_secret(name: str, value: str) -> bool:
    """Return whether the variable `name` obviously contains a secret.

    It does if the value contains a password, or if the last word of the name is telling (`DB_PASSWORD`, `APIKEY`, but
    not `PASSWORD_MIN_LENGTH`) and the value is no switch, no reference to another variable and, unless the name is that
    of a password, neither a number nor a path.
    """
    holds_one = holds_password(value) or next(_in_user_info(value), None) is not None
    return holds_one or _is_telling(_kind_of(name), value)


# Passwords in a text -------------------------------------------------------------------------------------------------

Span = Tuple[int, int]

_CHUNK = re.compile(r"\S+")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*\Z")
_LONGEST_SCHEME = 32
_USER = re.compile(r"://[^\s/:@\[\]]*:")
_USER_INFO = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#:@]*:(?P<password>[^/?#]+)@")
_UP_TO_THE_LAST_AT = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://(?P<user>[^/?#:@]*):(?P<password>.+)@")
_PORT = re.compile(r"""\d{1,5}(?:[/?#;,\s"']|\Z)""")

_NAMED = re.compile(
    r"""
    (?<![A-Za-z0-9_.-]) (?P<name> -* [A-Za-z_][A-Za-z0-9_.-]{0,%d} )
    (?: [ ]? = [ ]? | ["'][ ]{0,2}:[ ]{0,2} (?=["']) | (?P<header> :[ ] ) | (?P<option> [ \t]+ (?=[^\s-]) ) )
    """
    % LONGEST_NAME,
    re.VERBOSE,
)
"""`NAME=`, `"NAME": "`, `Private-Token: ` and `--name `; the value follows."""

_LONGEST_JUDGED = 400
"""Characters of a value that decide whether it is a path, a number or a secret."""

_VALUES = {'"': r'(?:[^"\\\n]|\\.)', "'": r"(?:[^'\\\n]|\\.)", "": r"""[^\s&;,"']"""}
_JUDGED = {mark: re.compile("%s{1,%d}" % (each, _LONGEST_JUDGED)) for mark, each in _VALUES.items()}
_WHOLE = {mark: re.compile(each + "+") for mark, each in _VALUES.items()}
"""The value behind each quotation mark, or without one."""

_AUTHORIZATION = re.compile(
    r"""(?i)(?<![a-z])authorization["']?[ ]{0,2}[:=][ ]{0,2}["']?"""
    r"""(?:(?:basic|bearer|digest|token|apikey|negotiate)[ ]{1,3})?(?=[^\s"'])"""
)
_TO_QUOTE = re.compile(r"""[^\s"']+""")


def _passwords(text: str) -> Iterator[Span]:
    """Yield where `text` has a password: in URLs, behind a telling name, in an Authorization header."""
    if "://" in text and "@" in text:
        for chunk in _CHUNK.finditer(text):
            for start, end in _in_urls(chunk.group()):
                yield chunk.start() + start, chunk.start() + end
    yield from _behind_names(text)
    for header in _AUTHORIZATION.finditer(text):
        value = _TO_QUOTE.match(text, header.end())
        if value and not _REFERENCE.match(value.group()):
            yield value.span()


def _in_urls(chunk: str) -> Iterator[Span]:
    """Yield the passwords of the URLs in `chunk`; they may contain unescaped : / # and @."""
    edge = last = last_at = -1
    edges = iter(_ends_of_urls(chunk))
    for at in _found("://", chunk):
        if at < last or not _scheme_before(chunk, at):
            continue
        if edge < at:
            edge = next(each for each in edges if each > at)
            last_at = chunk.rfind("@", at, edge)
        user = _USER.match(chunk, at)
        if user and user.end() < last_at and not _PORT.match(chunk, user.end()):
            last = last_at
            yield user.end(), last


def _in_user_info(value: str) -> Iterator[Span]:
    """Yield the password in `value` if that is a URL and nothing else, even one that begins like a port: 80,abc."""
    found = _USER_INFO.match(value)
    if found:
        yield found.span("password")


def _ends_of_urls(chunk: str) -> List[int]:
    """Return where a URL ends at the latest: in a list of URLs, the next one starts after a separator."""
    schemes = [(at, len(_scheme_before(chunk, at))) for at in _found("://", chunk)]
    starts = [at - length for at, length in schemes if 0 < length < at]
    return [*(start - 1 for start in starts if chunk[start - 1] in ";,\"'"), len(chunk)]


def _scheme_before(text: str, at: int) -> str:
    found = _SCHEME.search(text[max(0, at - _LONGEST_SCHEME) : at])
    return found.group() if found else ""


def _found(part: str, text: str) -> Iterator[int]:
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


def _behind_names(text: str) -> Iterator[Span]:
    at = 0
    while True:
        named = _NAMED.search(text, at)
        if named is None:
            return
        at = named.end()
        value = _value_behind(text, named)
        if value:
            yield value
            at = value[1]


def _value_behind(text: str, named: "re.Match[str]") -> Optional[Span]:
    """Return the place of the value behind a name, if it is a secret."""
    name = named.group("name")
    is_option = name.startswith("-")
    kind = _kind_of(name) or ("password" if is_option and name.lower().lstrip("-") == "pwd" else "")
    is_prose = (named.group("header") and "-" not in name) or (named.group("option") and not is_option)
    if not kind or is_prose:
        return None
    mark = text[named.end()] if text[named.end() : named.end() + 1] in ('"', "'") else ""
    start = named.end() + len(mark)
    judged = _JUDGED[mark].match(text, start)
    # A program that reads a secret from a file often has an option --password=/run/secret for it.
    if judged is None or not _is_telling(kind, judged.group()) or (is_option and _PATH.match(judged.group())):
        return None
    whole = _WHOLE[mark].match(text, start)
    return whole.span() if whole else None


def secret_behind_option(option: str, word: str) -> bool:
    """Return whether `word` is a secret if it follows `option` in a command line, as in `--password hunter2`."""
    named = _NAMED.match(option + " " + word)
    return bool(named and named.group("option") and _value_behind(named.string, named))


def holds_password(value: str) -> bool:
    """Return whether `value` contains a password in plain text: a URL such as a broker's, or `password=`."""
    return next(_passwords(value), None) is not None


# Known values --------------------------------------------------------------------------------------------------------

SHORTEST_SECRET = 4
"""Characters; shorter ones also occur inside other words."""
SHORTEST_PRIVATE = 8
LONGEST_VALUE = 4096
MOST_VALUES = 1000

_PIECES = re.compile(r"[/#?\[\]@:]")
_HOSTS = re.compile(r"[/#?]")
"""What ends the part of a URL with user, host and port; an error about the port shows all behind the first colon."""
_PLAIN = re.compile(
    r"""
    (?: [A-Z]?[a-z]+ | [A-Z]+                                       # a word
      | [0-9.,:+_TZ-]+                                              # a number, a date, an address
      | [a-z_][a-z0-9_]* (?: \.[a-z_][a-z0-9_]* )* [.:][A-Za-z_]\w*     # a module, with a class
      | (?: [\w.+-]+@ )? [a-z0-9-]+ (?: \.[a-z0-9-]+ )* \.[a-z]{2,} (?: :[0-9]+ )?   # a host, an address for mail
      | [a-z0-9-]+:[0-9]+
      | [a-z]{2,3}_[A-Z]{2}(?:\.[\w-]+)?(?:@\w+)? | C\.[\w-]+        # a locale
      | [A-Z][A-Za-z]+ (?: /[A-Z][A-Za-z_+-]+ )+                     # a time zone
    ) \Z
    """,
    re.VERBOSE,
)
_WORD = re.compile(r"[a-z]+\Z|[A-Z]?[a-z]+\Z|[0-9]+\Z")


def secrets_in(name: str, value: str) -> Iterator[str]:
    """Yield the secrets in the value of a variable or setting: all of it by its name, and the passwords of URLs."""
    value = value[:LONGEST_TEXT]
    if _is_telling(_kind_of(name), value[:_LONGEST_JUDGED]):
        yield from _forms(value)
    for start, end in chain(_passwords(value), _in_urls(value), _in_user_info(value)):
        password = value[start:end]
        user = value[:start].rstrip(":").rpartition("/")[2]
        if password != user:
            yield from _forms(password)


def private_in(value: str) -> Iterator[str]:
    """Yield what to hide of a value that only the program's user can read, whatever its name is."""
    whole = _UP_TO_THE_LAST_AT.match(value[:LONGEST_VALUE])
    if whole and whole.group("password") != whole.group("user") and not whole.group("password").isdigit():
        yield from _forms(whole.group("password"))
    pieces = re.split(r"[/?&=#@:]", value.partition("://")[2]) if "://" in value else [value]
    for piece in pieces:
        if SHORTEST_PRIVATE <= len(piece) <= LONGEST_VALUE and not _is_plain(piece):
            yield piece


def _is_plain(value: str) -> bool:
    parts = [part for part in re.split(r"[\s,;]+", value[:LONGEST_VALUE]) if part]
    return all(_PLAIN.match(part) or _PATH.match(part) for part in parts)


def _forms(secret: str) -> Iterator[str]:
    """Yield `secret` in each form that an error may show: encoded, escaped, in the pieces that URL parsing makes."""
    decoded = unquote(secret)
    lines = [line.strip() for line in secret.splitlines()] if "\n" in secret else []
    for form in (secret, decoded, quote(secret, safe=""), _escaped(secret), *lines):
        yield form
    for piece in chain(*(pattern.split(each) for pattern in (_PIECES, _HOSTS) for each in (secret, decoded))):
        # urlsplit() returns host names in lower case, and an error of an error escapes twice.
        for form in (piece, piece.lower()):
            yield from (form, _escaped(form), _escaped(_escaped(form)), form.replace("'", "\\'"))


def _escaped(text: str) -> str:
    return repr(text)[1:-1]


def values_of(variables: Mapping[str, str], *, private: bool = False) -> Tuple[str, ...]:
    """Return the texts that `masked` shall hide; if the variables are `private`, also those without a telling name."""
    found: Dict[str, None] = {}
    for name, value in variables.items():
        found.update(dict.fromkeys(secrets_in(name, value)))
        if private:
            found.update(dict.fromkeys(private_in(value)))
    fit = [each for each in found if SHORTEST_SECRET <= len(each) <= LONGEST_VALUE]
    return tuple(sorted(fit, key=len, reverse=True)[:MOST_VALUES])


def _occurrences(text: str, value: str) -> Iterator[Span]:
    is_word = _WORD.match(value)
    for start in _found(value, text):
        end = start + len(value)
        # A word is hidden where it is alone, not in the name of a program or in a path.
        if not (
            is_word and (re.match(r"[\w./-]", text[start - 1 : start]) or re.match(r"[\w/-]|\.\w", text[end:][:2]))
        ):
            yield start, end


# Masking -------------------------------------------------------------------------------------------------------------

LONGEST_TEXT = 128 * 1024
LONGEST_LINE = 2000
_MARGIN = 4096
"""Characters behind the limit that are searched too, so that no half of a secret is shown."""


def masked(text: str, values: Iterable[str] = ()) -> str:
    """Return `text` with `***` for each password that `holds_password` finds, and for each of `values`.

    Long lines are cut, and so is a text of more than `LONGEST_TEXT` characters, both with a note.
    """
    whole = text[: LONGEST_TEXT + _MARGIN]
    spans: Set[Span] = set(_passwords(whole))
    for value in values:
        spans.update(_occurrences(whole, value))
    hidden = _replaced(whole, sorted(spans), len(text) if len(text) <= LONGEST_TEXT else LONGEST_TEXT)
    lines = [_shortened(line) for line in hidden.split("\n")]
    if len(text) > LONGEST_TEXT:
        lines.append("... (%d more characters)" % (len(text) - LONGEST_TEXT))
    return "\n".join(lines)


def masked_url(url: str) -> str:
    """Return `url`, a text that is nothing else, with `***` for its password, which may even contain blanks."""
    return _replaced(url, sorted(_in_urls(url)), len(url))


def _replaced(text: str, spans: Sequence[Span], limit: int) -> str:
    """Return the first `limit` characters of `text`, with `***` for each run of overlapping `spans`."""
    pieces: List[str] = []
    at = 0
    for start, end in spans:
        if start >= limit:
            break
        if start >= at:
            pieces += [text[at:start], "***"]
        at = max(at, end)
    return "".join([*pieces, text[at:limit]])


def _shortened(line: str) -> str:
    more = len(line) - LONGEST_LINE
    return "%s ... (%d more characters)" % (line[:LONGEST_LINE], more) if more > 60 else line
