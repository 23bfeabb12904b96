"""A storm's report as tables: on the terminal, as JSON, and in a page."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.storm_fence import percentile
from benchmarks.storm_weather import Report

_SHARES = (("p50", 0.5), ("p99", 0.99), ("max", 1.0))


def figures(report: Report) -> dict[str, Any]:
    """Return all that was counted and measured, as JSON holds it."""
    wanted, verdict, recovery = report.forecast, report.verdict, report.recovery
    return {
        "database": wanted.database,
        "seed": wanted.seed,
        "workers": wanted.workers,
        "faults": sum(report.faults.values()),
        "faults_by_kind": dict(sorted(report.faults.items())),
        "jobs": sum(sum(ends.values()) for ends in report.ends.values()),
        "jobs_by_kind_and_end": {kind: dict(ends) for kind, ends in sorted(report.ends.items())},
        "attempts": report.attempts,
        "blobs_read": report.blobs,
        "cancels": report.cancels,
        "answers": {str(status): count for status, count in sorted(report.answers.items())},
        "lost": len(verdict.lost),
        "doubled": len(verdict.doubled),
        "corrupt": len(verdict.corrupt),
        "wrong": len(verdict.wrong),
        "put_back": _seconds(recovery.put_back),
        "recovery_of_workers": _seconds(recovery.workers),
        "recovery_of_children": _seconds(recovery.children),
        "recovery_limit_s": recovery.limit,
        "storm_s": round(report.seconds[0], 1),
        "settled_s": round(report.seconds[1], 1),
        "full_disk": report.disk,
        "reached": not report.broken and not report.short,
    }


def sections(report: Report) -> Iterator[tuple[list[str], list[list[object]]]]:
    """Yield head and rows of each table: jobs, faults, what was found."""
    ends = sorted({end for by_end in report.ends.values() for end in by_end})
    jobs: list[list[object]] = [
        [kind, sum(by_end.values()), *(by_end[end] for end in ends)]
        for kind, by_end in sorted(report.ends.items())
    ]
    total = [sum(int(str(row[n])) for row in jobs) for n in range(1, len(ends) + 2)]
    yield ["jobs", "asked", *ends], [*jobs, ["all", *total]]
    faults: list[list[object]] = [[kind, count] for kind, count in sorted(report.faults.items())]
    yield ["faults", "how many"], [*faults, ["all", sum(report.faults.values())]]
    found, recovery = report.verdict, report.recovery
    yield (
        ["found", ""],
        [
            ["lost", len(found.lost)],
            ["doubled", len(found.doubled)],
            ["corrupt", len(found.corrupt)],
            ["otherwise wrong", len(found.wrong)],
            ["workers that died over a task", len(recovery.workers)],
            *_spread("put back after", recovery.put_back),
            *_spread("claimed again after", recovery.workers),
            ["children that died over a task", len(recovery.children)],
            *_spread("claimed again after", recovery.children),
            ["the limit of a claim at p99, s", f"{recovery.limit:g}"],
        ],
    )


def _seconds(ascending: Sequence[float]) -> dict[str, float]:
    spread = {f"{name}_s": round(percentile(ascending, share), 2) for name, share in _SHARES}
    return {"n": len(ascending), **spread}


def _spread(what: str, ascending: Sequence[float]) -> list[list[object]]:
    if not ascending:
        return []
    return [
        [f"{what}, {name}, s", f"{percentile(ascending, share):.1f}"] for name, share in _SHARES
    ]


def markdown(report: Report) -> str:
    """Return the report as a section of a page."""
    wanted, answers = report.forecast, report.answers
    unanswered = answers.get(0, 0)
    later = sum(count for status, count in answers.items() if status in {503, 507})
    told = (
        f"Seed {wanted.seed}, {wanted.workers} workers, lease {report.lease:g} s; the disk: "
        f"{report.disk}. {report.seconds[0]:.0f} s of storm, settled after {report.seconds[1]:.0f} s; "
        f"{report.cancels:,} cancels, {report.attempts:,} attempts at tasks, {report.blobs:,} blobs "
        "read as they appeared. Of "
        f"{sum(answers.values()):,} requests, {unanswered:,} had no answer and {later:,} were put off "
        "(503, 507); each was repeated with its key."
    )
    tables = [as_markdown(head, rows) for head, rows in sections(report)]
    return "\n\n".join([told, *tables])


def as_markdown(head: list[str], rows: list[list[object]]) -> str:
    """Return a table; all but its first column is set to the right."""
    rule = ["---"] + ["---:"] * (len(head) - 1)
    lines: list[Sequence[object]] = [head, rule, *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def write(page: Path, reports: dict[str, str]) -> None:
    """Put each text into a page, between the comments ``<!-- NAME -->`` and ``<!-- /NAME -->``.

    A page that has no such place gets one at its end; one that is not there is made.
    """
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    for name, section in reports.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        block = f"{begin}\n\n{section}\n\n{end}"
        place = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if place.search(text):
            text = place.sub(lambda _, block=block: block, text)  # type: ignore[misc]
        else:
            text = f"{text.rstrip()}\n\n## {name}\n\n{block}\n".lstrip()
    page.write_text(text, encoding="utf-8")
