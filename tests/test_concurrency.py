"""Two and more connections: every row billed once, and nobody waits for anybody in billing.

Nothing sleeps to hit a moment: a test waits until PostgreSQL shows the other session waiting.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import Connection, IsolationLevel

OLD_SNAPSHOT = [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE]
CONFLICTS = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)


@pytest.fixture
def connect(database: str) -> Iterator[Callable[..., Connection]]:
    """More connections to the test's database, closed at its end."""
    opened = []

    def open_one(isolation: IsolationLevel | None = None) -> Connection:
        connection = psycopg.connect(database, options="-c statement_timeout=60s")
        connection.isolation_level = isolation
        opened.append(connection)
        return connection

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as executor:
        yield executor


@pytest.fixture(autouse=True)
def tenants(db: Connection) -> None:
    db.execute("SET statement_timeout = '60s'")
    db.execute("INSERT INTO tenants (id) SELECT generate_series(1, 4)")


def wait_until_blocked(db: Connection, waiting: Connection, future: Future[Any]) -> None:
    """Return when the other session waits for a lock; fail when it ends without waiting."""
    deadline = time.monotonic() + 20
    query = "SELECT cardinality(pg_blocking_pids(%s)) > 0"
    while db.execute(query, [waiting.info.backend_pid]).fetchone() != (True,):
        assert not future.done(), "it did not wait"
        assert time.monotonic() < deadline


def add_call(db: Connection, row_id: int = 1, tenant_id: int = 1, status: str = "ringing") -> None:
    db.execute(
        """
        INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds)
        VALUES (%s, %s, %s, %s, '2026-05-15 12:00:00+00', %s)
        """,
        [row_id, tenant_id, f"CA{row_id}", status, 60 if status == "completed" else None],
    )


def add_unseen_call(db: Connection) -> None:
    """A finished call that got past the triggers, as one that was there before billing."""
    db.execute("ALTER TABLE calls DISABLE TRIGGER billing_meter_insert")
    add_call(db, status="completed")
    db.execute("ALTER TABLE calls ENABLE TRIGGER billing_meter_insert")


def net_seconds(db: Connection, resource_id: str = "CA1") -> tuple[Any, ...] | None:
    """Charges minus reversals, and the seconds they net to."""
    return db.execute(
        """
        SELECT COALESCE(sum(CASE kind WHEN 'charge' THEN 1 ELSE -1 END), 0),
               COALESCE(sum(seconds), 0)
          FROM billing.usage_records WHERE resource_id = %s
        """,
        [resource_id],
    ).fetchone()


def assert_sound(db: Connection) -> None:
    assert db.execute("SELECT * FROM billing.verify()").fetchall() == []


COMPLETE = "UPDATE calls SET status = 'completed', duration_seconds = %s WHERE id = %s"


def test_a_call_completed_by_two_transactions_is_billed_once(
    db: Connection, connect: Callable[..., Connection], pool: ThreadPoolExecutor
) -> None:
    add_call(db)
    one, two = connect(), connect()
    one.execute(COMPLETE, [60, 1])
    future = pool.submit(two.execute, COMPLETE, [90, 1])
    wait_until_blocked(db, two, future)
    one.commit()
    future.result()
    two.commit()
    assert net_seconds(db) == (1, 90)
    assert_sound(db)


STALE_WRITES = {
    "duration": "UPDATE calls SET duration_seconds = 90 WHERE id = 1",
    "month": "UPDATE calls SET duration_seconds = 90, initiated_at = '2026-03-01' WHERE id = 1",
    "time": "UPDATE calls SET initiated_at = '2026-03-01' WHERE id = 1",
    "tenant": "UPDATE calls SET tenant_id = 2 WHERE id = 1",
    "failed": "UPDATE calls SET status = 'failed' WHERE id = 1",
    "upsert": """
        INSERT INTO calls (id, tenant_id, status, duration_seconds) VALUES (1, 1, 'completed', 7)
        ON CONFLICT (id) DO UPDATE SET duration_seconds = 90, answered_at = '2026-02-01'
        """,
}
RECORDINGS = {
    "record_call_usage": "SELECT billing.record_call_usage(1)",
    "backfill_usage": "SELECT billing.backfill_usage('2026-05-01', '2026-05-31')",
}


