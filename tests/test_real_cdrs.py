"""50,000 real call records, completed by plain UPDATEs: every tenant-day to the last digit.

Half of the tenants are on a card of 13,126 prefixes. The files are third-party data that lie beside
the project; without them the small set made here covers the same ground.
"""

from __future__ import annotations

import csv
import datetime as dt
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import psycopg
import pytest
from psycopg import Connection

from campaigns import oracle
from pyapi.embedded import installed, project

pytestmark = pytest.mark.newest

FIXTURES = project().parent / "shared" / "fixtures"
ZONES = [
    "UTC",
    "America/New_York",
    "Asia/Kolkata",
    "Europe/Berlin",
    "America/Los_Angeles",
    "Pacific/Auckland",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Pacific/Kiritimati",
]
DECK_PLAN = 50


@dataclass(frozen=True)
class Call:
    id: int
    tenant_id: int
    direction: str
    to_number: str
    started_at: dt.datetime
    seconds: int


@dataclass(frozen=True)
class Price:
    """A line of a deck; increments in seconds."""

    prefix: str
    unit_price: Decimal
    initial_increment: int = 1
    billing_increment: int = 1


def real_deck() -> list[Price]:
    """The audio rows of grn_premium: the file's only rate plan, with one row for each prefix.

    (Its one SMS row has no price for 60 s.) 0 for an increment means the default, 1 s.
    """
    folder = FIXTURES / "rate_decks"
    with open(folder / "cdrtool_destinations.csv", newline="") as file:
        steps = {
            row["Destination"]: (int(row["Min Dur"]), int(row["Incr"]))
            for row in csv.DictReader(file)
        }
    deck = []
    with open(folder / "cdrtool_rates.csv", newline="") as file:
        for row in csv.DictReader(file):
            if row["App"] == "audio":
                assert (row["Rate"], row["Connect"]) == ("grn_premium", "0")
                prefix = row["Destination"]
                least, step = steps[prefix]
                price = Decimal(row["Duration"]) / 10_000
                deck.append(Price(prefix, price, least or 1, step or 1))
    return deck


def real_calls(deck: list[Price]) -> list[Call]:
    """customer_id decides the tenant; incoming is inbound, outgoing outbound; times are UTC.

    The file's numbers are all Indian mobiles. They become the last digits of numbers that begin
    with a prefix of the deck, so that all of it is used.
    """
    rng = random.Random(13_126)
    calls = []
    with open(FIXTURES / "cdr_sets" / "telecom_synth_50000_cost.csv", newline="") as file:
        for row in csv.DictReader(file):
            prefix = rng.choice(deck).prefix
            calls.append(
                Call(
                    int(row["record_id"]),
                    1 + int(row["customer_id"]) % len(ZONES),
                    {"incoming": "inbound", "outgoing": "outbound"}[row["call_type"]],
                    f"+{prefix}{row['called_number'][: max(0, 12 - len(prefix))]}",
                    dt.datetime.fromisoformat(row["timestamp"]).replace(tzinfo=dt.timezone.utc),
                    int(row["call_duration_seconds"]),
                )
            )
    return calls


def small_deck() -> list[Price]:
    """A few nested prefixes with the increments that decks have."""
    return [
        Price("", Decimal("0.9975")),
        Price("1", Decimal("0.0110"), 6, 6),
        Price("1204", Decimal("0.0137")),
        Price("44", Decimal("0.0205"), 60, 60),
        Price("447", Decimal("0.1729")),
        Price("44791", Decimal("0.30333333333333333333"), 30, 18),
        Price("9", Decimal("0.12345678905"), 1, 7),
        Price("98", Decimal(0)),
    ]


def small_calls(deck: list[Price]) -> list[Call]:
    """Some dozens of calls around midnights, month ends and changes of the clock."""
    rng = random.Random(48)
    nights = [
        dt.datetime(2024, 2, 28, 23, 59, 59, tzinfo=dt.timezone.utc),
        dt.datetime(2024, 12, 31, 12, 0, tzinfo=dt.timezone.utc),
        dt.datetime(2025, 3, 9, 7, 0, tzinfo=dt.timezone.utc),
        dt.datetime(2025, 10, 25, 22, 30, tzinfo=dt.timezone.utc),
    ]
    return [
        Call(
            number,
            1 + number % len(ZONES),
            "inbound" if number % 7 == 0 else "outbound",
            f"+{rng.choice(deck).prefix}{rng.randrange(10**8):08}",
            rng.choice(nights) + dt.timedelta(minutes=rng.randint(-800, 800)),
            rng.choice((1, 5, 6, 7, 29, 31, 59, 60, 61, 315, 3601, rng.randint(1, 900))),
        )
        for number in range(1, 81)
    ]


def prepare(db: Connection, deck: list[Price]) -> None:
    db.execute(
        "INSERT INTO pricing_plans (id, name, display_name) VALUES (%s, 'deck', 'Deck')",
        [DECK_PLAN],
    )
    columns = zip(
        *((p.prefix, p.unit_price, p.initial_increment, p.billing_increment) for p in deck),
        strict=True,
    )
    db.execute(
        """
        INSERT INTO pricing_rates (plan_id, channel, resource_type, prefix, unit_price,
            initial_increment, billing_increment, effective_from)
        SELECT %s, 'voice', 'minute', p, u, i, b, '2020-01-01 00:00:00+00'
          FROM unnest(%s::text[], %s::numeric[], %s::numeric[], %s::numeric[]) AS t (p, u, i, b)
        """,
        [DECK_PLAN, *map(list, columns)],
    )
    for tenant_id, terms in tenants().items():
        db.execute(
            "INSERT INTO tenants (id, plan_id, timezone) VALUES (%s, %s, %s)",
            [tenant_id, terms.plan_id, terms.timezone],
        )


