"""What workers and the management interface answer; either can answer anything, or not at all."""

import socket
import sys
import threading
import time
from unittest import mock

from celery import Celery
from django.test import SimpleTestCase, override_settings
from procman_django import broker_errors, celery_app, queues, workers


class AnswersTest(SimpleTestCase):
    """What workers answer, by the version of Celery; a worker can answer anything."""

    def worker(self, **answers):
        commands = ("active", "reserved", "scheduled", "stats", "active_queues", "registered")
        return workers._worker("crop@host", {command: answers.get(command) for command in commands})

    def test_tasks_of_a_pool_that_can_are_terminated(self):
        for pool, name, can_terminate in (
            ({"implementation": "celery.concurrency.prefork:TaskPool"}, "prefork", True),
            ({"processes": [1, 2], "max-concurrency": 2}, "prefork", True),
            ({"implementation": "celery.concurrency.thread:TaskPool"}, "threads", False),
            ({"implementation": "celery.concurrency.solo:TaskPool"}, "solo", False),
            ({"max-concurrency": 1}, "", False),
            (None, "", False),
        ):
            with self.subTest(pool):
                worker = self.worker(stats={"pool": pool})
                self.assertEqual((worker.pool, worker.can_terminate), (name, can_terminate))

    def test_size_of_a_pool_of_processes_is_their_number(self):
        pool = {"processes": [1, 2, 3], "max-concurrency": 2}
        self.assertEqual(self.worker(stats={"pool": pool}).processes, 3)
        self.assertEqual(self.worker(stats={"pool": {"max-concurrency": 2}}).processes, 2)

    def test_pool_whose_processes_share_a_pipe_is_not_shrunk(self):
        pool = {"implementation": "celery.concurrency.prefork:TaskPool", "processes": [1, 2, 3]}
        for writes, shares, fewer in (({"total": 0}, False, 2), ("N/A", True, 0), (None, True, 0)):
            with self.subTest(writes):
                answers = dict.fromkeys(workers.QUESTIONS, ())
                found = self.worker(**{**answers, "stats": {"pool": {**pool, "writes": writes}}})
                self.assertEqual((found.shares_pipe, found.most_fewer), (shares, fewer))
        self.assertFalse(
            self.worker(stats={"pool": {"implementation": "celery.concurrency.thread:TaskPool"}}).shares_pipe
        )

    def test_worker_is_asked_alone_and_must_answer_everything(self):
        answers = {"stats": {"pool": {"processes": [1, 2, 3], "writes": {}}}, "active": [{"id": "1"}], "ping": "pong"}

        def asked(with_pool=True, **missing):
            def broadcast(_, command, nodes=None, **__):
                return missing.get(command, {nodes[0]: answers[command]})

            with mock.patch("procman_django.celery_app.broadcast", broadcast):
                with mock.patch("procman_django.celery_app.ask", lambda query: query(None)):
                    return workers.ask_worker("crop@host", with_pool)

        self.assertEqual(asked().most_fewer, 2)
        self.assertIsNone(asked(stats={}))
        self.assertIsNone(asked(active={}))
        self.assertEqual(asked(with_pool=False, stats={}, active={}).node, "crop@host")
        self.assertIsNone(asked(with_pool=False, ping={}))

    def test_nonsense_is_no_task(self):
        for answer in (None, "x", 1, {}, [None], ["x"], [{}], [{"id": None}], [{"request": "x"}]):
            with self.subTest(answer):
                worker = self.worker(**dict.fromkeys(("active", "scheduled", "active_queues", "registered"), answer))
                self.assertEqual((worker.active, worker.scheduled, worker.queues), ([], [], []))

    def test_arguments_that_cannot_be_shown_hide_no_other_task(self):
        deep = []
        for _ in range(100000):
            deep = [deep]
        tasks = [{"id": "1", "args": deep}, {"id": "2", "args": [1]}]
        found = self.worker(active=tasks, registered=[deep, "crop [rate_limit=1/s]"])
        self.assertEqual([(task.id, task.arguments) for task in found.active], [("1", "?"), ("2", "[1]")])
        self.assertEqual(found.registered, ["crop"])

    def test_tasks_that_wait_have_their_time(self):
        request = {"id": "3f1c", "name": "crop", "args": [1], "kwargs": {}}
        [task] = self.worker(scheduled=[{"eta": "2026-11-30T10:00:00", "request": request}]).scheduled
        self.assertEqual((task.id, task.eta, task.arguments), ("3f1c", "2026-11-30T10:00:00", "[1]"))


