"""The settings that matter here, with the toolkit's own Application model."""

ISSUER = "https://op.example.com"

SECRET_KEY = "only to try it out"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "oauth_toolkit.urls"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "oauth2_provider",
    "oauth_toolkit_keys",
    "private_key_jwt.integrations",  # for `manage.py check`
]
MIDDLEWARE = ["private_key_jwt.integrations.oauth_toolkit.ClientAssertionMiddleware"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "op.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

OAUTH2_PROVIDER_APPLICATION_MODEL = "oauth2_provider.Application"
OAUTH2_PROVIDER = {
    "OAUTH2_VALIDATOR_CLASS": "oauth_toolkit_keys.validators.Validator",
    "OIDC_ISS_ENDPOINT": ISSUER,  # the issuer of the metadata, and the audience of the policy
    "OAUTH2_TOKEN_ENDPOINT_AUTH_METHODS_SUPPORTED": ["private_key_jwt", "client_secret_basic"],  # in the metadata
    "OIDC_TOKEN_ENDPOINT_AUTH_METHODS_SUPPORTED": ["private_key_jwt", "client_secret_basic"],  # with OIDC_ENABLED
}
