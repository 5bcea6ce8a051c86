"""Random histories of a few rows: whatever happened to a row, it nets to what it deserves.

IRISX_TEST_HISTORIES sets how many; IRISX_TEST_SEED replays the one that a failure names.
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import psycopg
import pytest
from psycopg import Connection
from psycopg.types.json import Jsonb

from campaigns import oracle

ISOLATIONS = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]
STATUSES = {
    "calls": ["ringing", "completed", "completed", "completed", "failed", "no-answer"],
    "messages": ["queued", "sent", "delivered", "read", "clicked", "failed"],
}
SIDS = {"calls": "call_sid", "messages": "message_sid"}
NUMBERS = [
    "+12025550123",
    "+447911123456",
    "+44 20 7946 0018",
    "442079460018",
    "+919852473369",
    None,
]


class History:
    """A few rows of two tenants, and what the model must remember beside what the tables say."""

    def __init__(self, db: Connection, number: int, seed: int) -> None:
        self.db = db
        self.rng = random.Random(seed)
        self.base = number * 1_000
        self.tenants = [self.base + 1, self.base + 2]
        self.ids = {
            "calls": range(self.base, self.base + 4),
            "messages": range(self.base, self.base + 3),
        }
        self.started = self.now()
        self.terms: dict[int, list[oracle.Terms]] = {}
        self.last: dict[tuple[str, int], oracle.Usage | None] = {}
        """What the rows that were deleted deserved last."""
        self.by_hand: dict[tuple[str, int], set[Decimal]] = {}
        """Rows that were also recorded by hand, and with how much: their sid and tenant stay."""
        self.log: list[str] = []
        self.sids = itertools.count()
        for tenant_id in self.tenants:
            terms = oracle.Terms(
                self.rng.choice((1, 2, 3, None)),
                self.rng.choice(("UTC", "Asia/Kolkata", "America/New_York", "Pacific/Kiritimati")),
            )
            self.run(
                "INSERT INTO tenants (id, plan_id, timezone) VALUES (%s, %s, %s)",
                [tenant_id, terms.plan_id, terms.timezone],
            )
            self.terms[tenant_id] = [terms]

    def run(self, statement: str, values: list[Any] | None = None) -> list[Any]:
        self.log.append(f"{statement} -- {values}")
        cursor = self.db.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []

    def now(self) -> dt.datetime:
        row = self.db.execute("SELECT clock_timestamp()").fetchone()
        assert row
        return row[0]  # type: ignore[no-any-return]

    # The acts of a history

    def columns(self, table: str, key: tuple[str, int]) -> dict[str, Any]:
        """Some random new values."""
        rng = self.rng
        at = self.started + dt.timedelta(days=rng.randint(-70, -2), seconds=rng.randint(0, 86400))
        values: dict[str, Callable[[], Any]] = {
            "status": lambda: rng.choice(STATUSES[table]),
            "direction": lambda: rng.choice(("outbound", "outbound", "outbound", "inbound")),
        }
        if key not in self.by_hand:
            values["tenant_id"] = lambda: rng.choice(self.tenants)
            values[SIDS[table]] = lambda: rng.choice((None, f"{self.base}-{next(self.sids)}"))
        if table == "calls":
            values |= {
                "to_number": lambda: rng.choice(NUMBERS),
                "answered_at": lambda: rng.choice((at, None)),
                "initiated_at": lambda: at,
                "duration_seconds": lambda: rng.choice(
                    (None, 0, 1, 59, 60, 61, Decimal("20.6"), 315)
                ),
                "billable_seconds": lambda: rng.choice((None, None, None, 30, 61)),
            }
        else:
            values |= {
                "channel": lambda: rng.choice(("sms", "email", "whatsapp", "social")),
                "to_address": lambda: rng.choice((*NUMBERS, "a@example.org")),
                "recipients": lambda: rng.choice((None, [], ["a@example.org", "b@example.org"])),
                "media_urls": lambda: Jsonb(rng.choice(([], ["https://example.org/a.png"]))),
                "sent_at": lambda: at,
            }
        names = rng.sample(sorted(values), rng.randint(1, 3))
        if rng.random() < 0.5:
            names = sorted({*names, "status"})
        return {name: values[name]() for name in names}

    def pick(self) -> tuple[str, int]:
        table = self.rng.choice(("calls", "calls", "messages"))
        return table, self.rng.choice(self.ids[table])

    def insert(self, on_conflict: bool = False) -> None:
        table, row_id = key = self.pick()
        given = self.columns(table, key)
        if key in self.by_hand:
            given[SIDS[table]] = f"{self.base}-hand-{table}-{row_id}"
        given = {"tenant_id": self.tenants[0], **given}
        if self.last.get(key):
            # One restored in a state that deserves nothing: see the test below.
            given |= {"direction": "outbound", "status": STATUSES[table][1]}
            if table == "calls":
                given |= {"duration_seconds": self.rng.choice((42, 60)), "billable_seconds": None}
        names = ", ".join(given)
        marks = ", ".join(["%s"] * len(given))
        changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in given)
        action = f"UPDATE SET {changes}" if on_conflict else "NOTHING"
        inserted = self.run(
            f"INSERT INTO {table} (id, {names}) VALUES (%s, {marks}) "
            f"ON CONFLICT (id) DO {action} RETURNING id",
            [row_id, *given.values()],
        )
        if inserted:
            self.last.pop(key, None)

    def upsert(self) -> None:
        self.insert(on_conflict=True)

    def update(self) -> None:
        table, row_id = key = self.pick()
        given = self.columns(table, key)
        changes = ", ".join(f"{name} = %s" for name in given)
        self.run(f"UPDATE {table} SET {changes} WHERE id = %s", [*given.values(), row_id])

    def update_all(self) -> None:
        """One statement for all rows, of which some change."""
        table = self.rng.choice(list(self.ids))
        self.run(
            f"UPDATE {table} SET status = %s, updated_at = now() WHERE id = ANY(%s)",
            [self.rng.choice(STATUSES[table]), list(self.ids[table])],
        )

    def merge(self) -> None:
        first, second = self.rng.sample(self.ids["calls"], 2)
        deleted = self.deserved("calls", first)
        there = {row["id"] for row in self.rows("calls")}
        self.run(
            """
            MERGE INTO calls AS c
            USING (VALUES (%s::bigint, 'gone', 0), (%s, 'completed', 42)) AS v (id, status, seconds)
               ON c.id = v.id
             WHEN MATCHED AND v.status = 'gone' THEN DELETE
             WHEN MATCHED THEN UPDATE SET status = v.status, duration_seconds = v.seconds
             WHEN NOT MATCHED AND v.status <> 'gone' THEN
                  INSERT (id, tenant_id, status, duration_seconds)
                  VALUES (v.id, %s, v.status, v.seconds)
            """,
            [first, second, self.tenants[0]],
        )
        if first in there:
            self.last["calls", first] = deleted
        self.last.pop(("calls", second), None)

    def delete(self) -> None:
        table, row_id = key = self.pick()
        usage = self.deserved(table, row_id)
        if self.run(f"DELETE FROM {table} WHERE id = %s RETURNING id", [row_id]):
            self.last[key] = usage

    def record_row(self) -> None:
        table, row_id = self.pick()
        name = "record_call_usage" if table == "calls" else "record_message_usage"
        self.run(f"SELECT {name}(id) FROM {table} WHERE id = %s", [row_id])

    def record_by_hand(self) -> None:
        row_id = self.rng.choice(self.ids["calls"])
        key = ("calls", row_id)
        sid = f"{self.base}-hand-calls-{row_id}"
        if key not in self.by_hand:
            there = self.run("SELECT tenant_id FROM calls WHERE id = %s", [row_id])
            if not there:
                return
            # From now on the row is this tenant's and has this sid.
            self.run(
                "UPDATE calls SET call_sid = %s, tenant_id = %s WHERE id = %s",
                [sid, self.tenants[0], row_id],
            )
            self.by_hand[key] = set()
        minutes = self.rng.choice((Decimal(1), Decimal("5.25"), Decimal("0.5")))
        self.run("SAVEPOINT by_hand")
        try:
            self.run(
                "SELECT record_usage(%s, 'voice', 'minute', %s, %s, '{}', %s)",
                [self.tenants[0], sid, minutes, self.started],
            )
            self.by_hand[key] = self.by_hand[key] | {minutes * 60}
        except psycopg.Error as error:
            if error.sqlstate != "UB004":
                raise
            self.run("ROLLBACK TO by_hand")

    def backfill(self) -> None:
        today = self.started.date()
        self.run(
            "SELECT backfill_usage(%s, %s)",
            [today - dt.timedelta(self.rng.randint(0, 80)), today + dt.timedelta(3)],
        )

    def change_plan(self) -> None:
        tenant_id = self.rng.choice(self.tenants)
        plan_id = self.rng.choice((1, 2, 3, 4, None))
        [(at, used)] = self.run(
            "SELECT now(), EXISTS (SELECT FROM usage_records WHERE tenant_id = %s)", [tenant_id]
        )
        held = self.terms[tenant_id]
        if held[-1].plan_id == plan_id:
            return
        self.run("UPDATE tenants SET plan_id = %s WHERE id = %s", [plan_id, tenant_id])
        # Before anything was billed, a change only sets the tenant up.
        terms = oracle.Terms(plan_id, held[-1].timezone, since=at if used else None)
        self.terms[tenant_id] = [*held, terms] if used else [terms]

    def new_price(self) -> None:
        """A price of the tenant's own, from now on; the old one ends."""
        tenant_id = self.rng.choice(self.tenants)
        prefix = self.rng.choice(("", "44", "4420"))
        self.run(
            """
            UPDATE pricing_rates SET effective_until = now()
             WHERE tenant_id = %s AND prefix = %s AND effective_until IS NULL
               AND effective_from < now()
            """,
            [tenant_id, prefix],
        )
        self.run(
            """
            INSERT INTO pricing_rates (tenant_id, channel, resource_type, prefix, unit_price,
                initial_increment, billing_increment, effective_from)
            SELECT %s, 'voice', 'minute', %s, %s, %s, %s, now()
             WHERE NOT EXISTS (SELECT FROM pricing_rates WHERE tenant_id = %s AND prefix = %s
                                AND effective_until IS NULL)
            """,
            [
                tenant_id,
                prefix,
                Decimal(self.rng.randint(1, 9999)).scaleb(-5),
                self.rng.choice((1, 30)),
                self.rng.choice((1, 6)),
                tenant_id,
                prefix,
            ],
        )

    def merge_summaries(self) -> None:
        self.run("SELECT merge_summaries(%s)", [self.rng.choice((1, 3, 1000))])

    def play(self, isolation: str) -> None:
        acts: list[Callable[[], None]] = [
            *[self.update] * 8, *[self.insert] * 4, *[self.upsert] * 3, self.update_all, self.merge,
            self.delete, self.record_row, self.record_by_hand, self.backfill, self.merge_summaries,
        ]  # fmt: skip
        # These hold from the transaction's beginning, so nothing is recorded in it before them.
        openings = [self.change_plan, self.new_price]
        for _ in range(self.rng.randint(3, 8)):
            self.run(f"BEGIN ISOLATION LEVEL {isolation}")
            whole = self.remember()
            for number in range(self.rng.randint(1, 5)):
                part = self.remember()
                self.run("SAVEPOINT act")
                is_opening = number == 0 and self.rng.random() < 0.2
                self.rng.choice(openings if is_opening else acts)()
                if self.rng.random() < 0.15:
                    self.run("ROLLBACK TO act")
                    self.forget(part)
            if self.rng.random() < 0.1:
                self.run("ROLLBACK")
                self.forget(whole)
            else:
                self.run("COMMIT")

    def remember(self) -> tuple[Any, ...]:
        return dict(self.terms), dict(self.last), dict(self.by_hand)

    def forget(self, state: tuple[Any, ...]) -> None:
        self.terms, self.last, self.by_hand = state

    # What must be true afterwards

    def rows(self, table: str) -> list[dict[str, Any]]:
        ids = ", ".join(map(str, self.ids[table]))
        return oracle.read_rows(self.db, table, f"id IN ({ids})")

    def deserved(self, table: str, row_id: int) -> oracle.Usage | None:
        row = next((row for row in self.rows(table) if row["id"] == row_id), None)
        return oracle.DESERVED[table](row) if row else None

    def check(self) -> None:
        prices = oracle.Prices(oracle.read_rates(self.db), self.terms)
        deserved = dict(self.last)
        for table in self.ids:
            for row in self.rows(table):
                deserved[table, row["id"]] = oracle.DESERVED[table](row)
        recorded = self.recorded()
        for key, usage in deserved.items():
            records = recorded.pop(key, [])
            standing = net(records)
            if usage is None:
                if standing and key in self.by_hand:
                    [(tenant_id, _, _, _, amount, *_)] = standing
                    assert (tenant_id, amount in self.by_hand[key]) == (self.tenants[0], True)
                else:
                    assert not standing, key
                continue
            assert len(standing) == 1, (key, usage, standing)
            [entry] = standing
            by_hand = entry[-1]
            at = usage.occurred_at or entry[-2]
            if by_hand:
                assert (entry[0], entry[4]) == (usage.tenant_id, usage.amount), (key, usage, entry)
                continue
            assert usage.occurred_at or self.started <= at <= self.now()
            charge = prices.charge(usage, at)
            assert charge is not None, (key, usage)
            expected = (
                charge.tenant_id, charge.channel, charge.resource_type, charge.rate_id,
                charge.amount, charge.cost, charge.usage_date,
            )  # fmt: skip
            assert entry[:7] == expected, (key, usage, entry, expected)
        assert not any(map(net, recorded.values())), recorded
        self.check_summaries()

    def recorded(self) -> dict[tuple[str, int], list[tuple[Any, ...]]]:
        """The records of each row, those made by hand with the row of their sid."""
        recorded = defaultdict(list)
        for table, row_id, resource_id, *rest in self.db.execute(
            """
            SELECT source_table, source_id, resource_id, tenant_id, channel, resource_type, rate_id,
                   COALESCE(seconds, quantity), total_cost, usage_date, occurred_at, kind
              FROM usage_records WHERE tenant_id = ANY(%s)
            """,
            [self.tenants],
        ):
            by_hand = table is None
            key = ("calls", int(resource_id.rpartition("-")[2])) if by_hand else (table, row_id)
            recorded[key].append((*rest, by_hand))
        return recorded

    def check_summaries(self) -> None:
        sums = self.db.execute(
            """
            SELECT tenant_id, usage_date, channel, resource_type, sum(quantity), sum(total_cost),
                   sum(CASE kind WHEN 'charge' THEN 1 ELSE -1 END)
              FROM usage_records WHERE tenant_id = ANY(%s) GROUP BY 1, 2, 3, 4
            """,
            [self.tenants],
        ).fetchall()
        summaries = self.db.execute(
            """
            SELECT tenant_id, summary_date, channel, resource_type, total_quantity, total_cost,
                   record_count
              FROM usage_summaries WHERE tenant_id = ANY(%s)
            """,
            [self.tenants],
        ).fetchall()
        assert sorted(summaries) == sorted(sums)


