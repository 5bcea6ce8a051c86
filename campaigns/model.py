"""Model: random histories, played in a database and held against an oracle in fractions.

A batch of histories shares a database and a session: their transactions take turns, and now and
then an operator sweeps, retries and merges. In the end all rows are judged at once.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import get_context

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from campaigns import judge
from campaigns.histories import WIDTH, History, Transaction, housekeeping
from campaigns.judge import APPLICATION, hold_court
from campaigns.load import CounterExample
from pyapi.deploy import migrate
from pyapi.embedded import Server

Connection = psycopg.Connection[tuple[object, ...]]

BATCH = 500
"""Histories that share a database, in the long form."""
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "256MB",
    "max_wal_size": "1GB",
}
LIMITS = (judge.RESTORED, judge.RESTORED_ELSEWHERE, judge.BY_HAND_AFTER)
OPERATOR = "the operator"


def prepare(server: Server) -> None:
    """Start the server; its first database is the template of all others."""
    migrate(server.start().conninfo())


def campaign(
    server: Server,
    seed: int,
    histories: int,
    on_batch: Callable[[int], None] = lambda played: None,
    is_over: Callable[[], bool] = lambda: False,
) -> Counter[str]:
    """Play so many histories on a prepared server, on all processors.

    Batch k is of seed + k. Raises CounterExample, which names the seed again.
    """
    figures: Counter[str] = Counter()
    batches = (
        (seed + number, min(BATCH, histories - first))
        for number, first in enumerate(range(0, histories, BATCH))
    )
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        playing: set[Future[Counter[str]]] = set()
        while True:
            while len(playing) < (os.cpu_count() or 1) and not is_over():
                if (batch := next(batches, None)) is None:
                    break
                playing.add(pool.submit(play_in_clone, server.conninfo("postgres"), *batch))
            if not playing:
                return figures
            done, playing = wait(playing, return_when=FIRST_COMPLETED)
            for batch_figures in (future.result() for future in done):
                figures += batch_figures
                on_batch(batch_figures["histories"])


def play_in_clone(conninfo: str, seed: int, count: int) -> Counter[str]:
    with clone(conninfo, f"batch_{seed}") as database:
        return play_batch(database, seed, count)


@contextmanager
def clone(conninfo: str, name: str) -> Iterator[str]:
    """A database like the server's first, for as long as the context lasts; its conninfo."""

    def run(statement: str) -> None:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(name)))

    run("DROP DATABASE IF EXISTS {} WITH (FORCE)")
    run("CREATE DATABASE {} TEMPLATE irisx")
    try:
        yield make_conninfo(conninfo, dbname=name)
    finally:
        run("DROP DATABASE {} WITH (FORCE)")


def play_batch(conninfo: str, seed: int, count: int) -> Counter[str]:
    """Play histories in a migrated database of their own; figures for people.

    Raises CounterExample.
    """
    options = "-c search_path=billing,public"
    with psycopg.connect(conninfo, autocommit=True, options=options) as connection:
        connection.prepare_threshold = None
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
        number: History(random.Random(f"{seed} {number}"), number).transactions()
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
