"""Explanations: a reader with nothing but the rows reckons the price again, digit for digit."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import random
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from click.testing import CliRunner, Result
from psycopg import Connection
from test_real_cdrs import FIXTURES, real_deck

from pyapi import Client, Explanation, UnknownSourceError, cli

pytestmark = pytest.mark.newest

QUOTES = 3_000
HISTORIES = 600
PLACES = 10**10
NUMBER = r"(\d+(?:\.\d+)?(?:/\d+(?:\.\d+)?)?)"
PERIODS = ("graduated", "volume", "package", "percentage", "graduated_percentage")
UTC = dt.timezone.utc

Rows = Sequence[Explanation]


# The reader ---------------------------------------------------------------------------------------


def fraction(text: str) -> Fraction:
    """A number as the rows write it: 0.05, or 0.5905/60."""
    dividend, _, divisor = text.partition("/")
    return Fraction(dividend) / Fraction(divisor or 1)


def rounded(value: Fraction) -> Fraction:
    """To 10 decimals, half away from zero."""
    sign = -1 if value < 0 else 1
    return Fraction(sign * ((abs(value) * PLACES * 2 + 1) // 2), PLACES)


def find(pattern: str, text: str) -> list[Fraction]:
    found = re.search(pattern, text)
    assert found, f"{pattern} is not in {text}"
    return [fraction(group) for group in found.groups()]


def reckon_increments(text: str) -> None:
    """30/18: 40 s are billed as 30 + 1 x 18 = 48 s."""
    shape = r"([\d.]+)/([\d.]+): ([\d.]+) s are billed as (?:([\d.]+) \+ )?(\d+) x \2 = ([\d.]+) s"
    if " x " in text:
        found = re.search(shape, text)
        assert found, text
        least, step, measured, first, count, billed = (
            Fraction(item or 0) for item in found.groups()
        )
        assert first == least
        assert billed == first + count * step
        assert billed - step < measured <= billed


def reckon_charge(rows: Rows) -> Fraction:
    """The price of one call or message, from the words alone."""
    exact = Fraction(0)
    for row in rows:
        if row.subject == "increments" or row.subject.startswith(("band", "no band")):
            reckon_increments(row.detail)
        if row.subject.startswith("step"):
            billed, price = find(rf": {NUMBER} x {NUMBER}(?: / \S+)?$", row.detail)
            per = find(rf" / {NUMBER}$", row.detail)[0] if " / " in row.detail else 1
            exact += billed * price / per
        elif row.subject == "price" and "nothing" in row.detail:
            return Fraction(0)
        elif row.subject in ("price", "no band") or row.subject.startswith("band"):
            if "a minute" in row.detail:
                seconds, price = find(rf"{NUMBER} s at {NUMBER} a minute", row.detail)
                exact += seconds * price / 60
            else:
                quantity, price = find(rf"{NUMBER} at {NUMBER}(?: each)?$", row.detail)
                exact += quantity * price
        elif row.subject == "connection fee":
            assert row.amount
            exact += Fraction(row.amount)
        elif row.subject in ("minimum charge", "maximum charge"):
            limit, above = find(
                rf"at (?:least|most) {NUMBER}, the above comes to {NUMBER}", row.detail
            )
            assert above == exact
            assert (exact < limit) == (row.subject == "minimum charge")
            exact = limit
        elif row.subject == "rounding":
            (before,) = find(rf"zero: {NUMBER}", row.detail)
            assert before == exact
            after = find(rf"becomes {NUMBER}", row.detail)[0] if "becomes" in row.detail else before
            assert after == rounded(exact)
            return after
    raise AssertionError("no row rounds")


def reckon_period(rows: Rows) -> Fraction:
    """What a quantity adds to its period, from the words alone; the rest of it is given."""
    exact = Fraction(0)
    for row in rows:
        if row.subject.startswith("tier"):
            quantity, price = find(rf": {NUMBER}[^:]*? at {NUMBER}", row.detail)
            exact += quantity * price / (100 if " %" in row.detail else 1)
            if "flat fee" in row.detail:
                exact += find(rf"flat fee {NUMBER}", row.detail)[0]
        elif row.subject == "packages":
            count, price = find(rf"^{NUMBER} of \S+ at {NUMBER},", row.detail)
            exact += count * price
        elif row.subject == "percentage":
            rate, quantity = find(rf"^{NUMBER} % of {NUMBER}", row.detail)
            exact += rate * quantity / 100
        elif row.subject == "fixed fee":
            fee, count = find(rf"^{NUMBER} for each record \({NUMBER}\)", row.detail)
            exact += fee * count
        elif row.subject in ("minimum", "maximum"):
            exact = find(rf"at (?:least|most) {NUMBER},", row.detail)[0]
        elif row.subject == "rounding":
            assert find(rf"the period comes to {NUMBER}", row.detail) == [rounded(exact)]
        elif row.subject == "without this":
            assert row.amount is not None
            return rounded(exact) + Fraction(row.amount)
    raise AssertionError("no row takes the rest off")


def check_rows(rows: Rows) -> Decimal:
    """What every explanation keeps to; returns its total."""
    assert [row.step for row in rows] == list(range(1, len(rows) + 1))
    assert rows[-1].subject == "total"
    assert all(row.subject and row.detail and "NULL" not in row.detail for row in rows)
    assert not any(re.search(r"\(\)|prefix (?:matches|,)| $|  ", row.detail) for row in rows)
    amounts = [row.amount for row in rows[:-1] if row.amount is not None]
    assert sum(map(Fraction, amounts)) == Fraction(rows[-1].amount or 0)
    assert rows[-1].amount is not None
    return rows[-1].amount


# Random prices ------------------------------------------------------------------------------------


def amount(rng: random.Random) -> str:
    return str(
        Decimal(rng.randrange(1, 10 ** rng.randrange(1, 12))).scaleb(-rng.choice((2, 4, 11)))
    )


def random_terms(rng: random.Random, model: str) -> dict[str, Any]:
    if model == "stepped":
        starts = [0, *sorted(rng.sample(range(1, 200), rng.randrange(3)))]
        steps: list[dict[str, Any]] = [
            {"from": start, "unit_price": amount(rng), "per": rng.choice((1, 60, 7))}
            | rng.choice(({}, {"increment": 1}, {"increment": 6}, {"increment": 60}))
            for start in starts
        ]
        return {"connection_fee": rng.choice((0, "0.05")), "steps": steps}
    if model == "package":
        return {
            "package_size": rng.choice((1, 7, "0.5")),
            "package_price": amount(rng),
            "free_units": 3,
        }
    if model == "percentage":
        terms: dict[str, Any] = {
            "rate": rng.choice(("2.9", "0.25")),
            "fixed_fee": rng.choice((0, "0.3")),
        }
        terms |= {"free_events": rng.randrange(3), "free_amount": rng.choice((0, "1.5"))}
        return terms | ({"minimum": 1, "maximum": 2} if rng.random() < 0.5 else {})
    price = "rate" if model == "graduated_percentage" else "unit_price"
    ends = [*sorted(rng.sample(range(1, 40), rng.randrange(3))), None]
    return {
        "tiers": [
            {"up_to": end, price: amount(rng), "flat_fee": rng.choice((0, 0, "0.7"))}
            for end in ends
        ]
    }


def insert_rates(db: Connection, rng: random.Random) -> list[str]:
    """Own, plan's and default cards full of every kind of rate; the prefixes they have."""
    db.execute("INSERT INTO calendars (id, name, timezone) VALUES (1, 'card', 'Europe/Berlin')")
    db.execute(
        "INSERT INTO calendar_bands (calendar_id, band, weekday, from_time, until_time)"
        " SELECT 1, 'peak', day, '08:00', '18:00' FROM generate_series(1, 5) AS day"
    )
    digits = (rng.choices("123", k=rng.randrange(1, 6)) for _ in range(250))
    prefixes = sorted({"".join(some) for some in digits})
    for prefix in prefixes:
        model = rng.choice(("per_unit", "per_unit", "per_unit", "stepped", *PERIODS))
        row: dict[str, Any] = {"prefix": prefix, "charge_model": model}
        row["channel"], row["resource_type"] = rng.choice((("voice", "minute"), ("sms", "message")))
        row["effective_from"] = rng.choice(("2020-01-01+00", "2025-11-12+00"))
        row["effective_until"] = rng.choice((None, None, "2025-11-20+00"))
        row["description"] = rng.choice((None, f"To {prefix}"))
        row |= rng.choice(({}, {"plan_id": 4}, {"tenant_id": 1}, {"tenant_id": 2}))
        if "plan_id" in row or "tenant_id" in row:
            row["currency"] = rng.choice(("USD",) * 9 + ("EUR",))
        terms: dict[str, Any] = {}
        if model == "per_unit":
            row["unit_price"] = amount(rng)
            row["connection_fee"] = rng.choice((0, 0, "0.05"))
            row["minimum_charge"] = rng.choice((0, 0, "0.1"))
            if rng.random() < 0.3:
                terms["maximum_charge"] = rng.choice(("0.1", "0.33333333333"))
            if rng.random() < 0.4:
                row["calendar_id"] = 1
                terms["bands"] = {
                    "peak": {"unit_price": amount(rng), "increment": rng.choice((1, 60))}
                }
        else:
            terms = random_terms(rng, model)
        if model != "stepped":
            row["initial_increment"] = rng.choice((0, 1, 30, 60))
            row["billing_increment"] = rng.choice((0, 1, 6, 18, 60))
        row["terms"] = json.dumps(terms)
        names = ", ".join(row)
        values = ", ".join(f"%({name})s" for name in row)
        db.execute(f"INSERT INTO pricing_rates ({names}) VALUES ({values})".encode(), row)
    return prefixes


