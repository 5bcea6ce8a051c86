"""Random histories of a few rows: what an application, and people in a hurry, may do to them.

A history is text: it is made without asking the database anything, so that the same seed gives the
same statements, and a transaction travels as one message.
"""

from __future__ import annotations

import datetime as dt
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import psycopg

Connection = psycopg.Connection[tuple[object, ...]]

WIDTH = 100
"""Ids of tenants, and of each table's rows, that a history has for its own."""
FIRST_DAY = dt.datetime(2026, 1, 20, tzinfo=dt.timezone.utc)
DAYS = 70
"""Usage occurs on these days (with months to end, and clocks to be put forward), or just now."""

ISOLATIONS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
# Values are literals that SQL and COPY both read.
NUMBERS = (
    "'+12025550123'", "'+447911123456'", "'+44 20 7946 0018'", "'442079460018'", "'+919852473369'",
    "NULL",
)  # fmt: skip
SECONDS = ("NULL", "0", "1", "59", "60", "61", "20.6", "315", "3600.000001")
HOSTILE_SECONDS = ("'NaN'", "-1", "1e9", "'Infinity'")
ZONES = ("UTC", "Asia/Kolkata", "America/New_York", "Pacific/Kiritimati")
STATUSES = {
    "calls": ("'ringing'", "'completed'", "'completed'", "'completed'", "'failed'", "'no-answer'"),
    "messages": ("'queued'", "'sent'", "'delivered'", "'read'", "'clicked'", "'failed'"),
}
SIDS = {"calls": "call_sid", "messages": "message_sid"}


PARTITIONED = """
SELECT billing.unmeter_table('public.calls');
ALTER TABLE public.calls RENAME TO calls_in_one;
CREATE TABLE public.calls (LIKE public.calls_in_one INCLUDING DEFAULTS INCLUDING IDENTITY)
    PARTITION BY LIST (direction);
CREATE TABLE public.calls_outbound PARTITION OF public.calls FOR VALUES IN ('outbound');
CREATE TABLE public.calls_other PARTITION OF public.calls DEFAULT;
CREATE INDEX ON public.calls (id);
DROP TABLE public.calls_in_one;
SELECT billing.meter_table('public.calls', 'billing.measure_call', 'call_sid');
"""
"""Calls in partitions, between which they move."""
INTERFERING = """
CREATE FUNCTION public.settle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE public.calls SET billable_seconds = 30, answered_at = '2026-02-28 23:30+00'
     WHERE id = NEW.id AND billable_seconds IS NULL AND id % 3 = 1;
    RETURN NULL;
END $$;
CREATE TRIGGER settle AFTER INSERT OR UPDATE OF status ON public.calls
    FOR EACH ROW WHEN (NEW.status = 'completed') EXECUTE FUNCTION public.settle();
CREATE FUNCTION public.answer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = 'no-answer' AND NEW.duration_seconds > 60 THEN
        NEW.status := 'completed';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER answer BEFORE INSERT OR UPDATE ON public.calls
    FOR EACH ROW EXECUTE FUNCTION public.answer();
"""
"""Triggers of the application's own, which change a row before and after we have seen it."""


@dataclass(frozen=True)
class Copy:
    """COPY, whose rows travel apart from its statement."""

    statement: str
    lines: str

    def __str__(self) -> str:
        return f"{self.statement};\n{self.lines}\\."


Statement = str | Copy


@dataclass(frozen=True)
class Transaction:
    statements: tuple[Statement, ...]
    begins: bool
    """Whether it must be a message of its own, so that prices from now on are later than all."""

    def play(self, connection: Connection) -> None:
        for is_copy, group in itertools.groupby(self.statements, lambda s: isinstance(s, Copy)):
            if not is_copy:
                connection.execute(";\n".join(map(str, group)).encode())
                continue
            for copy in group:
                assert isinstance(copy, Copy)
                with connection.cursor().copy(copy.statement.encode()) as stream:
                    stream.write(copy.lines)

    def __str__(self) -> str:
        return "\n".join(f"{' '.join(s.split())};" if isinstance(s, str) else str(s)
                         for s in self.statements)  # fmt: skip


