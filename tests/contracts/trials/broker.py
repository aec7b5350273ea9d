"""Send messages to the brokers of the trials, count or restore those in their queues, as JSON on stdin asks."""

import json
import sys

from trial_app import app


def send(messages):
    """Send each message to its broker."""
    connections = {url: app.connection_for_write(url) for url in {message["broker"] for message in messages}}
    for message in messages:
        app.send_task(
            message["task"],
            message["arguments"],
            task_id=message["id"],
            queue=message["queue"],
            connection=connections[message["broker"]],
            **message["options"],
        )
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


def restore(urls):
    """Put back what Redis has kept unacknowledged beyond the visibility timeout, as a worker that connects does.

    A worker that runs already looks only every 100 seconds (kombu 4.6 to 5.7). One that was killed while it did has
    left its lock, which keeps all others from it for five minutes.
    """
    for url in urls:
        with app.connection_for_read(url) as connection:
            connection.default_channel.client.delete("unacked_mutex")
            connection.default_channel.qos.restore_visible(num=None)


{"send": send, "count": count, "restore": restore}[sys.argv[1]](json.load(sys.stdin))
