"""An application at work, and its journal: what the server acknowledged, and what is in doubt.

Each session writes rows of its own, so that the journal knows each row's state without asking. What
a row costs is said here a second time, in fractions, from the contract.
"""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

import psycopg
from psycopg import IsolationLevel

Connection = psycopg.Connection[tuple[Any, ...]]
Key = tuple[str, str]
"""calls or messages and the row's id; by hand or credit and a name that begins with a number."""

TENANTS = 4
DEAR = 4
"""The tenant with a price of its own for 49: 0.07 a minute, 30/6."""
SESSIONS = 4
ROWS = 24
"""Calls, and messages, that each session has for its own."""

SET_UP = f"""
INSERT INTO public.tenants (id, company_name, timezone)
SELECT n, 'Tenant ' || n, CASE n WHEN 2 THEN 'Asia/Tokyo' ELSE 'UTC' END
FROM generate_series(1, {TENANTS}) AS n;
INSERT INTO billing.pricing_rates (
    tenant_id, channel, resource_type, prefix, unit_price, initial_increment, billing_increment,
    effective_from
)
VALUES ({DEAR}, 'voice', 'minute', '49', 0.07, 30, 6, '2020-01-01');
"""

ROLLED_BACK = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
"""Errors that say for certain that nothing was committed, at COMMIT too."""


class CounterExample(AssertionError):
    """A promise that does not hold; the text says which, and where."""


@dataclass(frozen=True)
class State:
    """What a row says; amount is seconds, recipients, units or money. A row may be deleted."""

    status: str
    amount: int
    is_there: bool = True


@dataclass(frozen=True)
class Step:
    """A statement, and the states that it leaves when its transaction is committed."""

    statement: str
    values: Sequence[object] | Mapping[str, object]
    states: dict[Key, State]


Changes = dict[Key, State]


@dataclass
class Journal:
    """What the application knows for certain, and the transactions whose end it never heard of."""

    known: Changes = field(default_factory=dict)
    doubtful: list[list[Step]] = field(default_factory=list)
    figures: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def acknowledge(self, steps: Iterable[Step]) -> None:
        with self._lock:
            for step in steps:
                self.known.update(step.states)
            self.figures["transactions acknowledged"] += 1

    def doubt(self, steps: list[Step]) -> None:
        with self._lock:
            self.doubtful.append(steps)

    def count(self, name: str) -> None:
        with self._lock:
            self.figures[name] += 1


# What it costs ------------------------------------------------------------------------------------


def tenant_of(number: int) -> int:
    return 1 + number % TENANTS


def number_called(number: int) -> str:
    return "+4930" if number % 3 == 0 else "+1555"


def occurred(number: int) -> datetime:
    """Over twenty months, so that partitions have to be made for them."""
    return datetime(2025, 1, 1, tzinfo=timezone.utc) + timedelta(hours=number * 37 % 14_400)


def channel_of(number: int) -> str:
    return "email" if number % 2 else "sms"


