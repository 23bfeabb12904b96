"""`make fuzz`: the API under drawn requests, then every decoder under damaged files."""

import argparse
import subprocess
import sys

CASES = 20_000
MUTANTS = 100_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=CASES, help="requests; 0 leaves the API out")
    parser.add_argument(
        "--mutants", type=int, default=MUTANTS, help="of each decoder's file; 0 leaves them out"
    )
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    statuses = []
    # Processes of their own: decoders are forked off theirs, which must have no threads.
    for part, option, number in (
        ("api", "cases", asked.cases),
        ("files", "mutants", asked.mutants),
    ):
        if number:
            print(f"\n==> tests.fuzz.{part}, {number} {option}", flush=True)
            command = [sys.executable, "-m", f"tests.fuzz.{part}", "--seed", str(asked.seed)]
            statuses.append(subprocess.call([*command, f"--{option}", str(number)]))
    return max(statuses, default=0)


if __name__ == "__main__":
    sys.exit(main())