@pytest.mark.parametrize("isolation", OLD_SNAPSHOT)
@pytest.mark.parametrize("write", STALE_WRITES)
@pytest.mark.parametrize("recording", RECORDINGS)
def test_an_old_snapshot_never_bills_what_was_recorded_since(
    db: Connection,
    connect: Callable[..., Connection],
    isolation: IsolationLevel,
    write: str,
    recording: str,
) -> None:
    add_unseen_call(db)
    stale = connect(isolation)
    assert stale.execute("SELECT count(*) FROM calls").fetchone() == (1,)
    db.execute(RECORDINGS[recording].encode())
    assert net_seconds(db) == (1, 60)
    try:
        stale.execute(STALE_WRITES[write].encode())
        stale.commit()
    except psycopg.errors.SerializationFailure:
        stale.rollback()
        assert net_seconds(db) == (1, 60)
    assert_sound(db)


def test_a_backfill_neither_waits_for_readers_nor_keeps_writers_waiting(
    db: Connection, connect: Callable[..., Connection]
) -> None:
    add_unseen_call(db)
    add_call(db, 2)
    reader, backfill = connect(), connect()
    reader.execute("SELECT count(*) FROM billing.usage_records")
    backfill.execute("SET lock_timeout = '500ms'")
    backfill.execute(RECORDINGS["backfill_usage"])
    reader.rollback()
    db.execute("SET lock_timeout = '100ms'")
    db.execute(COMPLETE, [60, 2])
    db.execute(COMPLETE, [61, 2])
    db.execute("SELECT count(*) FROM billing.usage_records")
    backfill.commit()
    assert_sound(db)


@pytest.mark.parametrize("isolation", OLD_SNAPSHOT)
@pytest.mark.parametrize("way", ["another table's row of that id", "itself, charged before"])
def test_a_row_set_aside_can_be_changed_in_any_snapshot(
    db: Connection, connect: Callable[..., Connection], isolation: IsolationLevel, way: str
) -> None:
    """Found by the model campaign: with nobody else at work, changing a row that was set aside
    failed with 40001, whenever tried, where its resource was taken for recorded by hand."""
    alone = connect(isolation)
    if way == "itself, charged before":
        add_call(alone, status="completed")
        alone.execute("UPDATE calls SET status = 'failed'")
        alone.execute("UPDATE calls SET status = 'completed', duration_seconds = -1")
        mend = "UPDATE calls SET duration_seconds = 60"
    else:
        alone.execute(
            "INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)"
            " VALUES (1, 1, 'completed', '2026-05-15', 60)"
        )
        alone.execute(
            "INSERT INTO messages (id, tenant_id, channel, status, sent_at)"
            " VALUES (1, 1, 'fax', 'sent', '2026-05-15')"
        )
        mend = "UPDATE messages SET channel = 'sms', to_address = '1' WHERE id = 1"
    alone.commit()
    alone.execute(mend.encode())
    alone.commit()
    assert_sound(db)


@pytest.mark.parametrize("isolation", OLD_SNAPSHOT)
def test_a_row_set_aside_and_retried_since_is_set_aside_again(
    db: Connection, connect: Callable[..., Connection], isolation: IsolationLevel
) -> None:
    """Its entry was changed after the snapshot, which is no failure of the application's."""
    add_call(db, status="completed")
    db.execute("UPDATE calls SET duration_seconds = -1")
    old = connect(isolation)
    old.execute("SELECT FROM calls")
    db.execute("SELECT * FROM billing.retry_unrated()")
    old.execute("UPDATE calls SET duration_seconds = -2")
    old.commit()
    entries = "SELECT count(*), count(resolved_at) FROM billing.unrated_usage"
    assert db.execute(entries).fetchone() == (2, 0)
    db.execute("UPDATE calls SET duration_seconds = 90")
    assert db.execute(entries).fetchone() == (2, 2)
    assert net_seconds(db) == (1, 90)
    assert_sound(db)