class History:
    """The transactions of a few rows of two tenants, and of a third that comes late."""

    def __init__(self, rng: random.Random, number: int, *, is_partitioned: bool = False) -> None:
        """is_partitioned: calls has no unique id to conflict on."""
        self.rng = rng
        self.is_partitioned = is_partitioned
        self.base = number * WIDTH
        self.tenants = (self.base + 1, self.base + 2)
        self.late = self.base + 3
        # More than eight charges in a statement are recorded as a set.
        wide = 16 if rng.random() < 0.25 else 4
        self.ids = {
            "calls": list(range(self.base, self.base + wide)),
            "messages": list(range(self.base, self.base + wide - 1)),
        }
        self.fresh = iter(range(self.base + 20, self.base + WIDTH))
        self.sids = itertools.count()
        # These are also recorded by hand: their tenant, sid and channel stay.
        self.by_hand = {
            (table, ids[-1]) for table, ids in self.ids.items() if rng.random() < 0.4
        }  # fmt: skip

    def transactions(self) -> Iterator[Transaction]:
        yield Transaction(tuple(self._set_up()), begins=False)
        for _ in range(self.rng.randint(3, 8)):
            yield self._transaction()

    def _transaction(self) -> Transaction:
        rng = self.rng
        statements: list[Statement] = [f"BEGIN ISOLATION LEVEL {rng.choice(ISOLATIONS)}"]
        begins = False
        for number in range(rng.randint(1, 5)):
            # What holds from the transaction's beginning comes before all that is recorded in it.
            is_opening = number == 0 and rng.random() < 0.2
            begins = begins or is_opening
            act = rng.choice(OPENINGS if is_opening else ACTS)
            end = rng.random()
            if end < 0.15:
                statements += ["SAVEPOINT act", *act(self), "ROLLBACK TO act"]
            elif end < 0.3:
                statements += ["SAVEPOINT act", *act(self), "RELEASE act"]
            elif end < 0.5:
                statements += ["SAVEPOINT act", *act(self)]
            else:
                statements += act(self)
        statements.append("ROLLBACK" if rng.random() < 0.1 else "COMMIT")
        return Transaction(tuple(statements), begins)

    # Before anything happens

    def _set_up(self) -> Iterator[str]:
        rng = self.rng
        for tenant_id in self.tenants:
            yield self._add_tenant(tenant_id)
        # Prices that changed while the usage occurred.
        for _ in range(rng.choice((0, 0, 1, 3))):
            tenant_id, prefix = rng.choice(self.tenants), rng.choice(("", "44", "4420", "91"))
            since = FIRST_DAY + dt.timedelta(rng.randint(-5, DAYS), rng.randint(0, 86400))
            until = since + dt.timedelta(rng.randint(1, 30), rng.randint(0, 86400))
            yield f"""
                INSERT INTO billing.pricing_rates (tenant_id, channel, resource_type, prefix,
                    unit_price, initial_increment, billing_increment, connection_fee,
                    minimum_charge, effective_from, effective_until)
                SELECT {tenant_id}, 'voice', 'minute', '{prefix}', {self._price()},
                    {rng.choice((0, 1, 30))}, {rng.choice((0, 1, 6))}, {rng.choice((0, 0.01))},
                    {rng.choice((0, 0.05))}, '{since}', {rng.choice((f"'{until}'", "NULL"))}
                 WHERE NOT EXISTS (SELECT FROM billing.pricing_rates
                                    WHERE tenant_id = {tenant_id} AND prefix = '{prefix}')
                """
        for table, ids in self.ids.items():
            for row_id in rng.sample(ids, len(ids) // 2):
                yield insertion(table, self._new_row(table, row_id))

    def _add_tenant(self, tenant_id: int) -> str:
        rng = self.rng
        plan, zone = rng.choice(("1", "2", "3", "NULL")), rng.choice(ZONES)
        # In another currency nothing has a price but what the tenant's own card has.
        currency = "EUR" if rng.random() < 0.05 else "USD"
        return f"""
            INSERT INTO public.tenants (id, plan_id, timezone, currency)
            VALUES ({tenant_id}, {plan}, '{zone}', '{currency}') ON CONFLICT DO NOTHING
            """

    def _price(self) -> str:
        return f"{self.rng.randint(1, 99999) / 100000:.5f}"

    # The acts of a history

    def _pick(self) -> tuple[str, int]:
        table = self.rng.choice(("calls", "calls", "messages"))
        return table, self.rng.choice(self.ids[table])

    def _columns(self, table: str, row_id: int) -> dict[str, str]:
        """Some random new values."""
        rng = self.rng
        values = CALL_VALUES if table == "calls" else MESSAGE_VALUES
        names = set(rng.sample(values, rng.randint(1, 3)))
        if rng.random() < 0.5:
            names.add("status")
        if (table, row_id) in self.by_hand:
            names -= {"tenant_id", SIDS[table], "channel", "media_urls"}
            names |= {"status"}
        return {name: self._value(table, name) for name in sorted(names)}

    def _value(self, table: str, name: str) -> str:
        rng = self.rng
        if name == "status":
            return rng.choice(STATUSES[table])
        if name == "direction":
            return rng.choice(("'outbound'", "'outbound'", "'outbound'", "'inbound'"))
        if name == "tenant_id":
            return str(rng.choice(self.tenants) if rng.random() < 0.97 else self.late)
        if name in ("call_sid", "message_sid"):
            return rng.choice(("NULL", f"'{self.base}-{next(self.sids)}'"))
        if name in ("to_number", "to_address"):
            return rng.choice((*NUMBERS, "'a@example.org'") if table == "messages" else NUMBERS)
        if name == "duration_seconds":
            return rng.choice(SECONDS if rng.random() < 0.97 else HOSTILE_SECONDS)
        if name == "billable_seconds":
            return rng.choice(("NULL", "NULL", "NULL", "30", "61"))
        if name == "channel":
            return rng.choice(("'sms'", "'email'", "'whatsapp'", "'social'", "'fax'"))
        if name == "recipients":
            return rng.choice(("NULL", "'{}'", "'{a@example.org,b@example.org}'"))
        if name == "media_urls":
            return rng.choice(("'[]'", "'[\"https://example.org/a.png\"]'"))
        assert name in ("answered_at", "initiated_at", "sent_at", "delivered_at"), name
        kind = rng.random()
        if kind < 0.1:
            return "NULL"
        if kind < 0.15:
            return "'now'"
        return f"'{FIRST_DAY + dt.timedelta(rng.randint(0, DAYS), rng.randint(0, 86400))}'"

    def _value_in_bulk(self, table: str, name: str) -> str:
        """Most are finished, so that there is a set to be recorded."""
        if name == "status" and self.rng.random() < 0.7:
            return STATUSES[table][1]
        if name == "duration_seconds" and self.rng.random() < 0.7:
            return self.rng.choice(SECONDS[2:])
        return self._value(table, name)

    def _new_row(self, table: str, row_id: int) -> dict[str, str]:
        given = {"tenant_id": str(self.tenants[0]), **self._columns(table, row_id)}
        if table == "calls":
            given = {"initiated_at": self._value(table, "initiated_at"), **given}
        if (table, row_id) in self.by_hand:
            given |= {SIDS[table]: f"'{self._hand_sid(table)}'"}
        return {"id": str(row_id), **given}

    def _hand_sid(self, table: str) -> str:
        return f"{self.base}-hand-{table}"

    def insert(self) -> list[Statement]:
        table, row_id = self._pick()
        return [self._put(table, self._new_row(table, row_id))]

    def upsert(self) -> list[Statement]:
        table, row_id = self._pick()
        given = self._new_row(table, row_id)
        return [self._put(table, given, changed=[name for name in given if name != "id"])]

    def insert_many(self) -> list[Statement]:
        """Rows that are there and rows that are not; not those recorded by hand."""
        table = self.rng.choice(("calls", "calls", "messages"))
        names = ("tenant_id", "status", *(
            ("to_number", "initiated_at", "duration_seconds")
            if table == "calls" else ("channel", "to_address", "sent_at")
        ))  # fmt: skip
        rows = [
            {"id": str(row_id)} | {name: self._value_in_bulk(table, name) for name in names}
            for row_id in self.ids[table]
            if (table, row_id) not in self.by_hand
        ]
        changed = self.rng.choice(((), ("status",)))
        if table == "calls" and self.is_partitioned:
            return [self._put(table, row, changed) for row in rows]
        values = ", ".join(f"({', '.join(row.values())})" for row in rows)
        return [
            f"INSERT INTO {table} (id, {', '.join(names)}) VALUES {values} {_on_conflict(changed)}"
        ]

    def _put(self, table: str, given: dict[str, str], changed: Sequence[str] = ()) -> str:
        """Insert a row unless it is there, or change it then."""
        if table == "messages" or not self.is_partitioned:
            return f"{insertion(table, given)} {_on_conflict(changed)}"
        changes = ", ".join(f"{name} = {given[name]}" for name in changed)
        return f"""
            MERGE INTO {table} AS c USING (SELECT) AS nothing ON c.id = {given["id"]}
             WHEN MATCHED THEN {f"UPDATE SET {changes}" if changed else "DO NOTHING"}
             WHEN NOT MATCHED THEN
                  INSERT ({", ".join(given)}) VALUES ({", ".join(given.values())})
            """

    def copy(self) -> list[Statement]:
        """Rows of a switch's file, under new ids."""
        table = self.rng.choice(("calls", "messages"))
        ids = list(itertools.islice(self.fresh, self.rng.choice((1, 2, 12))))
        if not ids:
            return []
        self.ids[table] += ids
        names = ["tenant_id", "status", *(
            ("to_number", "initiated_at", "duration_seconds", "call_sid")
            if table == "calls" else ("channel", "to_address", "sent_at", "message_sid")
        )]  # fmt: skip
        rows = [
            [str(row_id), *(self._value_in_bulk(table, name) for name in names)] for row_id in ids
        ]
        lines = "".join(f"{','.join(row)}\n" for row in rows)
        return [
            Copy(
                f"COPY {table} (id, {', '.join(names)}) FROM STDIN "
                "WITH (FORMAT csv, QUOTE '''', NULL 'NULL')",
                lines,
            )
        ]

    def update(self) -> list[Statement]:
        table, row_id = self._pick()
        given = self._columns(table, row_id)
        changes = ", ".join(f"{name} = {value}" for name, value in given.items())
        return [f"UPDATE {table} SET {changes} WHERE id = {row_id}"]

    def update_all(self) -> list[Statement]:
        """One statement for all rows, of which some change."""
        table = self.rng.choice(("calls", "messages"))
        return [
            f"UPDATE {table} SET status = {self.rng.choice(STATUSES[table])}, updated_at = now() "
            f"WHERE id BETWEEN {self.base} AND {self.base + WIDTH - 1}"
        ]

    def merge(self) -> list[Statement]:
        first, second = self.rng.sample(self.ids["calls"], 2)
        if ("calls", second) in self.by_hand:
            first, second = second, first
        return [
            f"""
            MERGE INTO calls AS c
            USING (VALUES ({first}, 'gone', 0), ({second}, 'completed', 42))
                    AS v (id, status, seconds)
               ON c.id = v.id
             WHEN MATCHED AND v.status = 'gone' THEN DELETE
             WHEN MATCHED THEN UPDATE SET status = v.status, duration_seconds = v.seconds
             WHEN NOT MATCHED AND v.status <> 'gone' THEN
                  INSERT (id, tenant_id, status, duration_seconds)
                  VALUES (v.id, {self.tenants[0]}, v.status, v.seconds)
            """
        ]

    def delete(self) -> list[Statement]:
        table, row_id = self._pick()
        return [f"DELETE FROM {table} WHERE id = {row_id}"]

    def restore(self) -> list[Statement]:
        """Archived and brought back, or another row under an old id."""
        table, row_id = self._pick()
        return [
            f"DELETE FROM {table} WHERE id = {row_id}",
            insertion(table, self._new_row(table, row_id)),
        ]

    def record_row(self) -> list[Statement]:
        table, row_id = self._pick()
        return [f"SELECT record_again('{table}', {row_id})"]

    def record_by_hand(self) -> list[Statement]:
        rng = self.rng
        if not self.by_hand or rng.random() < 0.3:
            # Of nothing that has a row.
            what, quantity = rng.choice((("'voice', 'minute'", "0.5"), ("'email', 'message'", "3")))
            sid = f"alone-{self.base}-{rng.randint(1, 2)}"
        else:
            table, _ = rng.choice(sorted(self.by_hand))
            sid = self._hand_sid(table)
            what = "'voice', 'minute'" if table == "calls" else "'sms', 'message'"
            quantity = rng.choice(("1", "5.25", "0.5") if table == "calls" else ("1", "2"))
        return [
            f"SELECT record_by_hand({self.tenants[0]}, {what}, '{sid}', {quantity}, '{FIRST_DAY}')"
        ]

    def sweep(self) -> list[Statement]:
        """As backfill_usage and reconcile do it, for the rows of this history."""
        table = self.rng.choice(("calls", "messages"))
        ids = f"{self.base - 1}, {self.base + WIDTH - 1}"
        with_history = self.rng.choice(("true", "false"))
        return [f"SELECT sweep_rows('{table}', {sweep_range(self.rng)}, {ids}, {with_history})"]

    def retry(self) -> list[Statement]:
        table, row_id = self._pick()
        return [f"SELECT retry_row('{table}', {row_id})"]

    def merge_summaries(self) -> list[Statement]:
        return [f"SELECT merge_summaries({self.rng.choice((1, 3, 1000))})"]

    # What holds from now on

    def change_terms(self) -> list[Statement]:
        tenant_id = self.rng.choice(self.tenants)
        change = self.rng.choice(
            (f"plan_id = {self.rng.choice(('1', '2', '3', '4', 'NULL'))}",
             f"timezone = '{self.rng.choice(ZONES)}'")
        )  # fmt: skip
        return [f"UPDATE tenants SET {change} WHERE id = {tenant_id}"]

    def new_price(self) -> list[Statement]:
        """A price of the tenant's own, from now on; the old one ends."""
        tenant_id = self.rng.choice(self.tenants)
        prefix = self.rng.choice(("", "44", "4420"))
        where = (
            f"tenant_id = {tenant_id} AND channel = 'voice' AND prefix = '{prefix}' "
            "AND effective_until IS NULL"
        )
        return [
            f"UPDATE billing.pricing_rates SET effective_until = now() WHERE {where} "
            "AND effective_from < now()",
            f"""
            INSERT INTO billing.pricing_rates (tenant_id, channel, resource_type, prefix,
                unit_price, initial_increment, billing_increment, effective_from)
            SELECT {tenant_id}, 'voice', 'minute', '{prefix}', {self._price()},
                {self.rng.choice((1, 30))}, {self.rng.choice((1, 6))}, now()
             WHERE NOT EXISTS (SELECT FROM billing.pricing_rates WHERE {where})
            """,
        ]

    def price_of_fax(self) -> list[Statement]:
        """What had no price gets one, also for what is past."""
        tenant_id = self.rng.choice(self.tenants)
        return [
            f"""
            INSERT INTO billing.pricing_rates (tenant_id, channel, resource_type, unit_price,
                effective_from)
            SELECT {tenant_id}, 'fax', 'message', {self._price()}, '2020-01-01'
             WHERE NOT EXISTS (SELECT FROM billing.pricing_rates
                                WHERE tenant_id = {tenant_id} AND channel = 'fax')
            """
        ]

    def add_late_tenant(self) -> list[Statement]:
        return [self._add_tenant(self.late)]


def _on_conflict(changed: Sequence[str]) -> str:
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in changed)
    return f"ON CONFLICT (id) DO {f'UPDATE SET {changes}' if changed else 'NOTHING'}"


