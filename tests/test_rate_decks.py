"""Whole rate decks through the command line, then 100,000 numbers as an oracle says.

The oracle reads the same files with Python alone: a dict of prefixes, the longest that a number
begins with, and a cost in fractions. The two public decks are third-party data that lie beside the
project; without them the small deck of the project covers the same ground.
"""

from __future__ import annotations

import csv
import math
import random
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from psycopg import Connection

from campaigns import oracle
from pyapi.embedded import project

pytestmark = pytest.mark.newest

PUBLIC = project().parent / "shared" / "fixtures" / "rate_decks"
SMALL = Path(__file__).parent / "data" / "small_deck.csv"
CALLS = 100_000
AT = "2025-06-01 12:00:00+00"

needs_public_decks = pytest.mark.skipif(
    not PUBLIC.exists(), reason="the public rate decks do not lie beside the project"
)


@dataclass(frozen=True)
class Price:
    """What a line of a deck says: per minute, and in seconds."""

    unit_price: Fraction
    initial: int = 1
    step: int = 1
    connection_fee: Fraction = Fraction(0)
    minimum: Fraction = Fraction(0)


Deck = Mapping[str, Price]


def find(deck: Deck, number: str) -> Price | None:
    for length in range(len(number), -1, -1):
        if number[:length] in deck:
            return deck[number[:length]]
    return None


def cost(price: Price, seconds: int) -> Decimal:
    billed = max(seconds, price.initial)
    billed = price.initial + math.ceil(Fraction(billed - price.initial, price.step)) * price.step
    amount = price.connection_fee + price.unit_price * billed / 60
    return oracle.rounded(max(amount, price.minimum), 10)


def numbers(deck: Deck, rng: random.Random) -> list[tuple[str, int]]:
    """Numbers and seconds: below prefixes of the deck, beside them, and anywhere."""
    prefixes = list(deck)
    asked = []
    for _ in range(CALLS):
        number = rng.choice(prefixes) if rng.random() < 0.8 else ""
        if number and rng.random() < 0.2:
            number = number[:-1] + str(rng.randrange(10))
        digits = max(0, rng.randint(7, 15) - len(number))
        number += "".join(rng.choices("0123456789", k=digits))
        asked.append((number, rng.choice((1, 59, 60, 61, rng.randint(1, 4_000)))))
    return asked


def rate(db: Connection, asked: Iterable[tuple[str, int]]) -> list[tuple[str | None, Decimal]]:
    rows = list(asked)
    return db.execute(
        """
        SELECT problem, total_cost
          FROM billing.price_measurements((
               SELECT array_agg(jsonb_populate_record(NULL::billing.measurement, jsonb_build_object(
                          'source_id', n, 'part', 0, 'tenant_id', 7, 'channel', 'voice',
                          'resource_type', 'minute', 'resource_id', n::text, 'quantity', s,
                          'destination', d, 'occurred_at', %s::text)) ORDER BY n)
                 FROM unnest(%s::text[], %s::integer[]) WITH ORDINALITY AS u (d, s, n)))
         ORDER BY source_id
        """,
        [AT, [number for number, _ in rows], [seconds for _, seconds in rows]],
    ).fetchall()


def agrees(db: Connection, deck: Deck, seed: int) -> None:
    """Rate 100,000 numbers in one query; where the deck has nothing the default card would hold."""
    db.execute("UPDATE pricing_rates SET is_active = false WHERE plan_id IS NULL")
    asked = numbers(deck, random.Random(seed))
    answers = rate(db, asked)
    assert len(answers) == CALLS
    matched = 0
    for (number, seconds), answer in zip(asked, answers, strict=True):
        price = find(deck, number)
        matched += price is not None
        expected = ("UB001", None) if price is None else (None, cost(price, seconds))
        assert answer == expected, f"{number}, {seconds} s: {answer}, {price}"
    assert matched > CALLS // 2


