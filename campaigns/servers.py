"""What campaigns do to servers: kill them, copy them, run PostgreSQL's own programs on them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyapi.deploy import migrate
from pyapi.embedded import ADMIN, Server, _Account, _free_port

PLACES = ("/var/tmp", "/tmp")
"""Where servers live whose writes shall reach a disk: /tmp may lie in memory, /dev/shm does."""

MEMORY = "/dev/shm"
"""Where there is plenty of it, cloning a database is ten times as fast."""


class NotHereError(RuntimeError):
    """Something that a step needs is not installed; the message says what."""


IN_A_HURRY = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "256MB",
    "max_wal_size": "1GB",
    "deadlock_timeout": "200ms",
}
"""Settings of a server that is not going to be killed."""


@contextmanager
def homes(*, in_memory: bool = False) -> Iterator[Path]:
    """A folder for the homes of servers, which are destroyed in the end."""
    places: tuple[str, ...] = PLACES
    if in_memory and Path(MEMORY).is_dir() and shutil.disk_usage(MEMORY).free > 3 << 30:
        places = (MEMORY, *PLACES)
    place = next((place for place in places if Path(place).is_dir()), None)
    folder = Path(mkdtemp(prefix="irisx-campaign-", dir=place))
    try:
        yield folder
    finally:
        for home in folder.iterdir():
            Server(home).destroy()
        folder.rmdir()


def family(pid: int) -> list[int]:
    """The server's process and all that it started, itself first."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            parents[int(entry.name)] = int(fields[1])
    if not parents:  # No /proc, as on macOS.
        lines = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True).stdout
        parents = {int(p): int(q) for p, q in map(str.split, lines.splitlines())}
    found = [pid]
    for parent in found:
        found += [child for child, its_parent in parents.items() if its_parent == parent]
    return found


def kill(pids: list[int], how: signal.Signals = signal.SIGKILL) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, how)


def wait_until_gone(pids: list[int], *, is_known: bool = False, patience: float = 30) -> None:
    """Until they have ended; is_known: until their parent has taken note, too."""
    deadline = time.monotonic() + patience
    while any(map(_exists if is_known else _lives, pids)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes {pids} do not end")
        time.sleep(0.01)


def _lives(pid: int) -> bool:
    """A zombie is dead: in a container nobody may come to bury it."""
    if not Path("/proc/self/stat").exists():
        return _exists(pid)
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def _exists(pid: int) -> bool:
    with suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True


def run_program(
    server: Server,
    program: str,
    *arguments: str | Path,
    conninfo: str | None = None,
    settings: str = "",
) -> str:
    """Run one of the server's client programs on a database; what it printed on stdout and stderr.

    Raises NotHereError where it is not installed, CalledProcessError when it fails.
    """
    path = server.bin_dir / program
    if not path.exists():
        raise NotHereError(f"there is no {program} in {server.bin_dir}")
    environment = {name: value for name, value in os.environ.items() if name[:2] != "PG"}
    if conninfo is not None:
        given = conninfo_to_dict(conninfo)
        names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}
        environment |= {variable: str(given[name]) for name, variable in names.items()}
        environment |= {"PGDATABASE": str(given["dbname"]), "PGOPTIONS": settings}
    return subprocess.run(
        [path, *arguments],
        env=environment,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ).stdout


def wait_for(conninfo: str, patience: float = 60) -> None:
    """Until the server accepts sessions again."""
    deadline = time.monotonic() + patience
    while True:
        try:
            psycopg.connect(conninfo, connect_timeout=5).close()
            return
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def replica_of(primary: Server, home: Path) -> Server:
    """A running standby, streaming from the primary."""
    replica = Server(home, primary.bin_dir, **primary.settings).start()
    replica.stop()
    shutil.rmtree(replica.data)
    run_program(
        primary,
        "pg_basebackup",
        *("--pgdata", replica.data, "--write-recovery-conf", "--checkpoint=fast"),
        conninfo=primary.conninfo("postgres", admin=True),
    )
    account = _Account.current()
    for path in (replica.data, *replica.data.rglob("*")):
        account.own(path)
    _admit_as(replica, primary)
    return replica.start()


