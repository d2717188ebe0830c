from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.failures import FailureKind
from batch_runner.identity import (
    NOT_ASKED,
    Action,
    Again,
    Occurrences,
    decide,
    decide_rejected,
    fingerprint,
    id_from_content,
    key_of_fingerprint,
    key_of_id,
    key_of_request,
    line_fingerprint,
)
from batch_runner.records import ANSWERED, Status

BODY = {"model": "o1-mini", "messages": [{"role": "user", "content": "hi"}]}
NOTHING_AGAIN = Again()

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
bodies = st.dictionaries(st.text(max_size=6), json_values, max_size=6)


def shuffled(value: object) -> object:
    """The same JSON value with every object's keys the other way round."""
    if isinstance(value, dict):
        return {key: shuffled(inner) for key, inner in reversed(value.items())}
    return [shuffled(inner) for inner in value] if isinstance(value, list) else value


@given(body=bodies)
@settings(max_examples=100, deadline=None)
def test_the_order_of_keys_says_nothing(body: dict[str, object]) -> None:
    turned = {key: shuffled(value) for key, value in reversed(body.items())}

    assert fingerprint(turned) == fingerprint(body)
    assert id_from_content(turned) == id_from_content(body)


@given(body=bodies, extra=st.dictionaries(st.sampled_from(sorted(NOT_ASKED)), json_values, min_size=1))
@settings(max_examples=100, deadline=None)
def test_what_is_only_paid_or_delivered_differently_keeps_the_fingerprint(
    body: dict[str, object], extra: dict[str, object]
) -> None:
    bare = {key: value for key, value in body.items() if key not in NOT_ASKED}

    assert fingerprint({**bare, **extra}) == fingerprint(bare)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"model": "o3"}, id="model"),
        pytest.param({"messages": [{"role": "user", "content": "hi!"}]}, id="text"),
        pytest.param({"messages": [{"role": "system", "content": "x"}, *BODY["messages"]]}, id="system text"),
        pytest.param({"reasoning_effort": "low"}, id="effort"),
        pytest.param({"temperature": 0.5}, id="temperature"),
        pytest.param({"seed": 1}, id="seed"),
        pytest.param({"n": 2}, id="choices"),
        pytest.param({"tools": []}, id="tools"),
        pytest.param({"response_format": {"type": "json_object"}}, id="response format"),
    ],
)
def test_what_changes_the_answer_changes_the_fingerprint(change: dict[str, object]) -> None:
    assert fingerprint({**BODY, **change}) != fingerprint(BODY)


@given(body=bodies)
@settings(max_examples=100, deadline=None)
def test_the_key_of_a_request_is_that_of_its_fingerprint(body: dict[str, object]) -> None:
    assert key_of_request(body) == key_of_fingerprint(fingerprint(body))


def test_a_fingerprint_names_its_version() -> None:
    assert fingerprint(BODY).startswith("v1:")
    assert line_fingerprint(b"x", "not JSON").startswith("v1:")


def test_fingerprints_stay_what_they_were_when_outputs_were_made_with_them() -> None:
    """A change here makes every answer that was ever recorded a changed row."""
    assert fingerprint(BODY) == "v1:4dbfb5bdd7c326259ea1d266a06f5704"
    assert id_from_content({"messages": BODY["messages"]}) == "row-683d07a139efd26b"


def test_integers_beyond_64_bits_are_told_apart() -> None:
    assert fingerprint({**BODY, "seed": 2**70}) != fingerprint({**BODY, "seed": 2**70 + 1})


def test_keys_fit_64_bits() -> None:
    assert -(2**63) <= key_of_id("a") < 2**63
    assert 0 <= key_of_fingerprint(fingerprint(BODY)) < 2**64


def test_repeats_are_numbered_from_two() -> None:
    occurrences = Occurrences()

    numbered = [occurrences.next("a"), occurrences.next("b"), occurrences.next("a")]

    assert numbered == ["a-2", "b-2", "a-3"]
    assert occurrences.repeated() == {"a", "b"}


@pytest.mark.parametrize(
    ("status", "same", "action"),
    [
        pytest.param(None, False, Action.SEND, id="no record"),
        pytest.param(Status.OK, True, Action.KEEP, id="ok, unchanged"),
        pytest.param(Status.OK, False, Action.CHANGED, id="ok, changed"),
        pytest.param(Status.TRUNCATED, True, Action.KEEP, id="truncated, unchanged"),
        pytest.param(Status.TRUNCATED, False, Action.CHANGED, id="truncated, changed"),
        pytest.param(Status.REFUSED, True, Action.KEEP, id="refused, unchanged"),
        pytest.param(Status.REFUSED, False, Action.CHANGED, id="refused, changed"),
        pytest.param(Status.FAILED, True, Action.KEEP, id="failed, unchanged"),
        pytest.param(Status.FAILED, False, Action.SEND, id="failed, changed"),
        pytest.param(Status.UNFINISHED, True, Action.SEND, id="unfinished, unchanged"),
        pytest.param(Status.UNFINISHED, False, Action.SEND, id="unfinished, changed"),
        pytest.param(Status.INVALID, False, Action.SEND, id="invalid, valid now"),
    ],
)
def test_a_record_decides_what_becomes_of_its_row(status: Status | None, *, same: bool, action: Action) -> None:
    assert decide(status, same=same, again=NOTHING_AGAIN) is action


def test_a_failed_row_is_sent_again_when_that_is_asked_for() -> None:
    assert decide(Status.FAILED, same=True, again=Again(failed=True)) is Action.SEND


@pytest.mark.parametrize("status", sorted(ANSWERED))
def test_asking_for_failed_rows_buys_no_answer_again(status: Status) -> None:
    assert decide(status, same=True, again=Again(failed=True)) is Action.KEEP


@pytest.mark.parametrize(("status", "same"), list(product([None, *Status], [True, False])))
def test_only_sends_the_states_it_names_and_no_others(status: Status | None, *, same: bool) -> None:
    again = Again(only=True, states=frozenset({Status.TRUNCATED, Status.FAILED}))

    action = decide(status, same=same, again=again)

    assert action is (Action.SEND if status in {Status.TRUNCATED, Status.FAILED} else Action.KEEP)


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        pytest.param(FailureKind.TIMEOUT, Action.SEND, id="named"),
        pytest.param(FailureKind.POLICY, Action.KEEP, id="another"),
        pytest.param(None, Action.KEEP, id="none"),
    ],
)
def test_only_can_name_failure_kinds(kind: FailureKind | None, action: Action) -> None:
    again = Again(only=True, kinds=frozenset({FailureKind.TIMEOUT}))

    assert decide(Status.FAILED, same=True, again=again, kind=kind) is action


@pytest.mark.parametrize(
    ("status", "same", "action"),
    [
        pytest.param(None, False, Action.RECORD, id="no record"),
        pytest.param(Status.INVALID, True, Action.KEEP, id="told already"),
        pytest.param(Status.INVALID, False, Action.RECORD, id="broken otherwise now"),
        pytest.param(Status.FAILED, False, Action.RECORD, id="failed before"),
        pytest.param(Status.UNFINISHED, False, Action.RECORD, id="unfinished before"),
        pytest.param(Status.OK, False, Action.KEEP, id="answered before"),
        pytest.param(Status.TRUNCATED, False, Action.KEEP, id="answered in part before"),
        pytest.param(Status.REFUSED, False, Action.KEEP, id="refused before"),
    ],
)
def test_a_broken_line_never_buries_a_paid_answer(status: Status | None, *, same: bool, action: Action) -> None:
    assert decide_rejected(status, same=same) is action
