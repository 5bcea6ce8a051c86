"""Model: random histories, played in a database and held against an oracle in fractions.

A batch of histories shares a database and a session: their transactions take turns, and now and
then an operator sweeps, retries and merges. In the end all rows are judged at once.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import psycopg

from campaigns import judge
from campaigns.histories import (
    INTERFERING,
    PARTITIONED,
    WIDTH,
    History,
    Transaction,
    housekeeping,
)
from campaigns.judge import APPLICATION, hold_court
from campaigns.load import CounterExample
from campaigns.servers import clone, in_parallel
from pyapi.embedded import Server

Connection = psycopg.Connection[tuple[object, ...]]

BATCH = 500
"""Histories that share a database, in the long form."""
VARIANTS = ((False, False), (False, False), (True, False), (False, True), (True, True))
"""By seed: whether calls is partitioned, and whether triggers of the application change calls."""
LIMITS = (judge.RESTORED, judge.RESTORED_ELSEWHERE, judge.BY_HAND_AFTER)
OPERATOR = "the operator"


def campaign(
    server: Server,
    seed: int,
    count: int,
    on_played: Callable[[int], None] = lambda played: None,
    is_over: Callable[[], bool] = lambda: False,
) -> Counter[str]:
    """Play so many histories on a prepared server, on all processors.

    Batch k is of seed + k. Raises CounterExample, which names the seed again.
    """
    figures: Counter[str] = Counter()
    batches = (
        (server.conninfo("postgres"), seed + number, min(BATCH, count - first))
        for number, first in enumerate(range(0, count, BATCH))
    )
    for batch in in_parallel(play_in_clone, batches, is_over):
        figures += batch
        on_played(batch["histories"])
    return figures


def play_in_clone(conninfo: str, seed: int, count: int) -> Counter[str]:
    with clone(conninfo, f"batch_{seed}") as database:
        return play_batch(database, seed, count)


def play_batch(conninfo: str, seed: int, count: int) -> Counter[str]:
    """Play histories in a migrated database of their own; figures for people.

    Raises CounterExample.
    """
    options = "-c search_path=billing,public"
    with psycopg.connect(conninfo, autocommit=True, options=options) as connection:
        connection.prepare_threshold = None
        is_partitioned, is_interfered_with = VARIANTS[seed % len(VARIANTS)]
        if is_partitioned:
            connection.execute(PARTITIONED.encode())
        if is_interfered_with:
            connection.execute(INTERFERING.encode())
        connection.execute(APPLICATION.encode())
        log = Log(seed, count)
        _play(connection, seed, count, log)
        return _judge(connection, log)


class Log:
    """What was played, to be shown when something is wrong."""

    def __init__(self, seed: int, count: int) -> None:
        self.seed, self.count = seed, count
        self.played: list[tuple[int | None, Transaction]] = []
        """By the number of its history; None is the operator."""

    def tell(self, number: int | None) -> str:
        mine = [
            f"-- {OPERATOR}\n{transaction}" if other is None else str(transaction)
            for other, transaction in self.played
            if other in (number, None)
        ]
        return "\n".join(mine)

    def counter_example(self, number: int | None, what: str) -> CounterExample:
        return CounterExample(
            f"{self.tell(number)}\n{what}\n(history {number} of seed {self.seed}:"
            f" again with --seed {self.seed} --histories {self.count})"
        )


def _play(connection: Connection, seed: int, count: int, log: Log) -> None:
    rng = random.Random(f"{seed} operator")
    playing = {
        number: History(
            random.Random(f"{seed} {number}"),
            number,
            is_partitioned=VARIANTS[seed % len(VARIANTS)][0],
        ).transactions()
        for number in range(1, count + 1)
    }
    while playing:
        for number, transactions in list(playing.items()):
            transaction = next(transactions, None)
            if transaction is None:
                del playing[number]
                continue
            _perform(connection, number, transaction, log)
        if rng.random() < 0.5:
            _perform(connection, None, Transaction((housekeeping(rng),), True), log)


def _perform(
    connection: Connection, number: int | None, transaction: Transaction, log: Log
) -> None:
    log.played.append((number, transaction))
    try:
        transaction.play(connection)
    except psycopg.Error as error:
        raise log.counter_example(number, f"failed: {error.sqlstate} {error}") from error


def _judge(connection: Connection, log: Log) -> Counter[str]:
    counts = hold_court(
        connection,
        lambda row_id, what: log.counter_example(row_id and row_id // WIDTH, what),
        LIMITS,
    )
    counts["histories"] = log.count
    counts["transactions"] = len(log.played)
    counts["statements"] = sum(len(played.statements) for _, played in log.played)
    return counts
