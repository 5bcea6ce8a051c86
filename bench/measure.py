"""One measurement: one variant, one kind of UPDATE, from one or more clients."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from bench.stage import TABLES, Stage, WrongResultError

BILLED = ("untracked", "again", "floor", "obvious", "tracked")
FREE = ("untracked", "again", "tracked")
DECK = ("tracked", "deck")
CPU = ", CPU"

COMPLETE = "status = 'completed', duration_seconds = 60 + mod(id, 240), ended_at = now()"
NOTE = """metadata = '{"note": "seen"}', updated_at = now()"""

Statement = tuple[bytes, list[int] | None]


@dataclass(frozen=True)
class Case:
    """An UPDATE, by how many clients for a while, or `alone` (CPU counted), or in `bulk`."""

    name: str
    variants: tuple[str, ...]
    aim: str
    how: str = "clients"
    clients: int = 1
    tenants: int = 1000
    status: str = "in-progress"

    @property
    def completes(self) -> bool:
        return self.variants != FREE

    def hot_twin_of(self, other: Case) -> bool:
        same = self.how == other.how == "clients" and self.clients == other.clients
        return same and self.variants == other.variants == BILLED and self.tenants < other.tenants


@dataclass(frozen=True)
class Scale:
    """How long and how much is measured."""

    rounds: int
    seconds: int
    warm_up: int
    bulk_rows: int
    alone_rows: int
    simulated: int


QUICK = Scale(rounds=3, seconds=2, warm_up=1, bulk_rows=20_000, alone_rows=500, simulated=100_000)
FULL = Scale(
    rounds=5, seconds=6, warm_up=1, bulk_rows=100_000, alone_rows=5_000, simulated=1_000_000
)


def measure(stage: Stage, case: Case, variant: str, scale: Scale, rows: int) -> dict[str, float]:
    """Rows updated per second, and per second of the backend's CPU (where it is known).

    rows: how many there are for clients to update; the other ways have their own number.
    Raises WrongResultError.
    """
    rows = {"bulk": scale.bulk_rows, "alone": scale.alone_rows}.get(case.how, rows)
    change = COMPLETE if case.completes else NOTE
    update = f"UPDATE {TABLES[variant]} SET {change}"
    updated = rows
    stage.fill(variant, rows=rows, tenants=case.tenants, status=case.status)
    with stage.maintained(variant):
        if case.how == "clients":
            ends = run_clients(stage, TABLES[variant], change, case.clients, scale.seconds)
            figures, updated = {case.name: _steady_rate(ends, scale.warm_up)}, sum(map(len, ends))
            if (needed := case.clients * max(map(len, ends))) > rows:
                # The busiest client found no more rows to update: again, with more.
                return measure(stage, case, variant, scale, 2 * needed)
        elif case.how == "bulk":
            figures = _timed(stage, case.name, [(update.encode(), None)], rows)
        else:
            each = [(f"{update} WHERE id = %s".encode(), [id]) for id in range(rows)]
            figures = _timed(stage, case.name, each, rows)
    stage.check(variant, updated if case.completes else rows * (case.status == "completed"))
    return figures


def _timed(stage: Stage, name: str, statements: Sequence[Statement], rows: int) -> dict[str, float]:
    """Run the statements, which update so many rows, on one connection; the first warm it up."""
    warm_up = min(200, len(statements) // 5)
    with psycopg.connect(stage.conninfo, autocommit=True, prepare_threshold=0) as connection:
        pid = connection.info.backend_pid
        for statement in statements[:warm_up]:
            connection.execute(*statement)
        cpu_before, start = _cpu_seconds(pid), time.perf_counter()
        for statement in statements[warm_up:]:
            connection.execute(*statement)
        elapsed, cpu_after = time.perf_counter() - start, _cpu_seconds(pid)
    figures = {name: (rows - warm_up) / elapsed}
    if cpu_before is not None and cpu_after is not None:
        figures[name + CPU] = (rows - warm_up) / (cpu_after - cpu_before)
    return figures


def _cpu_seconds(pid: int) -> float | None:
    """What the backend has spent on a processor; None where the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def _steady_rate(ends: list[list[float]], warm_up: int) -> float:
    """Ends per second after the warm-up, in which each session compiles and plans."""
    begin = min(map(min, ends)) + warm_up
    counted = [end for mine in ends for end in mine if end > begin]
    return len(counted) / (max(counted) - begin)


def run_clients(
    stage: Stage, table: str, change: str, clients: int, seconds: int
) -> list[list[float]]:
    """Update row after row, each once, from so many sessions; when each UPDATE of each ended.

    The sessions number the rows in turns: the first has 0, `clients`, twice `clients`, ...
    """
    run = _pgbench if stage.pgbench.exists() else _threads
    return [ends for ends in run(stage, table, change, clients, seconds) if ends]


def _pgbench(
    stage: Stage, table: str, change: str, clients: int, seconds: int
) -> list[list[float]]:
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}
    given = conninfo_to_dict(stage.conninfo)
    environment = {variable: str(given[name]) for name, variable in names.items()}
    environment["PGDATABASE"] = str(given["dbname"])
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "update.sql")
        script.write_text(
            "\\set id :n * :clients + :client_id\n"
            "\\set n :n + 1\n"
            f"UPDATE {table} SET {change} WHERE id = :id;\n"
        )
        done = subprocess.run(
            [
                *(stage.pgbench, "--no-vacuum", "--protocol=prepared", "--log"),
                *(f"--client={clients}", f"--jobs={min(clients, 2)}", f"--time={seconds}"),
                *("--define=n=0", f"--define=clients={clients}", f"--file={script}"),
            ],
            cwd=folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise WrongResultError(f"pgbench failed: {done.stderr.strip()}")
        # client, number, microseconds, script, end in seconds, and the rest of it in microseconds
        ends: list[list[float]] = [[] for _ in range(clients)]
        for log in Path(folder).glob("pgbench_log.*"):
            for line in map(str.split, log.read_text().splitlines()):
                ends[int(line[0])].append(int(line[4]) + int(line[5]) / 1e6)
    return ends


def _threads(
    stage: Stage, table: str, change: str, clients: int, seconds: int
) -> list[list[float]]:
    """The same without pgbench: slower, and so kinder to whatever is measured."""
    update = f"UPDATE {table} SET {change} WHERE id = %s".encode()
    ready = threading.Barrier(clients)

    def work(client: int) -> list[float]:
        ends: list[float] = []
        with psycopg.connect(stage.conninfo, autocommit=True, prepare_threshold=0) as connection:
            ready.wait(60)
            stop = time.time() + seconds
            while time.time() < stop:
                connection.execute(update, [len(ends) * clients + client])
                ends.append(time.time())
        return ends

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(work, range(clients)))
