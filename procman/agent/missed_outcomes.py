"""The words for what becomes of an entry that a beat missed, apart from their descriptions: the probe needs no more."""

SENT, AGAIN = "sent", "again"
DEADLINE, FORGOTTEN, EXPIRED, LEFT_OUT = "deadline", "forgotten", "expired", "left-out"
OUTCOMES = (SENT, AGAIN, DEADLINE, FORGOTTEN, EXPIRED, LEFT_OUT)
NOT_SENT = (DEADLINE, FORGOTTEN, EXPIRED, LEFT_OUT)
"""The outcomes of an entry that Celery does not send now."""