def owed(key: Key, state: State) -> Fraction:
    """What the records of a row or resource must net to."""
    kind, name = key
    amount = Fraction(state.amount)
    if kind == "calls":
        if state.status != "completed" or amount == 0:
            return Fraction(0)
        if tenant_of(int(name)) == DEAR and number_called(int(name)) == "+4930":
            steps = max(0, -((30 - amount) // 6))  # Whole steps of 6 s beyond the first 30 s.
            return _rounded((30 + 6 * steps) * Fraction("0.07") / 60)
        return _rounded(amount * Fraction("0.015") / 60)
    if kind == "messages":
        if state.status not in ("sent", "delivered"):
            return Fraction(0)
        return (
            amount * Fraction("0.001") if channel_of(int(name)) == "email" else Fraction("0.0075")
        )
    return amount * Fraction("0.0075") if kind == "by hand" else Fraction(0)


def _rounded(cost: Fraction) -> Fraction:
    """To 10 decimals, half up; no cost is below zero."""
    return Fraction((cost * 10**10 + Fraction(1, 2)) // 1, 10**10)


# The application ----------------------------------------------------------------------------------


class Session:
    """Transaction after transaction on its own rows, until stopped or cut off."""

    def __init__(self, journal: Journal, number: int, rng: random.Random) -> None:
        self.journal = journal
        self.rng = rng
        self.ids = range(1 + number * ROWS, 1 + (number + 1) * ROWS)
        self.number = number

    def run(self, conninfo: str, stop: threading.Event) -> None:
        level = self.rng.choice(list(IsolationLevel))
        steps: list[Step] = []
        is_asked = False
        try:
            with psycopg.connect(conninfo) as connection:
                connection.isolation_level = level
                while not stop.is_set():
                    steps, is_asked = [], False
                    try:
                        steps = self._work(connection)
                        if self.rng.random() < 0.1:
                            connection.rollback()
                            continue
                        is_asked = True
                        connection.commit()
                    except ROLLED_BACK:
                        connection.rollback()
                        self.journal.count("transactions to be tried again")
                        continue
                    is_asked = False
                    self.journal.acknowledge(steps)
        except psycopg.OperationalError:
            # Cut off. Before COMMIT was sent nothing can have been committed.
            if is_asked:
                self.journal.doubt(steps)

    def loiter(self, conninfo: str, stop: threading.Event) -> None:
        """A transaction that is never committed."""
        with suppress(psycopg.OperationalError), psycopg.connect(conninfo) as connection:
            self._work(connection)
            self.journal.count("transactions left open")
            stop.wait()
            connection.rollback()

    def _work(self, connection: Connection) -> list[Step]:
        done: list[Step] = []
        now: Changes = {}
        for _ in range(self.rng.choice((1, 1, 2, 4))):
            step = self._step(lambda key: now.get(key) or self.journal.known.get(key))
            if self.rng.random() < 0.1:
                connection.execute("SAVEPOINT attempt")
                connection.execute(step.statement.encode(), step.values)
                connection.execute("ROLLBACK TO attempt")
                continue
            connection.execute(step.statement.encode(), step.values)
            now.update(step.states)
            done.append(step)
        return done

    def _step(self, known: Callable[[Key], State | None]) -> Step:
        kind = self.rng.choices(("call", "message", "bulk", "hand", "credit"), (50, 30, 10, 8, 2))[
            0
        ]
        number = self.rng.choice(self.ids)
        if kind == "call":
            return self._call(number, known(("calls", str(number))))
        if kind == "message":
            return self._message(number, known(("messages", str(number))))
        if kind == "bulk":
            found = [n for n in self.ids if (s := known(("calls", str(n)))) and s.is_there]
            return _complete_all(found, self.rng.randint(1, 400))
        name = f"{number}-{self.rng.getrandbits(40)}"
        amount = self.rng.randint(1, 50)
        if kind == "hand":
            return Step(
                "SELECT billing.record_usage(%s, 'sms', 'message', %s, %s, '{}', %s)",
                (tenant_of(number), name, amount, occurred(number)),
                {("by hand", name): State("recorded", amount)},
            )
        return Step(
            "SELECT billing.grant_credit(%s, %s, 'grant', %s)",
            (tenant_of(number), amount, name),
            {("credit", name): State("granted", amount)},
        )

    def _call(self, number: int, before: State | None) -> Step:
        key = ("calls", str(number))
        seconds = self.rng.randint(1, 400)
        if before is None or not before.is_there:
            # A row that was deleted stayed billed, and comes back billed.
            was_billed = before is not None and before.status == "completed"
            status = "completed" if was_billed else self.rng.choice(("in-progress", "completed"))
            return _put_call(number, status, seconds)
        does = self.rng.choice(("complete", "correct", "fail", "put", "delete"))
        if does == "put":
            return _put_call(number, "completed", seconds)
        if does == "delete":
            gone = State(before.status, before.amount, is_there=False)
            return Step("DELETE FROM public.calls WHERE id = %s", (number,), {key: gone})
        status = {"complete": "completed", "fail": "failed"}.get(does, before.status)
        return Step(
            "UPDATE public.calls SET status = %s, duration_seconds = %s WHERE id = %s",
            (status, seconds, number),
            {key: State(status, seconds)},
        )

    def _message(self, number: int, before: State | None) -> Step:
        status = self.rng.choice(("queued", "sent", "delivered", "failed"))
        amount = self.rng.randint(1, 5)
        return Step(
            "INSERT INTO public.messages (id, tenant_id, channel, to_address, recipients, status,"
            " sent_at) VALUES (%(id)s, %(tenant)s, %(channel)s, %(to)s, %(recipients)s, %(status)s,"
            " %(at)s) ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status,"
            " recipients = EXCLUDED.recipients",
            {
                "id": number,
                "tenant": tenant_of(number),
                "channel": channel_of(number),
                "to": "+4930" if channel_of(number) == "sms" else None,
                "recipients": [f"reader {n}" for n in range(amount)],
                "status": status,
                "at": occurred(number),
            },
            {("messages", str(number)): State(status, amount)},
        )


def _put_call(number: int, status: str, seconds: int) -> Step:
    return Step(
        "INSERT INTO public.calls (id, tenant_id, to_number, status, answered_at, duration_seconds)"
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO UPDATE"
        " SET status = EXCLUDED.status, duration_seconds = EXCLUDED.duration_seconds",
        (number, tenant_of(number), number_called(number), status, occurred(number), seconds),
        {("calls", str(number)): State(status, seconds)},
    )


def _complete_all(numbers: list[int], seconds: int) -> Step:
    return Step(
        "UPDATE public.calls SET status = 'completed', duration_seconds = %s WHERE id = ANY (%s)",
        (seconds, numbers),
        {("calls", str(n)): State("completed", seconds) for n in numbers},
    )


# The operator -------------------------------------------------------------------------------------


def keep_house(journal: Journal, rng: random.Random, conninfo: str, stop: threading.Event) -> None:
    """Housekeeping, and now and then a draft invoice, beside the application."""
    with suppress(psycopg.OperationalError), psycopg.connect(conninfo, autocommit=True) as operator:
        while not stop.is_set():
            try:
                if rng.random() < 0.7:
                    operator.execute("SELECT billing.maintain()")
                    journal.count("rounds of maintain()")
                else:
                    month = f"2025-{rng.randint(1, 12):02}-01"
                    tenant = rng.randint(1, TENANTS)
                    operator.execute("SELECT billing.generate_invoice(%s, %s)", (tenant, month))
                    journal.count("draft invoices")
            except (*ROLLED_BACK, psycopg.errors.LockNotAvailable):
                # The application holds what housekeeping needs: the next round will do.
                journal.count("rounds put off")
            stop.wait(rng.uniform(0, 0.05))


@contextmanager
def at_work(journal: Journal, rng: random.Random, conninfo: str) -> Iterator[None]:
    """Sessions, a transaction left open, and housekeeping, until the context ends (or they are)."""
    stop = threading.Event()
    own = [random.Random(rng.getrandbits(64)) for _ in range(SESSIONS + 2)]
    with ThreadPoolExecutor(SESSIONS + 2) as pool:
        working = [
            pool.submit(Session(journal, number, own[number]).run, conninfo, stop)
            for number in range(SESSIONS)
        ]
        loiterer = Session(journal, SESSIONS, own[SESSIONS])
        working.append(pool.submit(loiterer.loiter, conninfo, stop))
        working.append(pool.submit(keep_house, journal, own[-1], conninfo, stop))
        try:
            yield
        finally:
            stop.set()
        for work in working:
            work.result()


def wait_for_work(journal: Journal, transactions: int) -> None:
    """Until so many more transactions are acknowledged; but not for ever."""
    name = "transactions acknowledged"
    wanted = journal.figures[name] + transactions
    deadline = time.monotonic() + 10
    while journal.figures[name] < wanted and time.monotonic() < deadline:
        time.sleep(0.005)


# What must hold -----------------------------------------------------------------------------------

FOUND = """
SELECT 'calls', id::text, status, COALESCE(duration_seconds, 0) FROM public.calls
UNION ALL
SELECT 'messages', id::text, status, cardinality(recipients) FROM public.messages
UNION ALL
SELECT 'by hand', resource_id, 'recorded', quantity
FROM billing.usage_records
WHERE source_id IS NULL
UNION ALL
SELECT 'credit', reference, 'granted', amount FROM billing.credit_entries WHERE kind <> 'included'
"""
BILLED = """
SELECT COALESCE(source_table, 'by hand'), COALESCE(source_id::text, resource_id), sum(total_cost)
FROM billing.usage_records
GROUP BY 1, 2
"""
TWICE = "SELECT id FROM billing.usage_records GROUP BY id HAVING count(*) > 1"
SUMS = "SELECT tenant_id, sum(total_cost) FROM billing.usage_summaries GROUP BY tenant_id"


def settle(journal: Journal, connection: Connection) -> None:
    """Find out which of the transactions in doubt are there: each wholly, or not at all."""
    found = _found(connection)
    for steps in journal.doubtful:
        after: Changes = {}
        for step in steps:
            after.update(step.states)
        is_new = [_is_so(found, key, state) for key, state in after.items()]
        is_old = [_is_so(found, key, journal.known.get(key)) for key in after]
        if not all(is_new) and not all(is_old):
            raise CounterExample(f"half of a transaction is there: {after}, found {found}")
        if all(is_new):
            journal.known.update(after)
        journal.count("in doubt, whole" if all(is_new) else "in doubt, not at all")


def repeat(journal: Journal, connection: Connection) -> None:
    """Do again what was in doubt, as an application does that was told nothing."""
    for steps in journal.doubtful:
        with connection.transaction():
            for step in steps:
                connection.execute(step.statement.encode(), step.values)
        journal.acknowledge(steps)
    journal.doubtful.clear()


def rate_what_waited(journal: Journal, connection: Connection) -> None:
    """What the trigger could not lock within its two seconds is set aside, and rated as if at once.

    Raises CounterExample when anything was set aside for another reason.
    """
    query = """
        SELECT sqlstate, count(*) FROM billing.unrated_usage WHERE resolved_at IS NULL GROUP BY 1
        """
    aside: dict[str, int] = dict(connection.execute(query.encode()).fetchall())
    if aside.keys() - {"55P03"}:
        raise CounterExample(f"set aside: {aside}")
    connection.execute("SELECT billing.retry_unrated()")
    journal.figures["set aside after 2 s, rated later"] += sum(aside.values())


def check(journal: Journal, connection: Connection) -> None:
    """Raise CounterExample unless the database holds what was acknowledged, billed just so."""
    found = _found(connection)
    missing = {
        key: (state, found.get(key))
        for key, state in journal.known.items()
        if not _is_so(found, key, state)
    }
    _nothing("acknowledged, but not there", missing)
    _nothing("there, but never acknowledged", found.keys() - journal.known.keys())

    costs = {key: owed(key, state) for key, state in journal.known.items()}
    billed = {
        (table, name): Fraction(cost) for table, name, cost in connection.execute(BILLED.encode())
    }
    wrong = {
        key: (costs.get(key, 0), billed.get(key, 0))
        for key in costs.keys() | billed.keys()
        if costs.get(key, 0) != billed.get(key, 0)
    }
    _nothing("billed otherwise than owed", wrong)
    _nothing("records of one id", connection.execute(TWICE.encode()).fetchall())

    sums = {tenant: Fraction(cost) for tenant, cost in connection.execute(SUMS.encode())}
    by_tenant: defaultdict[int, Fraction] = defaultdict(Fraction)
    for key, cost in costs.items():
        by_tenant[tenant_of(int(key[1].split("-")[0]))] += cost
    wrong_sums = {
        tenant: (by_tenant[tenant], sums.get(tenant, 0))
        for tenant in by_tenant.keys() | sums.keys()
        if by_tenant[tenant] != sums.get(tenant, 0)
    }
    _nothing("summaries are not the sum of what is owed", wrong_sums)
    found_by_verify = connection.execute("SELECT * FROM billing.verify()").fetchall()
    _nothing("billing.verify() found", found_by_verify)
    journal.figures["charges compared"] += len(costs)


def _found(connection: Connection) -> Changes:
    rows = connection.execute(FOUND.encode()).fetchall()
    return {(kind, name): State(status, int(amount)) for kind, name, status, amount in rows}


def _is_so(found: Changes, key: Key, state: State | None) -> bool:
    return found.get(key) == (state if state and state.is_there else None)


def _nothing(what: str, found: Collection[object]) -> None:
    if found:
        shown = found.items() if isinstance(found, Mapping) else found
        raise CounterExample(f"{what} ({len(found)}): {list(shown)[:5]}")
