"""A broker that is a directory: kombu's filesystem transport, with files that are complete when they appear.

kombu creates the file of a message and then writes it. A worker that reads it in between takes an empty message and
exits. The same happens with the file of an exchange if two processes start at the same time for the first time.
"""

import json
import os
import time
import uuid

from kombu.transport import TRANSPORT_ALIASES, filesystem


class Channel(filesystem.Channel):
    def _put(self, queue, payload, **options):
        """Write the message under a name that no worker looks for, then rename it in one step."""
        message = str(uuid.uuid4())
        partial = os.path.join(self.data_folder_out, message + ".part")
        with open(partial, "w") as file:
            json.dump(payload, file)
        os.rename(
            partial,
            os.path.join(self.data_folder_out, "{:.0f}_{}.{}.msg".format(time.monotonic() * 1000, message, queue)),
        )

    def get_table(self, exchange):
        return _when_written(super().get_table, exchange)

    def _queue_bind(self, *binding):
        return _when_written(super()._queue_bind, *binding)


def _when_written(ask, *arguments):
    """Retry while another process is writing the file of the exchange."""
    for _ in range(100):
        try:
            return ask(*arguments)
        except ValueError:
            time.sleep(0.01)
    return ask(*arguments)


class Transport(filesystem.Transport):
    Channel = Channel


def register():
    """Use this transport for `filesystem://`."""
    TRANSPORT_ALIASES["filesystem"] = __name__ + ":Transport"
