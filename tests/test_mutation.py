"""The mutation campaign can tell: a handful of mutants are noticed; the long form tries all."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from campaigns.mutants import list_mutants
from campaigns.mutation import Bench, equivalents
from campaigns.servers import homes
from pyapi.embedded import Server, installed, project

FIXED = (
    # Part of a mutant's name, the first that has it: what it does.
    "measure/measure_call.sql: WHERE p_direction = 'outbound'",
    "p_per, p_minimum_charge),: * -> +",
    "record/write_records.sql: INSERT INTO billing.usage_deltas",
    "record/record_difference.sql: AND o.channel = v_deserved.channel: o.channel",
)


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """On the newest PostgreSQL, or the one that --pg names first."""
    asked = request.config.getoption("--pg") or os.environ.get("IRISX_TEST_PG")
    major = int(asked.split(",")[0]) if asked else next(iter(installed()), None)
    if major is None:
        pytest.skip("needs a PostgreSQL of its own, and none is installed here")
    with homes(in_memory=True) as folder:
        bench = Bench(Server(folder / "mutation", major, fsync="off"))
        bench.prepare(["calls", "charge", "unrated", "summaries", "append_only", "near_rows"])
        yield bench


def test_every_mutant_differs_and_has_a_name_of_its_own() -> None:
    mutants = list_mutants(project() / "db" / "functions")
    assert len(mutants) > 1000
    assert len({mutant.name for mutant in mutants}) == len(mutants)
    assert len({mutant.sql for mutant in mutants}) > 0.99 * len(mutants)
    assert [m.name for m in mutants] == [
        m.name for m in list_mutants(project() / "db" / "functions")
    ]
    assert all(len(reason) > 10 for reason in equivalents().values())


def test_a_mutant_is_noticed_and_what_is_sound_is_not(bench: Bench) -> None:
    mutants = bench.list_mutants()
    noticed = {}
    for part in FIXED:
        mutant = next(mutant for mutant in mutants if part in mutant.name)
        noticed[mutant.name] = bench.judge(mutant, is_quick=True).by
    assert None not in noticed.values(), noticed
    assert "record_difference" in bench.calls["near_rows"]
    assert "record_difference" not in bench.calls["charge"]
    sound = next(mutant for mutant in mutants if mutant.name.startswith("rate/cost_per_unit"))
    text = (project() / "db" / "functions" / "rate" / "cost_per_unit.sql").read_text()
    assert bench.judge(type(sound)(sound.name, text, ""), is_quick=True).by is None


def test_a_file_that_fails_after_others_notices_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would notice every mutant: so the campaign ends where it does."""
    for stem in bench.expected:
        monkeypatch.setitem(bench.expected, stem, 10_000)
    bench.kills.clear()
    mutant = next(mutant for mutant in bench.list_mutants() if FIXED[1] in mutant.name)
    with pytest.raises(RuntimeError, match="without any mutant"):
        bench.judge(mutant, is_quick=True)
