"""The move campaign in short, on the newest PostgreSQL; `make test-move` goes between them all."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from campaigns.load import CounterExample
from campaigns.move_house import Move, attempt, compare, list_moves
from campaigns.servers import homes
from pyapi.embedded import installed

NAMES = [move.name.partition(": ")[2] for move in list_moves([0])]
"""Of every move within one PostgreSQL."""


@pytest.fixture
def moves(request: pytest.FixtureRequest) -> dict[str, Move]:
    """Those within the newest PostgreSQL, or within the one that --pg names first."""
    asked = request.config.getoption("--pg") or os.environ.get("IRISX_TEST_PG")
    major = int(asked.split(",")[0]) if asked else next(iter(installed()), None)
    if major is None:
        pytest.skip("needs PostgreSQL servers of its own, and none is installed here")
    return dict(zip(NAMES, list_moves([major]), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_move_changes_no_figure_and_billing_goes_on(moves: dict[str, Move], name: str) -> None:
    with homes() as place:
        outcome = attempt(moves[name], place, random.Random(1))
    if outcome.result.startswith("skipped: "):
        pytest.skip(outcome.result)
    assert not outcome.is_failure, outcome.result


def test_a_move_that_raises_is_a_failure(tmp_path: Path) -> None:
    def lose(place: Path, rng: random.Random) -> None:
        compare({"table calls": ["(1)", "(2)"]}, {"table calls": ["(1)"]})

    outcome = attempt(Move("to nowhere", lose), tmp_path, random.Random(1))
    assert outcome.is_failure
    assert "table calls differs" in outcome.result


@pytest.mark.parametrize("after", [{}, {"a": []}, {"a": ["1", "1"]}, {"a": ["1"], "b": ["2"]}])
def test_what_is_lost_doubled_or_added_is_a_difference(after: dict[str, list[str]]) -> None:
    with pytest.raises(CounterExample):
        compare({"a": ["1"]}, after)