def insert_tenants(db: Connection) -> None:
    db.execute(
        "INSERT INTO tenants (id, company_name, plan_id, timezone, billing_cycle_day) VALUES"
        " (1, 'Acme', 4, 'America/New_York', 1), (2, 'Globex', 1, 'Asia/Kathmandu', 15)"
    )


def instant(rng: random.Random) -> dt.datetime:
    start = dt.datetime(2025, 11, 10, tzinfo=UTC)
    return start + dt.timedelta(microseconds=rng.randrange(14 * 86_400_000_000))


def seconds(rng: random.Random) -> Decimal:
    whole = Decimal(rng.choice((0, rng.randrange(1, 200), rng.randrange(1, 20_000))))
    return whole + Decimal(rng.randrange(10**6)).scaleb(-6) * rng.choice((0, 0, 1))


def number(rng: random.Random, prefixes: Sequence[str]) -> str:
    return f"+{rng.choice(prefixes)}{rng.randrange(10**4)}"


def explain(db: Connection, query: str, *values: Any) -> list[Explanation]:
    return [Explanation(*row) for row in db.execute(query.encode(), values)]


# Tests --------------------------------------------------------------------------------------------


def test_what_the_rows_of_a_quote_say_comes_to_the_quote(db: Connection) -> None:
    rng = random.Random(7)
    insert_tenants(db)
    prefixes = insert_rates(db, rng)
    kinds = set()
    for turn in range(QUOTES):
        tenant, to, at = rng.choice((1, 2)), number(rng, prefixes), instant(rng)
        if turn % 20 == 0:
            # So that the periods hold something.
            resource, measured = ("voice", "minute"), seconds(rng) / 60
            values: list[Any] = [
                tenant,
                *resource,
                f"R{turn}",
                measured,
                json.dumps({"to": to}),
                at,
            ]
            db.execute("SELECT record_usage(%s, %s, %s, %s, %s, %s, %s)", values)
        if rng.random() < 0.6:
            call = [tenant, to, seconds(rng), at]
            cost = db.execute("SELECT total_cost FROM quote_call(%s, %s, %s, %s)", call).fetchone()
            rows = explain(db, "SELECT * FROM explain_quote_call(%s, %s, %s, %s)", *call)
        else:
            texts = [tenant, "sms", "message", rng.choice((0, 1, 3, Decimal("2.5"), 100)), to, at]
            query = "{}(%s, %s, %s, %s, %s, %s)"
            cost = db.execute(
                f"SELECT total_cost FROM {query.format('quote')}".encode(), texts
            ).fetchone()
            rows = explain(db, f"SELECT * FROM {query.format('explain_quote')}", *texts)
        assert cost == (check_rows(rows),)
        subjects = [row.subject for row in rows]
        # The cards were walked to the same rate as the quote's.
        assert "re-rating" not in subjects
        reckon = reckon_period if "without this" in subjects else reckon_charge
        assert reckon(rows) == Fraction(cost[0]), rows
        kinds |= {re.sub(r"\d+$", "", subject) for subject in subjects}
    expected = (
        "price|increments|connection fee|minimum charge|maximum charge|band peak|no band|step "
    )
    expected += (
        "|tier |packages|percentage|fixed fee|minimum|maximum|card tenant:|card plan:enterprise"
    )
    assert set(expected.split("|")) <= kinds


