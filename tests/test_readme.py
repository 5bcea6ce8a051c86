"""What README shows is what is printed: its example is run, and its output compared."""

from __future__ import annotations

import re
import subprocess

from conftest import Cluster

from pyapi.embedded import project


def test_the_billed_call_prints_what_readme_says(database: str, cluster: Cluster) -> None:
    readme = (project() / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"```sql\n(.*?)```\s+```text\n(.*?)```", readme, re.DOTALL)
    assert shown
    done = subprocess.run(
        [cluster.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", database],
        input=shown[1],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    printed = "\n".join(line.rstrip() for line in done.stdout.rstrip().splitlines())
    assert printed == shown[2].rstrip()
