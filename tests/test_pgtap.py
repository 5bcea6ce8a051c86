"""Every file in db/tests, through psql on a database of its own; each TAP line is a subtest."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import Cluster
from psycopg.conninfo import conninfo_to_dict
from tap.line import Bail, Diagnostic, Plan, Result
from tap.parser import Parser

from pyapi.embedded import project

pytestmark = pytest.mark.every

FILES = sorted((project() / "db" / "tests").glob("*.sql"))


@dataclass
class Report:
    """What a file printed, its diagnostics kept with the test they follow."""

    plans: list[int] = field(default_factory=list)
    results: list[tuple[Result, list[str]]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, output: str) -> Report:
        report = cls()
        # Line by line: a field that spans lines must not make the parser give up on the rest.
        for line in map(Parser().parse_line, output.splitlines()):
            match line:
                case Plan():
                    report.plans.append(line.expected_tests)
                case Result():
                    report.results.append((line, []))
                case Diagnostic() if report.results:
                    report.results[-1][1].append(line.text)
                case Diagnostic():
                    report.remarks.append(line.text)
                case Bail():
                    report.remarks.append(f"bailed out: {line.reason}")
        return report


def run_file(file: Path, cluster: Cluster) -> subprocess.CompletedProcess[str]:
    """Through the server's own psql, so that \\ir and \\set work as they do by hand."""
    with cluster.database(cluster.with_pgtap, ("billing", "public", "tap")) as conninfo:
        given = conninfo_to_dict(conninfo)
        password = {"PGPASSWORD": str(given.pop("password", ""))}
        names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE"}
        where = {variable: str(given[name]) for name, variable in names.items() if name in given}
        return subprocess.run(
            [cluster.psql, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", file],
            env=os.environ | where | password | {"PGCLIENTENCODING": "UTF8"},
            capture_output=True,
            encoding="utf-8",
            timeout=600,
        )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_file(file: Path, cluster: Cluster, subtests: pytest.Subtests) -> None:
    done = run_file(file, cluster)
    report = Report.read(done.stdout)
    for result, diagnostics in report.results:
        name = result.description.removeprefix("- ") or f"test {result.number}"
        with subtests.test(name):
            if result.skip:
                pytest.skip(result.directive.reason or "no reason given")
            if not result.ok and result.todo:
                pytest.xfail(result.directive.reason or "to do")
            assert result.ok, "\n".join(diagnostics)
    assert done.returncode == 0, done.stderr
    assert report.plans, f"no plan: {done.stdout}{done.stderr}"
    assert not any(remark.startswith("bailed out") for remark in report.remarks), report.remarks
    assert report.plans == [len(report.results)], f"planned {report.plans}: {done.stdout[-2000:]}"