def test_records_of_every_kind_are_explained_to_their_cost(db: Connection) -> None:
    """Calls completed, corrected, redirected, failed; usage by hand; prices changed since."""
    rng = random.Random(8)
    insert_tenants(db)
    prefixes = insert_rates(db, rng)
    for call in range(1, HISTORIES + 1):
        values = [call, rng.choice((1, 2)), number(rng, prefixes), instant(rng), seconds(rng) + 1]
        db.execute(
            "INSERT INTO calls (id, tenant_id, direction, status, to_number, answered_at,"
            " billable_seconds) VALUES (%s, %s, 'outbound', 'completed', %s, %s, round(%s))",
            values,
        )
        if call % 3 == 0:
            db.execute(
                "UPDATE calls SET billable_seconds = billable_seconds + 7 WHERE id = %s", [call]
            )
        if call % 5 == 0:
            to = number(rng, prefixes)
            db.execute("UPDATE calls SET to_number = %s WHERE id = %s", [to, call])
        if call % 7 == 0:
            db.execute("UPDATE calls SET status = 'failed' WHERE id = %s", [call])
        if call % 11 == 0:
            values = [
                1,
                f"by hand {call}",
                rng.randrange(5),
                json.dumps({"to": values[2]}),
                values[3],
            ]
            db.execute("SELECT record_usage(%s, 'sms', 'message', %s, %s, %s, %s)", values)
    db.execute(
        "UPDATE pricing_rates SET effective_until = '2025-11-15+00'"
        " WHERE id % 10 = 7 AND effective_until IS NULL"
    )
    db.execute("UPDATE pricing_rates SET is_active = false WHERE id % 10 = 8")

    records = db.execute(
        "SELECT r.id, r.tenant_id, r.kind::text, r.total_cost::numeric, p.charge_model"
        " FROM usage_records AS r INNER JOIN pricing_rates AS p ON p.id = r.rate_id"
    ).fetchall()
    assert len(records) > HISTORIES
    assert {kind for _, _, kind, _, _ in records} == {"charge", "reversal"}
    found_again = 0
    for record, tenant, kind, cost, model in records:
        rows = explain(db, "SELECT * FROM explain_rating(%s, %s)", record, tenant)
        assert check_rows(rows) == cost
        subjects = [row.subject for row in rows]
        assert "difference" not in subjects
        found_again += "re-rating" not in subjects
        if model in PERIODS:
            added = next(row.amount for row in rows if row.subject == "on the invoice")
            assert cost == 0
            sign = -1 if kind == "reversal" else 1
            if sign == 1:
                assert reckon_period(rows) == -Fraction(added or 0)
        elif kind == "charge":
            assert reckon_charge(rows) == Fraction(cost)
    assert 0 < found_again < len(records)


