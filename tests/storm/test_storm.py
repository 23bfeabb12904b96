"""A minute of storm, on SQLite: what is acknowledged ends once, with one effect, and whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAULTS = 50


@pytest.mark.timeout(420)  # a minute, and as long again on a machine with other work
def test_a_minute_of_storm_loses_doubles_and_corrupts_nothing(tmp_path: Path) -> None:
    # In a process of its own: it mounts a disk that nobody else is to see.
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.storm", "--quick", "--folder", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    told = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert done.stdout.strip(), told
    (storm,) = json.loads(done.stdout.splitlines()[-1])["storms"]
    counts = {name: storm[name] for name in ("lost", "doubled", "corrupt", "wrong")}
    assert counts == dict.fromkeys(counts, 0), told
    assert storm["faults"] >= FAULTS, told
    assert {"worker killed", "child killed", "Redis flushed"} <= set(storm["faults_by_kind"])
    assert storm["cancels"] > 0, told
    assert storm["jobs"] >= 25, told
    recovery = [storm["recovery_of_workers"], storm["recovery_of_children"]]
    assert sum(one["n"] for one in recovery) > 0, told
    # Of so few deaths the 99th percentile is the worst one, which a busy machine can make of any:
    # it is held to its limit where there are hundreds of them (make storm).
    assert all(one["p50_s"] <= storm["recovery_limit_s"] for one in recovery), told
    assert list(tmp_path.iterdir()) == [], "something was left behind"
