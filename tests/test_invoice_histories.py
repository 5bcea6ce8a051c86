"""Whole invoices under random histories, in short; `make test-invoices` is the long form."""

from __future__ import annotations

import pytest
from psycopg import Connection

from campaigns import invoices

pytestmark = pytest.mark.newest


@pytest.mark.parametrize("seed", range(6))
def test_every_invoice_is_the_oracle_s(db: Connection, thorough: bool, seed: int) -> None:
    if seed > 1 and not thorough:
        pytest.skip("in full on the newest server")
    counts = invoices.run(db, seed)
    assert counts["invoices"] == 12
    assert counts["lines"] > 30
    assert counts["shares"] > 50
