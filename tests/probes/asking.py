"""Run the probe of an app's broker as the owner of the virtualenv; no other user can reach those of the tests."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from procman.probes import broker
from procman.probes.broker_facts import BrokerFacts
from procman.probes.runner import Place, read_answer
from tests.celery_environments import CeleryEnvironment

SOURCE = "\n".join(path.read_text() for path in broker.SOURCES)

APP = """
from celery import Celery
app = Celery("shop", broker={url!r})
app.conf.update({settings!r})
"""


def ask(celery: CeleryEnvironment, directory: Path, url: str, **settings: object) -> BrokerFacts:
    """Return the facts about the broker of an app with these settings, and about each of its URLs."""
    return _ask(SOURCE, celery, directory, url, settings)


def ask_in_vain(celery: CeleryEnvironment, directory: Path, url: str) -> BrokerFacts:
    """Return the same about a server that will not answer the beginning of TLS, however long the probe waits."""
    source = SOURCE.replace("\nTLS_SECONDS = 4.0\n", "\nTLS_SECONDS = 0.3\n")
    assert source != SOURCE
    return _ask(source, celery, directory, url, {})


def _ask(source: str, celery: CeleryEnvironment, directory: Path, url: str, settings: dict[str, object]) -> BrokerFacts:
    (directory / "shop.py").write_text(APP.format(url=url, settings=settings))
    asked = json.dumps({"programs": None, "every_url": True, "seconds": 20, "management": None})
    words = [str(celery.python), "-B", "-", "shop:app", asked]
    done = subprocess.run(words, input=source, cwd=directory, capture_output=True, text=True, check=True)
    answer = read_answer(done.stdout)
    assert answer
    place = Place(celery.python, {}, directory, None, None)
    return broker.with_tried(broker.facts_of(answer, place), answer, place.secrets)
