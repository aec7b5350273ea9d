"""The pages of the admin: who sees what, and which orders are sent."""

import os
import re
from unittest import mock

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client, TestCase, override_settings
from django.urls import resolve, reverse
from procman_django import celery_app, queues, workers

from .state import State

ATTACK = '<script>alert("x")</script>'

TASK = workers.RemoteTask("3f1c", ATTACK, "('secret',)", 1700000000.0, "")
WORKER = workers.Worker("crop@host", "prefork", 2, 8, [TASK], [], [], ["crop"], ["tests.crop"])


def address(model, what="changelist"):
    return reverse("admin:procman_django_%s_%s" % (model, what))


class PagesTest(TestCase):
    """A user of the admin with some permissions."""

    def setUp(self):
        self.state = State(settings.PROCMAN_STATE_DIRECTORY)
        self.addCleanup(self.state.close)

    def user(self, *permissions, name="user"):
        user = get_user_model().objects.create_user(name, password="x", is_staff=True)
        chosen = Permission.objects.filter(content_type__app_label="procman_django", codename__in=permissions)
        self.assertEqual(len(chosen), len(permissions))
        user.user_permissions.set(chosen)
        self.client.force_login(user)
        return user

    def order(self, reply=None, worker=WORKER, **fields):
        replies = {"crop@host": {"ok": "done"}} if reply is None else reply
        with mock.patch("procman_django.orders.send", return_value=replies) as send:
            with mock.patch("procman_django.workers.ask_worker", return_value=worker):
                answer = self.client.post(address("worker", "order"), fields, follow=True)
        return answer, [call[0][0] for call in send.call_args_list]