def test_a_record_adds_to_its_period_what_the_quote_before_it_said(db: Connection) -> None:
    insert_tenants(db)
    terms = {"tiers": [{"up_to": 10, "unit_price": "0.07"}, {"up_to": None, "unit_price": "0.03"}]}
    db.execute(
        "INSERT INTO pricing_rates (channel, resource_type, prefix, charge_model, terms,"
        " effective_from) VALUES ('voice', 'minute', '49', 'graduated', %s, '2020-01-01+00')",
        [json.dumps(terms)],
    )
    client = Client(db)
    at = dt.datetime(2025, 11, 14, tzinfo=UTC)
    for turn in range(20):
        quoted = client.explain_quote_call(1, "+4930", 61 + turn, at)[-1].amount
        minutes = Decimal(61 + turn) / 60
        record = client.record_usage(1, "voice", "minute", f"C{turn}", minutes, {"to": "+4930"}, at)
        (added,) = (row for row in client.explain_rating(record) if row.subject == "on the invoice")
        assert added.amount is not None
        assert quoted == -added.amount


def test_a_call_under_a_real_deck_is_explained_by_its_longest_prefix(db: Connection) -> None:
    if not (FIXTURES / "rate_decks").is_dir():
        pytest.skip("needs ../shared/fixtures/rate_decks, which is not part of the project")
    # The 1,724 prefixes that begin with 4, up to 12 digits long.
    deck = {price.prefix: price for price in real_deck() if price.prefix.startswith("4")}
    assert len(deck) > 1_000
    insert_tenants(db)
    insert_deck(
        db,
        ((p.prefix, p.unit_price, p.initial_increment, p.billing_increment) for p in deck.values()),
    )
    rng = random.Random(9)
    client = Client(db)
    for prefix in rng.sample(sorted(deck), 200):
        to = f"{prefix}{rng.randrange(10**5):05}"
        matching = [to[:n] for n in range(len(to), 0, -1) if to[:n] in deck]
        rows = client.explain_quote_call(1, f"+{to}", rng.randrange(1, 500))
        texts = {row.subject: row.detail for row in rows}
        expected = f"prefix {matching[0]} matches"
        if matching[1:]:
            expected += f"; {', '.join(matching[1:])} would too, but the longest wins"
        assert texts["card plan:enterprise"] == expected
        assert f", prefix {matching[0]}, in force" in texts["rate"]
        assert f" at {deck[matching[0]].unit_price.normalize():f} a minute" in texts["price"]
        assert reckon_charge(rows) == Fraction(check_rows(rows))


