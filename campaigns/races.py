"""Races: short transactions on the same rows, statement by statement in every order.

Each interleaving is played twice, with billing and in a database without it: what fails or waits
with billing and not without it is ours. Nothing sleeps: a statement is over, or PostgreSQL says
whom it waits for. In the end all rows are judged at once.
"""

from __future__ import annotations

import itertools
import random
import select
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg.pq import DiagnosticField, ExecStatus

from campaigns import judge
from campaigns.judge import APPLICATION, UNSEEN, hold_court
from campaigns.load import CounterExample
from campaigns.servers import clone, in_parallel
from pyapi.embedded import Server

Connection = psycopg.Connection[tuple[object, ...]]

CHUNK = 400
"""Interleavings that share a database, in the long form."""
STEP = 10
"""Ids of tenants, calls and messages that an interleaving has for its own."""
MOST = 10**9
"""Interleavings of a seed, at most."""
ATTEMPTS = 10
"""Two that are let go at one time race for what is next: how often to see what can come of it."""
LEVELS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
SERIALIZATION, DEADLOCK, UNIQUE, OVERLAP = "40001", "40P01", "23505", "23P01"
LIMITS = (
    judge.RESTORED,
    judge.RESTORED_ELSEWHERE,
    judge.BY_HAND_AFTER,
    judge.BY_HAND_BESIDE,
    judge.UNSEEN,
)

# What a row is like before. {id} is the first of ten, also for tenants.
TENANTS = "INSERT INTO tenants (id) VALUES ({id}), ({id} + 1)"
CALL = (
    "INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds) "
    "VALUES ({id}, {id}, 'CA{id}', 'STATUS', {at}, SECONDS)"
)
RINGING = CALL.replace("STATUS", "ringing").replace("SECONDS", "NULL")
FINISHED = CALL.replace("STATUS", "completed").replace("SECONDS", "60")
STARTS: dict[str, tuple[str, ...]] = {
    "absent": (),
    "ringing": (RINGING,),
    "completed": (FINISHED,),
    "failed after all": (FINISHED, "UPDATE calls SET status = 'failed' WHERE id = {id}"),
    UNSEEN: (FINISHED,),
    "of an unknown tenant": (FINISHED.replace("{id}, {id}, ", "{id}, {id} + 2, "),),
    "archived": (FINISHED, "DELETE FROM calls WHERE id = {id}"),
    "recorded by hand": (
        "SELECT record_by_hand({id}, 'voice', 'minute', 'CA{id}', 1, '2026-02-02')",
    ),
}
WITHOUT_ROW = ("absent", "archived", "recorded by hand")
OTHERS = (
    "INSERT INTO calls (id, tenant_id, status) VALUES ({id} + 1, {id}, 'ringing')",
    "INSERT INTO messages (id, tenant_id, status) VALUES ({id}, {id}, 'queued')",
)

