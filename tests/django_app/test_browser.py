"""An administrator manages the demo on RabbitMQ with Chromium, and the effects are looked up outside the page."""

from __future__ import annotations

import os
import re
import signal
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError

import psutil
import pytest

from tests.celery_environments import CELERY_5_7, CeleryEnvironment, environment_of
from tests.host.overlay import HostError
from tests.product import eventually
from tests.rabbitmq_server import RabbitMQ, running_rabbitmq

from .chromium import Browser, running_driver
from .environments import CATMAID, CATMAID_DEVELOPMENT, DjangoSpec, python_of
from .site import PASSWORD, Site

pytestmark = [
    pytest.mark.celery,
    pytest.mark.supervisord,
    pytest.mark.root("Chromium and RabbitMQ run in overlays"),
    pytest.mark.xdist_group("chromium"),
]

WORKER, BEAT = "catmaid-celery", "catmaid-celery-beat"
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
def running_site(environment: CeleryEnvironment, rabbitmq: RabbitMQ) -> Iterator[Site]:
    site = Site(environment, rabbitmq.url)
    try:
        site.install()
        with site.served():
            yield site
    finally:
        site.close()


@pytest.fixture(scope="module")
def site(rabbitmq: RabbitMQ) -> Iterator[Site]:
    environment = environment_of(CELERY_5_7)
    assert environment
    with running_site(environment, rabbitmq) as site:
        yield site


def log_in(browser: Browser, site: Site, user: str = "admin") -> None:
    browser.open(site.address)
    browser.type("#id_username", user)
    browser.type("#id_password", PASSWORD)
    browser.click("[type=submit]")
    browser.wait_for_text("Workers and tasks")


def page(site: Site, name: str) -> str:
    return f"{site.address}procman_django/{name}/"


def hold(site: Site, number: int) -> tuple[str, int]:
    """Start a task that takes an hour; return its id and the process that runs it."""
    task = site.send("counting.tasks.hold", number, 3600)
    eventually(lambda: site.product.counted("started")[number] == 1, "the task has started")
    return task, site.process_of(task)


def terminate(browser: Browser, site: Site, task: str) -> None:
    """Terminate a task as an administrator does, with the confirmation."""
    browser.open(page(site, "worker"))
    browser.wait_for_text(task)
    browser.run(
        "const form = [...document.querySelectorAll('form')].find(each => each.task_id && each.task_id.value === "
        "arguments[0]); form.querySelector('[value=terminate]').setAttribute('id', 'wanted')",
        task,
    )
    browser.click("#wanted")
    browser.wait_for_text("The task is not run again")
    browser.click("[type=submit][value^=Yes]")
    browser.wait_for_text(f"Sent: terminate task {task}")


def started_and_not_ended(site: Site, number: int) -> bool:
    return site.product.counted("started")[number] == 1 and site.product.counted("finished")[number] == 0


def test_crop_is_seen_running_and_is_terminated(site: Site, browse: Callable[..., Browser]) -> None:
    browser = browse()
    log_in(browser, site)
    task, process = hold(site, 1)
    browser.open(page(site, "program"))
    browser.wait_for(lambda: (browser.open(page(site, "program")), task in browser.text)[1], "the task is shown")
    for text in (WORKER, BEAT, "RUNNING", "cleanup-cropped-stacks", "counting.tasks.hold", "1 of 2"):
        assert text in browser.text
    terminate(browser, site, task)
    eventually(lambda: not psutil.pid_exists(process), "the process of the task is gone")
    assert started_and_not_ended(site, 1)
    user, target, text = site.admin_log()[-1]
    assert (user, target) == ("admin", task)
    assert text.startswith(f"Order: terminate task {task} on {site.node}@")
    ordered = [event["reason"] for event in site.events(WORKER) if event["what"] == "ordered"]
    assert ordered == [f"remote control: revoke: task_id {task}, terminate True"]
    browser.open(page(site, "program"))
    assert f"task_id {task}" in browser.text
    assert browser.run("return document.querySelectorAll('.procman-critical').length") == 0


def click_order(browser: Browser, order: str) -> None:
    browser.wait_for(
        lambda: browser.run("return document.querySelector(arguments[0]) !== null", f"[value={order}]"),
        f"{order} is shown",
    )
    browser.click(f"[value={order}]")


