"""Replies: what comes instead of an answer, ready for the wire."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from batch_runner.fake_server.faults.actions import Canned, Empty, Html, Redirect, Replacement, Status
from batch_runner.fake_server.faults.delivery import JSON_TYPE, Reply
from batch_runner.fake_server.protocol.catalogue import CATALOGUE
from batch_runner.fake_server.protocol.complaints import Complaint

HTML_TYPE = "text/html; charset=utf-8"
TEXT_TYPE = "text/plain; charset=utf-8"
PAGE = """<!DOCTYPE html>
<html>
<head><title>{status} {title}</title></head>
<body>
<center><h1>{status} {title}</h1></center>
<hr><center>nginx</center>
</body>
</html>
"""


def complaint_reply(complaint: Complaint, request_id: str = "") -> Reply:
    """A complaint in its JSON shape."""
    return Reply(status=complaint.status, body=complaint.body(request_id), headers=complaint.headers)


def replacement_reply(action: Replacement, request_id: str = "") -> Reply:
    """What a fault sends instead of an answer."""
    return REPLIES[type(action)](action, request_id)


def _status(action: Status, _request_id: str) -> Reply:
    if isinstance(action.body, Mapping):
        return Reply(status=action.status, body=orjson.dumps(action.body), headers=action.headers)
    body = action.body.encode() if isinstance(action.body, str) else action.body
    return Reply(status=action.status, body=body, headers=action.headers, content_type=_type_of(body))


def _type_of(body: bytes) -> str:
    if body[:1] in {b"{", b"["}:
        return JSON_TYPE
    return HTML_TYPE if body[:1] == b"<" else TEXT_TYPE


def _canned(action: Canned, request_id: str) -> Reply:
    complaint = CATALOGUE[action.error].answered_with(status=action.status, headers=action.headers)
    return complaint_reply(complaint, request_id)


def _html(action: Html, _request_id: str) -> Reply:
    page = PAGE.format(status=action.status, title=action.title)
    return Reply(status=action.status, body=page.encode(), content_type=HTML_TYPE)


def _empty(action: Empty, _request_id: str) -> Reply:
    return Reply(status=action.status, body=b"")


def _redirect(action: Redirect, _request_id: str) -> Reply:
    return Reply(status=action.status, body=b"", headers={"location": action.to}, content_type=TEXT_TYPE)


REPLIES: dict[type[object], Callable[[Any, str], Reply]] = {
    Status: _status,
    Canned: _canned,
    Html: _html,
    Empty: _empty,
    Redirect: _redirect,
}
