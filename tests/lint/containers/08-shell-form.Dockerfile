FROM python:3.12-slim AS build
CMD ["true"]

FROM python:3.12-slim
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=30s CMD exit 0
CMD celery -A site worker \
    -l info
