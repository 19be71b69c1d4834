"""The toolkit's endpoints; introspection is ours, so that a refused client gets the same answer there."""

from django.urls import include, path

from private_key_jwt.integrations.oauth_toolkit import IntrospectTokenView

urlpatterns = [
    path("o/introspect/", IntrospectTokenView.as_view()),
    path("o/", include("oauth2_provider.urls")),
]
