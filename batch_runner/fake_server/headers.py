"""The headers a service puts on everything it says itself."""

from batch_runner.fake_server.limits.words import quota_headers
from batch_runner.fake_server.play import Play


def service_headers(play: Play, request_id: str, seconds: float) -> str:
    """Who served the request, how long it took, and where the limits stand, as lines of a reply."""
    quotas = ""
    if play.gate.rates:
        told = quota_headers(play.gate.quotas(play.seconds()), play.hints)
        quotas = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    milliseconds = int(seconds * 1000)
    if play.speech.is_gateway:
        return f"x-oneapi-request-id: {request_id}\r\nopenai-processing-ms: {milliseconds}\r\n{quotas}"
    return (
        f"x-request-id: {request_id}\r\nopenai-processing-ms: {milliseconds}\r\n"
        f"openai-organization: org-fake\r\nopenai-version: 2020-10-01\r\n{quotas}"
    )
