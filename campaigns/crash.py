"""Crash: acknowledged work, a crash at a random moment, and nothing of it may be missing.

A session killed with -9 takes the others with it (the server recovers by itself); an immediate
shutdown; kill -9 of the whole server. Sessions end where they are, in the middle of statements, of
commits, of housekeeping. What was acknowledged must be there and billed, what was in doubt wholly
or not at all, and what was never committed must be nowhere.
"""

from __future__ import annotations

import random
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from campaigns.load import (
    SESSIONS,
    SET_UP,
    CounterExample,
    Journal,
    at_work,
    check,
    rate_what_waited,
    repeat,
    settle,
    wait_for_work,
)
from campaigns.servers import family, kill, wait_for, wait_until_gone
from pyapi.deploy import migrate
from pyapi.embedded import Server

LIFE = 25
"""Crashes that one database lives through; then another, so that checking it stays quick."""
LONGEST = 0.4
"""Seconds of load before a crash, at most."""
SETTINGS = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "64MB"}
if sys.platform == "linux":
    # Recovery asks the disk once for all, not file by file: there are thousands of small ones.
    SETTINGS["recovery_init_sync_method"] = "syncfs"
MANNERS = ("a session", "immediate shutdown", "the whole server")


@dataclass
class Figures:
    """What was done, for people."""

    counts: defaultdict[str, int]
    slowest_recovery: float = 0.0


def prepare(server: Server) -> None:
    """Start the server, with what each life begins with in its first database."""
    template = server.start().conninfo()
    migrate(template)
    with psycopg.connect(template, autocommit=True) as connection:
        connection.execute(SET_UP.encode())


def campaign(
    server: Server,
    seed: int,
    cycles: int,
    on_cycle: Callable[[int], None] = lambda cycle: None,
    is_over: Callable[[], bool] = lambda: False,
) -> Figures:
    """Crash a prepared server so many times. Raises CounterExample, naming the seed again."""
    figures = Figures(defaultdict(int))
    for first in range(0, cycles, LIFE):
        mine = seed + first // LIFE
        name = f"life_{mine}"
        _execute(server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
        # With a checkpoint: a sequence that the template has used gives its numbers again in a copy
        # that was only logged, if the server is killed before the next one.
        _execute(server, "CREATE DATABASE {} TEMPLATE irisx STRATEGY file_copy", name)
        journal = Journal(figures=figures.counts)
        for cycle in range(min(LIFE, cycles - first)):
            if is_over():
                return figures
            rng = random.Random(f"{mine} {cycle}")
            try:
                crash_once(server, name, journal, rng, figures)
            except CounterExample as error:
                raise CounterExample(
                    f"{error}\n(life of seed {mine}, crash {cycle + 1}:"
                    f" again with --seed {mine} --cycles {cycle + 1})"
                ) from error
            figures.counts["crashes"] += 1
            on_cycle(first + cycle + 1)
        _execute(server, "DROP DATABASE {} WITH (FORCE)", name)
    return figures


def crash_once(
    server: Server, name: str, journal: Journal, rng: random.Random, figures: Figures
) -> None:
    """Work, crash at some moment, recover, and compare."""
    conninfo = make_conninfo(server.conninfo(), dbname=name)
    with at_work(journal, rng, conninfo):
        # Most crashes meet sessions at work, a few meet them connecting.
        if rng.random() < 0.9:
            wait_for_work(journal, SESSIONS)
        time.sleep(rng.uniform(0, LONGEST))
        manner = rng.choice(MANNERS)
        begin = time.monotonic()
        crash(server, manner, rng, name)
        figures.counts[f"crashes: {manner}"] += 1
    server.start()
    wait_for(conninfo)
    figures.slowest_recovery = max(figures.slowest_recovery, time.monotonic() - begin)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        settle(journal, connection)
        rate_what_waited(journal, connection)
        check(journal, connection)
        repeat(journal, connection)
        check(journal, connection)


def crash(server: Server, manner: str, rng: random.Random, name: str) -> None:
    """One of MANNERS; where there is no session to kill, the whole server."""
    pid = server.pid
    if pid is None:
        raise CounterExample("the server ended by itself")
    if manner == MANNERS[0] and (sessions := find_sessions(server, name)):
        kill([rng.choice(sessions)])
        # Then the server has begun to recover, and will not let anybody in before it is done.
        wait_until_gone(sessions, is_known=True)
        return
    members = family(pid)
    if manner == MANNERS[1]:
        kill([pid], signal.SIGQUIT)
    else:
        kill(members)
    wait_until_gone(members)


def find_sessions(server: Server, name: str) -> list[int]:
    query = """
        SELECT pid FROM pg_stat_activity
        WHERE datname = %s AND backend_type = 'client backend'
        ORDER BY backend_start
        """
    with psycopg.connect(server.conninfo("postgres", admin=True)) as admin:
        return [pid for (pid,) in admin.execute(query, [name])]


def _execute(server: Server, statement: str, name: str) -> None:
    with psycopg.connect(server.conninfo("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))