def net(records: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The charges that no reversal takes back, each as it was recorded."""
    standing: Counter[tuple[Any, ...]] = Counter()
    for *figures, amount, cost, day, at, kind, by_hand in records:
        sign = 1 if kind == "charge" else -1
        entry = (*figures, Fraction(sign * amount), sign * cost, day, at, by_hand)
        standing[entry] += sign
    return [entry for entry, count in standing.items() for _ in range(abs(count))]


@pytest.mark.parametrize("status", ["ringing", "failed"])
def test_a_row_restored_in_a_state_that_deserves_nothing_is_found_and_mended(
    db: Connection, status: str
) -> None:
    db.execute("INSERT INTO tenants (id) VALUES (1)")
    insert = "INSERT INTO calls (id, tenant_id, status, duration_seconds) VALUES (1, 1, %s, 60)"
    db.execute(insert, ["completed"])
    db.execute("DELETE FROM calls")
    db.execute(insert, [status])
    # What was deleted stays billed, and an INSERT that is worth nothing looks nothing up.
    names = [name for (name, _, _) in db.execute("SELECT * FROM verify()").fetchall()]
    assert names == ["deserved equals recorded"]
    db.execute("SELECT record_call_usage(1)")
    assert db.execute("SELECT sum(total_cost) FROM usage_records").fetchone() == (0,)
    assert db.execute("SELECT * FROM verify()").fetchall() == []


def test_a_new_sid_after_a_call_was_recorded_by_hand(db: Connection) -> None:
    """By whatever way it is looked at again, the row is billed once."""
    db.execute("INSERT INTO tenants (id) VALUES (1)")
    db.execute("SELECT record_usage(1, 'voice', 'minute', 'CA1', 1, '{}', '2026-05-01')")
    db.execute(
        "INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds)"
        " VALUES (1, 1, 'CA1', 'completed', '2026-05-01', 60)"
    )
    db.execute("UPDATE calls SET call_sid = 'CA2'")
    before = db.execute("SELECT sum(seconds) FROM usage_records").fetchone()
    db.execute("SELECT record_call_usage(1)")
    assert db.execute("SELECT sum(seconds) FROM usage_records").fetchone() == before


def test_rows_net_to_what_they_deserve(db: Connection, thorough: bool) -> None:
    count = int(os.environ.get("IRISX_TEST_HISTORIES", 300 if thorough else 60))
    seeds = range(count)
    if "IRISX_TEST_SEED" in os.environ:
        seeds = range(int(os.environ["IRISX_TEST_SEED"]), int(os.environ["IRISX_TEST_SEED"]) + 1)
    for number, seed in enumerate(seeds, 1):
        isolation = ISOLATIONS[seed % 3]
        history = History(db, number, seed)
        try:
            history.play(isolation)
            history.check()
            assert db.execute("SELECT * FROM verify()").fetchall() == []
        except (AssertionError, psycopg.Error) as error:
            told = "\n".join(" ".join(line.split()) for line in history.log)
            pytest.fail(f"IRISX_TEST_SEED={seed} ({isolation})\n{told}\n{error!r}", pytrace=False)