def upgrade(old: Server, new: Server) -> None:
    """pg_upgrade the data of old into new, which must never have been used; old ends."""
    if not (new.bin_dir / "pg_upgrade").exists():
        raise NotHereError(f"there is no pg_upgrade in {new.bin_dir}")
    new.start()
    with psycopg.connect(new.conninfo("postgres", admin=True), autocommit=True) as admin:
        # It wants nothing there: what every server of ours begins with comes from the old one.
        admin.execute("DROP DATABASE irisx")
        admin.execute("DROP ROLE irisx")
        statement = sql.SQL("ALTER ROLE postgres PASSWORD {}")
        admin.execute(statement.format(sql.Literal(_admin_password(old))))
    with psycopg.connect(old.conninfo("postgres", admin=True)) as admin:
        has_checksums = admin.execute("SHOW data_checksums").fetchone() == ("on",)
    old.stop()
    new.stop()
    # Both with or both without: PostgreSQL 18 makes them by itself.
    how = "--enable" if has_checksums else "--disable"
    done = _run_as_server(new, "pg_checksums", how, "--pgdata", new.data, is_checked=False)
    if done.returncode != 0 and "already" not in done.stdout:
        raise RuntimeError(done.stdout)
    account = _Account.current()
    _run_as_server(
        new,
        "pg_upgrade",
        *("--old-datadir", old.data, "--new-datadir", new.data),
        *("--old-bindir", old._programs(account), "--new-bindir", new._programs(account)),
        *("--username", ADMIN, "--socketdir", "/tmp"),
        *(f"--old-port={_free_port()}", f"--new-port={_free_port()}"),
        password=_admin_password(old),
    )
    _admit_as(new, old)
    new.start()


def _admin_password(server: Server) -> str:
    return str(conninfo_to_dict(server.conninfo(admin=True))["password"])


def _admit_as(server: Server, other: Server) -> None:
    """Its roles came from the other server, with their passwords."""
    file, source = server.home / "server.json", other.home / "server.json"
    state, known = json.loads(file.read_text()), json.loads(source.read_text())
    state |= {name: known[name] for name in ("admin_password", "owner_password")}
    file.write_text(json.dumps(state))


def _run_as_server(
    server: Server,
    program: str,
    *arguments: str | Path,
    password: str = "",
    is_checked: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a program that must own the data: as the account that the server runs as."""
    account = _Account.current()
    switch: dict[str, Any] = (
        {"user": account.uid, "group": account.gid, "extra_groups": []} if account.is_other else {}
    )
    environment = {name: value for name, value in os.environ.items() if name[:2] != "PG"}
    return subprocess.run(
        [server._programs(account) / program, *arguments],
        cwd=server.data,
        env=environment | {"LC_ALL": "C", "PGPASSWORD": password},
        check=is_checked,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **switch,
    )


# Many databases, on all processors ----------------------------------------------------------------


def migrated(server: Server) -> Server:
    """Start the server; its first database is the template of others."""
    migrate(server.start().conninfo())
    return server


@contextmanager
def clone(conninfo: str, name: str) -> Iterator[str]:
    """A database like the server's first, for as long as the context lasts; its conninfo."""

    def run(statement: str) -> None:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(name)))

    def drop() -> None:
        for attempt in range(100):
            try:
                run("DROP DATABASE IF EXISTS {} WITH (FORCE)")
                return
            except psycopg.errors.InsufficientPrivilege:
                # Autovacuum is in there, and is not ours to end.
                if attempt == 99:
                    raise
                time.sleep(0.2)

    drop()
    run("CREATE DATABASE {} TEMPLATE irisx")
    try:
        yield make_conninfo(conninfo, dbname=name)
    finally:
        drop()


def in_parallel(
    play: Callable[..., Counter[str]], jobs: Iterator[tuple[Any, ...]], is_over: Callable[[], bool]
) -> Iterator[Counter[str]]:
    """The figures of each job as it ends, in processes of their own; none begins once is_over."""
    places = os.cpu_count() or 1
    with ProcessPoolExecutor(places, mp_context=get_context("spawn")) as pool:
        playing: set[Future[Counter[str]]] = set()
        while True:
            while len(playing) < places and not is_over() and (job := next(jobs, None)) is not None:
                playing.add(pool.submit(play, *job))
            if not playing:
                return
            done, playing = wait(playing, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
