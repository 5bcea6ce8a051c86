"""The platform of the demo, imagined: its tenants and prices, and every call and message.

All of it follows from one seed and each tenant's two latest billing periods. Nothing here reads or
writes a database.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from psycopg.types.json import Jsonb

SEED = 20251130
CALLS_IN_ALL = MESSAGES_IN_ALL = 3_000
SHARE_ONE_BY_ONE = 0.3

State = tuple[Any, ...]


@dataclass(frozen=True)
class Tenant:
    """A customer of the platform: its terms, and what it does all day."""

    company_name: str
    plan: str
    timezone: str
    billing_cycle_day: int
    currency: str
    number: str
    domain: str
    share: float  # of all calls and messages
    calls: str  # countries called, repeated by how often
    messages: str  # channels used, likewise
    credit: Decimal = Decimal(0)


TENANTS = (
    Tenant(
        *("Harborview Dental", "professional", "America/New_York", 1, "USD"),
        *("+12125550100", "harborview.example", 0.24),
        calls="us us us us us uk",
        messages="sms sms sms mms email email whatsapp social",
        credit=Decimal(500),
    ),
    Tenant(
        *("Kumo Robotics", "enterprise", "Asia/Tokyo", 15, "USD"),
        *("+81300000100", "kumo.example", 0.20),
        calls="jp jp jp us au",
        messages="sms email email email whatsapp",
        credit=Decimal(2000),
    ),
    Tenant(
        *("Spreewald Logistik", "enterprise_eu", "Europe/Berlin", 31, "EUR"),
        *("+493023125100", "spreewald.example", 0.18),
        calls="de de de de de de de fr fr uk uk se",
        messages="sms mms email whatsapp whatsapp social",
    ),
    Tenant(
        *("Camden Cycles", "starter", "Europe/London", 1, "USD"),
        *("+442079460100", "camden-cycles.example", 0.10),
        calls="uk uk uk us",
        messages="sms whatsapp whatsapp social social",
        credit=Decimal(50),
    ),
    Tenant(
        *("Pixel & Plum", "free_trial", "Australia/Sydney", 20, "USD"),
        *("+61255500100", "pixelplum.example", 0.06),
        calls="au au us",
        messages="email email social mms",
    ),
    Tenant(
        *("Northstar Telecom", "enterprise", "UTC", 1, "USD"),
        *("+14155550100", "northstar.example", 0.22),
        calls="us us uk uk de fr se au",
        messages="sms sms sms email",
        credit=Decimal(5000),
    ),
)
HERO, WITHOUT_A_RATE, INVOICED, WITH_OWN_CARD = 0, 2, 4, 5

# Numbers that are nobody's: set aside for fiction by each country's regulator, or never assigned.
COUNTRIES = {
    "us": ("+121255501##", "+141555501##", "+161755501##", "+131255501##"),
    "uk": ("+442079460###", "+447700900###"),
    "de": ("+493023125###", "+4917139200##"),
    "fr": ("+3319900####",),
    "se": ("+468465004##",),
    "au": ("+6125550####",),
    "jp": ("+813000001##",),
}
PEOPLE = (
    *("ada.lovelace", "grace.hopper", "alan.turing", "katherine.johnson", "edsger.dijkstra"),
    *("barbara.liskov", "donald.knuth", "radia.perlman", "claude.shannon", "hedy.lamarr"),
)
TEXTS = (
    "Your appointment is confirmed for tomorrow at 10:30.",
    "Your parcel is on its way and arrives today before noon.",
    "Your code is 483920. It is valid for ten minutes.",
    "Thank you for your order! Reply STOP to unsubscribe.",
    "We are closed on Monday. See you on Tuesday!",
)

# Prices beyond those that are there from the start: plan or tenant, channel, resource, prefix,
# price, initial and further increment, connection fee, what it is the price of.
Price = tuple[str, str, str, str, str, int, int, str, str]
CARDS: tuple[Price, ...] = (
    ("enterprise_eu", "voice", "minute", "49", "0.0110", 1, 1, "0", "Germany"),
    ("enterprise_eu", "voice", "minute", "491", "0.0420", 1, 1, "0", "Germany, mobile"),
    ("enterprise_eu", "voice", "minute", "33", "0.0130", 1, 1, "0", "France"),
    ("enterprise_eu", "voice", "minute", "44", "0.0140", 1, 1, "0", "United Kingdom"),
    ("enterprise_eu", "sms", "message", "", "0.0690", 1, 1, "0", "SMS"),
    ("enterprise_eu", "sms", "mms", "", "0.1900", 1, 1, "0", "MMS"),
    ("enterprise_eu", "email", "message", "", "0.0009", 1, 1, "0", "Email, per recipient"),
    ("enterprise_eu", "whatsapp", "message", "", "0.0450", 1, 1, "0", "WhatsApp"),
    ("enterprise_eu", "social", "message", "", "0.0045", 1, 1, "0", "Social media"),
    ("Northstar Telecom", "voice", "minute", "", "0.0900", 60, 60, "0", "Elsewhere"),
    ("Northstar Telecom", "voice", "minute", "1", "0.0062", 6, 6, "0", "USA and Canada"),
    ("Northstar Telecom", "voice", "minute", "44", "0.0095", 30, 6, "0", "United Kingdom"),
    ("Northstar Telecom", "voice", "minute", "447", "0.0240", 30, 6, "0.01", "UK, mobile"),
    ("Northstar Telecom", "voice", "minute", "49", "0.0098", 30, 6, "0", "Germany"),
    ("Northstar Telecom", "voice", "minute", "491", "0.0310", 30, 6, "0.01", "Germany, mobile"),
    ("Northstar Telecom", "voice", "minute", "33", "0.0089", 30, 6, "0", "France"),
)
MISSING_PRICE: Price = ("enterprise_eu", "voice", "minute", "46", "0.0150", 1, 1, "0", "Sweden")


# What happens on it -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """A table of the application: what it knows when a row begins, and what it learns later."""

    name: str
    key: str
    begun: tuple[str, ...]
    learned: dict[str, str]  # column and type


CALLS = Source(
    "calls",
    "call_sid",
    (
        *("call_sid", "tenant_id", "direction", "from_number", "to_number"),
        *("initiated_at", "created_at"),
    ),
    {
        "status": "text",
        "answered_at": "timestamptz",
        "ended_at": "timestamptz",
        "duration_seconds": "numeric",
        "billable_seconds": "numeric",
        "hangup_cause": "text",
    },
)
MESSAGES = Source(
    "messages",
    "message_sid",
    (
        *("message_sid", "tenant_id", "channel", "direction", "from_address", "to_address"),
        *("recipients", "body", "media_urls", "num_segments", "created_at"),
    ),
    {
        "status": "text",
        "sent_at": "timestamptz",
        "delivered_at": "timestamptz",
        "failed_at": "timestamptz",
        "error_code": "text",
    },
)
SHOWN_CALL = f"CA-demo-{CALLS_IN_ALL}"


@dataclass(frozen=True)
class Story:
    """One row from its INSERT, the first state, through the UPDATEs that bring the others."""

    source: Source
    begun: tuple[Any, ...]
    states: tuple[State, ...]
    one_by_one: bool

    @property
    def key(self) -> str:
        return str(self.begun[0])


@dataclass(frozen=True)
class Span:
    """A tenant's two billing periods up to now, as instants."""

    tenant_id: int
    previous_start: datetime
    current_start: datetime
    now: datetime
    utc_offset: timedelta

    def pick(self, rng: random.Random) -> datetime:
        """Return an instant, mostly of a working day, from where even a long call is over by now.

        The current period gets a share worth looking at, unless it has only just begun.
        """
        end = self.now - timedelta(minutes=70)
        length, elapsed = end - self.previous_start, end - self.current_start
        start = self.current_start
        if elapsed < timedelta(hours=1) or rng.random() > max(elapsed / length, 0.15):
            start, end = self.previous_start, min(self.current_start, end)
        while True:
            at = start + timedelta(seconds=int(rng.random() * (end - start).total_seconds()))
            local = at + self.utc_offset
            busy = 1.0 if 8 <= local.hour < 18 else 0.1
            if rng.random() < (busy if local.weekday() < 5 else busy / 4):
                return at