class LookingTest(PagesTest):
    """The pages as they are shown."""

    def test_section_has_three_pages_and_nothing_else(self):
        self.user("view_program")
        index = self.client.get(reverse("admin:index"))
        self.assertContains(index, "Celery")
        shown = [address(model) for model in ("program", "worker", "queue")]
        for each in shown:
            self.assertContains(index, 'href="%s"' % each)
            self.assertEqual(self.client.get(each).status_code, 200)
        self.assertNotContains(index, "/program/add/")

    def test_programs_are_shown_without_any_broker(self):
        self.user("view_program")
        with mock.patch("procman_django.celery_app.ask", side_effect=AssertionError):
            page = self.client.get(address("program"))
        for text in ("catmaid-celery", "it is consuming", "catmaid.crop", "cleanup-cropped-stacks", "restarted"):
            self.assertContains(page, text)
        self.assertNotContains(page, "INVALID")

    def test_user_without_permission_sees_nothing(self):
        self.user()
        self.assertNotContains(self.client.get(reverse("admin:index")), "Celery")
        for model, what in (
            ("program", "changelist"),
            ("worker", "changelist"),
            ("worker", "answers"),
            ("queue", "answers"),
        ):
            self.assertEqual(self.client.get(address(model, what)).status_code, 403)

    def test_permission_to_control_alone_shows_and_orders_nothing(self):
        self.user("control_program", "view_task_arguments")
        self.assertNotContains(self.client.get(reverse("admin:index")), "Celery")
        for model in ("program", "worker", "queue"):
            self.assertContains(self.client.get(address(model)), "403 Forbidden", status_code=403)
        answer, sent = self.order(order="revoke", task_id="3f1c")
        self.assertEqual((answer.status_code, sent, LogEntry.objects.count()), (403, [], 0))

    def test_visitor_is_asked_to_log_in(self):
        for model in ("program", "worker", "queue"):
            self.assertEqual(self.client.get(address(model)).status_code, 302)
        self.assertEqual(self.client.post(address("worker", "order")).status_code, 302)

    def test_texts_of_others_are_escaped(self):
        self.state.heartbeat(
            "catmaid-celery", **{**self.state.busy(), "tasks": [{"id": ATTACK, "name": ATTACK, "since": 1}]}
        )
        self.user("view_program")
        page = self.client.get(address("program")).content.decode()
        self.assertNotIn("<script>alert", page)
        self.assertIn("&lt;script&gt;alert", page)

    def test_pages_load_nothing_from_elsewhere_and_have_no_inline_script(self):
        self.user("view_program")
        for model in ("program", "worker", "queue"):
            page = self.client.get(address(model)).content.decode()
            self.assertNotRegex(page, r'(?:src|href)="(?:https?:)?//')
            ours = page[page.index('class="procman"') :]
            self.assertNotRegex(ours, r"<script|<style|\son\w+=|style=")

    def test_times_that_no_calendar_has_are_unknown(self):
        self.user("view_program")
        for far in (-1e14, 1e14, 253402300799):
            with self.subTest(far), override_settings(TIME_ZONE="Asia/Tokyo"):
                self.state.heartbeat("catmaid-celery", started=-far)
                entries = [{"name": "cleanup", "due": far}]
                self.state.heartbeat("catmaid-celery-beat", kind="beat", next_entries=entries)
                self.assertContains(self.client.get(address("program")), "unknown")

    def test_times_are_those_of_the_project_without_use_tz_too(self):
        self.user("view_program")
        for use_tz in (True, False):
            with self.subTest(use_tz), override_settings(USE_TZ=use_tz, TIME_ZONE="Asia/Tokyo"):
                self.assertContains(self.client.get(address("program")), "JST")

    def test_every_page_shows_when_it_was_made_and_every_time_has_its_zone(self):
        self.user("view_program")
        time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
        with override_settings(TIME_ZONE="Asia/Tokyo"):
            with mock.patch("procman_django.workers.ask_workers", return_value=[WORKER]):
                for model, what, times in (
                    ("program", "changelist", 5),
                    ("worker", "answers", 2),
                    ("queue", "changelist", 1),
                    ("queue", "answers", 1),
                ):
                    with self.subTest(model=model, what=what):
                        page = self.client.get(address(model, what)).content.decode()
                        self.assertRegex(page, "As of %s JST" % time)
                        self.assertEqual(len(re.findall(time, page)), times)
                        self.assertEqual(len(re.findall(time + " JST", page)), times)

    def test_directory_whose_name_no_page_can_show_is_no_project(self):
        self.user("view_program")
        os.rename(self.state.directory, os.fsencode(self.state.place) + b"/\xff")
        self.assertContains(self.client.get(address("program")), "No project is installed")

    def test_pages_are_shown_although_the_setting_names_no_app(self):
        self.user("view_program")
        with override_settings(PROCMAN_CELERY_APP="no.such:app"):
            for model in ("worker", "queue"):
                self.assertEqual(self.client.get(address(model)).status_code, 200)
                page = self.client.get(address(model, "answers"))
                self.assertContains(page, "PROCMAN_CELERY_APP names no Celery app: ModuleNotFoundError")

    def test_no_project_and_several_projects_are_explained(self):
        self.user("view_program")
        State(settings.PROCMAN_STATE_DIRECTORY)
        second = State(settings.PROCMAN_STATE_DIRECTORY + "-2", "second")
        self.addCleanup(second.close)
        with override_settings(PROCMAN_STATE_DIRECTORY="/nowhere"):
            page = self.client.get(address("program"))
        self.assertContains(page, "No project is installed in /nowhere, as far as the user of this web server (")
        self.assertContains(page, "another user has installed in user scope")
        with override_settings(PROCMAN_STATE_DIRECTORY="/nowhere"):
            self.assertContains(self.client.get(address("queue")), "No project is installed in /nowhere")
        with override_settings(PROCMAN_PROJECT="third"):
            page = self.client.get(address("program"))
        self.assertContains(page, "The project third of the setting PROCMAN_PROJECT is not installed in")
        self.assertContains(page, "There are: catmaid.")
        os.rename(second.directory, self.state.path("..", "second"))
        page = self.client.get(address("program"))
        self.assertContains(page, "PROCMAN_PROJECT")
        self.assertNotContains(page, "procman install")
        with override_settings(PROCMAN_PROJECT="second"):
            self.assertContains(self.client.get(address("program")), "catmaid-celery-beat")

    def test_projects_with_one_name_are_told_apart_by_their_directory(self):
        self.user("view_program")
        place, other = settings.PROCMAN_STATE_DIRECTORY, settings.PROCMAN_STATE_DIRECTORY + "-2"
        self.addCleanup(State(other).close)
        with mock.patch("procman_django.installed.places", return_value=(place, other)):
            for name in (None, "catmaid"):
                with self.subTest(name), override_settings(PROCMAN_PROJECT=name):
                    page = self.client.get(address("program"))
                    self.assertContains(page, "catmaid in %s, catmaid in %s" % (place, other))
                    self.assertContains(page, "Set PROCMAN_STATE_DIRECTORY")


