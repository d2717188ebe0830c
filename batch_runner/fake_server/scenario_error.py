"""What is wrong with a scenario, all of it at once."""

from collections.abc import Sequence


class ScenarioError(ValueError):
    """A scenario that can't be played, with every complaint about it."""

    def __init__(self, source: str, complaints: Sequence[str]) -> None:
        self.source = source
        self.complaints = tuple(complaints)
        super().__init__("\n".join([f"{source}:", *(f"  {complaint}" for complaint in complaints)]))