def tenants() -> dict[int, oracle.Terms]:
    """Ten in as many zones, every other one on the deck."""
    return {
        number: oracle.Terms(DECK_PLAN if number % 2 else 1, zone)
        for number, zone in enumerate(ZONES, 1)
    }


def load(db: Connection, calls: list[Call]) -> None:
    """The application's own writes: calls begin."""
    columns = "id, tenant_id, call_sid, direction, to_number, status, initiated_at"
    copy = f"COPY calls ({columns}) FROM STDIN".encode()
    with db.cursor() as cursor, cursor.copy(copy) as rows:
        for c in calls:
            rows.write_row(
                (c.id, c.tenant_id, f"CA{c.id}", c.direction, c.to_number, "ringing", c.started_at)
            )


def complete(db: Connection, calls: list[Call], singles: int, batch: int, batches: int) -> None:
    """Calls end: one by one, in batches, and the rest in one statement."""
    for call in calls[:singles]:
        db.execute(
            "UPDATE calls SET status = 'completed', duration_seconds = %s WHERE id = %s",
            [call.seconds, call.id],
        )
    starts = [singles + batch * number for number in range(batches + 1)]
    for start, end in zip(starts, [*starts[1:], len(calls)], strict=True):
        part = calls[start:end]
        updated = db.execute(
            """
            UPDATE calls AS c SET status = 'completed', duration_seconds = e.seconds
              FROM unnest(%s::bigint[], %s::integer[]) AS e (id, seconds)
             WHERE c.id = e.id
            """,
            [[call.id for call in part], [call.seconds for call in part]],
        )
        assert updated.rowcount == len(part)


def expect(db: Connection, calls: Iterable[Call]) -> dict[tuple[int, dt.date], list[oracle.Charge]]:
    """What the oracle makes of it, by tenant and day."""
    prices = oracle.Prices(
        oracle.read_rates(db), {tenant_id: [terms] for tenant_id, terms in tenants().items()}
    )
    days = defaultdict(list)
    for call in calls:
        if call.direction == "outbound":
            usage = oracle.Usage(
                call.tenant_id,
                "voice",
                "minute",
                f"CA{call.id}",
                Decimal(call.seconds),
                call.to_number,
                call.started_at,
            )
            charge = prices.charge(usage, call.started_at)
            assert charge is not None
            days[call.tenant_id, charge.usage_date].append(charge)
    return days


def compare(db: Connection, expected: dict[tuple[int, dt.date], list[oracle.Charge]]) -> None:
    summaries = {
        (tenant, day): rest
        for tenant, day, *rest in db.execute(
            """
            SELECT tenant_id, summary_date, total_quantity, total_cost, record_count,
                   r.quantity, r.seconds
              FROM usage_summaries AS s
              JOIN (SELECT tenant_id, usage_date, sum(quantity) AS quantity,
                           sum(seconds) AS seconds
                      FROM usage_records
                     GROUP BY tenant_id, usage_date) AS r USING (tenant_id)
             WHERE r.usage_date = s.summary_date AND (channel, resource_type) = ('voice', 'minute')
            """
        )
    }
    assert summaries.keys() == expected.keys()
    for key, (quantity, cost, count, records_quantity, seconds) in summaries.items():
        charges = expected[key]
        assert cost == sum(charge.cost for charge in charges), key
        assert count == len(charges), key
        assert seconds == sum(charge.amount for charge in charges), key
        assert quantity == records_quantity, key
        exact = sum((charge.quantity for charge in charges), Fraction(0))
        assert abs(Fraction(quantity) - exact) <= Fraction(count, 10**12), key


def test_real_calls_are_billed_to_the_last_digit(database: str) -> None:
    if not FIXTURES.is_dir():
        pytest.skip(f"the call records of others are not here ({FIXTURES})")
    with psycopg.connect(database, autocommit=True) as db:
        major = db.info.server_version // 10_000
        if major not in (max(installed(), default=major), min(installed(), default=major)):
            pytest.skip("runs on the newest and the oldest PostgreSQL found here")
        bill(db, real_deck, real_calls, singles=500, batch=1_000, batches=20)


def test_small_set_is_billed_to_the_last_digit(db: Connection) -> None:
    bill(db, small_deck, small_calls, singles=20, batch=10, batches=3)


def bill(
    db: Connection,
    make_deck: Callable[[], list[Price]],
    make_calls: Callable[[list[Price]], list[Call]],
    singles: int,
    batch: int,
    batches: int,
) -> None:
    deck = make_deck()
    calls = make_calls(deck)
    prepare(db, deck)
    load(db, calls)
    assert db.execute("SELECT count(*) FROM usage_records").fetchone() == (0,)
    complete(db, calls, singles, batch, batches)
    expected = expect(db, calls)
    charges = [charge for day in expected.values() for charge in day]
    assert len({charge.rate_id for charge in charges}) > len(deck) * 0.4
    compare(db, expected)
    db.execute("SELECT merge_summaries(1000000)")
    compare(db, expected)
    assert db.execute("SELECT * FROM verify()").fetchall() == []
