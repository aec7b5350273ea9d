"""Find the modules of a project that its app has loaded twice, under two names, for `procman check`.

procman puts this text before that of app_check_script.py.
"""

import os
import sys
from typing import Dict, List

MOST_FILES = 20


def loaded_twice() -> Dict[str, List[str]]:
    """Return the files of the project that were loaded as several modules, each with the names of these.

    `src/shop/celery.py` is `shop.celery`, and from the directory above also `src.shop.celery`, because Python needs no
    `__init__.py`. Each of the two modules has its own tasks, signals and caches.
    """
    loaded = {}  # type: Dict[str, Dict[int, str]]
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and path.endswith(".py") and name != "__main__":
            # One module under several names, such as `os.path`, was loaded once.
            loaded.setdefault(os.path.realpath(path), {}).setdefault(id(module), name)
    found = {path: sorted(names.values()) for path, names in loaded.items() if len(names) > 1 and _is_projects(path)}
    return {path: found[path] for path in sorted(found)[:MOST_FILES]}


def _is_projects(path: str) -> bool:
    library = os.path.realpath(os.path.dirname(os.__file__))
    others = ("%ssite-packages%s" % (os.sep, os.sep), "%sdist-packages%s" % (os.sep, os.sep))
    return not path.startswith(library + os.sep) and not any(part in path for part in others)
