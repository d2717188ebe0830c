"""What to do about each failure kind, in one line. Shown in the summary; `docs/errors.md` has the same words."""

from __future__ import annotations

from batch_runner.failures import FailureKind

ADVICE: dict[FailureKind, str] = {
    FailureKind.RATE_LIMITED: "the service refuses requests: run again later, or with a lower --rpm or --concurrency",
    FailureKind.CONCURRENCY_LIMITED: "too many requests at once: run again with a lower --concurrency",
    FailureKind.SERVER_ERROR: "the service failed: retry later",
    FailureKind.OVERLOADED: "the service was overloaded: retry later",
    FailureKind.CHANNEL_DOWN: "the gateway has nobody who serves this model now: retry later, or ask for another model",
    FailureKind.UNREACHABLE: "nobody answers there: check --endpoint, network and proxy",
    FailureKind.TIMEOUT: "no answer in time, it may have been billed: retry with a longer --timeout or a smaller cap",
    FailureKind.CONNECTION_LOST: "the connection broke before the answer was whole, it may have been billed: retry",
    FailureKind.UNREADABLE_REPLY: "what came back is no chat completion, it may have been billed: see `body` in the output",
    FailureKind.INTERRUPTED: "the run left before the answer came, it may have been billed: run again",
    FailureKind.BAD_REQUEST: "the service can't take this request: look at `message` in the output",
    FailureKind.UNSUPPORTED_PARAMETER: "the model doesn't take it: `batch-runner check` tells what to change, --fix mends some",
    FailureKind.CONTEXT_TOO_LONG: "the prompt is longer than the model takes: shorten it",
    FailureKind.TOO_LARGE: "larger than the service ever admits: shorten the prompt or lower --max-completion-tokens",
    FailureKind.POLICY: "the service refuses to answer this prompt",
    FailureKind.INVALID_KEY: "the key is missing, wrong, expired, revoked or spent: set another one, then run again",
    FailureKind.NO_ACCESS: "this key may not do that: ask for access, or use another key or model",
    FailureKind.QUOTA_EXHAUSTED: "no money is left (gateways set aside the cap of each request): top up the key, then run again",
    FailureKind.MODEL_NOT_FOUND: "the endpoint doesn't serve this model to this key: choose another --model",
    FailureKind.WRONG_ENDPOINT: "that isn't the address of a chat API: check --endpoint, it usually ends in /v1",
    FailureKind.INVALID_LINE: "fix the input line, then run again",
}