@pytest.mark.parametrize("isolation", OLD_SNAPSHOT)
def test_an_old_snapshot_that_completes_a_call_recorded_by_hand_since(
    db: Connection, connect: Callable[..., Connection], isolation: IsolationLevel
) -> None:
    add_call(db)
    stale = connect(isolation)
    stale.execute("SELECT count(*) FROM calls").fetchone()
    by_hand = "SELECT billing.record_usage(1, 'voice', 'minute', 'CA1', 1, '{}', '2026-05-15')"
    db.execute(by_hand)
    try:
        stale.execute(COMPLETE, [60, 1])
        stale.commit()
    except psycopg.errors.SerializationFailure:
        stale.rollback()
    assert net_seconds(db) == (1, 60)
    assert_sound(db)


def test_a_call_inserted_complete_while_it_is_recorded_by_hand_is_billed_once(
    db: Connection, connect: Callable[..., Connection]
) -> None:
    one = connect()
    one.execute("SELECT billing.record_usage(1, 'voice', 'minute', 'CA1', 1)")
    add_call(db, status="completed")
    one.commit()
    # Neither could see the other. If both were recorded, verify() says so and the sweep mends it.
    if net_seconds(db) != (1, 60):
        assert db.execute("SELECT count(*) FROM billing.verify()").fetchone() != (0,)
    db.execute("SELECT billing.record_call_usage(1)")
    assert net_seconds(db) == (1, 60)
    assert_sound(db)


@pytest.mark.parametrize("first", ["row", "hand"])
def test_recording_by_hand_waits_for_the_row_that_is_completing(
    db: Connection, connect: Callable[..., Connection], pool: ThreadPoolExecutor, first: str
) -> None:
    add_call(db)
    acts = {
        "row": (COMPLETE, [60, 1]),
        "hand": ("SELECT billing.record_usage(1, 'voice', 'minute', 'CA1', 1)", []),
    }
    one, two = connect(), connect()
    one.execute(*acts.pop(first))
    [(statement, values)] = acts.values()
    future = pool.submit(two.execute, statement, values)
    wait_until_blocked(db, two, future)
    one.commit()
    future.result()
    two.commit()
    assert net_seconds(db) == (1, 60)
    assert_sound(db)


