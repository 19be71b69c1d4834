"""WSGI applications under Flask's own server, on loopback, in threads."""

from __future__ import annotations

import contextlib
from typing import Any

import werkzeug.serving

from integrations.wsgiref_server import HOST, running


def serve(app: Any) -> contextlib.AbstractContextManager[str]:
    """The base URL of a WSGI application under Flask's own server."""

    class Handler(werkzeug.serving.WSGIRequestHandler):
        def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
            """Say nothing."""

    return running(werkzeug.serving.make_server(HOST, 0, app, threaded=True, request_handler=Handler))
