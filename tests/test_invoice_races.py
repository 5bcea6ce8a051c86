"""Invoices beside each other and beside usage: no double, no gap, nothing lost, nobody waits.

Nothing sleeps to hit a moment: a test waits until PostgreSQL shows the other session waiting.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import Connection, IsolationLevel

pytestmark = pytest.mark.newest

NOVEMBER, DECEMBER = "2025-11-01", "2025-12-01"
RETRIED = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)


@pytest.fixture
def connect(database: str) -> Iterator[Callable[[], Connection]]:
    opened = []

    def open_one() -> Connection:
        connection = psycopg.connect(database, options="-c statement_timeout=60s")
        opened.append(connection)
        return connection

    yield open_one
    for connection in opened:
        connection.close()


def value(db: Connection, query: str, *values: object) -> Any:
    row = db.execute(query.encode(), values).fetchone()
    assert row
    return row[0]


def issue(db: Connection, tenant_id: int, day: str) -> int:
    invoice_id = value(
        db, "SELECT billing.finalize_invoice(billing.generate_invoice(%s, %s))", tenant_id, day
    )
    assert isinstance(invoice_id, int)
    return invoice_id


def add_call(db: Connection, row: int, tenant_id: int = 1, day: str = "2025-11-14") -> None:
    db.execute(
        "INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)"
        " VALUES (%s, %s, 'completed', %s, 600)",
        [row, tenant_id, f"{day} 12:00Z"],
    )


def dispositions(db: Connection, tenant_id: int = 1) -> dict[str, int]:
    rows = db.execute(
        "SELECT disposition, count(*)::int FROM billing.usage_disposition"
        " WHERE tenant_id = %s GROUP BY disposition",
        [tenant_id],
    ).fetchall()
    return dict(rows)


def assert_sound(db: Connection) -> None:
    assert db.execute("SELECT * FROM billing.verify()").fetchall() == []


def test_a_transaction_open_while_an_invoice_is_issued_is_on_the_next(
    db: Connection, connect: Callable[[], Connection]
) -> None:
    """Its records are older than the invoice, and their numbers are below the last it saw."""
    db.execute("INSERT INTO tenants (id) VALUES (1)")
    writer = connect()
    add_call(db, 1)
    add_call(writer, 2)  # Not committed, and yet with a number between two that are.
    add_call(db, 3)
    november = issue(db, 1, NOVEMBER)
    add_call(writer, 4)
    writer.commit()
    lines = "SELECT quantity::int FROM billing.get_invoice_lines(%s)"
    assert db.execute(lines.encode(), [november]).fetchall() == [(20,)]
    assert dispositions(db) == {"invoiced": 2, "late": 2}
    assert_sound(db)
    december = issue(db, 1, DECEMBER)
    explained = db.execute(
        "SELECT e.resource_id, e.share::text FROM billing.get_invoice_lines(%s) AS l,"
        " billing.explain_invoice_line(l.id) AS e ORDER BY 1",
        [december],
    ).fetchall()
    assert explained == [("2", "0.15"), ("4", "0.15")]
    assert dispositions(db) == {"invoiced": 2, "adjusted": 2}
    assert issue(db, 1, DECEMBER) == december
    assert_sound(db)


def test_a_merge_of_daily_sums_changes_no_invoice(
    db: Connection, connect: Callable[[], Connection]
) -> None:
    db.execute("INSERT INTO tenants (id) VALUES (1)")
    writer = connect()
    add_call(db, 1)
    add_call(writer, 2)
    db.execute("SELECT billing.merge_summaries()")
    issue(db, 1, NOVEMBER)
    db.execute("SELECT billing.merge_summaries()")
    assert value(db, "SELECT billing.collect_adjustments('{1}')") == 0
    writer.commit()
    db.execute("SELECT billing.merge_summaries()")
    assert value(db, "SELECT billing.collect_adjustments('{1}')") == 1
    assert value(db, "SELECT billing.collect_adjustments('{1}')") == 0
    assert value(db, "SELECT amount FROM billing.adjustments") == value(db, "SELECT 0.15")
    assert_sound(db)


def test_who_records_usage_never_waits_for_invoicing(
    db: Connection, connect: Callable[[], Connection]
) -> None:
    db.execute("INSERT INTO tenants (id) VALUES (1)")
    add_call(db, 1)
    db.execute("SELECT billing.grant_credit(1, 1, 'purchase', 'x')")
    operator, writer = connect(), connect()
    issue(operator, 1, NOVEMBER)  # And holds all its locks.
    writer.execute("SET lock_timeout = '1ms'")
    add_call(writer, 2)
    writer.execute("UPDATE calls SET duration_seconds = 60 WHERE id = 1")
    writer.execute("SELECT billing.record_usage(1, 'sms', 'message', 'x', 1, '{}', '2025-11-14')")
    writer.commit()
    operator.commit()
    assert dispositions(db) == {"invoiced": 1, "late": 4}
    assert_sound(db)


def test_a_rolled_back_invoice_leaves_no_gap(
    db: Connection, connect: Callable[[], Connection]
) -> None:
    db.execute("INSERT INTO tenants (id, plan_id) VALUES (1, 3), (2, 3), (3, 3)")
    issue(db, 1, NOVEMBER)
    other = connect()
    issue(other, 2, NOVEMBER)
    other.rollback()
    issue(db, 3, NOVEMBER)
    numbers = db.execute("SELECT tenant_id, invoice_number FROM billing.invoices ORDER BY 1")
    assert numbers.fetchall() == [(1, "INV-2025-11-0001"), (3, "INV-2025-11-0002")]
    assert_sound(db)


@pytest.mark.parametrize("isolation", [None, IsolationLevel.REPEATABLE_READ])
def test_fifty_connections_give_each_period_one_invoice_and_no_number_twice(
    database: str, db: Connection, isolation: IsolationLevel | None
) -> None:
    """Each draws up and issues invoices of the same tenants, in an order of its own."""
    tenants = 6
    db.execute("INSERT INTO tenants (id, plan_id) SELECT n, 3 FROM generate_series(1, 6) AS n")
    for row in range(1, 31):
        add_call(db, row, 1 + row % tenants, ("2025-11-14", "2025-12-14")[row % 2])
    barrier = threading.Barrier(50)

    def work(number: int) -> list[tuple[int, str, int]]:
        chance = random.Random(number)
        order = [(t, day) for t in range(1, tenants + 1) for day in (NOVEMBER, DECEMBER)]
        order = chance.sample(order, 4)
        found = []
        with psycopg.connect(database, options="-c statement_timeout=60s") as connection:
            connection.isolation_level = isolation
            barrier.wait()
            for tenant_id, day in order:
                while True:
                    try:
                        invoice_id = issue(connection, tenant_id, day)
                        if chance.random() < 0.2:
                            connection.rollback()
                            continue
                        connection.commit()
                    except RETRIED:
                        connection.rollback()
                        continue
                    found.append((tenant_id, day, invoice_id))
                    break
        return found

    with ThreadPoolExecutor(50) as executor:
        found = [item for items in executor.map(work, range(50)) for item in items]
    ids = {(tenant_id, day): invoice_id for tenant_id, day, invoice_id in found}
    assert Counter(found).keys() == {(t, day, i) for (t, day), i in ids.items()}
    for day in (NOVEMBER, DECEMBER):
        numbers = db.execute(
            "SELECT invoice_number FROM billing.invoices WHERE period_start = %s ORDER BY 1", [day]
        ).fetchall()
        of_day = sum(issued == day for _, issued in ids)
        expected = [(f"INV-{day[:7]}-{n:04}",) for n in range(1, of_day + 1)]
        assert numbers == expected
    assert len(ids) > tenants
    assert_sound(db)


@pytest.mark.parametrize("seed", range(2))
def test_usage_that_never_stops_is_billed_once(
    database: str, db: Connection, seed: int, thorough: bool
) -> None:
    """Writers commit and roll back while periods are issued, voided and paid, and sums merged."""
    if seed and not thorough:
        pytest.skip("in full on the newest server")
    db.execute("INSERT INTO tenants (id) VALUES (1), (2)")
    over = threading.Event()
    failures: list[BaseException] = []

    def record(number: int) -> None:
        chance = random.Random(f"{seed} {number}")
        row = number * 100_000
        with psycopg.connect(database) as connection:
            while not over.is_set():
                for _ in range(chance.randint(1, 4)):
                    row += 1
                    day = f"2025-{chance.choice((11, 12))}-{chance.randint(1, 30)}"
                    add_call(connection, row, chance.randint(1, 2), day)
                    if chance.random() < 0.3:
                        connection.execute(
                            "UPDATE calls SET duration_seconds = %s WHERE id = %s",
                            [chance.randint(1, 999), row - chance.randint(0, 3)],
                        )
                if chance.random() < 0.2:
                    connection.rollback()
                else:
                    connection.commit()

    def invoice(number: int) -> None:
        chance = random.Random(f"{seed} invoice {number}")
        with psycopg.connect(database, autocommit=True) as connection:
            for _ in range(25):
                tenant_id, day = chance.randint(1, 2), chance.choice((NOVEMBER, DECEMBER))
                try:
                    invoice_id = issue(connection, tenant_id, day)
                    if chance.random() < 0.3:
                        connection.execute(
                            "SELECT billing.void_invoice(%s, 'a test')", [invoice_id]
                        )
                    connection.execute("SELECT billing.merge_summaries()")
                except psycopg.Error as error:
                    # Voiding is refused once another invoice bills what came late.
                    if error.sqlstate not in ("UB007", "40001", "40P01"):
                        raise

    def guarded(task: Callable[[int], None], number: int) -> None:
        try:
            task(number)
        except BaseException as error:
            failures.append(error)
            over.set()

    writers = [threading.Thread(target=guarded, args=(record, n)) for n in range(1, 5)]
    clerks = [threading.Thread(target=guarded, args=(invoice, n)) for n in range(2)]
    for thread in (*writers, *clerks):
        thread.start()
    for thread in clerks:
        thread.join()
    over.set()
    for thread in writers:
        thread.join()
    assert not failures, failures
    assert_sound(db)
    # What is late by now is on the next invoice, and then all of these two months is billed.
    for tenant_id in (1, 2):
        for day in (NOVEMBER, DECEMBER, "2026-01-01", "2026-02-01"):
            issue(db, tenant_id, day)
        assert set(dispositions(db, tenant_id)) <= {"invoiced", "adjusted"}
        billed, used = db.execute(
            """
            SELECT (SELECT sum(l.exact_amount) FROM billing.invoices AS i
                      JOIN billing.invoice_line_items AS l USING (tenant_id)
                     WHERE tenant_id = %(tenant)s AND i.id = l.invoice_id AND i.status <> 'void'),
                   (SELECT sum(total_cost) FROM billing.usage_records
                     WHERE tenant_id = %(tenant)s)
            """,
            {"tenant": tenant_id},
        ).fetchall()[0]
        assert billed == used
    assert_sound(db)


def test_two_runs_issue_each_invoice_once(database: str, db: Connection) -> None:
    db.execute("INSERT INTO tenants (id, plan_id) SELECT n, 3 FROM generate_series(1, 40) AS n")
    barrier = threading.Barrier(3)

    def run(_: int) -> Counter[str]:
        counts: Counter[str] = Counter()
        with psycopg.connect(database, autocommit=True) as connection:
            barrier.wait()
            for after in range(0, 40, 10):
                counts.update(
                    outcome
                    for (outcome,) in connection.execute(
                        "SELECT outcome FROM billing.run_invoices(%s, %s, 10)", [NOVEMBER, after]
                    )
                )
        return counts

    with ThreadPoolExecutor(3) as executor:
        counts = sum(executor.map(run, range(3)), Counter[str]())
    assert counts == {"issued": 40, "issued before": 80}
    assert value(db, "SELECT max(last_number) FROM billing.number_series") == 40
    assert_sound(db)
