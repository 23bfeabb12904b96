"""`python -m models list | pull ID`: which foundation models are at hand, and getting one.

`cultivar models` on the command line is this.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence

from models.alia import catalogue as alia
from models.alia.allowed import ALLOWED as FOR_ALIA
from models.alia.allowed import Role
from models.alia.pull import pull as pull_for_alia
from models.encoders import catalogue as encoders
from models.encoders.allowed import ALLOWED as ENCODERS
from models.encoders.pull import pull as pull_encoder
from models.errors import InputProblem

MEGA = 1_000_000
_HEADER = ("model", "use", "size", "licence", "where")
_USES: dict[Role, str] = {
    "captioner": "captions",
    "language": "descriptions",
    "image_text": "semantic filter",
    "editor": "edits",
}


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; 2 where the model or the disk is at fault."""
    parser = argparse.ArgumentParser(
        prog="cultivar models",
        description="Foundation models: those that make embeddings of raw data and vectors of names, and "
        "those that caption, describe, edit and judge images.",
    )
    verbs = parser.add_subparsers(
        dest="verb", metavar="VERB", title="verbs (list, if none is given)"
    )
    verbs.add_parser("list", help="models at hand, and those that can be pulled")
    fetch = verbs.add_parser("pull", help="download a model of the list from the hub")
    fetch.add_argument("model", metavar="ID")
    given = parser.parse_args(words)
    if given.verb != "pull":
        _show([*_at_hand(), *_to_be_pulled()])
        return 0
    try:
        found = _pull(given.model)
    except InputProblem as problem:
        print(f"{_end()}error: {problem.detail}", file=sys.stderr)
        return 2
    print(f"{_end()}{found.id} is at hand: revision {found.commit or found.revision}")
    return 0


def _pull(model: str) -> encoders.Found | alia.Found:
    for_alia = model in FOR_ALIA or model in alia.available()
    if for_alia and model not in ENCODERS:
        return pull_for_alia(model, on_progress=_tell)
    return pull_encoder(model, on_progress=_tell)


def _at_hand() -> Iterator[tuple[str, ...]]:
    """Yield a row for each model; one that both catalogues know is told once, with all its uses."""
    embedding, editing = encoders.available(), alia.available()
    for name in dict.fromkeys([*embedding, *editing]):
        found = embedding.get(name) or editing[name]
        reads = embedding[name].modalities if name in embedding else ()
        use = _use(reads, editing[name].role if name in editing else None)
        yield name, use, f"{found.bytes / MEGA:,.0f} MB", found.licence, str(found.path)


def _to_be_pulled() -> Iterator[tuple[str, ...]]:
    here = {*encoders.available(), *alia.available()}
    for name in dict.fromkeys([*ENCODERS, *FOR_ALIA]):
        if name not in here:
            one = ENCODERS.get(name) or FOR_ALIA[name]
            reads = ENCODERS[name].modalities if name in ENCODERS else ()
            use = _use(reads, FOR_ALIA[name].role if name in FOR_ALIA else None)
            yield name, use, f"~{one.megabytes:,} MB", one.licence, "to be pulled"


def _use(reads: Sequence[str], role: Role | None) -> str:
    """Return the modalities that an encoder reads, and what ALIA uses the model for."""
    # A captioner or a language model is no encoder, though transformers would load it as one.
    embeds = "" if role not in {None, "image_text"} else ", ".join(reads)
    told = [one for one in (embeds, _USES[role] if role else "") if one]
    return "; ".join(told) or "nothing that is known"


def _show(rows: Sequence[tuple[str, ...]]) -> None:
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
