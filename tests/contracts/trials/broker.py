"""Send messages to the brokers of the trials, count or restore those in their queues, as JSON on stdin asks."""

import json
import sys
import time

from trial_app import DATA, app, append


def send(messages, pause=0):
    """Send each message to its broker, and note when it was sent if `pause` seconds follow."""
    connections = {url: app.connection_for_write(url) for url in {message["broker"] for message in messages}}
    for message in messages:
        if pause:
            append(DATA / "sent", json.dumps({"id": message["id"], "at": time.monotonic()}))
        app.send_task(
            message["task"],
            message["arguments"],
            task_id=message["id"],
            queue=message["queue"],
            connection=connections[message["broker"]],
            **message["options"],
        )
        time.sleep(pause)
    for connection in connections.values():
        connection.release()


def count(queues):
    """Print how many messages each queue has that no worker holds."""
    counted = {}
    for queue, url in queues.items():
        with app.connection_for_read(url) as connection:
            try:
                counted[queue] = connection.default_channel.queue_declare(queue, passive=True).message_count
            except connection.channel_errors:  # for Redis, an empty queue does not exist
                counted[queue] = 0
    print(json.dumps(counted))


def sample(asked):
    """Append the number of consumers of each queue to a file, every so many seconds without end."""
    with app.connection_for_read(asked["url"]) as connection:
        channel, due = connection.default_channel, time.monotonic()
        while True:
            found = {queue: channel.queue_declare(queue, passive=True).consumer_count for queue in asked["queues"]}
            append(DATA / "consumers", json.dumps({"at": time.monotonic(), "consumers": found}))
            due += asked["seconds"]
            time.sleep(max(0, due - time.monotonic()))


def trickle(asked):
    """Send messages with pauses."""
    send(asked["messages"], asked["pause"])


def restore(urls):
    """Put back what Redis has kept unacknowledged beyond the visibility timeout, as a worker that connects does.

    A worker that runs already looks only every 100 seconds (kombu 4.6 to 5.7). One that was killed while it did has
    left its lock, which keeps all others from it for five minutes.
    """
    for url in urls:
        with app.connection_for_read(url) as connection:
            connection.default_channel.client.delete("unacked_mutex")
            connection.default_channel.qos.restore_visible(num=None)


COMMANDS = {each.__name__: each for each in (send, count, restore, sample, trickle)}

COMMANDS[sys.argv[1]](json.load(sys.stdin))
