"""The demo as a promise: what it shows is what calls and messages say, and twice is once."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from campaigns import oracle
from pyapi import Client, cli, demo, demo_platform
from pyapi.client import Invoice
from pyapi.errors import UsageError

pytestmark = pytest.mark.newest

UPDATES = 11_393
Key = tuple[int, dt.date, str, str]


def charges_of(db: Connection) -> dict[tuple[str, int], oracle.Charge]:
    """What each row of calls and messages deserves, by the oracle."""
    prices = oracle.Prices(
        oracle.read_rates(db),
        {
            tenant_id: [oracle.Terms(plan_id, zone, currency)]
            for tenant_id, plan_id, zone, currency in db.execute(
                "SELECT id, plan_id, timezone, currency FROM public.tenants"
            )
        },
    )
    charges = {}
    for table, deserved_by in oracle.DESERVED.items():
        for row in oracle.read_rows(db, table):
            usage = deserved_by(row)
            if usage is not None:
                assert usage.occurred_at is not None
                charge = prices.charge(usage, usage.occurred_at)
                assert charge is not None, row
                charges[table, row["id"]] = charge
    return charges


def sums(charges: list[oracle.Charge]) -> dict[Key, tuple[Fraction, Decimal, int]]:
    """Quantity, cost and number by tenant, day and resource."""
    groups = defaultdict(list)
    for charge in charges:
        key = (charge.tenant_id, charge.usage_date, charge.channel, charge.resource_type)
        groups[key].append(charge)
    return {
        key: (
            sum((charge.quantity for charge in group), Fraction(0)),
            sum((charge.cost for charge in group), Decimal(0)),
            len(group),
        )
        for key, group in groups.items()
    }


def is_quantity(shown: Decimal, exact: Fraction, count: int) -> bool:
    """Minutes are sums of quotients by 60, of which each has its last decimal rounded."""
    return abs(Fraction(shown) - exact) <= Fraction(count, 10**12)


def check_days(db: Connection, client: Client, charges: list[oracle.Charge]) -> None:
    expected = sums(charges)
    shown = {
        (tenant_id, usage.bucket, usage.channel, usage.resource_type): usage
        for (tenant_id,) in db.execute("SELECT id FROM public.tenants").fetchall()
        for usage in client.usage_history(tenant_id, dt.date(2000, 1, 1), dt.date(2100, 1, 1))
    }
    nothing = {key for key, usage in shown.items() if usage.record_count == 0}  # All taken back.
    assert shown.keys() - nothing == expected.keys()
    for key in nothing:
        assert shown[key].total_quantity == shown[key].total_cost == 0, key
    for key, (quantity, cost, count) in expected.items():
        assert (shown[key].total_cost, shown[key].record_count) == (cost, count), key
        assert is_quantity(shown[key].total_quantity, quantity, count), key


def check_drafts(db: Connection, client: Client, charges: list[oracle.Charge]) -> None:
    """Each tenant's draft: its fee, and one line for each resource and price, rounded once."""
    prices = dict(db.execute("SELECT id, unit_price FROM billing.pricing_rates").fetchall())
    tenants = db.execute(
        """
        SELECT t.id, t.billing_cycle_day, p.monthly_base_fee, t.currency
          FROM public.tenants AS t JOIN billing.pricing_plans AS p ON p.id = t.plan_id
         WHERE p.name <> 'prepaid'
        """
    ).fetchall()
    assert len(tenants) == len(demo_platform.TENANTS)
    for tenant_id, cycle_day, fee, currency in tenants:
        header, *later = reversed(client.invoices(tenant_id))
        is_issued = tenant_id == demo_platform.INVOICED + 1
        assert header.status == ("pending" if is_issued else "draft")
        assert len(later) == is_issued
        assert header.currency == currency
        assert header.period_start.day == last_of(header.period_start, cycle_day)
        next_day = header.period_end + dt.timedelta(days=1)
        assert next_day.day == last_of(next_day, cycle_day)
        lines: dict[tuple[Any, ...], list[oracle.Charge]] = defaultdict(list)
        for charge in charges:
            in_period = header.period_start <= charge.usage_date <= header.period_end
            if charge.tenant_id == tenant_id and in_period:
                key = (charge.channel, charge.resource_type, prices[charge.rate_id])
                lines[key].append(charge)
        amounts = {
            key: oracle.rounded(sum((Fraction(c.cost) for c in line), Fraction(0)), 2)
            for key, line in lines.items()
        }
        shown = client.invoice(header.id)
        if is_issued:
            check_issued(db, client, header, later[0], amounts)
            continue
        usage = [line for line in shown.lines if line.kind == "usage"]
        assert amounts == {
            (line.channel, line.resource_type, line.unit_price): line.amount for line in usage
        }
        for line in usage:
            behind = lines[line.channel, line.resource_type, line.unit_price]
            exact = sum((charge.quantity for charge in behind), Fraction(0))
            assert line.quantity is not None
            assert is_quantity(line.quantity, exact, len(behind))
        fees = [line.amount for line in shown.lines if line.kind == "plan_fee"]
        assert fees == ([fee] if fee else [])
        assert shown.total_amount == sum(amounts.values()) + fee


