"""Mutation: what the tests notice of a record path with one thing wrong in it.

Each mutant is installed in a clone of a migrated database. There the pgTAP files run, those that
found most so far first, until one fails; then the pytest files that concern the mutated stage.
"""

from __future__ import annotations

import importlib
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from campaigns.mutants import RULES, TABLES, Mutant, list_mutants
from pyapi.deploy import migrate
from pyapi.embedded import Server, project

SLOW = ("rates", "backfill", "periods")
"""pgTAP files of seconds, for last."""
PYTEST = {
    "measure/sms_segments": "sms_segments",
    "measure": "existing_platform hostile",
    "rate": "every_price exactness longest_prefix time_of_day",
    "record/replace_charges": "rerating",
    "record/record_usage": "exactness concurrency",
    "record": "exactness histories hostile concurrency",
    "operate/compose": "histories hostile faults concurrency",
    "operate": "reconcile",
    "rule: constraint pricing_rates": "rates",
    "rule": "histories concurrency",
}
"""By the first that a mutant's name begins with. A rule is a constraint, index or trigger."""
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.txt")
STILLBORN = "nothing: PostgreSQL does not load it"
LONGEST = 240
"""Seconds: what takes longer runs in circles, and would be noticed."""


@dataclass(frozen=True)
class Verdict:
    """by: the file that noticed, or None."""

    mutant: Mutant
    by: str | None
    seconds: float