def run(database: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pyapi.cli", "-d", database, "rates", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def load(database: str, file: Path, *options: object) -> str:
    done = run(
        database, "import", file, "--card", "plan:starter", "--effective-from", "2025-01-01",
        *options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture
def tenant(db: Connection) -> None:
    db.execute("INSERT INTO tenants (id, company_name, plan_id) VALUES (7, 'Acme', 2)")


@pytest.fixture
def newest_only(thorough: bool) -> None:
    if not thorough:
        pytest.skip("the public decks are rated on the newest PostgreSQL; here the small one is")


def exports_to_itself(database: str, tmp_path: Path) -> None:
    exported = tmp_path / "export.csv"
    exported.write_text(
        run(database, "export", "--card", "plan:starter", "--at", "2025-01-01").stdout
    )
    assert " 0 added, 0 changed" in load(database, exported)


def test_the_small_deck_rates_as_the_oracle_says(
    database: str, db: Connection, tenant: None, tmp_path: Path
) -> None:
    load(database, SMALL)
    deck = {}
    with SMALL.open(newline="") as file:
        for row in csv.DictReader(file):
            deck[row["Dial code"].strip("+* ").replace(" ", "").replace("-", "")] = Price(
                Fraction(row["Price per minute"]),
                int(row["First interval"] or 1),
                int(row["Next interval"] or 1),
                Fraction(row["Connect fee"] or 0),
                Fraction(row["Minimum charge"] or 0),
            )
    assert len(deck) == 24
    agrees(db, deck, 24)
    exports_to_itself(database, tmp_path)


@needs_public_decks
def test_the_cdrtool_deck_imports_whole_and_rates_as_the_oracle_says(
    database: str, db: Connection, tenant: None, tmp_path: Path, newest_only: None
) -> None:
    """13,127 rows of one rate plan, one a destination: price (Duration) in 1/10000 for 60 s.

    Increments are in the file of destinations, 0 meaning the default. One row prices no calls:
    that of SMS, with neither destination nor price for 60 s; 13,126 prefixes remain.
    """
    with (PUBLIC / "cdrtool_destinations.csv").open(newline="") as file:
        steps = {row["Destination"]: row for row in csv.DictReader(file)}
    deck, joined = {}, tmp_path / "cdrtool.csv"
    with (
        (PUBLIC / "cdrtool_rates.csv").open(newline="") as source,
        joined.open("w", newline="") as target,
    ):
        writer = csv.writer(target)
        writer.writerow(["Destination", "Duration", "Connect", "Incr", "Min Dur", "Description"])
        for row in csv.DictReader(source):
            own = steps.get(row["Destination"], {"Incr": "0", "Min Dur": "0", "Description": ""})
            blank = ["" if own[name] == "0" else own[name] for name in ("Incr", "Min Dur")]
            price = "" if row["App"] == "sms" else row["Duration"]
            fields = (row["Destination"], price, row["Connect"], *blank, own["Description"])
            writer.writerow(fields)
            if row["App"] == "audio":
                deck[row["Destination"]] = Price(
                    Fraction(row["Duration"]) / 10_000,
                    int(own["Min Dur"]) or 1,
                    int(own["Incr"]) or 1,
                    Fraction(row["Connect"]) / 10_000,
                )
    assert len(deck) == 13_126
    options = ("--map", "unit_price=Duration", "--price-divisor", 10_000)
    refused = run(
        database, "import", joined, "--card", "plan:starter", "--effective-from", "2025-01-01",
        *options,
    )  # fmt: skip
    assert refused.returncode == 1
    assert "prefix is missing" in refused.stdout
    assert "13,127 lines: 13,126 added" in load(database, joined, *options, "--skip-bad")
    agrees(db, deck, 13_126)
    exports_to_itself(database, tmp_path)


@needs_public_decks
def test_the_interconnection_deck_imports_with_its_bands_and_rates_as_the_oracle_says(
    database: str, db: Connection, tenant: None, tmp_path: Path, newest_only: None
) -> None:
    """1,162 rates of 1,070 destinations by name, 92 of them with peak and off-peak prices.

    The file has no prefixes, so each name is given one: 1000 for the first, then 1001, and so on.
    The prices are those of the file. Peak holds at no time of the calendar here but on Sundays, and
    the calls are on a Sunday at noon.
    """
    db.execute("INSERT INTO calendars (id, name, timezone) VALUES (1, 'carrier', 'UTC')")
    db.execute(
        "INSERT INTO calendar_bands (calendar_id, band, weekday, from_time, until_time)"
        " VALUES (1, 'peak', 7, '00:00', '24:00')"
    )
    prefixes: dict[str, str] = {}
    deck, joined = {}, tmp_path / "interconnection.csv"
    names = PUBLIC / "interconn_rates_by_name.csv"
    with names.open(newline="") as source, joined.open("w", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(["code", "description", "rate", "time_slot"])
        for row in csv.DictReader(source):
            name = row["traffic_direction"]
            prefix = prefixes.setdefault(name, str(1_000 + len(prefixes)))
            writer.writerow([prefix, name, row["rate"], row["time_slot"]])
            if row["time_slot"] != "off_peak":
                deck[prefix] = Price(Fraction(row["rate"]))
    assert len(deck) == len(prefixes) == 1_070
    said = load(database, joined, "--calendar", "carrier", "--base-band", "off_peak")
    assert "1,162 lines: 1,070 added" in said
    agrees(db, deck, 1_162)
    exported = tmp_path / "export.csv"
    exported.write_text(
        run(database, "export", "--card", "plan:starter", "--at", "2025-01-01").stdout
    )
    again = load(database, exported, "--calendar", "carrier")
    assert " 0 added, 0 changed, 1,070 unchanged" in again
