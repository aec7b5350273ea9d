"""The demo's web server, which has nothing but Django's admin: `DJANGO_SETTINGS_MODULE=mysite.web`.

It needs django-celery-procman in the virtualenv, or its directory in PYTHONPATH. DEMO_PROJECT is the name under which
procman has installed the demo; without it, the only project that is installed.
"""

from mysite.settings import *  # noqa: F403
from mysite.settings import DATA_DIRECTORY, INSTALLED_APPS, os

os.makedirs(DATA_DIRECTORY, exist_ok=True)

DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "mysite.urls"
STATIC_URL = "/static/"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(DATA_DIRECTORY, "web.sqlite3")}}
INSTALLED_APPS = INSTALLED_APPS + [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "procman_django",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
PROCMAN_PROJECT = os.environ.get("DEMO_PROJECT")
PROCMAN_MANAGEMENT_URL = os.environ.get("DEMO_MANAGEMENT_URL")
