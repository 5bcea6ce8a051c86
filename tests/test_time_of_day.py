"""Calls cut where the band of a calendar changes: against an oracle that looks at every minute.

The oracle reads time zones through zoneinfo and knows nothing of how the engine finds a change: it
walks a call minute by minute (offsets are whole minutes in the years used here), looks at every
boundary that the clock passes within the minute, and asks each time which band holds.
"""

from __future__ import annotations

import datetime as dt
import json
import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import cache
from itertools import pairwise
from math import ceil
from zoneinfo import ZoneInfo

import pytest
from psycopg import Connection

pytestmark = pytest.mark.newest

UTC = dt.timezone.utc
SECOND = (
    1_000_000  # Instants and times of day are whole microseconds, since 1970 and since midnight.
)
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86400 * SECOND
YEARS = range(1985, 2023)
CALENDARS = 800
CALLS = 1600

# Zone, and years in which it is peculiar: an hour twice at midnight, half hours, days that begin at
# one, two changes within a month of Ramadan, a day that is not.
ZONES: dict[str, range] = {
    "Europe/Berlin": YEARS,
    "America/New_York": YEARS,
    "Australia/Lord_Howe": YEARS,
    "America/Sao_Paulo": range(1985, 2020),
    "Africa/Casablanca": range(2008, 2019),
    "Asia/Kathmandu": range(1985, 1988),
    "Pacific/Apia": range(2010, 2013),
    "America/Havana": YEARS,
    "UTC": YEARS,
}


# Clocks -------------------------------------------------------------------------------------------


def micros(instant: dt.datetime) -> int:
    since = instant - dt.datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * SECOND + since.microseconds


def instant_of(at: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1, tzinfo=UTC) + dt.timedelta(microseconds=at)


@cache
def offset(zone: str, at: int) -> int:
    """How far the clock is ahead of UTC, microseconds."""
    ahead = instant_of(at).astimezone(ZoneInfo(zone)).utcoffset()
    assert ahead is not None
    return ahead // dt.timedelta(microseconds=1)


@cache
def shifts(zone: str) -> Sequence[int]:
    """The instants at which the clock is put forward or back, in ZONES' years."""
    years = ZONES[zone]
    found = []
    day = micros(dt.datetime(years.start, 1, 1, tzinfo=UTC))
    while day < micros(dt.datetime(years.stop, 1, 1, tzinfo=UTC)):
        if offset(zone, day) != offset(zone, day + DAY):
            low, high = day, day + DAY
            while high - low > SECOND:
                middle = (low + high) // 2 // SECOND * SECOND
                if offset(zone, middle) == offset(zone, day):
                    low = middle
                else:
                    high = middle
            found.append(high)
        day += DAY
    return found


# The oracle ---------------------------------------------------------------------------------------


def weekday_of(day: int) -> int:
    """1 Monday to 7 Sunday; the first day of 1970 was a Thursday."""
    return (day + 3) % 7 + 1


@dataclass(frozen=True)
class Part:
    band: str | None
    starts_at: int
    seconds: Fraction


