"""The one clock that isn't virtual: what a service prints into its answers."""

import time


def seconds_since_1970() -> int:
    """Now, as answers tell it."""
    return int(time.time())
