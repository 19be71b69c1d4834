"""The toolkit's endpoints. Two of them are ours, and stand first: introspection, so that a refused client gets
the same answer there, and the metadata, which tells the algorithms beside the method."""

from django.urls import include, path

from private_key_jwt.integrations.oauth_toolkit import IntrospectTokenView, OAuthServerMetadataView

urlpatterns = [
    path("o/introspect/", IntrospectTokenView.as_view()),
    path("o/.well-known/oauth-authorization-server", OAuthServerMetadataView.as_view()),
    path("o/", include("oauth2_provider.urls")),
]
