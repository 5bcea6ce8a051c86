"""The races campaign in short; `make test-races` is the long form.

IRISX_TEST_SEED sets in which order pairs are taken, and so which are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from conftest import Cluster
from psycopg import Connection

from campaigns.load import CounterExample
from campaigns.races import Plan, orders, play_chunk

SEED = int(os.environ.get("IRISX_TEST_SEED", 1))


@pytest.fixture
def bare(cluster: Cluster) -> Iterator[str]:
    """Another database of the test's own, where billing is to be left out."""
    with cluster.database(cluster.migrated) as conninfo:
        yield conninfo


def test_every_order_of_two_scripts_is_there_once() -> None:
    assert sorted(orders([2, 1])) == [(0, 0, 1), (0, 1, 0), (1, 0, 0)]
    assert len(set(orders([3, 3]))) == 20
    assert len(set(orders([2, 2, 2]))) == 90


def test_pairs_of_transactions_are_billed_as_their_rows_deserve(
    database: str, bare: str, thorough: bool
) -> None:
    count = 250 if thorough else 50
    figures = play_chunk(database, bare, SEED, range(count))
    assert figures["interleavings"] == count
    assert figures["rows and resources judged"] > 2 * count


def test_random_transactions_are_billed_as_their_rows_deserve(
    database: str, bare: str, thorough: bool
) -> None:
    first, count = Plan(SEED).exhaustive, 100 if thorough else 20
    figures = play_chunk(database, bare, SEED, range(first, first + count))
    assert figures["interleavings"] == count


BROKEN = {
    "recording by hand does not wait for the row": (
        "find_recorded_row",
        " FOR NO KEY UPDATE",
        "",
        ("complete", "record by hand", "ringing"),
    ),
    "a row does not meet what was recorded by hand": (
        "claim_resource",
        "r.revision = 1",
        "false",
        ("insert", "record by hand", "absent"),
    ),
    "the trigger takes a lock that all share": (
        "record_first_charge",
        "BEGIN\n",
        "BEGIN PERFORM pg_advisory_xact_lock(1);\n",
        ("complete", "complete another call", "ringing"),
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_function_that_is_broken_is_found_out(
    database: str, bare: str, db: Connection, what: str
) -> None:
    """The campaign can fail, and says how to see it again."""
    name, right, wrong, (one, two, start) = BROKEN[what]
    (text,) = db.execute(
        "SELECT pg_get_functiondef(to_regproc(%s))", [f"billing.{name}"]
    ).fetchone() or [""]
    assert right in text
    numbers = Plan(1).numbers_of(one, two, start)
    assert len(numbers) == 3 * 20
    db.execute(text.replace(right, wrong, 1).encode())
    with pytest.raises(CounterExample, match="again with --seed 1 --first"):
        play_chunk(database, bare, 1, numbers)
