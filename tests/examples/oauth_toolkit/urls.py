"""The toolkit's endpoints, and its metadata where clients of an issuer without a path look for it."""

from django.urls import include, path
from oauth2_provider.urls import metadata_urlpatterns
from oauth2_provider.views import ConnectDiscoveryInfoView

urlpatterns = [
    path("o/", include("oauth2_provider.urls")),
    path("", include(metadata_urlpatterns)),  # /.well-known/oauth-authorization-server
    path(".well-known/openid-configuration", ConnectDiscoveryInfoView.as_view()),  # with OIDC_ENABLED
]