UPDATE = "UPDATE calls SET {} WHERE id = {{id}}"
BY_HAND = (
    "SELECT record_usage({{id}}, 'voice', 'minute', 'CA{{id}}', {0},"
    " p_occurred_at => '2026-02-02');"
    "INSERT INTO by_hand VALUES ({{id}}, 'voice', 'minute', 'CA{{id}}', {0}, '2026-02-02')"
)
APPLICATION_ACTS = {
    "complete": UPDATE.format("status = 'completed', duration_seconds = 60"),
    "correct": UPDATE.format("duration_seconds = 90"),
    "fail": UPDATE.format("status = 'failed'"),
    "another time": UPDATE.format("initiated_at = '2026-03-03'"),
    "another number": UPDATE.format("to_number = '+4420'"),
    "another tenant": UPDATE.format("tenant_id = {id} + 1"),
    "insert": FINISHED + " ON CONFLICT DO NOTHING",
    "upsert": FINISHED.replace("60)", "30)")
    + " ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status,"
    " duration_seconds = EXCLUDED.duration_seconds",
    "delete": "DELETE FROM calls WHERE id = {id}",
    "complete, and think again": "SAVEPOINT s; "
    + UPDATE.format("status = 'completed', duration_seconds = 61")
    + "; ROLLBACK TO s; "
    + UPDATE.format("metadata = '{{}}'"),
    "complete another call": "UPDATE calls SET status = 'completed', duration_seconds = 5"
    " WHERE id = {id} + 1",
    "insert another call": "INSERT INTO calls (id, tenant_id, status, duration_seconds)"
    " VALUES ({id} + {session} + 2, {id}, 'completed', 6)",
    "send a message": "UPDATE messages SET status = 'sent' WHERE id = {id}",
    "another plan": "UPDATE tenants SET plan_id = 3 WHERE id = {id}",
    "the tenant comes": "INSERT INTO tenants (id) VALUES ({id} + 2) ON CONFLICT DO NOTHING",
}
"""What an application does; it knows nothing of billing."""
RECORDING_ACTS = {
    "record by hand": BY_HAND.format("1"),
    "record by hand otherwise": BY_HAND.format("1.5"),
    "record the call": "SELECT record_again('calls', {id})",
    "retry": "SELECT retry_unrated(1000)",
    "backfill": "SELECT backfill_usage('2026-01-01', '2026-12-31')",
    "reconcile": "SELECT reconcile('2026-01-01', '2026-12-31')",
}
"""What may record the same row: two recordings of a row are a conflict, with every right."""
BY_HAND_ACTS = {"record by hand", "record by hand otherwise"}
SWEEPS = ("retry", "backfill", "reconcile", "merge", "maintain")
"""They work on all rows, and so are transactions of their own."""
WITHOUT_BILLING = {
    **dict.fromkeys(
        ("record by hand", "record by hand otherwise"),
        "SELECT id FROM calls WHERE tenant_id = {id} AND call_sid = 'CA{id}' FOR NO KEY UPDATE;"
        "INSERT INTO resources VALUES ('CA{id}') ON CONFLICT DO NOTHING",
    ),
    "record the call": "SELECT id FROM calls WHERE id = {id} FOR NO KEY UPDATE",
    # The first price of a tenant's own changes what holds for the tenant, as its plan does.
    "another price": "SELECT id FROM tenants WHERE id = {id} FOR NO KEY UPDATE",
}
"""What an application would lock that keeps its own books."""
OPERATOR_ACTS = {
    "merge": "SELECT merge_summaries(1000)",
    "maintain": "SELECT maintain()",
    "another price": "INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price,"
    " effective_from) VALUES ({id}, 'voice', 'minute', 0.5, now())",
}
ACTS = APPLICATION_ACTS | RECORDING_ACTS | OPERATOR_ACTS
LOOK = "SELECT status FROM calls WHERE id = {id}"
TIMES = ("'2026-02-02'", "NULL")


@dataclass(frozen=True)
class Script:
    """A transaction: it begins and looks at the row, acts, and commits."""

    level: str
    acts: tuple[str, ...]

    def steps(self, session: int, is_billed: bool, **values: object) -> list[str]:
        """is_billed: else what only billing has is left out."""
        known = ACTS if is_billed else APPLICATION_ACTS | WITHOUT_BILLING
        texts = [known.get(act, "SELECT 1") for act in self.acts]
        return [
            text.format(session=session, **values)
            for text in (f"BEGIN ISOLATION LEVEL {self.level}; {LOOK}", *texts, "COMMIT")
        ]

    def __str__(self) -> str:
        return f"{self.level}: {', '.join(self.acts)}"


@dataclass(frozen=True)
class Interleaving:
    """Scripts side by side; order names the script whose next step comes."""

    number: int
    start: str
    time: str
    scripts: tuple[Script, ...]
    order: tuple[int, ...]

    def __str__(self) -> str:
        lines = [f"a call {self.start}"]
        lines += [f"session {number}: {script}" for number, script in enumerate(self.scripts)]
        return "\n".join([*lines, f"order: {' '.join(map(str, self.order))}"])


# Which interleavings there are --------------------------------------------------------------------


def orders(lengths: Sequence[int]) -> list[tuple[int, ...]]:
    """Every order of the steps of scripts of these lengths."""
    if not any(lengths):
        return [()]
    return [
        (first, *rest)
        for first, length in enumerate(lengths)
        if length
        for rest in orders([n - (i == first) for i, n in enumerate(lengths)])
    ]


def every_pair() -> list[tuple[str, str, str, str, tuple[int, ...]]]:
    """Two acts, a state before them, an isolation level, an order."""
    pairs = [
        (one, two)
        for one, two in itertools.combinations_with_replacement(ACTS, 2)
        if not {one, two} <= OPERATOR_ACTS.keys() | {"insert another call", "another plan"}
    ]
    return [
        (one, two, start, level, order)
        for one, two in pairs
        for start in STARTS
        for level in LEVELS
        for order in orders([3, 3])
    ]