def test_consumer_is_cancelled_and_added_again(site: Site, browse: Callable[..., Browser]) -> None:
    browser = browse()
    log_in(browser, site)
    assert site.messages_and_consumers()[1] == 1
    browser.open(page(site, "worker"))
    click_order(browser, "cancel_consumer")
    browser.wait_for_text(f"Sent: cancel the consumer of queue {site.queue}")
    assert site.messages_and_consumers()[1] == 0
    site.send("counting.tasks.echo", 2)
    browser.open(page(site, "queue"))
    browser.wait_for(lambda: _row(browser, site.queue)[:4] == [site.queue, "1", "unknown", "0"], "the queue is shown")
    assert WORKER in _row(browser, site.queue)
    browser.open(page(site, "worker"))
    browser.wait_for_text("Add a consumer")
    browser.run(
        "for (const each of document.querySelectorAll('select[name=queue]')) each.value = arguments[0]", site.queue
    )
    click_order(browser, "add_consumer")
    browser.wait_for_text(f"Sent: add a consumer of queue {site.queue}")
    eventually(lambda: site.product.counted("finished")[2] == 1, "the message is consumed")
    assert site.messages_and_consumers() == (0, 1)


def _row(browser: Browser, name: str) -> list[str]:
    script = """
        const row = [...document.querySelectorAll("tbody tr")].find(each => each.cells[0].innerText === arguments[0]);
        return row && row.cells[5].innerText === "broker" ? [...row.cells].map(each => each.innerText) : [];
    """
    return list(browser.run(script, name))


def test_user_without_permission_changes_nothing(site: Site, browse: Callable[..., Browser]) -> None:
    browser = browse()
    log_in(browser, site, "viewer")
    task, process = hold(site, 3)
    before = site.admin_log()
    browser.open(page(site, "worker"))
    browser.wait_for_text(task)
    assert "hidden" in browser.text
    assert browser.run("return document.querySelectorAll('.procman form').length") == 0
    form = {"order": "terminate", "task_id": task, "node": f"{site.node}@{os.uname().nodename}", "confirmed": "yes"}
    assert posted(site, "viewer", form) == 403
    assert posted(site, "", form) == 403
    assert psutil.pid_exists(process)
    assert started_and_not_ended(site, 3)
    assert site.admin_log() == before
    assert [each for each in site.events(WORKER) if each["what"] == "ordered" and task in each["reason"]] == []
    os.kill(process, signal.SIGKILL)


def posted(site: Site, user: str, form: dict[str, str]) -> int:
    """Return the status of an order that `user` forges; one without a user has no token either."""
    cookies = CookieJar()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(cookies))
    login = site.address + "login/"

    def post(address: str, fields: dict[str, str]) -> int:
        fields = {
            **fields,
            "csrfmiddlewaretoken": next((each.value or "" for each in cookies if each.name == "csrftoken"), ""),
        }
        try:
            with opener.open(address, urllib.parse.urlencode(fields).encode()) as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code

    if user:
        opener.open(login).close()
        assert post(login, {"username": user, "password": PASSWORD, "next": "/admin/"}) == 200
    return post(page(site, "worker") + "order/", form)


def test_task_with_a_script_as_its_name_is_shown_as_text(site: Site, browse: Callable[..., Browser]) -> None:
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


def test_page_without_javascript_can_be_read(site: Site, browse: Callable[..., Browser]) -> None:
    browser = browse()
    log_in(browser, site)
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(page(site, "worker"))
    browser.click(".procman-without-script a")
    source = str(browser._ask("GET", "/source"))
    assert f"{site.node}@" in source
    assert re.search("Shut down gracefully", source)


def test_pages_fit_a_phone_and_are_photographed(site: Site, browse: Callable[..., Browser], tmp_path: Path) -> None:
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
        test_crop_is_seen_running_and_is_terminated(site, browse)


def test_programs_are_shown_while_the_broker_is_down(browse: Callable[..., Browser]) -> None:
    environment = environment_of(CELERY_5_7)
    assert environment
    with running_rabbitmq() as rabbitmq:
        site = Site(environment, rabbitmq.url)
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
            browser.wait_for(
                lambda: (browser.open(page(site, "program")), "disconnected" in browser.text)[1], "it is shown"
            )
            assert WORKER in browser.text
    finally:
        site.close()
