"""What administrators do on the pages; the effects are looked up in processes, broker, admin log and events."""

from __future__ import annotations

import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from typing import Any, Protocol
from urllib.error import HTTPError

from tests.product import eventually

from .chromium import Browser

PASSWORD = "of-no-use-outside-this-test"

ACCOUNTS = f"""
from django.contrib.auth.models import Permission, User
User.objects.create_superuser("admin", password={PASSWORD!r})
viewer = User.objects.create_user("viewer", password={PASSWORD!r}, is_staff=True)
viewer.user_permissions.add(Permission.objects.get(codename="view_program"))
"""
"""Code that creates the two users."""

LOG = """
import json
from django.contrib.admin.models import LogEntry
entries = LogEntry.objects.order_by("pk").values_list("user__username", "object_id", "change_message")
print(json.dumps([list(entry) for entry in entries]))
"""

SEND = """
import json, sys
import django
django.setup()
from mysite import celery_app
name, arguments, queue = json.loads(sys.argv[1])
print(celery_app.send_task(name, arguments, queue=queue).id)
"""

COUNT = """
import json, sys
import django
django.setup()
from mysite import celery_app
with celery_app.connection_for_read() as connection:
    answer = connection.channel().queue_declare(queue=sys.argv[1], passive=True)
print(json.dumps([answer.message_count, answer.consumer_count]))
"""

PROCESS = """
import sys
import django
django.setup()
from mysite import celery_app
[tasks] = celery_app.control.inspect(timeout=20, limit=1, destination=[sys.argv[2]]).active().values()
print([task["worker_pid"] for task in tasks if task["id"] == sys.argv[1]][0])
"""


class Site(Protocol):
    """The demo under procman, and the server of its admin."""

    address: str
    """Of the admin."""
    node: str
    """The name of the worker's node."""
    queue: str
    """The worker's queue, which no other worker consumes."""
    worker: str
    beat: str
    first: int
    """The first of the numbers of tasks that no other test uses."""
    unacknowledged: str
    """What the page shows as unacknowledged while nothing is."""

    def send(self, task: str, *arguments: object) -> str:
        """Send a task to the worker's queue, and return its id."""

    def process_of(self, task: str) -> int:
        """Return the process that runs a task, by the worker's answer."""

    def is_alive(self, pid: int) -> bool:
        """Return whether a process exists."""

    def kill(self, pid: int) -> None:
        """Kill a process."""

    def counted(self, name: str) -> Any:
        """Return how often each number is in the file `name` of the demo's counting tasks."""

    def messages_and_consumers(self) -> tuple[int, int]:
        """Return how many messages and consumers the worker's queue has by the broker's count."""

    def admin_log(self) -> list[tuple[str, str, str]]:
        """Return user, object and text of each entry of the admin log, oldest first."""

    def events(self) -> list[dict[str, Any]]:
        """Return the events of the worker that procman prints."""


LOGGED_IN, REFUSED = "Workers and tasks", "CSRF verification failed"


def log_in(browser: Browser, site: Site, user: str = "admin") -> None:
    # The answer to a request of the page before may bring back the token of another session meanwhile.
    for _ in range(3):
        browser.open(site.address)
        browser.type("#id_username", user)
        browser.type("#id_password", PASSWORD)
        browser.click("[type=submit]")
        browser.wait_for(lambda: LOGGED_IN in browser.text or REFUSED in browser.text, "the answer to the login")
        if LOGGED_IN in browser.text:
            return
    raise AssertionError(browser.text)


def page(site: Site, name: str) -> str:
    return f"{site.address}procman_django/{name}/"


def hold(site: Site, number: int, name: str = "counting.tasks.hold") -> tuple[str, int]:
    """Start a task that takes an hour; return its id and the process that runs it."""
    task = site.send(name, number, 3600)
    eventually(lambda: site.counted("started")[number] == 1, "the task has started")
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
    return bool(site.counted("started")[number] == 1 and site.counted("finished")[number] == 0)


