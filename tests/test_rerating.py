"""Re-rating: a stored difference, applied once; old + differences = a recompute from scratch.

The changes of price are those that happen: a price entered late for a time that has passed, one
withdrawn, one that should have ended earlier.
"""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import Connection
from test_concurrency import connect as connect
from test_concurrency import pool as pool
from test_concurrency import wait_until_blocked
from test_simulate import FROM, LINE, TO, add_rate, build

from campaigns.oracle import Prices, Terms, Usage, read_rates
from pyapi import Client
from pyapi.cli import main
from pyapi.errors import UnknownSourceError

pytestmark = pytest.mark.newest

ALL = "SELECT billing.propose_rerating('2026-01-01', '2026-12-31')"
APPLY = "SELECT billing.apply_rerating(%s)"


def value(db: Connection, query: str, *values: object) -> Any:
    row = db.execute(query.encode(), values).fetchone()
    assert row
    return row[0]


def assert_sound(db: Connection) -> None:
    assert db.execute("SELECT * FROM billing.verify()").fetchall() == []


def total(db: Connection) -> Decimal:
    found = value(db, "SELECT COALESCE(sum(total_cost), 0) FROM billing.usage_records")
    assert isinstance(found, Decimal)
    return found


def add_call(db: Connection, row_id: int, seconds: int = 60, tenant_id: int = 1) -> None:
    db.execute(
        "INSERT INTO calls (id, tenant_id, call_sid, to_number, status, answered_at,"
        " duration_seconds) VALUES (%s, %s, %s, '+15550100', 'completed', '2026-05-15 12:00+00',"
        " %s)",
        [row_id, tenant_id, f"CA{row_id}", seconds],
    )


def double_the_price(db: Connection) -> None:
    """The default price of a minute was 0.03 since May, only nobody had entered it."""
    db.execute(
        "UPDATE billing.pricing_rates SET effective_until = '2026-05-01'"
        " WHERE card = 0 AND channel = 'voice' AND prefix = ''"
    )
    add_rate(db, "voice", "minute", "0.03", effective_from="2026-05-01")


# Against other ways to the same figures


