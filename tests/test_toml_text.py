import pytest

from batch_runner.toml_text import line_of

TEXT = """\
inputs = [
  "a",
  "b",
]
[request]
system = \"\"\"
a
b
\"\"\"
model = 5

[models."gpt-5.1"]
input = 1
"""


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("inputs",), 1),
        (("request",), 5),
        (("request", "system"), 6),
        (("request", "model"), 10),
        (("models", "gpt-5.1", "input"), 13),
        (("request", "gone"), 1),
    ],
)
def test_a_line_is_found_behind_values_of_many_lines(keys: tuple[str, ...], line: int) -> None:
    assert line_of(TEXT, keys) == line
