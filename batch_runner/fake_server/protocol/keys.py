"""Keys: reading one from a request, and OpenAI's words about a wrong one."""

from batch_runner.fake_server.protocol.complaints import Complaint

NO_KEY = Complaint(
    401,
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
    "(i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing the API "
    "from your browser and are prompted for a username and password. You can obtain an API key from "
    "https://platform.openai.com/account/api-keys.",
)
ENDS_SHOWN = 4


def key_in(authorization: str) -> str:
    """The key a request carries; empty if it carries none."""
    scheme, _, key = authorization.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def wrong_key(key: str) -> Complaint:
    """The service doesn't know this key; only its ends are shown."""
    message = (
        f"Incorrect API key provided: {_masked(key)}. You can find your API key at https://platform.openai.com/account/api-keys."
    )
    return Complaint(401, message, code="invalid_api_key")


def _masked(key: str) -> str:
    hidden = max(0, len(key) - 2 * ENDS_SHOWN)
    return f"{key[:ENDS_SHOWN]}{'*' * hidden}{key[-ENDS_SHOWN:]}" if hidden else "*" * len(key)