class SilenceTest(SimpleTestCase):
    """Workers and interfaces that do not answer, or do not stop to."""

    def test_worker_that_becomes_silent_costs_the_others_one_question(self):
        asked = []

        def broadcast(_, command, nodes=None):
            asked.append((command, nodes))
            return {"crop@host": [], **({"solo@host": "pong"} if command == "ping" else {})}

        with mock.patch("procman_django.celery_app.broadcast", broadcast):
            crop, solo = workers._ask(None)
        self.assertEqual((crop.is_silent, solo.is_silent), (False, True))
        both = [command for command, nodes in asked if nodes == ["crop@host", "solo@host"]]
        self.assertEqual((both, len(asked)), (["active"], 7))

    def test_replies_without_end_are_cut(self):
        class Mailbox:
            oid = property()

            def _broadcast(self, *_, callback, **__):
                replies = []
                try:
                    while True:
                        replies.append({"crop@host": "pong"})
                        callback(replies[-1])
                except socket.timeout:
                    return replies

        app = mock.Mock(control=mock.Mock(mailbox=lambda _: Mailbox()))
        with mock.patch("procman_django.celery_app.find_app", return_value=app):
            self.assertEqual(celery_app.broadcast(None, "ping", timeout=0.01), {"crop@host": "pong"})

    def test_thread_of_a_query_finds_the_app_that_was_loaded_after_this_one(self):
        app = object()
        with override_settings(PROCMAN_CELERY_APP=None), mock.patch("procman_django.celery_app._remembered", [None]):
            with mock.patch("procman_django.celery_app._current", side_effect=[app, None]):
                self.assertIs(celery_app.find_app(), app)
                self.assertIs(celery_app.find_app(), app)

    def test_lost_connection_is_no_missing_queue(self):
        connection = mock.Mock(channel_errors=(KeyError,), connection_errors=(OSError,))
        connection.channel.return_value.queue_declare.side_effect = OSError
        with self.assertRaises(OSError):
            queues._ask(connection, "crop", True)


class BrokerErrorsTest(SimpleTestCase):
    """The reason why a broker does not answer, for real."""

    def problem(self, url):
        app = Celery("asked", broker=url, set_as_current=False, fixups=[])
        with mock.patch("procman_django.celery_app.find_app", return_value=app):
            with self.assertRaises(celery_app.NoAnswer) as raised:
                celery_app.ask(str)
        self.assertNotIn("secret", raised.exception.sentence)
        return raised.exception

    def test_broker_that_is_down_is_shown_with_the_cause_and_what_to_type(self):
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))  # and it does not listen
            error = self.problem("amqp://user:secret@127.0.0.1:%d//" % server.getsockname()[1])
        self.assertIn("The broker does not answer: Connection refused. Type procman health --probe", error.sentence)

    def test_module_that_is_missing_is_no_broker_that_does_not_answer(self):
        with mock.patch.dict(sys.modules, {"redis": None, "kombu.transport.redis": None}):
            error = self.problem("redis://:secret@127.0.0.1:1/0")
        self.assertIsInstance(error, celery_app.NotAsked)
        self.assertIn("The broker was not asked: the module ", error.sentence)
        self.assertIn("/bin/pip", error.sentence)

    def test_cause_is_shown_only_if_it_has_no_url(self):
        def raised(error, cause):
            try:
                raise error from cause
            except Exception as caught:
                return broker_errors.described(caught)

        url = "amqp://user:secret@broker"
        for error, cause, expected in (
            (KeyError(url), None, "KeyError"),
            (KeyError(url), OSError(111, "Connection refused"), "Connection refused"),
            (KeyError(url), OSError(111, url), "Error"),
            (KeyError(url), socket.timeout(url), "it timed out"),
            (KeyError(url), ImportError("Missing redis library (pip install redis)"), "Missing redis library"),
            (KeyError(url), ModuleNotFoundError(url, name="redis"), "the module redis is missing"),
            (KeyError(url), ImportError(url), "ImportError"),
        ):
            with self.subTest(cause):
                self.assertIn(expected, raised(error, cause))
                self.assertNotIn("secret", raised(error, cause))


