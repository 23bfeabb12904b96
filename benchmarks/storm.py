"""Kill, stop, flush and fill at random while jobs run; then every promise must have been kept.

    python -m benchmarks.storm [--quick] [--database sqlite|postgresql] [--faults N] [--jobs N]
                               [--seconds N] [--seed N] [--seeds N] [--workers N] [--mutants]
                               [--table FILE] [--json FILE] [--folder FOLDER]

Redis, the API, a reconciler and workers run as processes of their own with short leases. Clients ask
for short jobs over HTTP, each POST with an idempotency key and repeated until it is answered, while
processes are killed and stopped for longer than a lease, Redis is flushed and away, the disk is full,
the database locked, and jobs are canceled: at random from the seed. Once all has settled, every
acknowledged job must have ended once, by legal states, with the one effect that was asked for and with
blobs that are whole; and no task may have been written by a process that did not hold it.
`crash_loop` counts as an end. The exit status is 1 where a promise was broken.

`--mutants` lets a short storm go over each of six mutants of the code: each must be caught.
Cost: by default 1,000 faults over at least 5,000 jobs, about 20 minutes on 2 cores and 1 GB of memory
for a disk that can be full (a tmpfs; without the right to mount one, failpoints stand in).
`--quick`: 55 faults in less than a minute. Expect: 0 lost, 0 doubled, 0 corrupt.
"""

import json
import re
import shutil
import signal
import sys
import tempfile
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from benchmarks.face import Face
from benchmarks.storm_mutants import MUTANTS, mutated
from benchmarks.storm_table import as_markdown, figures, markdown, sections, write
from benchmarks.storm_weather import Forecast, Report, blow
from benchmarks.storm_world import ROOT

QUICK = {"faults": 55, "jobs": 25, "seconds": 32.0, "armed": 0.4}
FULL = {"faults": 1000, "jobs": 5000, "seconds": 1100.0, "armed": 0.3}
MUTANT = {"faults": 70, "jobs": 60, "seconds": 60.0, "armed": 0.9}
MOST_STORMS = 3
"""Over one mutant: a storm is chance, and what a mutant lacks must be hit."""

MOST_TOLD = 20


def main() -> int:
    face = Face(__doc__)
    _add_options(face)
    given = face.parse()
    # Ended from outside, it ends in order all the same: nothing that it started stays.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("The storm was told to end."))
    return _over_mutants(face, given) if given.mutants else _over_the_code(face, given)


def _over_the_code(face: Face, given: Namespace) -> int:
    usual = QUICK if given.quick else FULL
    reports = [_one(face, given, given.seed + number, usual) for number in range(given.seeds)]
    for report in reports:
        for head, rows in sections(report):
            face.table(head, rows)
            print()
        for sentence in report.broken[:MOST_TOLD]:
            face.say(f"BROKEN: {sentence}")
        if report.short:
            face.say("It ended before there were faults and jobs enough: give it more --seconds.")
    if given.table is not None:
        write(given.table, {report.forecast.database: markdown(report) for report in reports})
    measured = {"quick": given.quick, "storms": [figures(report) for report in reports]}
    broken = any(report.broken or report.short for report in reports)
    if given.json is not None:
        given.json.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    face.finish(measured | {"reached": not broken})
    return int(broken)


def _over_mutants(face: Face, given: Namespace) -> int:
    """Return 1 where a mutant went through its storms uncaught."""
    rows: list[list[object]] = []
    for name in MUTANTS:
        with tempfile.TemporaryDirectory(prefix="cultivar-mutant-") as folder:
            tree, caught, storms = mutated(name, Path(folder)), None, 0
            while caught is None and storms < MOST_STORMS:
                face.say(f"a storm over: {name}")
                report = _one(face, given, given.seed + storms, MUTANT, tree)
                shown = re.compile(MUTANTS[name].shown_by)
                caught = next(filter(shown.search, report.verdict.broken), None)
                storms += 1
                face.say(f"caught: {caught}" if caught else "not caught")
        rows.append([name, storms, "no" if caught is None else "yes", caught or ""])
    head = ["mutant", "storms", "caught", "by"]
    face.table(head, rows)
    if given.table is not None:
        write(given.table, {f"mutants, {given.database}": as_markdown(head, rows)})
    caught_all = all(row[2] == "yes" for row in rows)
    face.finish(
        {"mutants": [dict(zip(head, row, strict=True)) for row in rows], "reached": caught_all}
    )
    return int(not caught_all)


def _one(
    face: Face, given: Namespace, seed: int, usual: Mapping[str, float], tree: Path = ROOT
) -> Report:
    forecast = Forecast(
        database=given.database,
        faults=int(given.faults or usual["faults"]),
        jobs=int(given.jobs or usual["jobs"]),
        seconds=float(given.seconds or usual["seconds"]),
        seed=seed,
        workers=given.workers,
        armed=usual["armed"],
        tree=tree,
    )
    with tempfile.TemporaryDirectory(prefix="cultivar-storm-", dir=given.folder) as folder:
        report = blow(forecast, Path(folder), face.say)
        if report.broken and tree == ROOT:
            _keep_logs(face, Path(folder))
        return report


def _keep_logs(face: Face, folder: Path) -> None:
    kept = Path(tempfile.mkdtemp(prefix="cultivar-storm-logs-"))
    for log in folder.glob("*.log"):
        shutil.copy(log, kept)
    face.say(f"A promise was broken; the logs stay in {kept}")


def _add_options(face: Face) -> None:
    add = face.parser.add_argument
    add("--database", choices=("sqlite", "postgresql"), default="sqlite", help="default: sqlite")
    add("--faults", type=int, metavar="N", help="at least so many (default: 1000)")
    add("--jobs", type=int, metavar="N", help="acknowledged, at least so many (default: 5000)")
    add("--seconds", type=float, metavar="N", help="over which faults are spread (default: 1100)")
    add("--seed", type=int, default=0, metavar="N", help="of all that is random (default: 0)")
    add("--workers", type=int, default=3, metavar="N", help="how many workers (default: 3)")
    add("--mutants", action="store_true", help="short storms over six mutants of the code instead")
    add("--table", type=Path, metavar="FILE", help="put the tables into this page")
    add("--json", type=Path, metavar="FILE", help="write the figures there")
    add("--folder", type=Path, metavar="FOLDER", help="where it works (default: the system's)")


if __name__ == "__main__":
    sys.exit(main())
