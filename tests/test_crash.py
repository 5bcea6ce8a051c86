"""The crash campaign in short, on the newest PostgreSQL; `make test-crash` is the long form."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest

from campaigns.crash import SETTINGS, campaign, prepare
from campaigns.load import CounterExample
from campaigns.servers import homes
from pyapi.embedded import Server, installed

CRASHES = 4


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Of the newest PostgreSQL, or the one that --pg names first."""
    asked = request.config.getoption("--pg") or os.environ.get("IRISX_TEST_PG")
    major = int(asked.split(",")[0]) if asked else next(iter(installed()), None)
    if major is None:
        pytest.skip("needs a PostgreSQL of its own to kill, and none is installed here")
    with homes() as folder:
        # What nobody waits for is written as late as can be.
        server = Server(folder / "crash", major, **SETTINGS, wal_writer_delay="10s")
        prepare(server)
        yield server


def test_what_was_acknowledged_survives_every_crash(server: Server) -> None:
    counts = campaign(server, seed=1, cycles=CRASHES).counts
    assert counts["crashes"] == CRASHES
    assert counts["transactions acknowledged"] >= CRASHES
    assert counts["charges compared"] > 0


def test_a_server_that_acknowledges_too_early_is_found_out(server: Server) -> None:
    """The campaign can fail: here commits are acknowledged before they are written."""
    with psycopg.connect(server.conninfo("postgres", admin=True), autocommit=True) as admin:
        admin.execute("ALTER ROLE irisx SET synchronous_commit = off")
    with pytest.raises(CounterExample, match="again with --seed"):
        campaign(server, seed=100, cycles=20)
