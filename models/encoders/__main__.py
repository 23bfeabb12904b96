"""`python -m models.encoders list | pull ID`: which foundation models are at hand, and getting one.

`cultivar models` on the command line is this.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence

from models.encoders.allowed import ALLOWED
from models.encoders.catalogue import available
from models.encoders.pull import pull
from models.errors import InputProblem

MEGA = 1_000_000
_HEADER = ("model", "reads", "size", "licence", "where")


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; 2 where the model or the disk is at fault."""
    parser = argparse.ArgumentParser(
        prog="cultivar models",
        description="Foundation models that make embeddings of raw data and vectors of names.",
    )
    verbs = parser.add_subparsers(
        dest="verb", metavar="VERB", title="verbs (list, if none is given)"
    )
    verbs.add_parser("list", help="models at hand, and those that can be pulled")
    fetch = verbs.add_parser("pull", help="download a model of the list from the hub")
    fetch.add_argument("model", metavar="ID")
    given = parser.parse_args(words)
    if given.verb != "pull":
        _show(_rows())
        return 0
    try:
        found = pull(given.model, on_progress=_tell)
    except InputProblem as problem:
        print(f"{_end()}error: {problem.detail}", file=sys.stderr)
        return 2
    print(f"{_end()}{found.id} is at hand: revision {found.commit or found.revision}")
    return 0


def _rows() -> Iterator[tuple[str, ...]]:
    here = available()
    for found in here.values():
        reads = ", ".join(found.modalities) or "nothing that is known"
        yield found.id, reads, f"{found.bytes / MEGA:,.0f} MB", found.licence, str(found.path)
    for one in ALLOWED.values():
        if one.id not in here:
            size = f"~{one.megabytes:,} MB"
            yield one.id, ", ".join(one.modalities), size, one.licence, "to be pulled"


def _show(rows: Iterator[tuple[str, ...]]) -> None:
    table = [_HEADER, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(_HEADER) - 1)]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)]
        print("  ".join([*cells, row[-1]]))


def _tell(done: int, total: int) -> None:
    if sys.stderr.isatty():
        share = f"{done / MEGA:,.0f} of {total / MEGA:,.0f} MB"
        print(f"\rreceiving {share}", end="", file=sys.stderr, flush=True)


def _end() -> str:
    return "\n" if sys.stderr.isatty() else ""


if __name__ == "__main__":
    sys.exit(main())