def imagine(spans: Sequence[Span]) -> list[Story]:
    """Return every call and message of the platform, each table in the order of time.

    Each row has chances of its own, so that only when it happens depends on the spans: who calls
    whom for how long, and all counts, are the same whenever the demo is first run.
    """
    chosen = list(zip(TENANTS, spans, strict=True))
    shares = [tenant.share for tenant in TENANTS]

    def begin(table: str, count: int) -> list[tuple[datetime, int, random.Random, Tenant]]:
        rows = []
        for number in range(count):
            rng = random.Random(f"{SEED} {table} {number}")
            tenant, span = rng.choices(chosen, shares)[0]
            when = random.Random(f"{SEED} {table} {number}, when")
            rows.append((span.pick(when), span.tenant_id, rng, tenant))
        return sorted(rows, key=lambda row: row[0])

    stories = [
        _imagine_call(f"CA-demo-{number:04}", *row)
        for number, row in enumerate(begin("calls", CALLS_IN_ALL - 1), 1)
    ]
    # One call is still going on, for the demo to end before your eyes: 315 seconds.
    answered = spans[HERO].now - timedelta(seconds=315)
    stories.append(
        Story(
            CALLS,
            (
                *(SHOWN_CALL, spans[HERO].tenant_id, "outbound"),
                *(TENANTS[HERO].number, "+12125550142", *[answered - timedelta(seconds=8)] * 2),
            ),
            (("in-progress", answered, None, None, None, None),),
            one_by_one=True,
        )
    )
    stories += [
        _imagine_message(f"SM-demo-{number:04}", *row)
        for number, row in enumerate(begin("messages", MESSAGES_IN_ALL), 1)
    ]
    return stories