@dataclass
class Bench:
    """A server with the template that mutants are made from."""

    server: Server
    expected: dict[str, int] = field(default_factory=dict)
    kills: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    took: dict[str, float] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(10**9)))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def prepare(self, only: Sequence[str] = ()) -> None:
        """The template, and how many tests each pgTAP file passes there (or only some files)."""
        self.server.start()
        self._run("CREATE DATABASE sound TEMPLATE template0")
        self._run("ALTER DATABASE sound SET search_path = billing, public, tap")
        migrate(self._conninfo("sound"))
        sys.path.append(str(project() / "tests"))
        with psycopg.connect(self._conninfo("sound")) as connection:
            importlib.import_module("pgtap").load(connection)
        for file in sorted((project() / "db" / "tests").glob("*.sql")):
            if only and file.stem not in only:
                continue
            begin = time.monotonic()
            done = self._psql("sound", file)
            self.took[file.stem] = time.monotonic() - begin
            self.expected[file.stem] = passed(done)
            if not self.expected[file.stem]:
                raise RuntimeError(f"{file.name} fails without any mutant: {done.stdout[-500:]}")

    def list_mutants(self) -> list[Mutant]:
        """Of the functions, then of the database's own rules."""
        with psycopg.connect(self._conninfo("sound")) as connection:
            connection.execute("SET search_path = pg_catalog")
            rules = connection.execute(RULES.encode(), {"tables": list(TABLES)}).fetchall()
        return [
            *list_mutants(project() / "db" / "functions"),
            *(
                Mutant(f"rule: {name}", statement, f"-{name}\n+{statement}")
                for name, statement in rules
            ),
        ]

    def judge(self, mutant: Mutant, *, is_quick: bool = False) -> Verdict:
        """Install it and run tests until one notices; is_quick: the pgTAP files only."""
        begin = time.monotonic()
        with self._clone() as name:
            by = self._install(name, mutant) or self._by_pgtap(name)
            if by is None and not is_quick:
                by = self._by_pytest(name, mutant)
        if by is not None:
            with self._lock:
                self.kills[by] += 1
        return Verdict(mutant, by, time.monotonic() - begin)

    def _install(self, name: str, mutant: Mutant) -> str | None:
        """STILLBORN if it does not even load."""
        try:
            with psycopg.connect(self._conninfo(name), autocommit=True) as connection:
                connection.execute(mutant.sql.encode())
                if mutant.name.startswith("operate/compose"):
                    connection.execute(
                        "SELECT billing.meter_table(source_table::regclass,"
                        " split_part(measure_call, '(', 1)::regproc, resource_column)"
                        " FROM billing.metered_tables"
                    )
        except psycopg.Error:
            return STILLBORN
        return None

    def _by_pgtap(self, name: str) -> str | None:
        def worth(stem: str) -> tuple[bool, float]:
            return stem in SLOW, -(self.kills.get(stem, 0) + 1) / self.took[stem]

        for stem in sorted(self.expected, key=worth):
            try:
                done = self._psql(name, project() / "db" / "tests" / f"{stem}.sql")
            except subprocess.TimeoutExpired:
                return stem
            if passed(done) != self.expected[stem]:
                return stem
        return None

    def _by_pytest(self, name: str, mutant: Mutant) -> str | None:
        environment = os.environ | {
            "IRISX_TEST_DATABASE_URL": self._conninfo("postgres"),
            "IRISX_TEST_TEMPLATE": name,
        }
        stems = next(stems for start, stems in PYTEST.items() if mutant.name.startswith(start))
        files = [f"tests/test_{stem}.py" for stem in stems.split()]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *files],
                cwd=project(),
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                timeout=LONGEST,
            )
        except subprocess.TimeoutExpired:
            return "pytest, endless"
        if done.returncode == 1:
            found = re.search(
                r"^(?:FAILED|ERROR|SUBFAILED\S*) (tests/\w+\.py)", done.stdout, re.MULTILINE
            )
            return found[1] if found else "pytest"
        if done.returncode != 0:
            raise RuntimeError(f"pytest: {done.stdout[-2000:]}")
        return None

    @contextmanager
    def _clone(self) -> Iterator[str]:
        with self._lock:
            name = f"mutant_{next(self._numbers)}"
            self._run("CREATE DATABASE {} TEMPLATE sound", name)
        self._run("ALTER DATABASE {} SET search_path = billing, public, tap", name)
        self._run("ALTER DATABASE {} SET statement_timeout = '30s'", name)
        try:
            yield name
        finally:
            self._drop(name)

    def _drop(self, name: str) -> None:
        for pause in (0.2, 1, 3, 10, None):
            try:
                self._run("DROP DATABASE {} WITH (FORCE)", name)
                return
            except psycopg.errors.InsufficientPrivilege:
                # Autovacuum is in there, and is not ours to end.
                if pause is None:
                    raise
                time.sleep(pause)

    def _psql(self, name: str, file: Path) -> subprocess.CompletedProcess[str]:
        given = conninfo_to_dict(self._conninfo(name))
        names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}
        environment = {variable: str(given[key]) for key, variable in names.items()}
        return subprocess.run(
            [self.server.psql, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", file],
            env=os.environ | environment | {"PGDATABASE": name, "PGCLIENTENCODING": "UTF8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=LONGEST,
        )

    def _conninfo(self, name: str) -> str:
        return make_conninfo(self.server.conninfo(), dbname=name)

    def _run(self, statement: str, *names: str) -> None:
        with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def passed(done: subprocess.CompletedProcess[str]) -> int:
    """How many tests passed; 0 when one did not, or the file did not come to its end."""
    lines = done.stdout.splitlines()
    if done.returncode != 0 or any(line.startswith("not ok") for line in lines):
        return 0
    return sum(line.startswith("ok ") for line in lines)


def equivalents() -> dict[str, str]:
    """Mutants that change nothing that anybody could notice, each with the reason."""
    found = {}
    for line in EQUIVALENT.read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, reason = line.rpartition(" | ")
            found[name] = reason
    return found


def campaign(
    bench: Bench,
    mutants: Sequence[Mutant],
    on_verdict: Callable[[Verdict], object],
    workers: int = 2,
    is_over: Callable[[], bool] = lambda: False,
) -> list[Verdict]:
    """The verdicts, as they come."""
    waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    for mutant in mutants:
        waiting.put(mutant)
    verdicts: list[Verdict] = []

    def work() -> None:
        while not is_over():
            try:
                mutant = waiting.get_nowait()
            except queue.Empty:
                return
            verdict = bench.judge(mutant)
            verdicts.append(verdict)
            on_verdict(verdict)

    with ThreadPoolExecutor(workers) as pool:
        for future in [pool.submit(work) for _ in range(workers)]:
            future.result()
    return verdicts
