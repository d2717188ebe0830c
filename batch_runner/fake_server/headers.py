"""The headers a service puts on everything it says itself."""

from batch_runner.fake_server.limits.words import quota_headers
from batch_runner.fake_server.play import Play


def service_headers(play: Play, request_id: str, seconds: float) -> dict[str, str]:
    """Who served the request, how long it took, and where the limits stand."""
    if play.speech.is_gateway:
        named = {"x-oneapi-request-id": request_id}
    else:
        named = {
            "x-request-id": request_id,
            "openai-organization": "org-fake",
            "openai-version": "2020-10-01",
        }
    quotas = play.gate.quotas(play.seconds()) if play.gate.rates else ()
    return {**named, "openai-processing-ms": str(int(seconds * 1000)), **quota_headers(quotas, play.hints)}
