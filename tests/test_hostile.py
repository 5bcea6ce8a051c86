"""Whatever the application writes, its write succeeds, and every row is accounted for.

Each row is recorded, or open in unrated_usage with its SQLSTATE, or not billable; verify() reports
those that are set aside and nothing else.
"""

from __future__ import annotations

import itertools
import random
from decimal import Decimal
from typing import Any

import pytest
from psycopg import Connection
from psycopg.types.json import Jsonb

from campaigns.bad_input import (
    COLUMNS,
    SANE,
    TENANT,
    assert_accounted_for,
    campaign,
)
from campaigns.load import CounterExample

pytestmark = pytest.mark.newest

DEEP = "[" * 1000 + "]" * 1000
LARGE: dict[str, dict[str, list[Any]]] = {
    "calls": {"metadata": [Jsonb({"blob": "x" * 5_000_000})], "to_number": ["9" * 500_000]},
    "messages": {
        "metadata": [Jsonb({"blob": "x" * 5_000_000})],
        "body": ["x" * 5_000_000],
        "recipients": [["a"] * 10_000],
    },
}
VALUES = {
    table: {name: [*values, *LARGE[table].get(name, [])] for name, values in columns.items()}
    for table, columns in COLUMNS.items()
}


@pytest.fixture(autouse=True)
def tenant(db: Connection) -> None:
    db.execute("INSERT INTO tenants (id, timezone) VALUES (%s, 'Pacific/Kiritimati')", [TENANT])


def insert(db: Connection, table: str, given: dict[str, Any]) -> int:
    names = ", ".join(given)
    marks = ", ".join(["%s"] * len(given))
    statement = f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING id"
    row = db.execute(statement.encode(), list(given.values())).fetchone()
    assert row
    return int(row[0])


def update(db: Connection, table: str, row_id: int, given: dict[str, Any]) -> None:
    changes = ", ".join(f"{name} = %s" for name in given)
    statement = f"UPDATE {table} SET {changes} WHERE id = %s"
    assert db.execute(statement.encode(), [*given.values(), row_id]).rowcount == 1


def test_the_bad_input_campaign_in_short(database: str, thorough: bool) -> None:
    """Rows, functions, names and commands; `make test-input` sends a million values."""
    counts = campaign(database, seed=1, values=6000 if thorough else 1000, size=60).counts
    assert counts["rows"] > 0
    assert counts["calls refused"] > 0
    assert counts["calls that answered"] > 0
    assert counts["tables with hostile names"] > 0
    assert counts["commands"] > 0


@pytest.mark.parametrize(
    ("breakage", "remark"),
    [
        (
            "DROP TRIGGER billing_meter_update ON calls",
            "not accounted for|deserved equals",
        ),
        (
            "CREATE OR REPLACE FUNCTION billing.problem_hint(p_problem text) RETURNS text"
            " LANGUAGE sql STABLE AS 'SELECT (1 / length(left(p_problem, 0)))::text'",
            "22012",
        ),
        (
            "CREATE OR REPLACE FUNCTION billing.hide_values(p_sqlstate text, p_message text)"
            " RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'PRIVATE' $$",
            "PRIVATE",
        ),
    ],
)
def test_the_campaign_finds_what_is_wrong(
    database: str, db: Connection, breakage: str, remark: str
) -> None:
    db.execute(breakage.encode())
    with pytest.raises(CounterExample, match=remark):
        campaign(database, seed=1, values=20_000, size=60)


@pytest.mark.parametrize("table", VALUES)
def test_one_hostile_value_in_a_billable_row(db: Connection, table: str) -> None:
    """Inserted so, updated to it, and mended again: then nothing is left over."""
    ids = []
    for name, values in VALUES[table].items():
        for value in values:
            row = SANE[table] | {name: value}
            ids.append(insert(db, table, row))
            row_id = insert(db, table, SANE[table])
            update(db, table, row_id, {name: value})
            ids.append(row_id)
    assert_accounted_for(db)
    db.execute("SELECT retry_unrated(100000)")
    assert_accounted_for(db)
    for row_id in ids:
        update(db, table, row_id, SANE[table])
    assert_accounted_for(db)
    assert db.execute("SELECT * FROM verify()").fetchall() == []