@pytest.mark.parametrize("seed", range(4))
def test_old_and_differences_are_a_recompute_by_the_oracle(db: Connection, seed: int) -> None:
    chance = random.Random(seed)
    db.execute("INSERT INTO tenants (id, plan_id) VALUES (1, 1), (2, 3)")
    add_rate(db, "voice", "minute", "0.02", plan_id=3, billing_increment=6)
    usages: dict[str, tuple[Usage, dt.datetime]] = {}
    for row in range(1, 151):
        tenant, seconds = chance.randint(1, 2), chance.choice((1, 59, 60, 61, 299, 3600))
        to = chance.choice(("15550", "447915", "39061"))
        at = dt.datetime(
            2026, 3, chance.randint(1, 31), chance.randint(0, 23), tzinfo=dt.timezone.utc
        )
        sid = f"R{row}"
        if row % 5:
            db.execute(
                "INSERT INTO calls (id, tenant_id, call_sid, to_number, status, answered_at,"
                " duration_seconds) VALUES (%s, %s, %s, %s, 'completed', %s, %s)",
                [row, tenant, sid, f"+{to}", at, seconds],
            )
        else:
            db.execute(
                "SELECT billing.record_usage(%s, 'voice', 'minute', %s, %s, %s, %s)",
                [tenant, sid, Decimal(seconds) / 60, f'{{"to": "+{to}"}}', at],
            )
        usages[sid] = Usage(tenant, "voice", "minute", sid, Decimal(seconds), to, at), at
    for row in chance.sample([n for n in range(1, 151) if n % 5], 20):
        db.execute("UPDATE calls SET duration_seconds = duration_seconds + 31 WHERE id = %s", [row])
        usage, at = usages[f"R{row}"]
        more = Usage(*list(vars(usage).values())[:4], usage.amount + 31, usage.destination, at)
        usages[f"R{row}"] = more, at

    for prefix, plan in (("44", None), ("4479", 3), ("39", 1), ("390", None)):
        add_rate(
            db,
            "voice",
            "minute",
            str(Decimal(chance.randint(1, 900)) / 10_000),
            plan_id=plan,
            prefix=prefix,
            effective_from=f"2026-03-{chance.randint(1, 15):02} 05:00+00",
            effective_until=chance.choice((None, "2026-03-25 05:00+00")),
            initial_increment=chance.choice((1, 30)),
            billing_increment=chance.choice((1, 6, 60)),
            minimum_charge=chance.choice(("0", "0.05")),
        )
    if seed % 2:
        db.execute(
            "UPDATE billing.pricing_rates SET is_active = false WHERE plan_id = 3 AND prefix = ''"
        )

    before = total(db)
    proposal = value(db, ALL)
    assert total(db) == before, "a proposal changes nothing"
    proposed = value(
        db,
        "SELECT sum(new_cost - old_cost) FROM billing.rerating_differences WHERE proposal_id = %s",
        proposal,
    )
    count = value(db, APPLY, proposal)
    assert count > 30
    assert total(db) == before + proposed

    prices = Prices(read_rates(db), {1: [Terms(1)], 2: [Terms(3)]})
    expected = {}
    for sid, (usage, at) in usages.items():
        charge = prices.charge(usage, at)
        assert charge
        expected[sid] = (charge.rate_id, charge.cost)
    standing = db.execute(
        "SELECT DISTINCT ON (resource_id) resource_id, rate_id, total_cost, kind"
        " FROM billing.usage_records ORDER BY resource_id, revision DESC"
    ).fetchall()
    assert {row[0]: row[1:3] for row in standing} == expected
    assert {row[3] for row in standing} == {"charge"}
    assert total(db) == sum(cost for _, cost in expected.values())
    assert_sound(db)
    again = value(db, ALL)
    assert Client(db).rerating(again) == [], "there is nothing left to change"


@pytest.mark.parametrize("seed", range(3))
def test_every_kind_of_price_comes_out_as_if_it_had_always_been_so(
    db: Connection, seed: int
) -> None:
    build(db, seed)
    db.execute("UPDATE billing.pricing_rates SET is_active = false WHERE prefix = '447'")
    db.execute(
        "UPDATE billing.pricing_rates SET is_active = false"
        " WHERE plan_id = 12 AND channel = 'voice'"
    )
    db.execute(
        "UPDATE billing.pricing_rates SET effective_until = '2026-04-02'"
        " WHERE charge_model IN ('volume', 'stepped')"
    )
    tiers = '{"tiers": [{"up_to": 3, "unit_price": "0.5"}, {"up_to": null, "unit_price": "0.1"}]}'
    add_rate(db, "email", "message", None, charge_model="volume", terms=tiers, plan_id=10)
    assert (
        value(
            db,
            "SELECT billing.apply_rerating(billing.propose_rerating(%s, %s))",
            "2026-02-01",
            "2026-05-31",
        )
        > 20
    )
    assert_sound(db)
    for tenant, plan in ((1, "tiers"), (2, "floor"), (3, "bands"), (4, "tiers"), (5, "bands")):
        simulated = db.execute(
            f"SELECT period_start, {LINE} FROM billing.simulate_plan(%s, %s, %s, %s)".encode(),
            [tenant, plan, FROM, TO],
        ).fetchall()
        for period in {line[0] for line in simulated}:
            invoice = value(db, "SELECT billing.generate_invoice(%s, %s)", tenant, period)
            lines = db.execute(
                f"SELECT {LINE} FROM billing.get_invoice_lines(%s)".encode(), [invoice]
            ).fetchall()
            expected = [line[1:] for line in simulated if line[0] == period]
            assert sorted(map(str, expected)) == sorted(map(str, lines))


# Once


