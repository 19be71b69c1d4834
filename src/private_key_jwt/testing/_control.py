"""Drive a served look-alike over HTTP, from any language: rotate keys, fail, slow down, mint assertions.

    curl -X POST http://127.0.0.1:8000/_control/acme/rotate
    curl -X POST 'http://127.0.0.1:8000/_control/acme/assertion?defect=expired'
    curl -X POST 'http://127.0.0.1:8000/_control/fail?status=503'

``GET /_control`` lists what there is. What is driven is the look-alike alone: a test's process, on loopback.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import parse_qsl

from ._back_channel import BackChannel
from ._defects import DEFECTS, defects_of
from ._exchange import Request, Response, json_response
from ._service import Service, is_error_status
from ._tenant import Tenant

__all__ = ["PATH", "Control", "lines"]

PATH = "/_control"
_LONGEST_DELAY = 60.0
# A page in a browser could mint assertions here, by a name that it has made to stand for this machine.
_HOST = re.compile(r"(127\.0\.0\.1|localhost)(:\d+)?")

Query = Mapping[str, str]
_Number = TypeVar("_Number", int, float)


class Control:
    """The route below ``/_control``, before the service itself, so that a failing one can recover.

    tenants: by slug. service: what is made to fail or to be slow. back_channel: whose responses are lost.
    """

    def __init__(self, tenants: Mapping[str, Tenant], service: Service, back_channel: BackChannel) -> None:
        self._tenants = tenants
        self._service = service
        self._back_channel = back_channel
        self._delay = 0.0

    def respond(self, request: Request) -> Response:
        """Answer a request: what drives the look-alike here, others by the service. Raises httpx.RequestError."""
        if request.path != PATH and not request.path.startswith(f"{PATH}/"):
            time.sleep(self._delay)
            return self._service.respond(request)
        if "origin" in request.headers or _HOST.fullmatch(request.host) is None:
            return _fault(HTTPStatus.FORBIDDEN, "no web page drives it: expected no Origin, and a Host of this machine")
        if request.method == "GET" and request.path == PATH:
            named = [defects_of(each.alg) for each in self._tenants.values()] or [DEFECTS]
            return json_response(HTTPStatus.OK, {"actions": lines("", "SLUG"), "defects": sorted(set().union(*named))})
        if request.method != "POST":
            return _fault(HTTPStatus.METHOD_NOT_ALLOWED, "POST drives, and GET /_control lists")
        query = dict(parse_qsl(request.query, keep_blank_values=True))
        try:
            return self._drive(request.path.removeprefix(f"{PATH}/").split("/"), query)
        except LookupError as error:
            return _fault(HTTPStatus.NOT_FOUND, str(error.args[0]))
        except ValueError as error:
            return _fault(HTTPStatus.BAD_REQUEST, str(error))

    def _drive(self, path: list[str], query: Query) -> Response:
        match path:
            case ["fail"]:
                status = _number(int, query, "status", "503")
                if not is_error_status(status):
                    raise ValueError("status must be from 400 to 599")
                self._service.outage = status
                return json_response(HTTPStatus.OK, {"failing": status})
            case ["recover"]:
                self._service.outage, self._delay = None, 0.0
                return json_response(HTTPStatus.OK, {"failing": None, "delay": 0})
            case ["delay"]:
                seconds = _number(float, query, "seconds", "2")
                if not 0 <= seconds <= _LONGEST_DELAY:  # false for nan, too
                    raise ValueError(f"seconds must be from 0 to {_LONGEST_DELAY:g}")
                self._delay = seconds
                return json_response(HTTPStatus.OK, {"delay": self._delay})
            case ["lose-responses"]:
                number = _number(int, query, "number", "1")
                self._back_channel.lose_responses(number)
                return json_response(HTTPStatus.OK, {"losing": number})
            case [slug, action] if slug in self._tenants and action in _ACTIONS:
                return _ACTIONS[action](self._tenants[slug], query)
        raise LookupError(f"there is no {'/'.join(path)}: GET {PATH} lists what there is")


def _number(kind: Callable[[str], _Number], query: Query, name: str, default: str) -> _Number:
    """Return a parameter as a number. Raises ValueError, which names it."""
    text = query.get(name, default)
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{name} must be a number, not {text!r}") from None


def _rotate(tenant: Tenant, _query: Query) -> Response:
    return json_response(HTTPStatus.OK, {"kid": tenant.rotate()})


def _end_grace(tenant: Tenant, _query: Query) -> Response:
    tenant.end_grace()
    return json_response(HTTPStatus.OK, {"kid": tenant.kid})


def _remove_keys(tenant: Tenant, _query: Query) -> Response:
    tenant.remove_keys()
    return json_response(HTTPStatus.OK, {"keys": 0})


def _assertion(tenant: Tenant, query: Query) -> Response:
    defect = query.get("defect")
    text = tenant.assertion() if defect is None else tenant.defective(defect)
    return Response(HTTPStatus.OK, {"Content-Type": "text/plain", "Content-Length": str(len(text))}, text.encode())


_ACTIONS: Mapping[str, Callable[[Tenant, Query], Response]] = {
    "rotate": _rotate,
    "end-grace": _end_grace,
    "remove-keys": _remove_keys,
    "assertion": _assertion,
}


def lines(root: str, slug: str) -> Mapping[str, str]:
    """Return the curl line of each action, by what it does. ``root``: the server's origin."""
    paths = {
        "a new assertion": f"{slug}/assertion",
        "one with a named defect": f"{slug}/assertion?defect=expired",
        "rotate the key; the old one stays published": f"{slug}/rotate",
        "end the grace window (who has the old set uses it for up to 300 s)": f"{slug}/end-grace",
        "publish no key": f"{slug}/remove-keys",
        "fail": "fail?status=503",
        "answer late": "delay?seconds=2",
        "recover": "recover",
        "perform the next call of the back channel, and lose its response": "lose-responses?number=1",
    }
    return {title: f"curl -sS -X POST '{root}{PATH}/{path}'" for title, path in paths.items()}


def _fault(status: HTTPStatus, text: str) -> Response:
    return json_response(status, {"error": text})
