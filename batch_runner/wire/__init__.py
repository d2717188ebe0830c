"""HTTP/1.1 as far as a request and its whole reply go. The only room that knows sockets; whoever sends sees a `Transport`."""

from batch_runner.wire.proxies import environment_proxy
from batch_runner.wire.transport import Asker, HttpTransport, Transport

__all__ = ["Asker", "HttpTransport", "Transport", "environment_proxy"]