def test_regression_cgrates_48_rerating_debits_once(db: Connection) -> None:
    """A re-rated call was debited again and its first debit kept (cgrates/cgrates#48)."""
    db.execute("INSERT INTO tenants (id) VALUES (1)")
    add_call(db, 1)
    double_the_price(db)
    proposal = value(db, ALL)
    balance = "SELECT current_usage FROM billing.get_tenant_balance(1, '2026-05-20')"
    assert value(db, balance) == Decimal("0.015")
    for _ in range(3):
        assert value(db, APPLY, proposal) == 1
        assert value(db, balance) == Decimal("0.03")
        assert value(db, "SELECT count(*) FROM billing.usage_records") == 3
    assert value(db, APPLY, value(db, ALL)) == 0
    assert_sound(db)


def test_free_minutes_do_not_move_whatever_order_calls_arrive_in(db: Connection) -> None:
    """cgrates' rerate_cdrs_it_test gives the free minute to the call that was answered first, and
    so must re-rate when calls arrive out of order. Here a plan's allowance belongs to the period,
    not to a call: the sum is the same 1.80, and there is nothing to re-rate."""
    db.execute(
        "INSERT INTO billing.plan_allowances VALUES (1, 'voice', 'minute', '2020-01-01', 1, 0.6);"
        "INSERT INTO tenants (id, plan_id) VALUES (1, 1)"
    )
    add_rate(db, "voice", "minute", "0.6", plan_id=1)
    for row, hour in ((1, 16), (2, 15)):
        add_call(db, row, 120)
        db.execute(
            "UPDATE calls SET answered_at = %s WHERE id = %s", [f"2026-05-15 {hour}:15+00", row]
        )
    assert Client(db).rerating(value(db, ALL)) == []
    invoice = value(db, "SELECT billing.generate_invoice(1, '2026-05-01')")
    assert value(db, "SELECT total_amount FROM billing.get_invoice(%s)", invoice) == Decimal("1.80")


def test_what_changed_since_the_proposal_is_left_alone(db: Connection) -> None:
    db.execute("INSERT INTO tenants (id) VALUES (1)")
    for row in range(1, 6):
        add_call(db, row)
    double_the_price(db)
    first, second = value(db, ALL), value(db, ALL)
    db.execute("UPDATE calls SET status = 'failed' WHERE id = 1")
    db.execute("UPDATE calls SET duration_seconds = 120 WHERE id = 2")
    assert value(db, APPLY, first) == 3
    assert value(db, APPLY, second) == 0, "they stand no more"
    applied = {row.resource_id: row.new_record_id is not None for row in Client(db).rerating(first)}
    assert applied == {"CA1": False, "CA2": False, "CA3": True, "CA4": True, "CA5": True}
    # The corrected call kept its recorded price, and the next proposal finds it.
    assert value(db, APPLY, value(db, ALL)) == 1
    assert total(db) == Decimal("0.03") * 5
    # A correction after that goes by the price that stands.
    db.execute("UPDATE calls SET duration_seconds = 180 WHERE id = 2")
    assert total(db) == Decimal("0.03") * 6
    assert_sound(db)


def test_a_charge_without_a_price_any_more_stays_as_it_is(db: Connection) -> None:
    db.execute("INSERT INTO tenants (id) VALUES (1)")
    add_call(db, 1)
    db.execute("UPDATE billing.pricing_rates SET is_active = false WHERE channel = 'voice'")
    proposal = value(db, ALL)
    (row,) = Client(db).rerating(proposal)
    assert (row.problem, row.new_cost, row.new_rate_id) == ("UB001", None, None)
    assert Client(db).apply_rerating(proposal) == 0
    assert total(db) == Decimal("0.015")
    assert_sound(db)