def insert_deck(db: Connection, lines: Iterable[tuple[object, ...]]) -> None:
    with db.transaction(), db.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE deck (prefix text, price numeric, least numeric, step numeric)"
        )
        with cursor.copy("COPY deck FROM STDIN") as copy:
            for line in lines:
                copy.write_row(line)
        cursor.execute(
            "INSERT INTO pricing_rates (plan_id, channel, resource_type, prefix, unit_price,"
            " initial_increment, billing_increment, effective_from)"
            " SELECT 4, 'voice', 'minute', prefix, price, least, step, '2020-01-01+00' FROM deck"
        )


# From Python and the command line -----------------------------------------------------------------


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, [str(item) for item in arguments])


def test_quote_prints_its_explanation(db: Connection, database: str) -> None:
    insert_tenants(db)
    asked = ["-d", database, "quote", 1, "+12025550100", "--seconds", "61.5"]
    table = run(*asked)
    assert table.exit_code == 0, table.stderr
    assert "1/1: 61.5 s are billed as 1 + 61 x 1 = 62 s" in table.stdout
    read = json.loads(run(*asked, "-f", "json").stdout)
    assert read["billed_seconds"] == "62"
    assert read["explanation"][-1]["subject"] == "total"
    assert Decimal(read["explanation"][-1]["amount"]) == Decimal(read["total_cost"])
    (line,) = csv.DictReader(io.StringIO(run(*asked, "-f", "csv").stdout))
    told = [row["subject"] for row in json.loads(line["explanation"])]
    assert told == [row["subject"] for row in read["explanation"]]
    assert Decimal(line["total_cost"]) == Decimal(read["total_cost"])


def test_a_quote_may_be_asked_of_an_instant(db: Connection, database: str) -> None:
    insert_tenants(db)
    asked = ["-d", database, "quote", 1, "--channel", "sms", "--at"]
    assert "2025-11-14 23:30:00 America/New_York" in run(*asked, "2025-11-15T05:30+01:00").stdout
    assert "it counts for 2025-11-15" in run(*asked, "2025-11-15").stdout
    for wrong in ("2025-11-15T05:30", "2025-13-01", "soon"):
        assert run(*asked, wrong).exit_code == 2


def test_explain_prints_why_a_record_costs_what_it_costs(db: Connection, database: str) -> None:
    insert_tenants(db)
    with Client(database) as client:
        record = client.record_usage(1, "voice", "minute", "CA1", "5.25")
        rows = client.explain_rating(record)
        assert rows == client.explain_rating(record, tenant_id=1)
        assert rows[-1] == Explanation(
            len(rows), "total", rows[-1].detail, client.quote_call(1, "+1", 315).total_cost
        )
        with pytest.raises(UnknownSourceError):
            client.explain_rating(record, tenant_id=2)
    shown = run("-d", database, "explain", record)
    assert shown.exit_code == 0, shown.stderr
    assert "CA1, recorded by hand" in shown.stdout
    listed = json.loads(run("-d", database, "explain", record, "--tenant", 1, "-f", "json").stdout)
    assert [row["detail"] for row in listed] == [row.detail for row in rows]
    missing = run("-d", database, "explain", 10**9)
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "no such record" in missing.stderr
