"""The settings that matter here. Yours have more."""

SECRET_KEY = "only to try it out"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "authlib_django.urls"
INSTALLED_APPS = ["authlib_django"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "op.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