def test_what_was_recorded_by_hand_stays_one_resource(db: Connection) -> None:
    db.execute("INSERT INTO tenants (id) VALUES (1)")
    record = (
        "SELECT billing.record_usage(1, 'voice', 'minute', 'CA1', %s, '{\"region\": \"US\"}',"
        " '2026-05-15')"
    )
    value(db, record, 1)
    double_the_price(db)
    assert value(db, APPLY, value(db, ALL)) == 1
    (row,) = Client(db).rerating(1)
    assert value(db, record, 1) == row.new_record_id, "the charge that stands"
    with pytest.raises(psycopg.Error, match="other figures"):
        value(db, record, 2)
    assert value(db, "SELECT count(*) FROM billing.usage_records") == 3
    assert_sound(db)
    # A second change, then the row of the resource takes over with other figures.
    db.execute("UPDATE billing.pricing_rates SET is_active = false WHERE unit_price = 0.03")
    add_rate(db, "voice", "minute", "0.06", effective_from="2026-05-01")
    assert value(db, APPLY, value(db, ALL)) == 1
    assert total(db) == Decimal("0.06")
    assert_sound(db)
    add_call(db, 1, seconds=120)
    assert total(db) == Decimal("0.12")
    assert_sound(db)


def test_the_command_line_proposes_shows_and_applies(database: str, db: Connection) -> None:
    db.execute("INSERT INTO tenants (id) VALUES (1)")
    add_call(db, 1)
    double_the_price(db)

    def run(*arguments: str) -> Any:
        result = CliRunner().invoke(main, ["rerate", *arguments, "-d", database, "-f", "json"])
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    proposed = run("propose", "--from", "2026-05-01", "--to", "2026-05-31", "--tenant", "1")
    assert proposed == {
        "proposal_id": 1,
        "charges": 1,
        "without_price": 0,
        "difference": "0.0150000000",
    }
    (charge,) = run("show", "1")
    assert (charge["old_cost"], charge["new_cost"]) == ("0.0150000000", "0.0300000000")
    assert run("apply", "1") == run("apply", "1") == {"proposal_id": 1, "replaced": 1}
    table = CliRunner().invoke(main, ["rerate", "show", "1", "-d", database])
    assert "0.03" in table.stdout
    unknown = CliRunner().invoke(main, ["rerate", "apply", "77", "-d", database])
    assert (unknown.exit_code, unknown.stdout) == (1, "")