def _imagine_call(
    sid: str, at: datetime, tenant_id: int, rng: random.Random, tenant: Tenant
) -> Story:
    other = _number(rng, rng.choice(tenant.calls.split()))
    inbound = rng.random() < 0.15
    ends = (other, tenant.number) if inbound else (tenant.number, other)
    answered = at + timedelta(seconds=rng.randint(3, 25))
    seconds = min(max(int(rng.lognormvariate(4.8, 0.9)), 4), 3600)
    ended = answered + timedelta(seconds=seconds)
    ringing: State = ("ringing", None, None, None, None, None)
    talking: State = ("in-progress", answered, None, None, None, None)
    done: State = ("completed", answered, ended, seconds, None, "NORMAL_CLEARING")

    def unanswered(status: str, cause: str) -> tuple[State, ...]:
        return (ringing, (status, None, answered, 0, None, cause))

    match rng.choices(range(7), (73, 9, 7, 6, 2, 2, 1))[0]:
        case 1:
            states = unanswered("no-answer", "NO_ANSWER")
        case 2:
            states = unanswered("busy", "USER_BUSY")
        case 3:
            states = unanswered("failed", "NORMAL_TEMPORARY_FAILURE")
        case 4:  # The switch corrects itself: the call was shorter.
            less = max(seconds - rng.randint(1, 30), 1)
            states = (ringing, talking, done, (*done[:4], less, done[5]))
        case 5:  # Its duration comes late.
            states = (ringing, talking, (*done[:3], None, *done[4:]), done)
        case 6:  # Reported as completed, and turns out failed.
            states = (ringing, talking, done, ("failed", *done[1:5], "MEDIA_TIMEOUT"))
        case _:
            states = (ringing, talking, done)
    begun = (sid, tenant_id, "inbound" if inbound else "outbound", *ends, at, at)
    return Story(CALLS, begun, states, rng.random() < SHARE_ONE_BY_ONE)


def _imagine_message(
    sid: str, at: datetime, tenant_id: int, rng: random.Random, tenant: Tenant
) -> Story:
    channel = rng.choice(tenant.messages.split())
    recipients, media = None, None
    if channel == "email":
        people = rng.sample(PEOPLE, rng.choice((1, 1, 1, 1, 2, 3, 6)))
        recipients = [f"{person}@example.com" for person in people]  # to, then cc and bcc
        ends = (f"hello@{tenant.domain}", recipients[0])
    elif channel == "social":
        ends = (f"@{tenant.domain.split('.')[0]}", f"@{rng.choice(PEOPLE)}")
    else:
        ends = (tenant.number, _number(rng, rng.choice(tenant.calls.split())))
    if channel == "mms":
        channel, media = "sms", Jsonb([f"https://cdn.{tenant.domain}/{rng.randint(1, 99)}.jpg"])

    sent = at + timedelta(seconds=rng.randint(0, 3))
    delivered = sent + timedelta(seconds=rng.randint(1, 20))
    queued: State = ("queued", None, None, None, None)
    gone: State = ("sent", sent, None, None, None)
    there: State = ("delivered", sent, delivered, None, None)
    kind = rng.choices(("there", "sent", "inbound", "failed", "lost"), (78, 6, 10, 4, 2))[0]
    states: tuple[State, ...] = (queued, gone, there)
    if kind == "inbound":
        states, ends = (("received", None, at, None, None),), (ends[1], ends[0])
        recipients = [ends[1]] if recipients else None
    elif kind == "failed":
        states = (queued, ("failed", None, None, sent, "30005"))
    elif kind == "lost":  # Sent and billed; then the carrier gives up.
        states = (queued, gone, ("undelivered", sent, None, delivered, "30003"))
    elif kind == "sent":
        states = (queued, gone)
    elif channel == "whatsapp" and rng.random() < 0.7:
        states += (("read", *there[1:]),)
    elif channel == "email" and rng.random() < 0.4:
        states += (("opened", *there[1:]), ("clicked", *there[1:]))
    direction = "inbound" if kind == "inbound" else "outbound"
    segments = 1 if channel == "sms" and media is None else None
    begun = (
        *(sid, tenant_id, channel, direction, *ends),
        *(recipients, rng.choice(TEXTS), media, segments, at),
    )
    return Story(MESSAGES, begun, states, rng.random() < SHARE_ONE_BY_ONE)


def _number(rng: random.Random, country: str) -> str:
    pattern = rng.choice(COUNTRIES[country])
    return "".join(rng.choice("0123456789") if letter == "#" else letter for letter in pattern)