class WorkersTest(PagesTest):
    """The answers of the workers, and the orders to them."""

    def answers(self):
        with mock.patch("procman_django.workers.ask_workers", return_value=[WORKER]):
            return self.client.get(address("worker", "answers"))

    def test_page_itself_asks_no_worker(self):
        self.user("view_program")
        with mock.patch("procman_django.workers.ask_workers", side_effect=AssertionError):
            self.assertContains(self.client.get(address("worker")), "data-procman-answers")

    def test_task_that_began_at_no_time_of_the_calendar_is_shown(self):
        self.user("view_program")
        worker = WORKER._replace(active=[TASK._replace(started=1e14)])
        with mock.patch("procman_django.workers.ask_workers", return_value=[worker]):
            self.assertContains(self.client.get(address("worker", "answers")), "3f1c")

    def test_without_javascript_a_link_asks(self):
        self.user("view_program")
        self.assertContains(self.client.get(address("worker")), 'href="?ask=1"')
        with mock.patch("procman_django.workers.ask_workers", return_value=[WORKER]):
            self.assertContains(self.client.get(address("worker") + "?ask=1"), "crop@host")

    def test_answers_are_escaped(self):
        self.user("view_program", "control_program", "view_task_arguments")
        page = self.answers().content.decode()
        self.assertNotIn("<script>", page)
        self.assertIn("&lt;script&gt;", page)
        self.assertNotIn("INVALID", page)

    def test_arguments_and_orders_need_permissions_of_their_own(self):
        self.user("view_program")
        self.assertNotContains(self.answers(), "secret")
        self.assertNotContains(self.answers(), "<form")
        self.user("view_program", "view_task_arguments", name="reader")
        self.assertContains(self.answers(), "secret")
        self.assertNotContains(self.answers(), "<form")
        self.user("view_program", "control_program", name="operator")
        self.assertNotContains(self.answers(), "secret")
        self.assertContains(self.answers(), 'value="terminate"')

    def test_broker_that_does_not_answer_is_named(self):
        self.user("view_program")
        with mock.patch("procman_django.workers.ask_workers", side_effect=celery_app.NoAnswer("OperationalError")):
            self.assertContains(
                self.client.get(address("worker", "answers")), "The broker does not answer: OperationalError"
            )

    def test_forged_order_without_permission_is_refused(self):
        self.user("view_program")
        answer, sent = self.order(order="revoke", task_id="3f1c")
        self.assertEqual((answer.status_code, sent, LogEntry.objects.count()), (403, [], 0))

    def test_order_without_a_token_is_refused(self):
        user = self.user("view_program", "control_program")
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(user)
        with mock.patch("procman_django.orders.send", side_effect=AssertionError):
            answer = strict.post(address("worker", "order"), {"order": "revoke", "task_id": "3f1c"})
        self.assertEqual((answer.status_code, LogEntry.objects.count()), (403, 0))

    def test_orders_are_no_get(self):
        self.user("view_program", "control_program")
        self.assertEqual(self.client.get(address("worker", "order")).status_code, 405)

    def test_order_is_sent_and_in_the_admin_log_with_user_and_target(self):
        user = self.user("view_program", "control_program")
        answer, [sent] = self.order(order="revoke", task_id="3f1c")
        self.assertEqual((sent.command, sent.arguments), ("revoke", {"task_id": "3f1c"}))
        self.assertContains(answer, "Sent: revoke task 3f1c (crop@host: done)")
        entry = LogEntry.objects.get()
        self.assertEqual((entry.user, entry.object_id, entry.object_repr), (user, "3f1c", "revoke task 3f1c"))
        self.assertIn("crop@host: done", entry.change_message)
        self.assertEqual(self.client.get(entry.get_admin_url(), follow=True).status_code, 200)

    def test_entry_of_the_log_is_kept_whatever_happens_to_the_request(self):
        self.assertTrue(resolve(address("worker", "order")).func._non_atomic_requests)

    def test_terminating_is_confirmed_with_what_it_costs(self):
        self.user("view_program", "control_program")
        fields = {"order": "terminate", "task_id": "3f1c", "node": "crop@host"}
        answer, sent = self.order(**fields)
        self.assertContains(answer, "The task is not run again")
        self.assertEqual((sent, LogEntry.objects.count()), ([], 0))
        hidden = dict(re.findall(r'name="(\w+)" value="([^"]*)"', answer.content.decode()))
        hidden.pop("csrfmiddlewaretoken", None)
        self.assertEqual(hidden, {**fields, "confirmed": "yes"})
        _, [order] = self.order(**hidden)
        self.assertEqual((order.command, order.node), ("revoke", "crop@host"))
        self.assertEqual(order.arguments, {"task_id": "3f1c", "terminate": True, "signal": "SIGTERM"})

    def test_shutdown_is_confirmed(self):
        self.user("view_program", "control_program")
        answer, sent = self.order(order="shutdown", node="crop@host")
        self.assertContains(answer, "Its process manager starts it again")
        self.assertEqual(sent, [])

    def test_other_orders_are_sent_as_they_are(self):
        self.user("view_program", "control_program")
        for fields, arguments in (
            ({"order": "add_consumer", "queue": "crop"}, {"queue": "crop"}),
            ({"order": "cancel_consumer", "queue": "crop"}, {"queue": "crop"}),
            ({"order": "pool_grow", "number": "2"}, {"n": 2}),
            ({"order": "pool_shrink", "number": "1"}, {"n": 1}),
            (
                {"order": "rate_limit", "task_name": "tests.crop", "rate": "10/m"},
                {"task_name": "tests.crop", "rate_limit": "10/m"},
            ),
        ):
            with self.subTest(fields["order"]):
                _, [order] = self.order(node="crop@host", **fields)
                self.assertEqual(
                    (order.command, order.node, order.arguments), (fields["order"], "crop@host", arguments)
                )

    def test_nonsense_is_refused(self):
        self.user("view_program", "control_program")
        for fields in (
            {},
            {"order": "pool_restart", "node": "crop@host"},
            {"order": "revoke"},
            {"order": "revoke", "task_id": "x" * 300},
            {"order": "revoke", "task_id": "a\nb"},
            {"order": "add_consumer", "node": "crop@host", "queue": "of-another-project"},
            {"order": "pool_grow", "node": "crop@host", "number": "100000"},
            {"order": "pool_grow", "node": "crop@host", "number": "-1"},
            {"order": "pool_grow", "node": "crop@host", "number": "9" * 5000},
            {"order": "pool_grow", "node": "crop@host", "number": "\u0663"},
            {"order": "revoke", "task_id": "a\u202eb"},
            {"order": "revoke", "task_id": "a\0b"},
            {"order": "rate_limit", "node": "crop@host", "task_name": "t", "rate": "\u0663/s"},
            {"order": "rate_limit", "node": "crop@host", "task_name": "t", "rate": "10/m; rm -rf /"},
        ):
            with self.subTest(fields):
                answer, sent = self.order(**fields)
                self.assertEqual((answer.status_code, sent, LogEntry.objects.count()), (200, [], 0))

    def test_answer_that_cannot_be_shown_neither_fails_nor_reaches_the_log_as_it_is(self):
        self.user("view_program", "control_program")
        deep = []
        for _ in range(100000):
            deep = [deep]
        replies = {"odd\ud800@host": {"ok": "a\0b\ud800\u202e"}, "deep@host": {"ok": deep}, "long@host": "x" * 10**6}
        with mock.patch("procman_django.orders.send", return_value=replies):
            answer = self.client.post(address("worker", "order"), {"order": "revoke", "task_id": "3f1c"}, follow=True)
        self.assertContains(answer, "odd?@host: a?b??")
        message = LogEntry.objects.get().change_message
        self.assertIn("deep@host: an answer that is nested too deeply", message)
        self.assertLess(len(message), 1000)

    def test_order_that_no_worker_confirms_is_no_success(self):
        self.user("view_program", "control_program")
        shrink = {"order": "pool_shrink", "node": "crop@host", "number": "1"}
        for fields, reply, level, text in (
            (shrink, {"crop@host": {"ok": "pool will shrink"}}, "success", "(crop@host: pool will shrink)."),
            (shrink, {"crop@host": {"error": "all busy"}}, "warning", "but not confirmed (crop@host: all busy)"),
            (shrink, {}, "warning", "no worker answered; one that is busy may still carry it out"),
            (
                {"order": "shutdown", "node": "crop@host", "confirmed": "yes"},
                {},
                "success",
                "as most workers give none to this order",
            ),
        ):
            with self.subTest(text):
                answer, _ = self.order(reply, **fields)
                self.assertContains(answer, '<li class="%s">' % level)
                self.assertContains(answer, text)

    def test_pool_is_shrunk_only_so_far_that_a_process_is_left(self):
        self.user("view_program", "control_program")
        for pool, processes, running, fewer in (
            ("prefork", 6, 1, 5),
            ("prefork", 6, 0, 5),
            ("prefork", 6, 4, 2),
            ("prefork", 6, 6, 0),
            ("prefork", 1, 0, 0),
            ("prefork", None, 0, 0),
            ("eventlet", 6, 6, 5),
            ("threads", 6, 0, 0),
            ("", 6, 0, 0),
        ):
            worker = WORKER._replace(pool=pool, processes=processes, active=[TASK] * running)
            with self.subTest(pool=pool, processes=processes, running=running):
                self.assertEqual(worker.most_fewer, fewer)
                answer, sent = self.order(order="pool_shrink", node="crop@host", number=str(fewer + 1), worker=worker)
                self.assertContains(answer, "Nothing was sent: the pool of crop@host")
                self.assertEqual((sent, LogEntry.objects.count()), ([], 0))
                with mock.patch("procman_django.workers.ask_workers", return_value=[worker]):
                    page = self.client.get(address("worker", "answers"))
                self.assertEqual('value="pool_shrink"' in page.content.decode(), fewer > 0)
                if fewer:
                    self.assertContains(page, 'min="1" max="%d"' % fewer)
        shares = WORKER._replace(shares_pipe=True)
        answer, sent = self.order(order="pool_shrink", node="crop@host", number="1", worker=shares)
        self.assertContains(answer, "the processes share one pipe")
        self.assertEqual(sent, [])
        _, [order] = self.order(order="pool_shrink", node="crop@host", number="1")
        self.assertEqual(order.arguments, {"n": 1})

    def test_order_to_a_worker_that_does_not_answer_is_not_sent(self):
        self.user("view_program", "control_program")
        confirmed = {"node": "crop@host", "confirmed": "yes"}
        for fields in (
            {"order": "shutdown", **confirmed},
            {"order": "terminate", "task_id": "3f1c", **confirmed},
            {"order": "pool_grow", "number": "1", **confirmed},
        ):
            with self.subTest(fields["order"]):
                answer, sent = self.order(worker=None, **fields)
                self.assertContains(answer, "Nothing was sent: crop@host does not answer")
                self.assertEqual((sent, LogEntry.objects.count()), ([], 0))

    def test_order_to_a_worker_is_not_sent_while_the_broker_is_down(self):
        self.user("view_program", "control_program")
        down = celery_app.NoAnswer("Connection refused")
        with mock.patch("procman_django.workers.ask_worker", side_effect=down):
            with mock.patch("procman_django.orders.send", side_effect=AssertionError):
                fields = {"order": "pool_grow", "node": "crop@host", "number": "1"}
                answer = self.client.post(address("worker", "order"), fields, follow=True)
        self.assertContains(answer, "Nothing was sent: The broker does not answer: Connection refused")
        self.assertEqual(LogEntry.objects.count(), 0)

    def test_terminating_a_task_that_the_worker_does_not_run_is_no_success(self):
        self.user("view_program", "control_program")
        fields = {"order": "terminate", "task_id": "3f1c", "node": "crop@host", "confirmed": "yes"}
        answer, _ = self.order({"crop@host": {"ok": "terminate: tasks unknown"}}, **fields)
        self.assertContains(answer, '<li class="warning">')
        self.assertContains(answer, "not confirmed (crop@host: terminate: tasks unknown)")
        answer, _ = self.order({"crop@host": {"ok": "terminate: 3f1c"}}, **fields)
        self.assertContains(answer, '<li class="success">')

    def test_answer_to_an_order_shows_what_it_does_not_do(self):
        self.user("view_program", "control_program")
        answer, _ = self.order(order="revoke", task_id="3f1c")
        self.assertContains(answer, "only Terminate ends it")
        answer, _ = self.order(order="cancel_consumer", node="crop@host", queue="crop")
        self.assertContains(answer, "procman hold")

    def test_order_to_a_broker_that_is_down_is_in_the_log_too(self):
        self.user("view_program", "control_program")
        with mock.patch("procman_django.orders.send", side_effect=celery_app.NoAnswer("OperationalError")):
            answer = self.client.post(address("worker", "order"), {"order": "revoke", "task_id": "3f1c"}, follow=True)
        self.assertContains(answer, "Not confirmed")
        self.assertIn("may still be carried out", LogEntry.objects.get().change_message)


class QueuesTest(PagesTest):
    """The queues, from heartbeats and from the broker."""

    def test_page_shows_the_heartbeats_while_the_broker_is_down(self):
        self.user("view_program")
        self.assertContains(self.client.get(address("queue")), ">3<")
        with mock.patch("procman_django.queues.ask_queues", side_effect=celery_app.NoAnswer("OperationalError")):
            page = self.client.get(address("queue", "answers"))
        self.assertContains(page, "The broker does not answer: OperationalError")
        self.assertContains(page, ">3<")

    def test_answers_of_the_broker_replace_those_of_the_heartbeats(self):
        self.user("view_program")
        found = [queues.Queue("crop", 7, 2, 5)]
        with mock.patch("procman_django.queues.ask_queues", return_value=found):
            page = self.client.get(address("queue", "answers"))
        for text in (">7<", ">2<", ">5<", "catmaid-celery", "broker"):
            self.assertContains(page, text)

    def test_memory_broker_is_asked_for_real(self):
        self.user("view_program")
        page = self.client.get(address("queue", "answers"))
        self.assertContains(page, "no such queue")
        self.assertNotContains(page, "INVALID")
        self.assertContains(self.client.get(address("worker", "answers")), "No worker answered")
