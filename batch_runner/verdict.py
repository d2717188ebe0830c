"""What came of an attempt -> Completion | Failure. The body is read before the status is believed. Pure.

Three kinds of no: everyone slow down, this row can't, this run can't.
"""

from __future__ import annotations

import re

from batch_runner.chat import read_completion, read_usage, request_id
from batch_runner.error_replies import Complaint, read_complaint, rule_for, rule_for_status
from batch_runner.failures import Failure, FailureKind, Scope
from batch_runner.hints import NOTHING_TOLD, limit_named, named_limit, never_fits, told_wait
from batch_runner.json_text import loads_leniently, whole_text
from batch_runner.records import Completion, NoAnswer, Outcome, Reply, Unreached
from batch_runner.redaction import redact

HEARSAY = frozenset(
    {
        FailureKind.INVALID_KEY,
        FailureKind.NO_ACCESS,
        FailureKind.QUOTA_EXHAUSTED,
        FailureKind.MODEL_NOT_FOUND,
        FailureKind.WRONG_ENDPOINT,
    },
)
"""Kinds that may be about somebody behind the gateway, or a proxy's page that comes and goes."""

GATEWAY_TYPES = frozenset({"one_api_error", "new_api_error", "rix_api_error"})
"""The error types under which a gateway speaks for itself."""

MOST_BODY = 16 * 1024
"""How many characters of a body that is no answer are kept."""

MOST_MESSAGE = 1_000

UPSTREAM_LOST, UPSTREAM_PATIENCE_SECONDS = "do_request_failed", 30.0
"""A gateway says so at once when it reached nobody. After so long it gave up on somebody who worked, and bills.
Source: QuantumNous/new-api#2974."""

Kind = FailureKind


def judge(outcome: Outcome, *, now: float, own_model: bool = False, key: str | None = None) -> Completion | Failure:
    """The answer, or what stood in its way and whom that is about.

    `now`: seconds since 1970, which a `Retry-After` date is held against. `own_model`: the row itself named its model, so a
    model that doesn't exist is the row's fault, not the run's. `key` is masked in whatever is kept of the service's words.
    """
    if isinstance(outcome, Unreached):
        return _judge_unreached(outcome, key)
    if isinstance(outcome, NoAnswer):
        return Failure(_kind_of_loss(outcome), Scope.ROW, redact(outcome.reason, key))
    completion = read_completion(outcome)
    return completion if completion is not None else _judge_reply(outcome, now=now, own_model=own_model, key=key)


def _judge_unreached(outcome: Unreached, key: str | None) -> Failure:
    """Nobody there may pass; a certificate that isn't trusted won't, unless somebody else answers for the host just now."""
    if outcome.untrusted:
        message = f"{redact(outcome.reason, key)}: if it is to be trusted, name its authority with --ca-bundle"
        return Failure(Kind.UNREACHABLE, Scope.RUN, message, hearsay=True)
    return Failure(Kind.UNREACHABLE, Scope.ROW, redact(outcome.reason, key))


def _kind_of_loss(outcome: NoAnswer) -> FailureKind:
    if outcome.interrupted:
        return Kind.INTERRUPTED
    return Kind.TIMEOUT if outcome.timed_out else Kind.CONNECTION_LOST


def _judge_reply(reply: Reply, *, now: float, own_model: bool, key: str | None) -> Failure:
    body = loads_leniently(reply.body)
    complaint = read_complaint(reply.status, body)
    kind, scope, message = _kind_of_reply(reply, complaint, own_model=own_model)
    slow_down = scope is Scope.EVERYONE
    named = named_limit(message) if slow_down else NOTHING_TOLD
    return Failure(
        kind,
        scope,
        redact(whole_text(message), key)[:MOST_MESSAGE],
        http_status=reply.status,
        request_id=request_id(reply.headers),
        wait=told_wait(reply.headers, message, now=now),
        body=redact(reply.body[: 4 * MOST_BODY].decode(errors="replace"), key)[:MOST_BODY],
        rpm=named.requests,
        tpm=named.tokens,
        limit=limit_named(complaint.type, message) if slow_down and complaint is not None else "",
        again={"true": True, "false": False}.get(reply.headers.get("x-should-retry", "").strip().lower()),
        usage=read_usage(body.get("usage")) if isinstance(body, dict) else None,
        hearsay=kind in HEARSAY and (complaint is None or complaint.type not in GATEWAY_TYPES),
    )


def _kind_of_reply(reply: Reply, complaint: Complaint | None, *, own_model: bool) -> tuple[FailureKind, Scope, str]:
    if 300 <= reply.status < 400:  # noqa: PLR2004 - redirections
        place = _place(reply.headers.get("location", ""))
        return Kind.WRONG_ENDPOINT, Scope.RUN, f"redirected to {place}: give that address as --endpoint"
    if complaint is None:
        return _kind_of_silence(reply)
    message = complaint.message or f"HTTP {complaint.status} without a word"
    if never_fits(message):
        return Kind.TOO_LARGE, Scope.ROW, message
    rule = rule_for(complaint) or rule_for_status(complaint.status)
    if UPSTREAM_LOST in {complaint.code, complaint.type} and reply.seconds >= UPSTREAM_PATIENCE_SECONDS:
        return Kind.TIMEOUT, Scope.ROW, message
    return rule.kind, Scope.ROW if rule.about_model and own_model else rule.scope, message


def _kind_of_silence(reply: Reply) -> tuple[FailureKind, Scope, str]:
    """A reply that is neither an answer nor an error we can read: a proxy's page, an empty body, half an answer."""
    seen = f"HTTP {reply.status} with {_glimpse(reply)}"
    if reply.status < 300 and _is_html(reply):  # noqa: PLR2004 - success
        return Kind.WRONG_ENDPOINT, Scope.RUN, f"{seen}: that address is a web page, not an API; does it lack /v1?"
    if reply.status < 300:  # noqa: PLR2004
        return Kind.UNREADABLE_REPLY, Scope.ROW, seen
    rule = rule_for_status(reply.status)
    return rule.kind, rule.scope, seen


def _place(location: str) -> str:
    return redact(location.split("?", maxsplit=1)[0].removesuffix("/chat/completions")) or "an unnamed place"


def _is_html(reply: Reply) -> bool:
    start = reply.body[:200].lstrip().lower()
    return "html" in reply.headers.get("content-type", "") or start.startswith((b"<!doctype", b"<html"))


def _glimpse(reply: Reply) -> str:
    text = reply.body[:MOST_BODY].decode(errors="replace")
    title = re.search(r"<title>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    if title:
        return f"the page “{' '.join(title[1].split())[:80]}”"
    text = " ".join(text.split())
    return f"the text {text[:80]!r}" if text else "an empty body"