@pytest.mark.parametrize("table", VALUES)
def test_hostile_values_together(db: Connection, table: str) -> None:
    rng = random.Random(7)
    small = COLUMNS[table]
    ids = []
    for _ in range(300):
        row = {name: rng.choice(values) for name, values in small.items() if rng.random() < 0.7}
        for name in ("direction", "status"):
            if rng.random() < 0.6:
                row[name] = SANE[table][name]
        ids.append(insert(db, table, row))
    assert_accounted_for(db)
    for row_id in ids:
        names = rng.sample(sorted(small), 3)
        update(db, table, row_id, {name: rng.choice(small[name]) for name in names})
    assert_accounted_for(db)
    # All in one statement, in which most rows are worth something.
    given = {name: SANE[table][name] for name in ("direction", "status")}
    changes = ", ".join(f"{name} = '{value}'" for name, value in given.items())
    db.execute(f"UPDATE {table} SET {changes}".encode())
    assert_accounted_for(db)
    db.execute(f"UPDATE {table} SET tenant_id = {TENANT}".encode())
    assert_accounted_for(db)
    assert [row for row in db.execute("SELECT * FROM maintain()") if row[1] < 0] == []
    assert_accounted_for(db)


def test_metadata_a_thousand_levels_deep(db: Connection) -> None:
    row_id = insert(db, "calls", SANE["calls"] | {"metadata": DEEP})
    update(db, "calls", row_id, {"metadata": DEEP.replace("[]", '[{"to": "1"}]')})
    update(db, "calls", row_id, {"duration_seconds": 61})
    assert_accounted_for(db)
    assert db.execute("SELECT * FROM verify()").fetchall() == []


def test_a_statement_of_which_one_row_is_hostile(db: Connection) -> None:
    """The others are recorded as if it were not there, in small and in large statements."""
    for size, (name, value) in itertools.product(
        (2, 8, 9, 500),
        [("tenant_id", None), ("tenant_id", 404), ("duration_seconds", Decimal("NaN")),
         ("answered_at", "infinity"), ("answered_at", "294276-12-31 23:59:59+00")],
    ):  # fmt: skip
        ids = [insert(db, "calls", SANE["calls"] | {"status": "ringing"}) for _ in range(size)]
        bad = ids[size // 2]
        update(db, "calls", bad, {name: value})
        db.execute("UPDATE calls SET status = 'completed' WHERE id = ANY(%s)", [ids])
        counted = db.execute(
            """
            SELECT (SELECT count(*) FROM usage_records
                     WHERE source_table = 'calls' AND source_id = ANY(%(ids)s)),
                   (SELECT array_agg(source_id) FROM unrated_usage WHERE source_id = ANY(%(ids)s))
            """,
            {"ids": ids},
        ).fetchone()
        assert counted == (size - 1, [bad]), (size, name, value)
    assert_accounted_for(db)


def test_a_month_that_was_detached_is_set_aside(db: Connection) -> None:
    this_month = {"initiated_at": "now"}
    row_id = insert(db, "calls", SANE["calls"] | this_month)
    db.execute("SELECT detach_month(usage_date) FROM usage_records WHERE source_id = %s", [row_id])
    update(db, "calls", row_id, {"duration_seconds": 61})
    late = insert(db, "calls", SANE["calls"] | this_month)
    states = db.execute("SELECT source_id, sqlstate FROM unrated_usage ORDER BY 1").fetchall()
    assert states == [(row_id, "UB006"), (late, "UB006")]
    db.execute("SELECT attach_month(month) FROM detached_months")
    db.execute("SELECT retry_unrated(10)")
    assert db.execute("SELECT * FROM verify()").fetchall() == []
    assert_accounted_for(db)


def test_a_trigger_of_the_application_that_changes_the_row_again(db: Connection) -> None:
    """Its update runs inside ours to come: what counts is how the row ends up."""
    db.execute(
        """
        CREATE FUNCTION public.settle_call() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE public.calls SET billable_seconds = 30, answered_at = '2026-03-01', tenant_id = 2
             WHERE id = NEW.id;
            RETURN NULL;
        END $$;
        CREATE TRIGGER a_settle_call AFTER INSERT OR UPDATE OF status ON public.calls FOR EACH ROW
        WHEN (NEW.status = 'completed') EXECUTE FUNCTION public.settle_call();
        INSERT INTO tenants (id) VALUES (2);
        """
    )
    row_id = insert(db, "calls", SANE["calls"] | {"status": "ringing"})
    update(db, "calls", row_id, {"status": "completed"})
    insert(db, "calls", SANE["calls"])
    assert_accounted_for(db)
    net = """
        SELECT tenant_id, usage_date::text, sum(seconds) FROM usage_records GROUP BY 1, 2
        HAVING sum(seconds) <> 0
        """
    assert db.execute(net).fetchall() == [(2, "2026-03-01", 60)]
    assert db.execute("SELECT * FROM verify()").fetchall() == []
