"""What README and docs show is what is printed: their examples are run and compared."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from conftest import Cluster

from pyapi.embedded import project

pytestmark = pytest.mark.every

EXAMPLE = re.compile(r"```sql\n(.*?)```\s+```text\n(.*?)```", re.DOTALL)
PAGES = [
    "README.md",
    "docs/attach.md",
    "docs/audit.md",
    "docs/credit.md",
    "docs/invoices.md",
    "docs/messages.md",
    "docs/pricing.md",
    "docs/privacy.md",
]


def test_every_page_with_an_example_is_run() -> None:
    pages = [project() / "README.md", *(project() / "docs").glob("*.md")]
    with_examples = [p for p in pages if EXAMPLE.search(p.read_text(encoding="utf-8"))]
    assert sorted(map(str, with_examples)) == sorted(str(project() / page) for page in PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_what_is_printed(database: str, cluster: Cluster, page: str) -> None:
    """The examples of a page run one after the other, in one database."""
    for statements, shown in EXAMPLE.findall(Path(project(), page).read_text(encoding="utf-8")):
        done = subprocess.run(
            [cluster.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", database],
            input=statements,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        printed = "\n".join(line.rstrip() for line in done.stdout.rstrip().splitlines())
        assert printed == shown.rstrip()
