"""The orders of the page to workers: which are sent, and what the admin log and the user get to know."""

import re
from unittest import mock

from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import resolve
from procman_django import celery_app

from .pages import TASK, WORKER, PagesTest, address


class OrdersTest(PagesTest):
    """Orders, sent or refused."""

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
                "warning",
                "not confirmed (the broker has the order, but the worker has not answered",
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