@pytest.mark.parametrize("call", ["apply_rerating(NULL)", "apply_rerating(77)", "get_rerating(77)"])
def test_an_unknown_proposal_is_an_error(db: Connection, call: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        db.execute(f"SELECT billing.{call}".encode())
    assert caught.value.sqlstate == UnknownSourceError.sqlstate


def test_a_row_that_takes_over_a_resource_while_it_is_rerated_takes_over_the_new_charge(
    db: Connection, connect: Callable[..., Connection], pool: ThreadPoolExecutor
) -> None:
    """Until its update says so, nobody knows that the row is about the resource."""
    db.execute("INSERT INTO tenants (id) VALUES (1)")
    by_hand = "SELECT billing.record_usage(1, 'voice', 'minute', 'H', 1, '{}', '2026-05-15')"
    db.execute(by_hand.encode())
    db.execute("INSERT INTO calls (id, tenant_id, call_sid, status) VALUES (9, 1, 'N', 'ringing')")
    double_the_price(db)
    operator, application = connect(), connect()
    assert value(operator, APPLY, value(db, ALL)) == 1
    future = pool.submit(
        application.execute,
        "UPDATE calls SET call_sid = 'H', status = 'completed', duration_seconds = 120,"
        " answered_at = '2026-05-15 12:00+00' WHERE id = 9",
    )
    wait_until_blocked(db, application, future)
    operator.commit()
    future.result()
    application.commit()
    net = "SELECT sum(quantity), sum(total_cost) FROM billing.usage_records WHERE resource_id = 'H'"
    price = "SELECT total_cost FROM billing.quote(1, 'voice', 'minute', 2, NULL, '2026-05-15')"
    assert db.execute(net.encode()).fetchone() == (2, value(db, price))
    assert_sound(db)


@pytest.mark.parametrize(
    ("arguments", "state"),
    [
        ("'2026-05-02', '2026-05-01'", "UB012"),
        ("NULL, '2026-05-01'", "UB012"),
        ("'2026-05-01', 'infinity'", "UB012"),
        ("'2026-05-01', '2026-05-31', 77", "UB002"),
    ],
)
def test_a_bad_proposal_is_refused(db: Connection, arguments: str, state: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        db.execute(f"SELECT billing.propose_rerating({arguments})".encode())
    assert caught.value.sqlstate == state


def test_a_detached_month_is_not_taken_for_one_without_usage(db: Connection) -> None:
    db.execute("INSERT INTO tenants (id) VALUES (1)")
    db.execute("SELECT billing.ensure_partition('2026-05-01')")
    add_call(db, 1)
    double_the_price(db)
    proposal = value(db, ALL)
    db.execute("SELECT billing.detach_month('2026-05-01')")
    for query in (ALL, f"SELECT billing.apply_rerating({proposal})"):
        with pytest.raises(psycopg.Error) as caught:
            db.execute(query.encode())
        assert caught.value.sqlstate == "UB006"
    db.execute("SELECT billing.attach_month('2026-05-01')")
    assert value(db, APPLY, proposal) == 1


# Invoices


def test_an_invoiced_period_yields_an_adjustment_of_the_next_invoice(db: Connection) -> None:
    db.execute(
        """
        INSERT INTO billing.pricing_plans (id, name, display_name, minimum_spend)
        VALUES (10, 'floor', 'Floor', 1);
        INSERT INTO billing.plan_allowances VALUES
            (10, 'voice', 'minute', '2020-01-01', 10, 0.011),
            (3, 'voice', 'minute', '2020-01-01', 2, 0.02);
        INSERT INTO tenants (id, plan_id) VALUES (1, 10), (2, 3), (3, 1), (4, 3);
        """
    )
    for row in range(1, 101):
        add_call(db, row, 60 + row, 1 + row % 4)
    invoices = {
        tenant: value(db, "SELECT billing.generate_invoice(%s, '2026-05-01')", tenant)
        for tenant in (1, 2, 4)
    }
    for tenant in (1, 2):
        db.execute("SELECT billing.finalize_invoice(%s)", [invoices[tenant]])
    issued = "SELECT * FROM billing.invoice_line_items WHERE tenant_id <> 4 ORDER BY id"
    lines = db.execute(issued.encode()).fetchall()
    cost = """
        WITH used AS (
            SELECT array_agg(u) AS lines
            FROM billing.list_period_usage(
                %s, '2026-05-01', '2026-05-31', '2026-05-31 23:59+00'
            ) AS u
        )
        SELECT sum(amount)
        FROM (
            SELECT amount FROM used, unnest(lines)
            UNION ALL
            SELECT amount FROM used, billing.price_plan_terms(%s, 'USD', '2026-05-01', true, lines)
        ) AS x
        """
    plans = {1: 10, 2: 3}
    before = {tenant: value(db, cost, tenant, plan) for tenant, plan in plans.items()}
    seconds = sum(60 + row for row in range(1, 101) if row % 4 == 0)
    # Tenant 1 stays below the minimum spend at first: what it owes more is less than what changed.
    assert before[1] == 1
    double_the_price(db)
    assert value(db, APPLY, value(db, ALL)) == 100
    assert db.execute(issued.encode()).fetchall() == lines, "what was issued stays"

    adjustments = dict(db.execute("SELECT tenant_id, amount FROM billing.adjustments").fetchall())
    assert adjustments == {
        tenant: value(db, cost, tenant, plan) - before[tenant] for tenant, plan in plans.items()
    }
    assert adjustments[1] == Decimal(seconds) * Decimal("0.03") / 60 - Decimal("0.11") - 1
    after = "SELECT current_usage FROM billing.get_tenant_balance(2)"
    assert value(db, after) == adjustments[2]
    june = value(db, "SELECT billing.generate_invoice(2, '2026-06-01')")
    assert db.execute(
        "SELECT amount, description FROM billing.get_invoice_lines(%s) WHERE kind = 'adjustment'",
        [june],
    ).fetchall() == [
        (round(adjustments[2], 2), "Usage of 2026-05-01 to 2026-05-31 at corrected prices")
    ]
    # A draft is drawn up anew, at the new prices.
    assert value(db, "SELECT billing.generate_invoice(4, '2026-05-01')") == invoices[4]
    assert_sound(db)


def test_an_adjustment_takes_in_what_others_record_meanwhile(
    db: Connection, connect: Callable[..., Connection], pool: ThreadPoolExecutor
) -> None:
    db.execute(
        "INSERT INTO billing.pricing_plans (id, name, display_name) VALUES (10, 'tiers', 'Tiers');"
        "INSERT INTO tenants (id, plan_id) VALUES (1, 10)"
    )
    tiers = '{"tiers": [{"up_to": 5, "unit_price": "1"}, {"up_to": null, "unit_price": "0.5"}]}'
    add_rate(db, "voice", "minute", None, plan_id=10, charge_model="graduated", terms=tiers)
    for row in range(1, 9):
        add_call(db, row)
    db.execute("SELECT billing.generate_invoice(1, '2026-05-01')")
    db.execute("SELECT billing.finalize_invoice(id) FROM billing.invoices")
    db.execute("UPDATE billing.pricing_rates SET is_active = false WHERE plan_id = 10")
    add_rate(db, "voice", "minute", "1", plan_id=10)
    proposal = value(db, ALL)
    holder, operator = connect(), connect()
    holder.execute("SELECT FROM calls WHERE id = 8 FOR UPDATE")
    future = pool.submit(operator.execute, APPLY, [proposal])
    wait_until_blocked(db, operator, future)
    add_call(db, 9)  # Late, at the new price already.
    holder.rollback()
    assert future.result().fetchone() == (8,)
    operator.commit()
    # Five and three minutes were 6.50; eight at the new price are 8, and one came late.
    assert value(db, "SELECT amount FROM billing.adjustments") == Decimal("2.5")
    db.execute("SELECT billing.generate_invoice(1, '2026-06-01')")
    assert value(db, "SELECT sum(amount) FROM billing.adjustments") == Decimal("2.5")
    assert_sound(db)


# Two connections


@pytest.fixture
def proposal(db: Connection) -> int:
    """Calls 1 to 5, which a proposal would charge at twice the price."""
    db.execute("SET statement_timeout = '60s'")
    db.execute("INSERT INTO tenants (id) VALUES (1)")
    for row in range(1, 6):
        add_call(db, row)
    double_the_price(db)
    found = value(db, ALL)
    assert isinstance(found, int)
    return found


WRITES = {
    "UPDATE calls SET duration_seconds = 120 WHERE id = 3": Decimal("0.015") * 2,
    "UPDATE calls SET status = 'failed' WHERE id = 3": Decimal(0),
}


@pytest.mark.parametrize("write", WRITES)
def test_the_application_first(
    db: Connection,
    connect: Callable[..., Connection],
    pool: ThreadPoolExecutor,
    proposal: int,
    write: str,
) -> None:
    application, operator = connect(), connect()
    application.execute(write.encode())
    future = pool.submit(operator.execute, APPLY, [proposal])
    wait_until_blocked(db, operator, future)
    application.commit()
    assert future.result().fetchone() == (4,), "the one that changed is passed over"
    operator.commit()
    assert total(db) == Decimal("0.03") * 4 + WRITES[write]
    assert_sound(db)


@pytest.mark.parametrize("write", WRITES)
def test_the_rerating_first(
    db: Connection,
    connect: Callable[..., Connection],
    pool: ThreadPoolExecutor,
    proposal: int,
    write: str,
) -> None:
    application, operator = connect(), connect()
    assert operator.execute(APPLY, [proposal]).fetchone() == (5,)
    future = pool.submit(application.execute, write.encode())
    wait_until_blocked(db, application, future)
    operator.commit()
    future.result()
    application.commit()
    assert total(db) == Decimal("0.03") * 4 + WRITES[write] * 2
    assert_sound(db)


def test_a_row_deleted_and_restored_meanwhile(
    db: Connection, connect: Callable[..., Connection], pool: ThreadPoolExecutor, proposal: int
) -> None:
    """There is no row to lock: the two meet in the key of the records."""
    db.execute("DELETE FROM calls WHERE id = 3")
    application, operator = connect(), connect()
    add_call(application, 3, seconds=120)
    future = pool.submit(operator.execute, APPLY, [proposal])
    wait_until_blocked(db, operator, future)
    application.commit()
    assert future.result().fetchone() == (4,)
    operator.commit()
    assert total(db) == Decimal("0.03") * 4 + Decimal("0.03")
    assert_sound(db)


def test_two_who_apply_it_at_a_time_apply_it_once(
    db: Connection, connect: Callable[..., Connection], pool: ThreadPoolExecutor, proposal: int
) -> None:
    one, two = connect(), connect()
    assert one.execute(APPLY, [proposal]).fetchone() == (5,)
    future = pool.submit(two.execute, APPLY, [proposal])
    wait_until_blocked(db, two, future)
    one.commit()
    assert future.result().fetchone() == (5,)
    two.commit()
    assert value(db, "SELECT count(*) FROM billing.usage_records") == 15
    assert_sound(db)


def test_two_proposals_of_the_same_charges_at_a_time(
    db: Connection, connect: Callable[..., Connection], pool: ThreadPoolExecutor, proposal: int
) -> None:
    other = value(db, ALL)
    one, two = connect(), connect()
    assert one.execute(APPLY, [proposal]).fetchone() == (5,)
    future = pool.submit(two.execute, APPLY, [other])
    wait_until_blocked(db, two, future)
    one.commit()
    assert future.result().fetchone() == (0,)
    two.commit()
    assert total(db) == Decimal("0.03") * 5
    assert_sound(db)


ROW = b"INSERT INTO calls (id, tenant_id, call_sid, status, answered_at, duration_seconds)"
BEGUN = ROW + b" VALUES (9, 1, %s, 'in-progress', '2026-05-15', 120)"
COMPLETED = (
    b"UPDATE calls SET status = 'completed' WHERE id = 9 AND call_sid IS NOT DISTINCT FROM %s"
)
FINISHED = ROW + b" VALUES (9, 1, %s, 'completed', '2026-05-15', 120)"


@pytest.mark.parametrize(
    ("sid", "before", "meanwhile"),
    [("CA9", BEGUN, COMPLETED), (None, BEGUN, COMPLETED), ("CA9", None, FINISHED)],
)
def test_by_hand_and_by_its_row_meanwhile(
    db: Connection,
    connect: Callable[..., Connection],
    pool: ThreadPoolExecutor,
    proposal: int,
    sid: str | None,
    before: bytes | None,
    meanwhile: bytes,
) -> None:
    if before:
        db.execute(before, [sid])
    db.execute("UPDATE billing.pricing_rates SET is_active = false WHERE unit_price = 0.03")
    add_rate(db, "voice", "minute", "0.04", effective_from="2026-05-01")
    db.execute(
        "SELECT billing.record_usage(1, 'voice', 'minute', %s, 1, '{}', '2026-05-15')",
        [sid or "9"],
    )
    db.execute("UPDATE billing.pricing_rates SET is_active = false WHERE unit_price = 0.04")
    add_rate(db, "voice", "minute", "0.05", effective_from="2026-05-01")
    both = value(db, ALL)
    application, operator = connect(), connect()
    assert operator.execute(APPLY, [both]).fetchone() == (6,)
    future = pool.submit(application.execute, meanwhile, [sid])
    wait_until_blocked(db, application, future)
    operator.commit()
    future.result()
    application.commit()
    assert total(db) == Decimal("0.05") * 5 + Decimal("0.05") * 2
    assert_sound(db)