def crop_is_seen_running_and_is_terminated(site: Site, browser: Browser) -> None:
    log_in(browser, site)
    task, process = hold(site, site.first + 1)
    browser.open_until(page(site, "program"), task)
    for text in (site.worker, site.beat, "RUNNING", "cleanup-cropped-stacks", "counting.tasks.hold", "1 of 2"):
        assert text in browser.text
    terminate(browser, site, task)
    eventually(lambda: not site.is_alive(process), "the process of the task is gone")
    assert started_and_not_ended(site, site.first + 1)
    user, target, text = site.admin_log()[-1]
    assert (user, target) == ("admin", task)
    assert text.startswith(f"Order: terminate task {task} on {site.node}.")
    ordered = [event["reason"] for event in site.events() if event["what"] == "ordered"]
    assert ordered == [f"remote control: revoke: task_id {task}, terminate True"]
    browser.open(page(site, "program"))
    assert f"task_id {task}" in browser.text


def click_order(browser: Browser, site: Site, order: str, **fields: str) -> None:
    """Click an order of the site's worker, with the form that has these fields once they are filled in."""
    script = """
        const [order, fields] = arguments;
        const forms = [...document.querySelectorAll("form")].filter(each => each.querySelector(`[value=${order}]`));
        for (const form of forms.filter(each => each.node.value === fields.node)) {
            for (const name in fields) if (form[name].type !== "hidden") form[name].value = fields[name];
            if (Object.keys(fields).every(name => form[name].value === fields[name])) {
                form.querySelector(`[value=${order}]`).setAttribute("id", "wanted");
                return true;
            }
        }
        return false;
    """
    browser.wait_for(lambda: browser.run(script, order, {"node": site.node, **fields}), f"{order} is shown")
    browser.click("#wanted")


def consumer_is_cancelled_and_added_again(site: Site, browser: Browser) -> None:
    log_in(browser, site)
    assert site.messages_and_consumers()[1] == 1
    browser.open(page(site, "worker"))
    click_order(browser, site, "cancel_consumer", queue=site.queue)
    browser.wait_for_text(f"Sent: cancel the consumer of queue {site.queue}")
    assert site.messages_and_consumers()[1] == 0
    site.send("counting.tasks.echo", site.first + 2)
    browser.open(page(site, "queue"))
    browser.wait_for(
        lambda: _row(browser, site.queue)[:4] == [site.queue, "1", site.unacknowledged, "0"], "the queue is shown"
    )
    assert site.worker in _row(browser, site.queue)
    browser.open(page(site, "worker"))
    click_order(browser, site, "add_consumer", queue=site.queue)
    browser.wait_for_text(f"Sent: add a consumer of queue {site.queue}")
    eventually(lambda: site.counted("finished")[site.first + 2] == 1, "the message is consumed")
    assert site.messages_and_consumers() == (0, 1)


def _row(browser: Browser, name: str) -> list[str]:
    script = """
        const row = [...document.querySelectorAll("tbody tr")].find(each => each.cells[0].innerText === arguments[0]);
        return row && row.cells[5].innerText === "broker" ? [...row.cells].map(each => each.innerText) : [];
    """
    return list(browser.run(script, name))


def user_without_permission_changes_nothing(site: Site, browser: Browser) -> None:
    log_in(browser, site, "viewer")
    task, process = hold(site, site.first + 3)
    before = site.admin_log()
    browser.open(page(site, "worker"))
    browser.wait_for_text(task)
    assert "hidden" in browser.text
    assert browser.run("return document.querySelectorAll('.procman form').length") == 0
    form = {"order": "terminate", "task_id": task, "node": site.node, "confirmed": "yes"}
    assert posted(site, "viewer", form) == 403
    assert posted(site, "", form) == 403
    assert site.is_alive(process)
    assert started_and_not_ended(site, site.first + 3)
    assert site.admin_log() == before
    assert [each for each in site.events() if each["what"] == "ordered" and task in each["reason"]] == []
    site.kill(process)


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
