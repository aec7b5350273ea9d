"""An administrator manages the demo on RabbitMQ with Chromium, and the effects are looked up outside the page."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.celery_environments import CELERY_5_7, CeleryEnvironment, environment_of
from tests.host.overlay import HostError
from tests.product import eventually
from tests.rabbitmq_server import RabbitMQ, running_rabbitmq

from .chromium import Browser, running_driver
from .environments import CATMAID, CATMAID_DEVELOPMENT, DjangoSpec, python_of
from .journeys import (
    click_order,
    consumer_is_cancelled_and_added_again,
    crop_is_seen_running_and_is_terminated,
    hold,
    log_in,
    page,
    terminate,
    user_without_permission_changes_nothing,
)
from .site import DemoSite

pytestmark = [
    pytest.mark.celery,
    pytest.mark.supervisord,
    pytest.mark.root("Chromium and RabbitMQ run in overlays"),
    pytest.mark.xdist_group("chromium"),
]

ATTACK = '<script>document.title="attacked"</script><img src=x onerror="document.title=1">'

PHONE = (390, 844)
DESKTOP = (1280, 900)


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitMQ]:
    try:
        with running_rabbitmq() as rabbitmq:
            yield rabbitmq
    except HostError as error:
        pytest.skip(f"RabbitMQ cannot run here: {error}")


@pytest.fixture(scope="module")
def driver() -> Iterator[str]:
    try:
        with running_driver() as driver:
            yield driver
    except HostError as error:
        pytest.skip(f"Chromium cannot run here: {error}")


@pytest.fixture
def browse(driver: str) -> Iterator[Callable[..., Browser]]:
    """Return a function that opens a window."""
    windows: list[Browser] = []

    def browse(*arguments: str) -> Browser:
        windows.append(Browser(driver, *arguments))
        windows[-1].resize(*DESKTOP)
        return windows[-1]

    yield browse
    for window in windows:
        window.close()


@contextmanager
def running_site(environment: CeleryEnvironment, rabbitmq: RabbitMQ) -> Iterator[DemoSite]:
    site = DemoSite(environment, rabbitmq.url)
    try:
        site.install()
        with site.served():
            yield site
    finally:
        site.close()


@pytest.fixture(scope="module")
def site(rabbitmq: RabbitMQ) -> Iterator[DemoSite]:
    environment = environment_of(CELERY_5_7)
    assert environment
    with running_site(environment, rabbitmq) as site:
        yield site


def test_crop_is_seen_running_and_is_terminated(site: DemoSite, browse: Callable[..., Browser]) -> None:
    browser = browse()
    crop_is_seen_running_and_is_terminated(site, browser)
    assert browser.run("return document.querySelectorAll('.procman-critical').length") == 0


def test_consumer_is_cancelled_and_added_again(site: DemoSite, browse: Callable[..., Browser]) -> None:
    consumer_is_cancelled_and_added_again(site, browse())


def test_user_without_permission_changes_nothing(site: DemoSite, browse: Callable[..., Browser]) -> None:
    user_without_permission_changes_nothing(site, browse())


def test_pool_grows_and_a_worker_that_is_shut_down_is_started_again(
    site: DemoSite, browse: Callable[..., Browser]
) -> None:
    browser = browse()
    log_in(browser, site)
    [main] = site.product.main_processes(site.node)
    before = len(psutil.Process(main).children())
    browser.open(page(site, "worker"))
    click_order(browser, "pool_grow")
    browser.wait_for_text(f"Sent: grow the pool of {site.node} by 1")
    eventually(lambda: len(psutil.Process(main).children()) == before + 1, "the pool has grown")
    click_order(browser, "shutdown")
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


def test_task_with_a_script_as_its_name_is_shown_as_text(site: DemoSite, browse: Callable[..., Browser]) -> None:
    browser = browse()
    log_in(browser, site)
    # Not a name that the worker knows: it holds the message back while all slots are busy.
    first, _ = hold(site, 4)
    second, _ = hold(site, 5)
    site.send("counting.tasks.hold", ATTACK, 1)
    browser.open(page(site, "worker"))
    browser.wait_for_text(ATTACK[:40])
    assert browser.run("return document.title").startswith("Workers and tasks")
    assert browser.run("return document.querySelectorAll('.procman img, .procman script').length") == 0
    for task in (first, second):
        terminate(browser, site, task)


def test_page_without_javascript_can_be_read(site: DemoSite, browse: Callable[..., Browser]) -> None:
    browser = browse()
    log_in(browser, site)
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(page(site, "worker"))
    browser.click(".procman-without-script a")
    source = str(browser._ask("GET", "/source"))
    assert site.node in source
    assert re.search("Shut down gracefully", source)


def test_pages_fit_a_phone_and_are_photographed(site: DemoSite, browse: Callable[..., Browser], tmp_path: Path) -> None:
    pictures = Path(os.environ.get("PROCMAN_SCREENSHOTS") or tmp_path)
    browser = browse("--hide-scrollbars")
    log_in(browser, site)
    task, _ = hold(site, 6)
    for scheme in ("light", "dark"):
        browser.prefer(scheme)
        for size, suffix in ((DESKTOP, ""), (PHONE, "-phone")):
            browser.resize(*size)
            for name in ("program", "worker", "queue"):
                browser.open(page(site, name))
                browser.wait_for(
                    lambda: browser.run("return !document.querySelector('[aria-busy=true]')"), "it is loaded"
                )
                width = browser.run("return document.documentElement.scrollWidth")
                assert width <= size[0], f"{name} is {width} wide on a screen of {size[0]}"
                browser.photograph(pictures / f"django-{name}-{scheme}{suffix}.png")
        background = browser.run("return getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    browser.resize(*DESKTOP)
    terminate(browser, site, task)


@pytest.mark.parametrize("spec", [CATMAID, CATMAID_DEVELOPMENT], ids=str)
def test_administrator_of_catmaid_revokes_a_crop_and_sees_the_next_entries(
    spec: DjangoSpec, rabbitmq: RabbitMQ, browse: Callable[..., Browser]
) -> None:
    python = python_of(spec)
    if python is None:
        pytest.skip(spec.missing)
    with running_site(CeleryEnvironment(spec.celery, python.parent.parent), rabbitmq) as site:
        crop_is_seen_running_and_is_terminated(site, browse())


def test_programs_are_shown_while_the_broker_is_down(browse: Callable[..., Browser]) -> None:
    environment = environment_of(CELERY_5_7)
    assert environment
    with running_rabbitmq() as rabbitmq:
        site = DemoSite(environment, rabbitmq.url)
        try:
            site.install()
        except BaseException:
            site.close()
            raise
    try:
        with site.served():
            browser = browse()
            log_in(browser, site)
            for name in ("worker", "queue"):
                browser.open(page(site, name))
                browser.wait_for_text("The broker does not answer")
            browser.open_until(page(site, "program"), "disconnected")
            assert site.worker in browser.text
    finally:
        site.close()