@dataclass(frozen=True)
class Calendar:
    id: int
    zone: str
    holidays: frozenset[int]
    """Days since 1970."""
    week: dict[int, list[tuple[int, int, str]]]
    """Weekday (1 Monday) to from, until, band; times of day in microseconds."""
    passed: dict[tuple[int, int], list[int]] = field(default_factory=lambda: defaultdict(list))
    """Weekday and minute of the day to what is within it, microseconds into the minute."""

    def __post_init__(self) -> None:
        for weekday, bands in self.week.items():
            for start, until, _ in bands:
                for time in {start, until}:
                    self.passed[weekday, time // MINUTE].append(time % MINUTE)

    def clock(self, at: int) -> tuple[int, int]:
        """Day since 1970 and time of day."""
        hour = at // HOUR * HOUR
        ahead = offset(self.zone, hour)
        if ahead != offset(self.zone, hour + HOUR):
            ahead = offset(self.zone, at // MINUTE * MINUTE)
        return divmod(at + ahead, DAY)

    def band(self, day: int, time: int) -> str | None:
        if day in self.holidays:
            return "holiday"
        for start, until, band in self.week.get(weekday_of(day), ()):
            if start <= time < until:
                return band
        return None

    def split(self, at: int, seconds: Fraction) -> list[Part]:
        end = at + ceil(seconds * SECOND)
        cuts = [(self.band(*self.clock(at)), at)]
        for minute in range(at // MINUTE * MINUTE, end, MINUTE):
            day, time = self.clock(minute)
            within = self.passed.get((weekday_of(day), time // MINUTE), ())
            for after in sorted({0, *within}) if within else (0,):
                band = self.band(day, time + after)
                if band != cuts[-1][0] and at < minute + after < end:
                    cuts.append((band, minute + after))
        ends = [Fraction(cut - at, SECOND) for _, cut in cuts[1:]] + [seconds]
        starts = [Fraction(0), *ends]
        return [
            Part(band, cut, until - start)
            for (band, cut), start, until in zip(cuts, starts, ends, strict=False)
        ]


@dataclass(frozen=True)
class Call:
    calendar: Calendar
    at: int
    seconds: Decimal


# Samples ------------------------------------------------------------------------------------------

# Times of day at which clocks change somewhere, and their neighbourhood.
USUAL = [0, 1, 15, 30, 60, 90, 105, 120, 135, 150, 180, 210, 240, 480, 1080, 1200, 1380, 1410, 1439]


def random_week(rng: random.Random) -> dict[int, list[tuple[int, int, str]]]:
    week = {}
    for weekday in range(1, 8):
        odd = rng.random()
        times = [minute * MINUTE for minute in rng.sample(USUAL, rng.randint(0, 5))]
        if odd < 0.3:
            times += [rng.randrange(1, 1440) * MINUTE for _ in range(2)]
        elif odd < 0.5:
            times += [rng.randrange(1, DAY) for _ in range(3)]
        edges = sorted({*times, rng.choice((0, 0, 0, 8 * HOUR)), DAY})
        week[weekday] = [
            (*edge, rng.choice(("peak", "off-peak", "night")))
            for edge in pairwise(edges)
            if rng.random() < 0.85
        ]
    return {weekday: bands for weekday, bands in week.items() if bands}


def random_instant(rng: random.Random, zone: str) -> int:
    """Near a change of the clock, near a midnight, or anywhere."""
    years = ZONES[zone]
    near = rng.random()
    if near < 0.7 and shifts(zone):
        return rng.choice(shifts(zone)) - rng.randrange(rng.choice((2 * HOUR, DAY))) + HOUR // 2
    day = dt.datetime(rng.choice(years), 1, 1, tzinfo=UTC) + dt.timedelta(rng.randrange(365))
    if near < 0.9:
        return micros(day) - offset(zone, micros(day)) + rng.randrange(-2 * HOUR, HOUR)
    return micros(day) + rng.randrange(DAY)


def random_seconds(rng: random.Random) -> Decimal:
    match rng.randrange(8):
        case 0:
            return Decimal(rng.randint(1, 600))
        case 1:
            return Decimal(rng.randint(1, 10**9)).scaleb(-6)
        case 2:  # less than the clock can tell
            return Decimal(rng.randint(1, 10**13)).scaleb(-9)
        case 3 if rng.random() < 0.3:
            return Decimal(rng.choice((rng.randint(1, 31 * 86400), 2_678_400)))
        case 4:
            return Decimal(3600 * rng.randint(1, 30))
        case _:
            return Decimal(rng.randint(60, 40_000))


def random_calendars(rng: random.Random) -> Iterator[Calendar]:
    for number in range(1, CALENDARS + 1):
        zone = rng.choice(list(ZONES))
        around = [random_instant(rng, zone) // DAY for _ in range(rng.choice((0, 3)))]
        days = {day + rng.randint(-1, 2) for day in around}
        yield Calendar(number, zone, frozenset(days), random_week(rng))


def random_calls(rng: random.Random, calendars: Sequence[Calendar]) -> Iterator[Call]:
    for number in range(CALLS):
        calendar = calendars[number % len(calendars)]
        at = random_instant(rng, calendar.zone)
        if calendar.holidays and rng.random() < 0.3:
            day = rng.choice(sorted(calendar.holidays)) * DAY
            at = day - offset(calendar.zone, day) + rng.randrange(-DAY, DAY)
        elif rng.random() < 0.4:
            at = at // MINUTE * MINUTE
        seconds = random_seconds(rng)
        if rng.random() < 0.1:  # to the microsecond before, at or after a change of band
            parts = calendar.split(at, Fraction(2 * 86400))
            edge = rng.choice(parts).starts_at - at
            seconds = Decimal(max(edge + rng.randint(-1, 1), 1)).scaleb(-6)
        yield Call(calendar, at, seconds)


def time_of_day(time: int) -> str:
    minutes, rest = divmod(time, MINUTE)
    return f"{minutes // 60}:{minutes % 60}:{Decimal(rest).scaleb(-6)}"


def enter(db: Connection, calendars: Sequence[Calendar]) -> None:
    with db.transaction(), db.cursor() as cursor:
        # One name of each zone is checked; looking it up reads every zone there is.
        cursor.execute("ALTER TABLE billing.calendars DISABLE TRIGGER USER")
        with cursor.copy("COPY billing.calendars (id, name, timezone) FROM STDIN") as copy:
            for calendar in calendars:
                copy.write_row((calendar.id, f"calendar {calendar.id}", calendar.zone))
        with cursor.copy("COPY billing.calendar_bands FROM STDIN") as copy:
            for calendar in calendars:
                for weekday, bands in calendar.week.items():
                    for start, until, band in bands:
                        times = time_of_day(start), time_of_day(until)
                        copy.write_row((calendar.id, band, weekday, *times))
        with cursor.copy("COPY billing.calendar_holidays (calendar_id, holiday) FROM STDIN") as c:
            for calendar in calendars:
                for day in calendar.holidays:
                    c.write_row((calendar.id, instant_of(day * DAY).date()))
        cursor.execute("ALTER TABLE billing.calendars ENABLE TRIGGER USER")


def agreed(db: Connection, calls: Sequence[Call]) -> list[Call]:
    """The calls at whose time the server's zones and Python's are the same; nearly all."""
    differ = defaultdict(set)
    for zone, years in ZONES.items():
        days = range(
            micros(dt.datetime(years.start - 1, 12, 1, tzinfo=UTC)),
            micros(dt.datetime(years.stop, 3, 1, tzinfo=UTC)),
            DAY,
        )
        looks = sorted({*days, *shifts(zone), *(at - SECOND for at in shifts(zone))})
        answers = db.execute(
            """
            SELECT (extract(epoch FROM at AT TIME ZONE %s) - extract(epoch FROM at)) * 1000000
              FROM unnest(%s::timestamptz[]) WITH ORDINALITY AS t (at, n)
             ORDER BY n
            """,
            (zone, [instant_of(at) for at in looks]),
        ).fetchall()
        for at, (answer,) in zip(looks, answers, strict=True):
            if answer != offset(zone, at):
                differ[zone].add(at // DAY)
    usable = [
        call
        for call in calls
        if differ[call.calendar.zone].isdisjoint(
            range(call.at // DAY - 1, (call.at + ceil(call.seconds) * SECOND) // DAY + 2)
        )
    ]
    assert len(usable) > 0.95 * len(calls), f"zones differ on {dict(differ)}"
    return usable


@pytest.fixture(scope="module")
def sampled() -> list[tuple[Call, list[Part]]]:
    """Calls, and what the oracle says of each; the same for every server."""
    rng = random.Random(70)
    calendars = list(random_calendars(rng))
    calls = random_calls(rng, calendars)
    return [(call, call.calendar.split(call.at, Fraction(call.seconds))) for call in calls]


def test_the_sample_has_what_is_difficult(sampled: list[tuple[Call, list[Part]]]) -> None:
    def shift_within(call: Call) -> bool:
        after = bisect_right(shifts(call.calendar.zone), call.at)
        return any(
            shift < call.at + call.seconds * SECOND
            for shift in shifts(call.calendar.zone)[after : after + 1]
        )

    shifted = [(call, parts) for call, parts in sampled if shift_within(call)]
    bands = [part.band for _, parts in sampled for part in parts]
    assert len(shifted) > CALLS / 5
    assert {call.calendar.zone for call, _ in shifted} == ZONES.keys() - {"UTC"}
    assert sum(len(parts) == 1 for _, parts in sampled) > CALLS / 5
    assert sum(len(parts) > 10 for _, parts in sampled) > CALLS / 50
    assert {None, "holiday", "peak", "off-peak", "night"} == set(bands)
    assert bands.count("holiday") > CALLS / 20
    # Boundaries that the clock passed twice.
    twice = 0
    for call, parts in shifted:
        shown = [part.starts_at + offset(call.calendar.zone, part.starts_at) for part in parts]
        twice += len(shown) > len(set(shown))
    assert twice > CALLS / 130


def test_a_call_is_cut_where_the_band_changes(
    db: Connection, sampled: list[tuple[Call, list[Part]]], thorough: bool
) -> None:
    sampled = sampled if thorough else sampled[::5]
    calendars = {call.calendar.id: call.calendar for call, _ in sampled}
    enter(db, list(calendars.values()))
    expected = {id(call): parts for call, parts in sampled}
    calls = agreed(db, [call for call, _ in sampled])
    rows = db.execute(
        """
        SELECT t.n - 1, s.part, s.band, s.starts_at, s.seconds
          FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[])
               WITH ORDINALITY AS t (calendar_id, at, seconds, n)
         CROSS JOIN LATERAL billing.split_by_band(calendar_id, at, t.seconds::numeric) AS s
         ORDER BY t.n, s.part
        """,
        (
            [call.calendar.id for call in calls],
            [instant_of(call.at) for call in calls],
            [f"{call.seconds:f}" for call in calls],
        ),
    ).fetchall()
    answers: dict[int, list[Part]] = defaultdict(list)
    for number, part, band, starts_at, seconds in rows:
        answers[number].append(Part(band, micros(starts_at), Fraction(seconds)))
        assert part == len(answers[number])
    wrong = [
        (call.calendar, instant_of(call.at), call.seconds, answers[number], expected[id(call)])
        for number, call in enumerate(calls)
        if answers[number] != expected[id(call)]
    ]
    assert not wrong, f"{len(wrong)} of {len(calls)} differ, such as {wrong[0]}"


def increments(seconds: Fraction, initial: Fraction, increment: Fraction) -> Fraction:
    if seconds <= initial:
        return initial
    beyond = seconds - initial
    return initial + (ceil(beyond / increment) * increment if increment else beyond)


COLUMNS = {
    "unit_price": "unit_price",
    "initial_increment": "initial_increment",
    "increment": "billing_increment",
    "connection_fee": "connection_fee",
}


def random_rate(rng: random.Random) -> dict[str, object]:
    def terms() -> dict[str, str]:
        return {
            "unit_price": str(Decimal(rng.randrange(10**6)).scaleb(-rng.randint(0, 12))),
            "initial_increment": str(rng.choice((0, 1, 6, 30, 60, 90, "0.5", 3600))),
            "increment": str(rng.choice((0, 1, 6, 18, 60, "0.25", "7.3", 86400))),
            "connection_fee": str(rng.choice((0, "0.05", 1, "1e-7"))),
        }

    bands = {
        band: {key: value for key, value in terms().items() if rng.random() < 0.6}
        for band in ("peak", "off-peak", "night", "holiday")
        if rng.random() < 0.7
    }
    return {COLUMNS[key]: value for key, value in terms().items()} | {"terms": {"bands": bands}}


def bill(
    parts: Sequence[Part], rate: Mapping[str, object]
) -> Iterator[tuple[Fraction, Fraction, Fraction]]:
    """billed seconds, price of a minute and connection fee of each part."""
    for number, part in enumerate(parts):
        bands = rate["terms"]["bands"]  # type: ignore[index]
        named = bands.get(part.band, {})
        term = {key: Fraction(named.get(key, rate[column])) for key, column in COLUMNS.items()}
        if number:
            term["initial_increment"] = term["connection_fee"] = Fraction(0)
        billed = increments(part.seconds, term["initial_increment"], term["increment"])
        yield billed, term["unit_price"], term["connection_fee"]


def test_each_part_is_billed_in_its_bands_increments(
    db: Connection, sampled: list[tuple[Call, list[Part]]], thorough: bool
) -> None:
    sampled = sampled if thorough else sampled[::5]
    rng = random.Random(71)
    chosen = [call for call, parts in sampled if len(parts) < 20]
    enter(db, list({call.calendar.id: call.calendar for call in chosen}.values()))
    calls = agreed(db, chosen)
    rates = [random_rate(rng) for _ in calls]
    expected = {id(call): parts for call, parts in sampled}
    rows = db.execute(
        """
        SELECT t.n - 1, b.billed, b.unit_price, b.connection_fee, b.quantity
          FROM unnest(%s::text[], %s::bigint[], %s::timestamptz[], %s::text[])
               WITH ORDINALITY AS t (rate, calendar_id, at, seconds, n)
         CROSS JOIN LATERAL jsonb_populate_record(
                   NULL::billing.pricing_rates,
                   t.rate::jsonb || jsonb_build_object('calendar_id', t.calendar_id)
               ) AS r
         CROSS JOIN LATERAL billing.bill_bands(r, 'minute', t.seconds::numeric, t.at) AS b
         ORDER BY t.n, b.part
        """,
        (
            [json.dumps(rate) for rate in rates],
            [call.calendar.id for call in calls],
            [instant_of(call.at) for call in calls],
            [f"{call.seconds:f}" for call in calls],
        ),
    ).fetchall()
    answers: dict[int, list[tuple[Fraction, ...]]] = defaultdict(list)
    quantities: dict[int, list[Fraction]] = defaultdict(list)
    for number, *figures, quantity in rows:
        answers[number].append(tuple(map(Fraction, figures)))
        quantities[number].append(Fraction(quantity))
    for number, (call, rate) in enumerate(zip(calls, rates, strict=True)):
        parts = expected[id(call)]
        assert answers[number] == list(bill(parts, rate)), (call, rate)
        assert quantities[number] == [part.seconds for part in parts]


def test_every_shift_of_a_zone_is_found(db: Connection) -> None:
    """Through forty years of each zone, among them a day that Samoa did not have."""
    for zone, years in ZONES.items():
        row = db.execute(
            "SELECT billing.zone_shifts(%s, %s, %s)",
            (zone, dt.datetime(years.start, 1, 1), dt.datetime(years.stop, 1, 1)),
        ).fetchone()
        assert row is not None
        assert [micros(at.replace(tzinfo=UTC)) for at in row[0]] == shifts(zone), zone
    assert any(
        offset("Pacific/Apia", at) - offset("Pacific/Apia", at - 1) == DAY
        for at in shifts("Pacific/Apia")
    )


# Published cases ----------------------------------------------------------------------------------

# cgrates/cgrates engine/calldesc_test.go with the rates of engine/loader_csv_test.go: one price on
# working days until 18:00, half of it on their evenings and at weekends; a fee only where the call
# begins. unit_price is of a minute here, of a second there.
BY_DAY = {"unit_price": "60", "connection_fee": "1"}
PUBLISHED = [
    ("2012-02-02T17:30:00Z", 3600, BY_DAY, "2701"),
    ("2012-02-02T17:30:00Z", 0, BY_DAY, "0"),
    ("2012-02-08T22:50:00Z", 110, BY_DAY, "55"),
    ("2012-02-08T23:50:00Z", 30, BY_DAY, "15"),
    # The same hour as the continuation of a call, without a fee (worked example W132).
    ("2012-02-02T17:30:00Z", 3600, {"unit_price": "60"}, "2700"),
    # Exact, where the source leaks 0.00006 by rounding each second.
    ("2017-02-02T17:30:00Z", 180, {"unit_price": "0.1"}, "0.3"),
    ("2016-03-04T13:50:00Z", 180, {"unit_price": "0.05", "connection_fee": "0.15"}, "0.3"),
    ("2013-10-07T14:50:00Z", 132, {"unit_price": "60", "initial_increment": 60}, "132"),
    # general_tests/tutorial2_it_test.go, the peak of its fallback (worked example W110).
    (
        "2019-03-11T09:00:00Z",
        45,
        {"unit_price": "1.2", "initial_increment": 60, "connection_fee": "0.2"},
        "1.4",
    ),
]


def cost(db: Connection, rate: Mapping[str, object], at: str, seconds: int) -> Fraction:
    """As a call is priced: unit_price is of a minute."""
    rows = db.execute(
        """
        SELECT b.billed * b.unit_price, b.connection_fee
          FROM jsonb_populate_record(NULL::billing.pricing_rates, %s::jsonb) AS r
         CROSS JOIN LATERAL billing.bill_bands(r, 'minute', %s, %s::timestamptz) AS b
        """,
        (json.dumps(rate), seconds, at),
    ).fetchall()
    return sum((Fraction(price) / 60 + Fraction(fee) for price, fee in rows), Fraction(0))


@pytest.mark.parametrize(("at", "seconds", "by_day", "expected"), PUBLISHED)
def test_published_calls_by_time_of_day(
    db: Connection, at: str, seconds: int, by_day: dict[str, object], expected: str
) -> None:
    week = {weekday: [(0, 18 * HOUR, "day"), (18 * HOUR, DAY, "rest")] for weekday in range(1, 6)}
    week |= {weekday: [(0, DAY, "rest")] for weekday in (6, 7)}
    enter(db, [Calendar(1, "UTC", frozenset(), week)])
    rate = {
        "calendar_id": 1,
        "unit_price": "99",
        "initial_increment": 1,
        "billing_increment": 1,
        "connection_fee": "0",
        "terms": {"bands": {"day": by_day, "rest": {"unit_price": "30"}}},
    }
    assert cost(db, rate, at, seconds) == Fraction(expected)
