"""Find where the URL of an app's broker or result backend is set: a variable, or a line of a module.

procman puts this text before those of broker_script.py and app_backend_script.py. Only names, a path and a line
number are returned, never a value (S2).
"""

import os
import re
import sys
from typing import Any, Callable, Dict, Iterable, Iterator, List, Set
from urllib.parse import unquote

BROKER_SETTINGS = re.compile(r"BROKER|AMQP|REDIS|RABBIT", re.IGNORECASE)
"""What the name of a variable or setting has that is preferred, if several hold the same value."""

LARGEST_SOURCE = 1 << 20
SHORTEST_PASSWORD = 4
"""A shorter password is likely to be the value of an unrelated variable."""


def broker_origin(app: Any) -> Dict[str, Any]:
    """Return where the URL of the broker is set, as `origin_of` does."""
    return origin_of(app, lambda: _broker_urls(app.conf))


def origin_of(app: Any, read_urls: Callable[[], Iterable[Any]]) -> Dict[str, Any]:
    """Return {"variable": NAME}, or {"setting": NAME, "file": path, "line": number}, or an empty object.

    A variable precedes a setting, which usually takes its value from it.
    """
    try:
        return _origin(app, {str(url) for url in read_urls() if url})
    except Exception:
        # The objects are the app's own and may do anything; without an answer the hint names no place.
        return {}


def _origin(app: Any, urls: Set[str]) -> Dict[str, Any]:
    passwords = {url.rpartition("@")[0].rpartition(":")[2] for url in urls if "@" in url}
    parts = {each for word in passwords for each in (word, unquote(word)) if len(each) >= SHORTEST_PASSWORD}
    for values in (urls, parts):
        names = [name for name, value in os.environ.items() if value in values]
        if names:
            return {"variable": _best(names)}
    for values in (urls, parts):
        for module in _settings_modules(app):
            names = [name for name, value in list(vars(module).items()) if isinstance(value, str) and value in values]
            if names:
                return _assignment(_best(names), module)
    return {}


def _broker_urls(conf: Any) -> Iterator[Any]:
    for url in (conf.broker_read_url, conf.broker_url):
        if isinstance(url, (list, tuple)):
            for each in url:
                yield each
        elif url:
            yield url
            for each in str(url).split(";"):
                yield each


def _best(names: List[str]) -> str:
    return sorted(names, key=lambda name: (not BROKER_SETTINGS.search(name), name))[0]


def _settings_modules(app: Any) -> List[Any]:
    """Return the modules that may set the URL: the settings, what they import from their package, and the app's own."""
    settings = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    source = getattr(app, "_config_source", None)
    names = [settings, source if isinstance(source, str) else "", str(app.main or "")]
    found = [sys.modules[name] for name in names if name in sys.modules]
    packages = {name.rpartition(".")[0] for name in names if "." in name}
    near = [module for name, module in sorted(sys.modules.items()) if name.rpartition(".")[0] in packages]
    return found + [module for module in near if module is not None and module not in found]


def _assignment(name: str, module: Any) -> Dict[str, Any]:
    """Return the line that assigns `name`, which `module` may have imported from another one of its package."""
    package = module.__name__.rpartition(".")[0]
    near = [each for other, each in sorted(sys.modules.items()) if package and other.startswith(package + ".")]
    for each in [module] + near:
        path = str(getattr(each, "__file__", None) or "")
        line = _line_of(name, path)
        if line:
            return {"setting": name, "file": path, "line": line}
    return {"setting": name, "file": str(getattr(module, "__file__", None) or ""), "line": 0}


def _line_of(name: str, path: str) -> int:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read(LARGEST_SOURCE).splitlines()
    except OSError:
        return 0
    begins = re.compile(r"\s*%s\s*(:[^=]*)?=" % re.escape(name))
    return max((number for number, line in enumerate(lines, 1) if begins.match(line)), default=0)
