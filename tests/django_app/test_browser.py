"""An administrator manages the demo on RabbitMQ with Chromium, and the effects are looked up outside the page."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.celery_environments import CELERY_5_7, environment_of
from tests.host.overlay import HostError
from tests.host.relay import relayed
from tests.product import eventually
from tests.rabbitmq_server import RabbitMQ, running_rabbitmq
from tests.redis_server import free_port

from .chromium import Browser, running_driver
from .environments import CATMAID, environment_of_catmaid
from .journeys import (
    click_order,
    crop_is_seen_running_and_is_terminated,
    hold,
    log_in,
    page,
    terminate,
)
from .site import ATTACK, DemoSite

pytestmark = [
    pytest.mark.celery,
    pytest.mark.supervisord,
    pytest.mark.root("Chromium and RabbitMQ run in overlays"),
    pytest.mark.xdist_group("chromium"),
]

PHONE = (390, 844)
DESKTOP = (1280, 900)

WITHOUT_ATTACK = """
    for (const option of document.querySelectorAll("option")) {
        if (option.text.startsWith("<")) option.remove();
    }
"""
"""Removes the name of the task `attack` from a page that is to be photographed."""


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitMQ]:
    try:
        with running_rabbitmq() as rabbitmq:
            yield rabbitmq
    except HostError as error:
        pytest.skip(f"RabbitMQ cannot run here: {error}")


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    try:
        with running_driver() as driver:
            window = Browser(driver, "--hide-scrollbars")
            yield window
            window.close()
    except HostError as error:
        pytest.skip(f"Chromium cannot run here: {error}")


@pytest.fixture
def browser(window: Browser) -> Browser:
    """A window of a user who has not logged in yet."""
    window.forget()
    window.command("Emulation.setScriptExecutionDisabled", value=False)
    window.resize(*DESKTOP)
    return window


class Broker:
    """The address of a RabbitMQ that can be out of reach."""

    def __init__(self, rabbitmq: RabbitMQ) -> None:
        self._rabbitmq, self.port = rabbitmq, free_port()
        self.url = f"amqp://127.0.0.1:{self.port}//"
        self._open = ExitStack()

    def begin(self) -> None:
        self._open.enter_context(relayed(self._rabbitmq.port, at=self.port))

    def end(self) -> None:
        """Reset all connections, and refuse new ones."""
        self._open.close()


@pytest.fixture(scope="module")
def broker(rabbitmq: RabbitMQ) -> Iterator[Broker]:
    broker = Broker(rabbitmq)
    broker.begin()
    yield broker
    broker.end()


@pytest.fixture(scope="module")
def site(broker: Broker) -> Iterator[DemoSite]:
    """The demo with the versions of CATMAID, if there is a Python for them."""
    environment = environment_of_catmaid() or environment_of(CELERY_5_7)
    assert environment
    site = DemoSite(environment, broker.url)
    try:
        site.install()
        with site.served():
            yield site
    finally:
        site.close()


def test_administrator_of_catmaid_sees_a_crop_running_and_terminates_it(site: DemoSite, browser: Browser) -> None:
    if environment_of_catmaid() is None:
        pytest.skip(CATMAID.missing)
    crop_is_seen_running_and_is_terminated(site, browser)
    assert browser.run("return document.querySelectorAll('.procman-critical').length") == 0


def test_pool_grows_and_a_worker_that_is_shut_down_is_started_again(site: DemoSite, browser: Browser) -> None:
    log_in(browser, site)
    [main] = site.product.main_processes(site.node)
    before = len(psutil.Process(main).children())
    browser.open(page(site, "worker"))
    click_order(browser, site, "pool_grow")
    browser.wait_for_text(f"Sent: grow the pool of {site.node} by 1")
    eventually(lambda: len(psutil.Process(main).children()) == before + 1, "the pool has grown")
    click_order(browser, site, "shutdown")
    browser.wait_for_text("Its process manager starts it again")
    assert psutil.pid_exists(main)
    browser.click("[type=submit][value^=Yes]")
    browser.wait_for_text(f"Sent: shut down {site.node}")
    eventually(lambda: site.product.main_processes(site.node) not in ([main], []), "another process runs")
    user, target, text = site.admin_log()[-1]
    assert (user, target) == ("admin", site.node)
    assert text.startswith(f"Order: shut down {site.node}. Answer: ")
    assert [each["reason"] for each in site.events() if each["what"] == "ordered"][-2:] == [
        "remote control: pool_grow: n 1",
        "remote control: shutdown",
    ]
    site.send("counting.tasks.echo", 7)
    eventually(lambda: site.counted("finished")[7] == 1, "it consumes again")


def test_task_with_a_script_as_its_name_is_shown_as_text(site: DemoSite, browser: Browser) -> None:
    log_in(browser, site)
    task, _ = hold(site, 4, ATTACK)
    for name, title in (("program", "Programs"), ("worker", "Workers and tasks")):
        browser.open(page(site, name))
        browser.wait_for_text(ATTACK)
        assert browser.run("return document.title").startswith(title)
        assert browser.run("return document.querySelectorAll('.procman img, .procman script').length") == 0
    terminate(browser, site, task)


def test_page_without_javascript_can_be_read(site: DemoSite, browser: Browser) -> None:
    log_in(browser, site)
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(page(site, "worker"))
    browser.click(".procman-without-script a")
    source = str(browser._ask("GET", "/source"))
    assert site.node in source
    assert re.search("Shut down gracefully", source)


def test_pages_fit_a_phone_and_are_photographed(site: DemoSite, browser: Browser, tmp_path: Path) -> None:
    pictures = Path(os.environ.get("PROCMAN_SCREENSHOTS") or tmp_path)
    log_in(browser, site)
    task, _ = hold(site, 6)
    for scheme in ("light", "dark"):
        browser.prefer(scheme)
        for size, suffix in ((DESKTOP, ""), (PHONE, "-phone")):
            browser.resize(*size)
            for name in ("program", "worker", "queue"):
                browser.open(page(site, name))
                browser.wait_for_answers()
                width = browser.run("return document.documentElement.scrollWidth")
                assert width <= size[0], f"{name} is {width} wide on a screen of {size[0]}"
                browser.run(WITHOUT_ATTACK)
                browser.photograph(pictures / f"django-{name}-{scheme}{suffix}.png")
        background = browser.run("return getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    browser.resize(*DESKTOP)
    terminate(browser, site, task)


def test_programs_are_shown_while_the_broker_is_down(site: DemoSite, browser: Browser, broker: Broker) -> None:
    log_in(browser, site)
    broker.end()
    try:
        for name in ("worker", "queue"):
            browser.open(page(site, name))
            browser.wait_for_text("The broker does not answer")
        browser.open_until(page(site, "program"), "disconnected")
        assert site.worker in browser.text
    finally:
        broker.begin()