def check_issued(
    db: Connection,
    client: Client,
    header: Invoice,
    draft: Invoice,
    amounts: dict[tuple[Any, ...], Fraction],
) -> None:
    """The invoice has all but the late call, the next draft has that, and half was credited."""
    late = Decimal("1.05")  # 70 minutes at 0.015.
    shown, following = client.invoice(header.id), client.invoice(draft.id)
    assert shown.invoice_number == f"INV-{shown.period_start:%Y-%m}-0001"
    assert shown.total_amount == sum(line.amount for line in shown.lines)
    assert abs(shown.total_amount + late - sum(amounts.values())) <= Decimal("0.01")
    assert [line.amount for line in following.lines if line.kind == "adjustment"] == [late]
    for line in shown.lines:
        shares = [record.share for record in client.explain_invoice_line(line.id)]
        assert sum(shares, Decimal()) == line.amount
        assert shares
    assert shown.amount_credited == round(shown.total_amount / 2, 2)
    dispositions = "SELECT DISTINCT disposition FROM billing.usage_disposition WHERE tenant_id = %s"
    found = db.execute(dispositions.encode(), [header.tenant_id]).fetchall()
    assert {name for (name,) in found} == {"invoiced", "late", "open"}


def last_of(day: dt.date, cycle_day: int) -> int:
    """The cycle day, in a shorter month its last day."""
    next_month = (day.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
    return min(cycle_day, (next_month - dt.timedelta(days=1)).day)


def check_output(db: Connection, output: str, charges: list[oracle.Charge]) -> None:
    """The totals that people read: the current period of the first tenant, and its balance."""
    query = "SELECT id, credit_balance FROM public.tenants WHERE company_name = %s"
    found = db.execute(query, [demo_platform.TENANTS[demo_platform.HERO].company_name]).fetchone()
    assert found is not None
    hero, credit = found
    period = Client(db).billing_period(hero)
    own = [charge for charge in charges if charge.tenant_id == hero]
    current = [c for c in own if period.period_start <= c.usage_date <= period.period_end]
    total = cli.money(sum((charge.cost for charge in current), Decimal(0)))
    assert f"Usage of tenant {hero}, {period.period_start} to {period.period_end}" in output
    assert total in output
    left = credit - sum((charge.cost for charge in own), Decimal(0))
    assert cli.money(left) in output
    assert "no violations" in output


def check_prepaid(db: Connection, client: Client, output: str) -> None:
    """Five dollars are talked away, the next call is refused, and Comet was told three times."""
    comet = max(tenant for (tenant,) in db.execute("SELECT id FROM public.tenants"))
    balance = client.balance(comet)
    assert (balance.credit_balance, balance.remaining_credits, balance.reserved) == (5, 0, 0)
    asked = db.execute("SELECT key, granted FROM billing.reservations ORDER BY key").fetchall()
    assert asked == [("CA-comet-1", 16_000), ("CA-comet-2", 2_000), ("CA-comet-3", 2_000)]
    assert "CA-comet-4" in output
    alerts = client.alerts(comet)
    assert [alert.threshold for alert in alerts] == [100, 90, 80]
    assert [alert.delivered for alert in alerts] == [1, 1, 1]
    assert output.count("webhook received, signature verified") == 3


def test_all_that_the_demo_shows_follows_from_calls_and_messages(
    empty_database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    demo.run(empty_database)
    first = capsys.readouterr().out
    with psycopg.connect(empty_database, autocommit=True) as db:
        client = Client(db)
        charges = list(charges_of(db).values())
        assert {charge.tenant_id for charge in charges} == set(range(1, 8))
        assert {(charge.channel, charge.resource_type) for charge in charges} == {
            ("voice", "minute"),
            ("sms", "message"),
            ("sms", "mms"),
            ("email", "message"),
            ("whatsapp", "message"),
            ("social", "message"),
        }
        assert {charge.currency for charge in charges} == {"USD", "EUR"}
        check_days(db, client, charges)
        check_drafts(db, client, charges)
        check_output(db, first, charges)
        check_prepaid(db, client, first)
        assert client.verify() == []
        before = counts(db)

        demo.run(empty_database)
        assert counts(db) == before
        assert list(charges_of(db).values()) == charges
        check_days(db, client, charges)
        check_drafts(db, client, charges)
        check_output(db, capsys.readouterr().out, charges)


def counts(db: Connection) -> tuple[Any, ...] | None:
    return db.execute(
        """
        SELECT (SELECT count(*) FROM public.tenants),
               (SELECT count(*) FROM public.calls),
               (SELECT count(*) FROM public.messages),
               (SELECT max(id) FROM billing.usage_records),
               (SELECT count(*) FROM billing.pricing_rates),
               (SELECT count(*) FROM billing.invoices),
               (SELECT count(*) FROM billing.unrated_usage),
               (SELECT count(*) FROM billing.reservations),
               (SELECT count(*) FROM billing.alerts)
        """
    ).fetchone()


def test_an_interrupted_demo_is_finished_by_the_next(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    update_batch, calls = demo._update_batch, 0

    def interrupt(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 12:
            raise KeyboardInterrupt
        update_batch(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(demo, "_update_batch", interrupt)
        with pytest.raises(KeyboardInterrupt):
            demo.run(empty_database)
    with psycopg.connect(empty_database, autocommit=True) as db:
        unfinished = "SELECT count(*) FROM public.calls WHERE status IN ('ringing', 'in-progress')"
        assert db.execute(unfinished).fetchone() > (0,)
        demo.run(empty_database)
        assert db.execute(unfinished).fetchone() == (0,)
        check_days(db, Client(db), list(charges_of(db).values()))


def test_the_demo_keeps_out_of_a_database_in_use(database: str, empty_database: str) -> None:
    with psycopg.connect(database, autocommit=True) as db:
        db.execute("INSERT INTO public.tenants (company_name) VALUES ('Somebody')")
    with pytest.raises(UsageError, match="tenants") as refused:
        demo.run(database)
    assert refused.value.hint

    with psycopg.connect(empty_database, autocommit=True) as db:
        db.execute("CREATE TABLE public.calls (id bigint)")
        with pytest.raises(UsageError, match="calls"):
            demo.run(empty_database)
        assert db.execute("SELECT to_regnamespace('billing')").fetchone() == (None,)


@pytest.mark.parametrize("minutes", [0, 30, 90, 60 * 24, 60 * 24 * 30])
def test_the_platform_is_the_same_each_time_and_nothing_on_it_is_yet_to_come(minutes: int) -> None:
    """At any time of a period, its very first minute included."""
    now = dt.datetime(2025, 12, 1, tzinfo=dt.timezone.utc) + dt.timedelta(minutes=minutes)
    spans = [
        demo_platform.Span(
            number,
            dt.datetime(2025, 11, 1, tzinfo=dt.timezone.utc),
            dt.datetime(2025, 12, 1, tzinfo=dt.timezone.utc),
            now,
            dt.timedelta(hours=number),
        )
        for number in range(1, 7)
    ]
    stories = demo_platform.imagine(spans)
    again = demo_platform.imagine(spans)
    assert [(s.key, s.states) for s in stories] == [(s.key, s.states) for s in again]
    assert len({story.key for story in stories}) == 6_000
    updates = sum(len(story.states) - 1 for story in stories)
    assert updates == UPDATES  # Whenever it is run; what is in README stays true.
    instants = [
        value
        for story in stories
        for value in (*story.begun, *(v for state in story.states for v in state))
        if isinstance(value, dt.datetime)
    ]
    assert spans[0].previous_start <= min(instants)
    assert max(instants) <= now
