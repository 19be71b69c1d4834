"""The toolkit's endpoints, as they are."""

from django.urls import include, path

urlpatterns = [path("o/", include("oauth2_provider.urls"))]
