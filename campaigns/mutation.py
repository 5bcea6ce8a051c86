"""Mutation: what the tests notice of a record path with one thing wrong in it.

Each mutant is installed in a clone of a migrated database. There those pgTAP files run that call
the mutated function, those first that found most of its mutants for their time, until one fails;
then the pytest files that concern the mutated stage. A clone serves one mutant after the other.
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
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from campaigns.mutants import RULES, TABLES, Mutant, list_mutants
from pyapi.deploy import migrate
from pyapi.embedded import Server, project

VAIN = 8
"""Mutants of a function that a pgTAP file may miss and still be asked."""
SERVES = 100
"""Mutants to a clone, before what tests left in its tables, rolled back, makes it slow."""
PYTEST = {
    "measure/sms_segments": "sms_segments",
    "measure/mask": "privacy",
    "measure": "existing_platform hostile",
    "rate": "every_price exactness longest_prefix time_of_day",
    "record/replace_charges": "rerating",
    "record/record_difference": "rerating exactness hostile_application histories concurrency",
    "record/record_usage": "exactness concurrency",
    **dict.fromkeys(
        (
            *("record/forget", "record/erase_destinations", "record/keys_in_use"),
            *("record/pseudonym", "record/read_subject", "record/replace_in_json"),
        ),
        "privacy",
    ),
    **dict.fromkeys(
        ("record/load_first_charges", "record/sum_month", "record/describe_detached"),
        "backfill_by_month archive",
    ),
    **dict.fromkeys(("record/describe", "record/hide_values"), "silence hostile"),
    "record": "exactness hostile_application histories hostile concurrency",
    "operate/compose": "attacks_writing hostile_application histories hostile faults concurrency",
    "operate": "reconcile",
    "rule: constraint pricing_rates": "rates",
    "rule: trigger act_": "audit",
    "rule": "histories concurrency",
}
"""By the first that a mutant's name begins with. A rule is a constraint, index or trigger."""
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.txt")
STILLBORN = "nothing: PostgreSQL does not load it"
LONGEST = 240
"""Seconds: what takes longer runs in circles, and would be noticed."""


OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


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
    took: dict[str, float] = field(default_factory=dict)
    calls: dict[str, set[str]] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    _runs_of: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    _kills_of: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    _spare: queue.SimpleQueue[tuple[str, int]] = field(default_factory=queue.SimpleQueue)
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(10**9)))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def prepare(self, only: Sequence[str] = ()) -> None:
        """The template, and what each pgTAP file (or only some) passes and calls there."""
        self.server.start()
        self._run("CREATE DATABASE sound TEMPLATE template0")
        self._run("ALTER DATABASE sound SET search_path = billing, public, tap")
        migrate(self._conninfo("sound"))
        sys.path.append(str(project() / "tests"))
        with psycopg.connect(self._conninfo("sound")) as connection:
            importlib.import_module("pgtap").load(connection)
        self._run("ALTER DATABASE sound SET track_functions = 'pl'", is_admin=True)
        for file in sorted((project() / "db" / "tests").glob("*.sql")):
            if only and file.stem not in only:
                continue
            begin = time.monotonic()
            done = self._psql("sound", file)
            self.took[file.stem] = time.monotonic() - begin
            self.expected[file.stem] = passed(done)
            if not self.expected[file.stem]:
                raise RuntimeError(f"{file.name} fails without any mutant: {done.stdout[-500:]}")
            self.calls[file.stem] = self._called()
        self._run("ALTER DATABASE sound RESET track_functions", is_admin=True)

    def _called(self) -> set[str]:
        """Functions in PL/pgSQL that were called since it was last asked."""
        with psycopg.connect(self._conninfo("sound", is_admin=True), autocommit=True) as connection:
            # A session leaves its figures when it ends.
            while connection.execute(OTHERS).fetchone() != (0,):
                time.sleep(0.01)
            called = connection.execute(
                "SELECT funcname FROM pg_stat_user_functions WHERE calls > 0"
            ).fetchall()
            connection.execute("SELECT pg_stat_reset()")
        return {name for (name,) in called}

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
        """Install it and run tests until one notices; is_quick: by the pgTAP files that soon find
        something, or nothing."""
        begin = time.monotonic()
        with self._clone(mutant) as name:
            by = self._install(name, mutant.sql, mutant) or self._by_pgtap(name, mutant, is_quick)
            if by is None and not is_quick:
                by = self._by_pytest(name, mutant)
        if by is not None:
            with self._lock:
                self.kills[by] += 1
                self._kills_of[mutant.place][by] += 1
            # The first time, the second, the fourth and so on.
            if by in self.expected and self.kills[by].bit_count() == 1:
                self._try_without_mutant(by)
        return Verdict(mutant, by, time.monotonic() - begin)

    def _try_without_mutant(self, stem: str) -> None:
        """A file that fails wherever others ran before would notice all mutants, and none."""
        try:
            name, served = self._spare.get_nowait()
        except queue.Empty:
            return
        done = self._psql(name, project() / "db" / "tests" / f"{stem}.sql")
        if passed(done) != self.expected[stem]:
            raise RuntimeError(f"{stem}.sql fails without any mutant after others: {done.stdout}")
        self._spare.put((name, served))

    def _install(self, name: str, text: str, mutant: Mutant) -> str | None:
        """The mutant, or what was there before it; STILLBORN if it does not even load."""
        try:
            with psycopg.connect(self._conninfo(name), autocommit=True) as connection:
                connection.execute(text.encode())
                if mutant.name.startswith("operate/compose"):
                    connection.execute(
                        "SELECT billing.meter_table(source_table::regclass,"
                        " split_part(measure_call, '(', 1)::regproc, resource_column)"
                        " FROM billing.metered_tables"
                    )
        except psycopg.Error:
            return STILLBORN
        return None

    def _by_pgtap(self, name: str, mutant: Mutant, is_quick: bool) -> str | None:
        """The sooner a file is likely to notice, the sooner it runs."""
        kills, runs = self._kills_of[mutant.place], self._runs_of[mutant.place]
        function, usual = Path(mutant.place).stem, fmean(self.took.values())
        # What an SQL function is called by is not known, for many are inlined (and some tests put
        # others in PL/pgSQL in their place).
        is_known = "LANGUAGE plpgsql" in mutant.sql and any(
            function in called for called in self.calls.values()
        )

        def odds(stem: str) -> float:
            return (kills[stem] + 0.01 * self.kills[stem] + 0.01) / self.took[stem]

        for stem in sorted(self.expected, key=odds, reverse=True):
            if is_known and function not in self.calls[stem]:
                continue
            is_vain = runs[stem] >= VAIN and not kills[stem]
            if is_vain or (is_quick and self.took[stem] > 4 * usual):
                continue
            with self._lock:
                runs[stem] += 1
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
    def _clone(self, mutant: Mutant) -> Iterator[str]:
        """A database for the mutant: of a function, one that had others before, for tests roll
        back what they do."""
        try:
            name, served = self._spare.get_nowait()
        except queue.Empty:
            name, served = self._create(), 0
        try:
            yield name
        finally:
            path = project() / "db" / "functions" / mutant.place
            is_sound = (
                served < SERVES
                and path.is_file()
                and self._install(name, path.read_text(), mutant) is None
            )
            if is_sound:
                self._spare.put((name, served + 1))
            else:
                self._drop(name)

    def _create(self) -> str:
        with self._lock:
            name = f"mutant_{next(self._numbers)}"
            self._run("CREATE DATABASE {} TEMPLATE sound", name)
        self._run("ALTER DATABASE {} SET search_path = billing, public, tap", name)
        return name

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
            env=os.environ
            | environment
            | {
                "PGDATABASE": name,
                "PGCLIENTENCODING": "UTF8",
                "PGOPTIONS": self._bounds(file.stem),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=LONGEST,
        )

    def _bounds(self, stem: str) -> str:
        """So that what runs in circles ends: a statement may take 20 times what all of them do."""
        return f"-c statement_timeout={10 + 20 * self.took[stem]:.0f}s" if stem in self.took else ""

    def _conninfo(self, name: str, *, is_admin: bool = False) -> str:
        return make_conninfo(self.server.conninfo(admin=is_admin), dbname=name)

    def _run(self, statement: str, *names: str, is_admin: bool = False) -> None:
        where = self._conninfo("postgres", is_admin=is_admin)
        with psycopg.connect(where, autocommit=True) as connection:
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
    *,
    is_quick: bool = False,
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
            verdict = bench.judge(mutant, is_quick=is_quick)
            verdicts.append(verdict)
            on_verdict(verdict)

    with ThreadPoolExecutor(workers) as pool:
        for future in [pool.submit(work) for _ in range(workers)]:
            future.result()
    return verdicts