def insertion(table: str, given: dict[str, str]) -> str:
    return f"INSERT INTO {table} ({', '.join(given)}) VALUES ({', '.join(given.values())})"


CALL_VALUES = (
    "status", "direction", "tenant_id", "call_sid", "to_number", "answered_at", "initiated_at",
    "duration_seconds", "billable_seconds",
)  # fmt: skip
MESSAGE_VALUES = (
    "status", "direction", "tenant_id", "message_sid", "channel", "to_address", "recipients",
    "media_urls", "sent_at", "delivered_at",
)  # fmt: skip
Act = Callable[[History], list[Statement]]
ACTS: list[Act] = [
    *[History.update] * 28, *[History.insert] * 8, *[History.upsert] * 9, *[History.delete] * 4,
    *[History.update_all] * 3, *[History.merge] * 3, *[History.restore] * 4,
    *[History.record_row] * 3, *[History.record_by_hand] * 6, *[History.insert_many] * 3,
    *[History.copy] * 2, *[History.sweep] * 2, History.retry, History.merge_summaries,
]  # fmt: skip
OPENINGS: list[Act] = [
    *[History.change_terms] * 3, *[History.new_price] * 3, History.price_of_fax,
    History.add_late_tenant,
]  # fmt: skip


def sweep_range(rng: random.Random) -> str:
    """Days to sweep, as SQL."""
    first = FIRST_DAY.date() + dt.timedelta(rng.randint(-2, DAYS))
    return f"'{first}', current_date + 3"


def housekeeping(rng: random.Random) -> str:
    """What an operator, or his scheduler, does meanwhile."""
    return rng.choice(
        (
            "SELECT maintain()",
            "SELECT retry_unrated(1000)",
            f"SELECT reconcile({sweep_range(rng)})",
            f"SELECT backfill_usage({sweep_range(rng)})",
            "SELECT merge_summaries(100000)",
        )
    )