class Plan:
    """All interleavings of two acts in an order of the seed's, then random ones without end."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._pairs = every_pair()
        random.Random(seed).shuffle(self._pairs)
        self.exhaustive = len(self._pairs)

    def numbers_of(self, one: str, two: str, start: str) -> list[int]:
        """The interleavings of these two acts, in all orders at all levels."""
        return [n for n, pair in enumerate(self._pairs) if pair[:3] == (one, two, start)]

    def __getitem__(self, number: int) -> Interleaving:
        if number < self.exhaustive:
            one, two, start, level, order = self._pairs[number]
            pair = (Script(level, (one,)), Script(level, (two,)))
            return Interleaving(number, start, TIMES[number % 2], pair, order)
        rng = random.Random(f"{self.seed} {number}")
        scripts = tuple(
            Script(rng.choice(LEVELS), _random_acts(rng)) for _ in range(rng.choice((2, 3, 3, 4)))
        )
        turns = [n for n, script in enumerate(scripts) for _ in range(len(script.acts) + 2)]
        rng.shuffle(turns)
        return Interleaving(
            number, rng.choice(list(STARTS)), rng.choice(TIMES), scripts, tuple(turns)
        )


def _random_acts(rng: random.Random) -> tuple[str, ...]:
    if rng.random() < 0.2:
        return (rng.choice(SWEEPS),)
    others = [act for act in ACTS if act not in SWEEPS]
    return tuple(rng.choices(others, k=rng.choice((1, 1, 2, 3))))


# Playing ------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """How a script ended: None, committed, or with an error."""

    sqlstate: str | None = None
    told: str = ""
    waits: int = 0


class Session:
    """A connection whose statements are sent, and waited for apart."""

    def __init__(self, conninfo: str) -> None:
        options = "-c search_path=billing,public -c statement_timeout=60s"
        self.connection = psycopg.connect(conninfo, autocommit=True, options=options)
        self.pgconn = self.connection.pgconn
        self.pid = self.connection.info.backend_pid
        self.begin([])

    def begin(self, steps: list[str]) -> None:
        self.outcome = Outcome()
        self.steps = deque(steps)
        self.due = 0
        self.is_busy = False
        self.is_waiting = False

    def send_next(self) -> None:
        """The next step, when it is due and the one before is over."""
        if not self.is_busy and self.due and self.steps:
            self.due -= 1
            self._send(self.steps.popleft())

    def _send(self, text: str) -> None:
        self.pgconn.send_query(text.encode())
        self.is_busy, self.is_waiting = True, False

    def look(self) -> None:
        """Take what has come; when it is an error, give up."""
        self.pgconn.consume_input()
        while self.is_busy and not self.pgconn.is_busy():
            result = self.pgconn.get_result()
            if result is None:
                self.is_busy = False
            elif result.status == ExecStatus.FATAL_ERROR and self.outcome.sqlstate is None:
                state = result.error_field(DiagnosticField.SQLSTATE) or b"?"
                self.outcome.sqlstate = state.decode()
                self.outcome.told = result.get_error_message()
        if not self.is_busy and self.outcome.sqlstate and self.steps:
            self.steps.clear()
            self._send("ROLLBACK")


class Stage:
    """Sessions in one database, and somebody who sees who waits."""

    def __init__(self, conninfo: str, *, is_billed: bool) -> None:
        self.is_billed = is_billed
        self.observer = psycopg.connect(
            conninfo, autocommit=True, options="-c search_path=billing,public"
        )
        self.observer.execute(APPLICATION.encode())
        if not is_billed:
            self.observer.execute("CREATE TABLE resources (name text PRIMARY KEY)")
            for table in ("calls", "messages", "tenants"):
                self.observer.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
        self.sessions = [Session(conninfo) for _ in range(4)]

    def close(self) -> None:
        for connection in (self.observer, *(session.connection for session in self.sessions)):
            connection.close()

    def play(self, interleaving: Interleaving, attempt: int = 0) -> list[Outcome]:
        """attempt: each has rows of its own."""
        number = interleaving.number + attempt * MOST
        values: dict[str, object] = {"id": number * STEP, "at": interleaving.time}
        self._set_up(interleaving, values)
        sessions = self.sessions[: len(interleaving.scripts)]
        for number, session in enumerate(sessions):
            session.begin(interleaving.scripts[number].steps(number, self.is_billed, **values))
        for number in interleaving.order:
            sessions[number].due += 1
            self._settle(sessions)
        self._settle(sessions, to_the_end=True)
        return [session.outcome for session in sessions]

    def _set_up(self, interleaving: Interleaving, values: dict[str, object]) -> None:
        unseen = interleaving.start == UNSEEN and self.is_billed
        texts = [TENANTS, *OTHERS, *STARTS[interleaving.start]]
        if unseen:
            texts.insert(3, "ALTER TABLE calls DISABLE TRIGGER billing_meter_insert")
            texts.append("ALTER TABLE calls ENABLE TRIGGER billing_meter_insert")
        self.observer.execute(";".join(texts).format(**values).encode())

    def _settle(self, sessions: list[Session], *, to_the_end: bool = False) -> None:
        """Until every session is done with what is due, or waits for another."""
        while True:
            for session in sessions:
                session.send_next()
            busy = [session for session in sessions if session.is_busy]
            if not busy:
                return
            select.select([session.pgconn.socket for session in busy], [], [], 0.001)
            for session in busy:
                session.look()
            if all(session.is_busy for session in busy):
                waiting = self._blocked(busy)
                for session in waiting:
                    session.outcome.waits += not session.is_waiting
                    session.is_waiting = True
                if len(waiting) == len(busy) and not to_the_end:
                    return

    def _blocked(self, sessions: list[Session]) -> list[Session]:
        found = self.observer.execute(
            "SELECT pid FROM unnest(%s::integer[]) AS pid"
            " WHERE cardinality(pg_blocking_pids(pid)) > 0",
            [[session.pid for session in sessions]],
        ).fetchall()
        pids = {pid for (pid,) in found}
        return [session for session in sessions if session.pid in pids]


# Judging -----------------------------------------------------------------------------------------


def campaign(
    server: Server,
    seed: int,
    first: int,
    count: int,
    on_played: Callable[[int], None] = lambda played: None,
    is_over: Callable[[], bool] = lambda: False,
) -> Counter[str]:
    """Play so many interleavings of Plan(seed) on a prepared server, on all processors.

    Raises CounterExample, which says how to see it again.
    """
    figures: Counter[str] = Counter()
    chunks = (
        (server.conninfo("postgres"), seed, number, min(number + CHUNK, first + count))
        for number in range(first, first + count, CHUNK)
    )
    for chunk in in_parallel(play_in_clones, chunks, is_over):
        figures += chunk
        on_played(chunk["interleavings"])
    return figures


def play_in_clones(conninfo: str, seed: int, first: int, until: int) -> Counter[str]:
    with clone(conninfo, f"billed_{first}") as billed, clone(conninfo, f"bare_{first}") as bare:
        return play_chunk(billed, bare, seed, range(first, until))


@dataclass
class Played:
    """What was played in a pair of databases, and how it went."""

    seed: int
    interleavings: dict[int, Interleaving] = field(default_factory=dict)
    figures: Counter[str] = field(default_factory=Counter)

    def counter_example(self, number: int | None, what: str) -> CounterExample:
        told = self.interleavings.get(number or 0, "")
        return CounterExample(
            f"{told}\n{what}\n(again with --seed {self.seed} --first {number} --interleavings 1)"
        )


def play_chunk(billed: str, bare: str, seed: int, numbers: Sequence[int]) -> Counter[str]:
    """Play interleavings of Plan(seed) in a migrated database and in one without billing.

    Figures for people. Raises CounterExample.
    """
    plan, played = Plan(seed), Played(seed)
    stages = Stage(billed, is_billed=True), Stage(bare, is_billed=False)
    try:
        for number in numbers:
            interleaving = plan[number]
            played.interleavings[number] = interleaving
            with_billing, without = (stage.play(interleaving) for stage in stages)
            try:
                figures = _compare(interleaving, with_billing, without)
            except CounterExample as error:
                others = [stages[1].play(interleaving, 1 + n) for n in range(ATTEMPTS)]
                if not any(_are_alike(with_billing, other) for other in others):
                    raise played.counter_example(number, str(error)) from error
                figures = Counter({"as without billing, at another attempt": 1})
            played.figures += figures
        _judge(stages[0].observer, played)
    finally:
        for stage in stages:
            stage.close()
    played.figures["interleavings"] = len(numbers)
    return played.figures


def _compare(
    interleaving: Interleaving, with_billing: list[Outcome], without: list[Outcome]
) -> Counter[str]:
    """What fails or waits with billing and not without it is ours."""
    figures: Counter[str] = Counter()
    # What one is refused, or waits for, with reason, changes what the others meet.
    has_changed = False
    unexplained = []
    for number, (script, ours, theirs) in enumerate(
        zip(interleaving.scripts, with_billing, without, strict=True)
    ):
        figures[f"transactions, {script.level}"] += 1
        if ours.sqlstate == theirs.sqlstate or None not in (ours.sqlstate, theirs.sqlstate):
            figures["failed, as without billing"] += ours.sqlstate is not None
        elif ours.sqlstate is None:
            has_changed = True
        elif what := _reason_to_fail(interleaving, script, ours):
            figures[what] += 1
            has_changed = True
        elif not any(theirs.sqlstate == ours.sqlstate for theirs in without):
            unexplained.append(number)
    for number, (ours, theirs) in enumerate(zip(with_billing, without, strict=True)):
        if ours.waits > theirs.waits and not has_changed:
            what = _reason_to_wait(interleaving)
            if what is None:
                raise CounterExample(f"session {number} waited")
            figures[f"waits: {what}"] += 1
            has_changed = True
    for number in unexplained:
        ours = with_billing[number]
        if not has_changed or ours.sqlstate not in (SERIALIZATION, UNIQUE):
            raise CounterExample(
                f"session {number} ended with {ours.sqlstate}, "
                f"without billing {without[number].sqlstate}\n{ours.told}"
            )
        figures["failed, for what another was refused or waited for"] += 1
    return figures


def _are_alike(ones: list[Outcome], others: list[Outcome]) -> bool:
    return all(
        one.sqlstate == other.sqlstate and one.waits <= other.waits
        for one, other in zip(ones, others, strict=True)
    )


def _reason_to_wait(interleaving: Interleaving) -> str | None:
    acts = {act for script in interleaving.scripts for act in script.acts}
    if not acts <= APPLICATION_ACTS.keys():
        return "somebody records by hand, sweeps or enters prices"
    if any(script.level == "SERIALIZABLE" for script in interleaving.scripts):
        return "known limit, SERIALIZABLE"
    return None


def _reason_to_fail(interleaving: Interleaving, script: Script, outcome: Outcome) -> str | None:
    """Why a transaction may fail as it would not without billing; None: there is no reason."""
    sqlstate = outcome.sqlstate or ""
    acts = set(script.acts)
    others = {act for other in interleaving.scripts if other is not script for act in other.acts}
    if sqlstate.startswith("UB") or (sqlstate == OVERLAP and "another price" in acts):
        return "refused by billing, with a reason"
    if sqlstate == DEADLOCK and any(
        len(other.acts) > 1 and set(other.acts) & BY_HAND_ACTS for other in interleaving.scripts
    ):
        return "deadlocks of who records by hand and then wants another's row"
    if script.level == "READ COMMITTED":
        return None
    if sqlstate != SERIALIZATION:
        return None
    if not acts <= APPLICATION_ACTS.keys():
        return "serialization failures: of those who record by hand, sweep or enter prices"
    if "maintain" in others:
        return "serialization failures: maintain() moved the month out of the default partition"
    if "another plan" in acts and "another price" in others:
        return "serialization failures: a plan and a price of one tenant side by side"
    if "delete" in others and acts & {"insert", "upsert"}:
        return "serialization failures: a row under the id of one billed and deleted meanwhile"
    if others & RECORDING_ACTS.keys():
        return "serialization failures: somebody else recorded the same row"
    if script.level == "SERIALIZABLE":
        return "known limit: serialization failures, SERIALIZABLE"
    return None


def _judge(connection: Connection, played: Played) -> None:
    unseen, inserted = set(), set()
    for number, interleaving in played.interleavings.items():
        if interleaving.start == UNSEEN:
            unseen.add(("calls", number * STEP))
        # Under other levels the two meet.
        if interleaving.start in WITHOUT_ROW and any(
            script.level == "READ COMMITTED" for script in interleaving.scripts
        ):
            inserted.add(("calls", number * STEP))
    played.figures += hold_court(
        connection,
        lambda row_id, what: played.counter_example(row_id and row_id // STEP, what),
        LIMITS,
        unseen=unseen,
        inserted=inserted,
        is_racing=True,
    )
