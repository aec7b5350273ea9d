"""Take apart the commands in front of Celery: those that exec what follows, those that fork, and runners."""
