from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from batch_runner.admission.finder import Learned
from batch_runner.admission.memory import MOST_ENTRIES, STALE_SECONDS, Memory, Place, cache_folder

HERE = Place("https://a.example/v1/chat/completions", "o1")
FOUND = Learned("rate", 8.0, 120)
NOW = 1_790_000_000.0


@pytest.mark.parametrize("found", [FOUND, Learned("tokens", 500_000.0, 120)])
def test_what_a_run_found_is_known_to_the_next_with_its_age(tmp_path: Path, found: Learned) -> None:
    Memory(tmp_path).remember(HERE, found, NOW)

    assert Memory(tmp_path).recall(HERE, NOW + 60) == replace(found, age=60)


def test_what_was_only_remembered_keeps_its_age(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.remember(HERE, Learned("cap", None, 50, age=3600.0), NOW)

    assert memory.recall(HERE, NOW) == Learned("cap", None, 50, age=3600.0)


def test_other_models_and_endpoints_are_other_places(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.remember(HERE, FOUND, NOW)

    assert memory.recall(HERE._replace(model="o3"), NOW) is None
    assert memory.recall(HERE._replace(endpoint="https://b.example/v1"), NOW) is None


@pytest.mark.parametrize("age", [-1.0, STALE_SECONDS + 1])
def test_what_is_stale_or_from_the_future_is_not_believed(tmp_path: Path, age: float) -> None:
    memory = Memory(tmp_path)
    memory.remember(HERE, FOUND, NOW)

    assert memory.recall(HERE, NOW + age) is None


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"kind": "rate", "per_minute": "many", "in_flight": 8, "found_at": NOW}, id="words for a rate"),
        pytest.param({"kind": "rate", "per_minute": -1, "in_flight": 8, "found_at": NOW}, id="less than nothing"),
        pytest.param({"kind": "rate", "per_minute": 60, "in_flight": None, "found_at": NOW}, id="no number in flight"),
        pytest.param({"kind": "whim", "per_minute": 60, "in_flight": 8, "found_at": NOW}, id="an unknown kind"),
        pytest.param({"kind": "rate", "per_minute": 60, "in_flight": 8}, id="no time"),
        pytest.param([1, 2], id="a list"),
    ],
)
def test_strange_entries_are_passed_over(tmp_path: Path, entry: object) -> None:
    (tmp_path / "limits.json").write_bytes(orjson.dumps({"schema": 1, "limits": {HERE.key: entry}}))

    assert Memory(tmp_path).recall(HERE, NOW) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 2, "limits": {}}', '{"schema": 1, "limits": 3}'])
def test_a_torn_or_strange_file_is_no_error_and_is_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "limits.json").write_text(text)
    memory = Memory(tmp_path)

    before = memory.recall(HERE, NOW)
    memory.remember(HERE, FOUND, NOW)

    assert (before, memory.recall(HERE, NOW)) == (None, FOUND)


def test_a_folder_that_can_not_be_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    memory = Memory(tmp_path / "file" / "folder")

    memory.remember(HERE, FOUND, NOW)

    assert memory.recall(HERE, NOW) is None


def test_runs_at_the_same_moment_lose_nothing_of_each_other(tmp_path: Path) -> None:
    places = [HERE._replace(model=f"m{number}") for number in range(20)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda place: Memory(tmp_path).remember(place, FOUND, NOW), places))

    assert all(Memory(tmp_path).recall(place, NOW) == FOUND for place in places)
    assert {path.name for path in tmp_path.iterdir()} <= {"limits.json", "limits.json.lock"}


def test_the_oldest_are_forgotten(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    entry = {"kind": "rate", "per_minute": 60, "in_flight": 8}
    old = {f"place {number}": entry | {"found_at": NOW - number} for number in range(MOST_ENTRIES)}
    (tmp_path / "limits.json").write_bytes(orjson.dumps({"schema": 1, "limits": old}))

    memory.remember(HERE, FOUND, NOW)

    kept = orjson.loads((tmp_path / "limits.json").read_bytes())["limits"]
    assert len(kept) == MOST_ENTRIES
    assert f"place {MOST_ENTRIES - 1}" not in kept


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"XDG_CACHE_HOME": "/c", "HOME": "/h"}, "/c/batch-runner"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, "/h/.cache/batch-runner"),
        ({"HOME": "/h"}, "/h/.cache/batch-runner"),
    ],
)
def test_the_folder_is_the_users_cache(environment: dict[str, str], folder: str) -> None:
    assert cache_folder(environment) == Path(folder)
