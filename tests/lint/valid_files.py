"""A section of supervisord and a unit of systemd without findings, which tests break."""

VALID_SECTION = """\
[program:site-worker]
command=/opt/env/bin/celery -A site worker -l info
directory=/opt/site
user=www-data
stdout_logfile=/var/log/site.log
autorestart=true
startsecs=10
startretries=1000
stopwaitsecs=900
killasgroup=true
"""

VALID_UNIT = """\
[Unit]
StartLimitIntervalSec=0

[Service]
User=www-data
ExecStart=/opt/env/bin/celery -A site worker -l info
KillMode=mixed
TimeoutStopSec=15min
Restart=always
RestartSec=5
"""
