"""Gives damaged files to every decoder: each is read or refused with a code, and never anything else.

`python -m tests.fuzz.files --mutants 100000` (part of `make fuzz`; some 500 mutants a second on one core).
Each decoder has one long-lived process with the limits of production. A file of which it dies, hangs, or
raises what is no problem is kept under `var/fuzz`, and the command that repeats it is printed.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.child import Report, attack
from tests.fuzz.seeds import seeds

FULL = 100_000
KEPT = Path("var/fuzz")


def table(reports: list[Report]) -> Iterator[str]:
    """Yield a line for each decoder: how many were read, refused by which codes, time and memory."""
    yield f"{'decoder':<18}{'mutants':>8}{'read':>8}{'refused':>9}{'slowest':>10}{'memory':>9}  refused as"
    for one in reports:
        codes = ", ".join(f"{code} {n}" for code, n in one.codes.most_common(4))
        refused = sum(one.codes.values())
        yield (
            f"{one.name:<18}{one.mutants:>8}{one.read:>8}{refused:>9}{one.slowest:>8.2f} s"
            f"{one.peak_bytes >> 20:>5} MiB  {codes}"
        )
    faults = sum(len(one.faults) for one in reports)
    yield f"decoders {len(reports)}, mutants {sum(one.mutants for one in reports)}, faults {faults}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=FULL, help="for each decoder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--only", default="", help="names of decoders, by commas")
    parser.add_argument("--keep", type=Path, default=KEPT, help="where files at fault are kept")
    asked = parser.parse_args()
    chosen = seeds()
    if asked.only:
        chosen = {name: chosen[name] for name in asked.only.split(",")}
    reports = []
    for name, seed in chosen.items():
        report = attack(
            name, seed, number=asked.seed, first=asked.first, count=asked.mutants, keep=asked.keep
        )
        reports.append(report)
        print(f"{name:<18}{report.mutants:>8} mutants, {len(report.faults)} faults", flush=True)
    print("\n".join(["", *table(reports)]))
    for report in reports:
        for fault in report.faults:
            print(f"\nFAULT {report.name} {fault.number}: {fault.what}\nkept as {fault.path}")
            print(
                f"again: python -m tests.fuzz.files --only {report.name} --seed {asked.seed}"
                f" --first {fault.number} --mutants 1"
            )
    return 1 if any(report.faults for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