class FrozenBrokerTest(SimpleTestCase):
    """A broker that accepts a connection, and answers nothing more."""

    FRAMES = (
        b"\x00\x0a\x00\x0a\x00\x09"
        + bytes(4)
        + b"\x00\x00\x00\x0ePLAIN AMQPLAIN\x00\x00\x00\x05en_US",  # connection.start
        b"\x00\x0a\x00\x1e" + bytes(8),  # connection.tune
        b"\x00\x0a\x00\x29\x00",  # connection.open-ok
    )

    def frozen(self):
        """Return the port of a broker that freezes once the client is connected."""
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        connections = []

        def serve():
            try:
                while True:
                    connections.append(server.accept()[0])
                    connections[-1].recv(8)
                    for method in self.FRAMES:
                        connections[-1].sendall(b"\x01\x00\x00" + len(method).to_bytes(4, "big") + method + b"\xce")
            except OSError:
                pass  # the test has ended

        threading.Thread(target=serve, daemon=True).start()
        return server.getsockname()[1]

    def test_broker_that_freezes_holds_a_query_for_a_while_only(self):
        app = Celery("asked", broker="amqp://127.0.0.1:%d//" % self.frozen(), set_as_current=False, fixups=[])

        def query():
            with celery_app._connection(app) as connection:
                connection.connect()
                connection.channel()

        with mock.patch.object(celery_app, "MOST_SECONDS", 1):
            with self.assertRaisesRegex(celery_app.NoAnswer, "it timed out"):
                celery_app.within(120, query, threading.Semaphore())

    def test_no_more_queries_wait_than_can_be_held(self):
        with self.assertRaises(celery_app.NotAsked) as raised:
            celery_app.within(1, self.fail, threading.Semaphore(0))
        self.assertIn("4 earlier queries are still waiting for an answer. Try again", raised.exception.sentence)


class ManagementTest(SimpleTestCase):
    """The management interface, or whatever listens at its address."""

    def asked(self, answer, names=("crop", "default")):
        """Return the queues as they are shown if the interface sends what `answer` yields."""
        server = socket.socket()
        self.addCleanup(server.close)
        server.bind(("127.0.0.1", 0))
        server.listen(5)

        def serve():
            try:
                while True:
                    connection = server.accept()[0]
                    with connection:
                        connection.recv(9999)
                        for part in answer():
                            connection.sendall(part)
            except OSError:
                pass  # the test or the client has ended

        threading.Thread(target=serve, daemon=True).start()
        found = [queues.Queue(name, 1, 1) for name in names]
        with mock.patch("procman_django.queues.MANAGEMENT_SECONDS", 1):
            found = queues._with_management(found, "http://user:secret@127.0.0.1:%d" % server.getsockname()[1], "/")
        self.assertNotIn("secret", str(found))
        return found

    def test_unacknowledged_messages_are_counted(self):
        consumers = b"[" + b",".join([b'{"consumer_tag": "%s"}' % (b"x" * 900)] * 100) + b"]"
        body = b'{"consumer_details": %s, "messages_unacknowledged": 5}' % consumers
        found = self.asked(lambda: [b"HTTP/1.0 200 OK\r\n\r\n" + body])
        self.assertEqual([(queue.unacknowledged, queue.problem) for queue in found], [(5, "")] * 2)

    def test_refused_account_is_shown_with_its_status(self):
        found = self.asked(lambda: [b"HTTP/1.0 401 Unauthorized\r\n\r\n"])
        self.assertEqual(found[0].problem, "management interface: HTTP status 401")

    def test_nonsense_is_a_problem(self):
        for answer in (b"nonsense\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n" + b"[" * 60000, b"HTTP/1.0 200 OK\r\n\r\n1e"):
            with self.subTest(answer[:40]):
                [queue, _] = self.asked(lambda answer=answer: [answer])
                self.assertEqual((queue.ready, queue.unacknowledged), (1, None))
                self.assertIn("management interface: ", queue.problem)

    def test_address_that_is_none_is_a_problem(self):
        for url in ("http://a b/", "file:///etc/passwd", "http://[::1", 5):
            with self.subTest(url):
                [queue] = queues._with_management([queues.Queue("crop", 1, 1)], url, "/")
                self.assertIn("management interface: ", queue.problem)

    def test_answer_that_does_not_end_is_left_alone(self):
        def drip():
            yield b"HTTP/1.0 200 OK\r\n\r\n"
            while True:
                time.sleep(0.1)
                yield b" "

        self.assertIn("no answer within 1 second", self.asked(drip)[0].problem)
