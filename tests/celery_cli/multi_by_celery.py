"""Expand command lines of `celery multi` with Celery itself: a line of JSON for each one, in the same order.

A request holds the words after `multi`; the answer is {node: its words}, or null if Celery refuses it. The host of all
nodes is HOST.
"""

import json
import sys

import celery.apps.multi as apps  # type: ignore[import-untyped, import-not-found, unused-ignore]
import celery.utils.nodenames as nodenames  # type: ignore[import-untyped, import-not-found, unused-ignore]
from celery.bin.multi import MultiTool  # type: ignore[import-untyped, import-not-found, unused-ignore]


def expanded(words: "list[str]") -> object:
    """Return the words of each node."""
    tool = MultiTool()
    try:
        cluster = tool.cluster_from_argv(tool._handle_reserved_options(["multi", *words])[2:])
        return {node.name: node.prepare_argv(node.argv, "python") for node in cluster}
    except (KeyError, ValueError):
        return None


apps.gethostname = nodenames.gethostname = lambda: "HOST"
apps.os.makedirs = lambda *_, **__: None
for line in sys.stdin:
    print(json.dumps(expanded(json.loads(line))))
