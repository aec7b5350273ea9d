FROM python:3.12-slim
ENTRYPOINT ["tini", "-g", "--", "/entrypoint.sh"]
CMD ["celery", "-A", "site", "worker", "-B"]
