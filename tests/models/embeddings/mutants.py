"""Reads damaged copies of one file; run as a process of its own, as a decoder may die of one.

`python mutants.py FORMAT SEED COUNT FOLDER FILE…`: damages the last file COUNT times. Exit status 0
when each copy was either read or refused with a code.
"""

import json
import random
import sys
from pathlib import Path

from models.embeddings.canonical import read_embeddings
from models.embeddings.limits import Limits
from models.embeddings.spec import Columns
from models.errors import InputProblem

RUNS = (b"\xff", b"\0", b"\x7f", b"\x80")


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return a copy with one to four faults, most of them near an end, where headers are."""
    copy = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        near = rng.randrange(min(len(copy), 1000))
        at = rng.choice((near, len(copy) - 1 - near, rng.randrange(len(copy))))
        match rng.randrange(5):
            case 0:
                copy[at] ^= 1 << rng.randrange(8)
            case 1:
                width = rng.choice((1, 2, 4, 8))
                copy[at : at + width] = rng.choice(RUNS) * width
            case 2:
                del copy[at : at + rng.randrange(1, 20)]
            case 3:
                copy[at:at] = copy[near : near + rng.randrange(1, 20)]
            case _:
                del copy[at:]
        if not copy:
            break
    return bytes(copy)


def main(kind: str, seed: str, count: str, folder: str, *names: str) -> None:
    rng = random.Random(int(seed))
    paths = [Path(name) for name in names]
    honest = paths[-1].read_bytes()
    paths[-1] = Path(folder) / paths[-1].name
    read = 0
    for _ in range(int(count)):
        paths[-1].write_bytes(damaged(honest, rng))
        try:
            manifest = read_embeddings(
                paths, [path.name for path in paths], format=kind, columns=Columns(),
                limits=Limits(), out=Path(folder),
            )  # fmt: skip
            json.dumps(manifest, allow_nan=False)
            read += 1
        except InputProblem as problem:
            if not (problem.code and problem.detail and problem.param):
                raise ValueError("a refusal that says nothing") from problem
    print(json.dumps({"read": read, "refused": int(count) - read}))


if __name__ == "__main__":
    main(*sys.argv[1:])