def test_bulk_updates_of_the_same_tenants_in_opposite_order_do_not_deadlock(
    db: Connection, connect: Callable[..., Connection], pool: ThreadPoolExecutor
) -> None:
    db.execute(
        """
        INSERT INTO calls (id, tenant_id, call_sid, initiated_at)
        SELECT n, 1 + n % 4, 'CA' || n, '2026-05-15' FROM generate_series(1, 4000) AS n
        """
    )
    barrier = threading.Barrier(4)

    def complete(connection: Connection, remainder: int, ids: list[int]) -> None:
        mine = [row_id for row_id in ids if row_id // 4 % 4 == remainder]
        barrier.wait()
        for start in range(0, len(mine), 250):
            connection.execute(
                "UPDATE calls SET status = 'completed', duration_seconds = 60 WHERE id = ANY(%s)",
                [mine[start : start + 250]],
            )
        connection.commit()

    ids = list(range(1, 4001))
    done = [
        pool.submit(complete, connect(), number, ids[:: 1 if number % 2 else -1])
        for number in range(4)
    ]
    for future in done:
        future.result()
    assert db.execute("SELECT count(*) FROM billing.usage_records").fetchone() == (4000,)
    assert_sound(db)


@pytest.mark.parametrize("isolation", [None, *OLD_SNAPSHOT])
def test_writers_of_one_tenant_never_wait_for_each_other(
    db: Connection, connect: Callable[..., Connection], isolation: IsolationLevel | None
) -> None:
    for row_id in range(1, 5):
        add_call(db, row_id)
    one, two = connect(isolation), connect(isolation)
    one.execute(COMPLETE, [60, 1])
    two.execute("SET lock_timeout = '100ms'")
    two.execute(COMPLETE, [60, 2])
    two.execute("INSERT INTO calls (id, tenant_id, status, duration_seconds)"
                " VALUES (9, 1, 'completed', 5)")  # fmt: skip
    two.execute("INSERT INTO messages (tenant_id, status) VALUES (1, 'sent')")
    two.execute("UPDATE calls SET status = 'failed' WHERE id = 2")
    two.execute("SELECT billing.record_usage(1, 'sms', 'message', 'SM9', 1)")
    two.execute("SELECT billing.merge_summaries()")
    two.commit()
    try:
        one.execute(COMPLETE, [61, 1])
        one.commit()
    except psycopg.errors.SerializationFailure:
        assert isolation is IsolationLevel.SERIALIZABLE
        one.rollback()
    assert_sound(db)


def test_every_snapshot_shows_summaries_that_equal_its_records(
    db: Connection, connect: Callable[..., Connection], pool: ThreadPoolExecutor
) -> None:
    stop = threading.Event()
    compare = """
        SELECT count(*), count(*) FILTER (WHERE s.tenant_id IS NULL OR r.tenant_id IS NULL
               OR (s.total_quantity, s.total_cost, s.record_count) <> (r.quantity, r.cost, r.count))
          FROM billing.usage_summaries AS s
          FULL JOIN (SELECT tenant_id, usage_date AS summary_date, channel, resource_type,
                            sum(quantity) AS quantity, sum(total_cost) AS cost,
                            sum(CASE kind WHEN 'charge' THEN 1 ELSE -1 END) AS count
                       FROM billing.usage_records GROUP BY 1, 2, 3, 4) AS r
         USING (tenant_id, summary_date, channel, resource_type)
        """

    def write(connection: Connection, number: int) -> None:
        rng = random.Random(number)
        for n in range(150):
            row_id = number * 1000 + n
            connection.execute(
                "INSERT INTO calls (id, tenant_id, status, duration_seconds)"
                " VALUES (%s, %s, 'completed', %s)",
                [row_id, rng.randint(1, 4), rng.randint(1, 99)],
            )
            if rng.random() < 0.5:
                connection.execute("UPDATE calls SET status = 'failed' WHERE id = %s", [row_id])
            if rng.random() < 0.2:
                connection.rollback()
            else:
                connection.commit()

    def merge(connection: Connection, limit: int) -> int:
        merged = 0
        while not stop.is_set():
            [[count]] = connection.execute("SELECT billing.merge_summaries(%s)", [limit])
            connection.commit()
            merged += count
        return merged

    def read(connection: Connection) -> list[tuple[Any, ...]]:
        seen = []
        while not stop.is_set():
            first = connection.execute(compare).fetchone()
            assert first
            # The same again later in the snapshot, in two queries.
            seen += [first, *connection.execute(compare)]
            connection.commit()
        return [row for row in seen if row[1]] or seen[-1:]

    mergers = [pool.submit(merge, connect(), limit) for limit in (7, 1000)]
    readers = [pool.submit(read, connect(level)) for level in (None, *OLD_SNAPSHOT[:1])]
    writers = [pool.submit(write, connect(), number) for number in range(1, 5)]
    try:
        for writer in writers:
            writer.result()
    finally:
        stop.set()
    assert sum(merger.result() for merger in mergers) > 0
    assert [row[1] for reader in readers for row in reader.result()] == [0, 0]
    assert_sound(db)


def test_merging_from_an_old_snapshot_loses_nothing(
    db: Connection, connect: Callable[..., Connection]
) -> None:
    add_call(db, 1, status="completed")
    stale = connect(IsolationLevel.REPEATABLE_READ)
    stale.execute("SELECT count(*) FROM calls").fetchone()
    add_call(db, 2, status="completed")
    db.execute("SELECT billing.merge_summaries()")
    try:
        stale.execute("SELECT billing.merge_summaries()")
        stale.commit()
    except psycopg.errors.SerializationFailure:
        stale.rollback()
    assert_sound(db)


def test_maintain_from_an_old_snapshot_leaves_the_months_it_does_not_see_in_full(
    db: Connection, connect: Callable[..., Connection]
) -> None:
    """Found by the races campaign: moving a month failed with 23514, and with it all of maintain().
    The usage is of a month without a partition, and half of it is too new for the snapshot."""
    month = "SELECT count(*) FROM billing.usage_records_default"
    usage = "SELECT billing.record_usage(1, 'sms', 'message', %s, 1, '{}', '2025-02-02')"
    db.execute(usage, ["SM1"])
    stale = connect(IsolationLevel.REPEATABLE_READ)
    stale.execute("SELECT count(*) FROM calls").fetchone()
    db.execute(usage, ["SM2"])
    done = stale.execute("SELECT task, done FROM billing.maintain()").fetchall()
    assert ("deltas merged", 1) in done
    stale.commit()
    assert db.execute(month).fetchone() == (2,)
    assert_sound(db)
    db.execute("SELECT * FROM billing.maintain()")
    assert db.execute(month).fetchone() == (0,)
    assert_sound(db)


def together(
    pool: ThreadPoolExecutor, connections: list[Connection], act: Callable[[Connection], Any]
) -> list[Any]:
    """Run act on all connections at one time; its results, or the errors."""
    barrier = threading.Barrier(len(connections))

    def run(connection: Connection) -> Any:
        barrier.wait()
        try:
            result = act(connection)
            connection.commit()
        except psycopg.Error as error:
            connection.rollback()
            return error
        return result

    return list(pool.map(run, connections))


@pytest.mark.parametrize("isolation", [None, *OLD_SNAPSHOT])
def test_one_period_gives_one_invoice(
    db: Connection,
    connect: Callable[..., Connection],
    pool: ThreadPoolExecutor,
    isolation: IsolationLevel | None,
) -> None:
    add_call(db, status="completed")
    query = "SELECT billing.generate_invoice(1, '2026-05-01')"
    got = together(
        pool, [connect(isolation) for _ in range(6)], lambda c: c.execute(query).fetchone()
    )
    ids = {result for result in got if not isinstance(result, psycopg.Error)}
    refused = [result for result in got if isinstance(result, psycopg.Error)]
    assert len(ids) == 1
    # An old snapshot may be told to try again; a new one always gets the invoice.
    assert isolation is not None or not refused
    assert {type(error) for error in refused} <= {*CONFLICTS}, refused
    assert db.execute("SELECT count(*) FROM billing.invoices").fetchone() == (1,)
    lines = "SELECT sum(amount) FROM billing.invoice_line_items"
    assert db.execute(lines).fetchone() == (Decimal("0.02"),)
    assert_sound(db)


def test_one_reference_gives_credit_once(
    db: Connection, connect: Callable[..., Connection], pool: ThreadPoolExecutor
) -> None:
    query = "SELECT billing.grant_credit(1, 10, 'purchase', 'payment 1')"
    got = together(pool, [connect() for _ in range(8)], lambda c: c.execute(query).fetchone())
    assert len(set(got)) == 1, got
    assert db.execute("SELECT credit_balance FROM tenants WHERE id = 1").fetchone() == (10,)
    other = "SELECT billing.grant_credit(1, 1, 'grant', %s)"
    together(
        pool,
        [connect() for _ in range(8)],
        lambda c: c.execute(other, [str(c.info.backend_pid)]).fetchone(),
    )
    assert db.execute("SELECT credit_balance FROM tenants WHERE id = 1").fetchone() == (18,)
    assert_sound(db)


def test_of_prices_that_overlap_one_wins(
    db: Connection, connect: Callable[..., Connection], pool: ThreadPoolExecutor
) -> None:
    query = """
        INSERT INTO billing.pricing_rates (tenant_id, channel, resource_type, prefix, unit_price,
            effective_from)
        VALUES (1, 'voice', 'minute', '44', %s, '2026-01-01') RETURNING id
        """
    got = together(
        pool,
        [connect() for _ in range(6)],
        lambda c: c.execute(query, [c.info.backend_pid]).fetchone(),
    )
    won = [result for result in got if not isinstance(result, psycopg.Error)]
    lost = {result.sqlstate for result in got if isinstance(result, psycopg.Error)}
    assert len(won) == 1, got
    assert lost == {"UB010"}, lost
    rates = db.execute("SELECT id FROM billing.pricing_rates WHERE tenant_id = 1").fetchall()
    assert rates == won
    resolved = "SELECT DISTINCT rate_id FROM billing.resolved_prices WHERE card = 1 AND lo = '44'"
    assert (*won[0],) in db.execute(resolved).fetchall()
    assert_sound(db)


def test_prices_entered_at_one_time_are_all_resolved(
    db: Connection, connect: Callable[..., Connection], pool: ThreadPoolExecutor
) -> None:
    query = """
        INSERT INTO billing.pricing_rates (tenant_id, channel, resource_type, prefix, unit_price,
            effective_from)
        VALUES (1, 'voice', 'minute', %s, 1, '2026-01-01') RETURNING prefix
        """
    for isolation in (None, IsolationLevel.REPEATABLE_READ):
        got = together(
            pool,
            [connect(isolation) for _ in range(6)],
            lambda c: c.execute(query, [str(c.info.backend_pid)]).fetchone(),
        )
        errors = [result for result in got if isinstance(result, psycopg.Error)]
        assert isolation is not None or not errors, errors
        assert {error.sqlstate for error in errors} <= {"40001"}, errors
        assert_sound(db)


@pytest.mark.parametrize("first", ["price", "tenant"])
@pytest.mark.parametrize("card", ["plan", "tenant"])
def test_the_first_price_of_a_card_beside_a_tenant_that_changes(
    db: Connection,
    connect: Callable[..., Connection],
    pool: ThreadPoolExecutor,
    card: str,
    first: str,
) -> None:
    """Whichever commits first, the tenant pays its own price or that of the plan it joins."""
    price = f"""
        INSERT INTO billing.pricing_rates ({card}_id, channel, resource_type, unit_price,
            effective_from)
        VALUES ({3 if card == "plan" else 1}, 'voice', 'minute', 3, '2026-01-01')
        """
    joins = "UPDATE tenants SET plan_id = 3 WHERE id = 1"
    one, other = connect(), connect()
    statements = (price, joins) if first == "price" else (joins, price)
    one.execute(statements[0].encode())
    waits = pool.submit(other.execute, statements[1].encode())
    # A tenant does not wait for its plan's card: it looks there, whether there is a price or not.
    if (card, first) != ("plan", "price"):
        wait_until_blocked(db, other, waits)
    one.commit()
    waits.result()
    other.commit()
    quote = "SELECT total_cost FROM billing.quote(1, 'voice', 'minute', 1, NULL, '2026-06-01')"
    assert db.execute(quote).fetchone() == (3,)
    assert_sound(db)


@pytest.mark.parametrize("isolation", OLD_SNAPSHOT)
@pytest.mark.parametrize("card", ["plan", "tenant"])
def test_a_tenant_that_changes_in_an_old_snapshot_pays_the_price_it_does_not_see(
    db: Connection, connect: Callable[..., Connection], card: str, isolation: IsolationLevel
) -> None:
    """Found by the races campaign: the first price of a card was forgotten for who, having usage
    already, joined those who may use it in a snapshot that was older than the price."""
    add_call(db, status="completed")
    stale = connect(isolation)
    stale.execute("SELECT count(*) FROM calls").fetchone()
    db.execute(
        f"""
        INSERT INTO billing.pricing_rates ({card}_id, channel, resource_type, unit_price,
            effective_from)
        VALUES ({3 if card == "plan" else 1}, 'voice', 'minute', 3, '2026-01-01')
        """.encode()
    )
    joins = "UPDATE tenants SET plan_id = 3 WHERE id = 1"
    try:
        stale.execute(joins)
    except psycopg.errors.SerializationFailure:
        # Its own card, which the price has changed: it tries again.
        stale.rollback()
        stale.execute(joins)
    stale.commit()
    quote = "SELECT total_cost FROM billing.quote(1, 'voice', 'minute', 1)"
    assert db.execute(quote).fetchone() == (3,)
    assert_sound(db)


def test_a_plan_joined_beside_its_first_price_is_not_forgotten_over_another_price(
    db: Connection, connect: Callable[..., Connection]
) -> None:
    """The plan's price is not committed yet when the tenant gets another price of its own."""
    price = """
        INSERT INTO billing.pricing_rates
            ({}_id, channel, resource_type, unit_price, effective_from)
        VALUES ({}, {}, 'message', 3, '2026-01-01')
        """
    plan = connect()
    plan.execute(price.format("plan", 3, "'sms'").encode())
    db.execute("UPDATE tenants SET plan_id = 3 WHERE id = 1")
    db.execute(price.format("tenant", 1, "'email'").encode())
    plan.commit()
    quote = "SELECT total_cost FROM billing.quote(1, 'sms', 'message', 1)"
    assert db.execute(quote).fetchone() == (3,)
    assert_sound(db)


def test_of_two_changes_of_a_tenant_the_last_holds(
    db: Connection, connect: Callable[..., Connection]
) -> None:
    """Also where its transaction began before that of the other."""
    add_call(db, status="completed")
    plans = "INSERT INTO billing.pricing_rates (plan_id, channel, resource_type, unit_price)"
    db.execute(f"{plans} VALUES (2, 'sms', 'message', 2), (3, 'sms', 'message', 3)".encode())
    long = connect()
    long.execute("SELECT now()")
    db.execute("UPDATE tenants SET plan_id = 2 WHERE id = 1")
    long.execute("UPDATE tenants SET plan_id = 3 WHERE id = 1")
    long.commit()
    quote = "SELECT total_cost FROM billing.quote(1, 'sms', 'message', 1)"
    assert db.execute(quote).fetchone() == (3,)
    assert_sound(db)


def test_a_price_change_and_usage_beside_it(
    db: Connection, connect: Callable[..., Connection]
) -> None:
    """Usage neither waits for prices being entered nor sees them before they are committed."""
    add_call(db, 1)
    add_call(db, 2)
    prices = connect()
    prices.execute(
        "INSERT INTO billing.pricing_rates (tenant_id, channel, resource_type, unit_price,"
        " effective_from) VALUES (1, 'voice', 'minute', 3, '2026-01-01')"
    )
    db.execute("SET lock_timeout = '100ms'")
    db.execute(COMPLETE, [60, 1])
    prices.commit()
    db.execute(COMPLETE, [60, 2])
    # A corrected duration keeps the price that was recorded.
    db.execute(COMPLETE, [120, 1])
    costs = "SELECT source_id, sum(total_cost) FROM billing.usage_records GROUP BY 1 ORDER BY 1"
    assert db.execute(costs).fetchall() == [(1, Decimal("0.03")), (2, Decimal(3))]
    assert_sound(db)


@pytest.mark.parametrize("isolation", [None, *OLD_SNAPSHOT])
def test_writers_side_by_side_are_all_billed(
    db: Connection,
    connect: Callable[..., Connection],
    pool: ThreadPoolExecutor,
    record_property: Callable[[str, object], None],
    isolation: IsolationLevel | None,
) -> None:
    """Different rows: what conflicts under SERIALIZABLE is retried, and ends billed once."""
    writers, rows = 6, 40

    def write(connection: Connection) -> int:
        failures = 0
        number = connections.index(connection)
        for n in range(rows):
            row_id = number * rows + n + 1
            insert = n % 2 == 0
            while True:
                try:
                    if insert:
                        add_call(connection, row_id, 1 + n % 4, "completed")
                    else:
                        add_call(connection, row_id, 1 + n % 4)
                        connection.execute(COMPLETE, [60, row_id])
                    connection.commit()
                    break
                except CONFLICTS:
                    connection.rollback()
                    failures += 1
        return failures

    connections = [connect(isolation) for _ in range(writers)]
    failures = together(pool, connections, write)
    assert not any(isinstance(result, Exception) for result in failures), failures
    record_property("serialization failures", sum(failures))
    print(f"{isolation}: {sum(failures)} conflicts in {writers * rows} transactions")
    if isolation is not IsolationLevel.SERIALIZABLE:
        assert sum(failures) == 0
    count = "SELECT count(*), sum(seconds) FROM billing.usage_records"
    assert db.execute(count).fetchone() == (writers * rows, writers * rows * 60)
    assert_sound(db)
