"""The toolkit's application with a place for the client's keys."""

from django.db import models
from oauth2_provider.models import AbstractApplication


class Application(AbstractApplication):
    jwks_uri = models.URLField(blank=True)
