"""Small Django projects with a Celery app, for tests."""

from __future__ import annotations

from pathlib import Path

DEMO = Path(__file__).parent.parent / "demo"

CELERY = """\
import os
from celery import Celery
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site1.settings")
app = Celery("site1")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
"""

MANAGE = """\
#!/usr/bin/env python
import os
if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site1.settings")
"""


def make_project(directory: Path, settings: str, *, package: str = "site1") -> Path:
    """Create a Django project in `directory` with `settings` in its settings module; return `directory`."""
    for path, text in {
        "manage.py": MANAGE,
        f"{package}/__init__.py": "",
        f"{package}/celery.py": CELERY,
        f"{package}/settings.py": f"SECRET_KEY = 'not-for-anybody'\nDATABASES = {{}}\nINSTALLED_APPS = []\n{settings}",
    }.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text.replace("site1", package))
    return directory
