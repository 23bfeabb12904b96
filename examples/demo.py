"""The main job, on real data: long-tailed digits in, GeLDA latents and a report out.

Starts the embedded service (its own Redis, SQLite, a local folder) under ``var/demo/service``,
uploads the data through the SDK, waits for the job and writes the report, the plots and the
synthetic latents. `make demo` runs it.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from ending import ended
from longtailed_digits import write
from rich.console import Console

from cultivar import Client
from cultivar.specs import EvaluateSpec, Gelda

SEEDS = 5
STEPS = 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("var/demo"), help="folder for results")
    parser.add_argument("--url", help="a running service to use, instead of starting one")
    parser.add_argument("--key", help="its key, where the command line's own does not fit")
    parser.add_argument("--seed", type=int, default=0, help="of the split and of the job")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    return ended(lambda console: run(arguments, console), arguments.out, "The demo")


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Run the demo and say at each step what happens and where to look."""
    began = time.monotonic()
    data = arguments.out / "digits_longtail.npz"
    sizes = write(data, arguments.seed)
    console.print(
        f"[bold]1[/bold] scikit-learn's digits as a long tail: {sizes} rows a class → {data}"
    )
    with connect(arguments) as client:
        console.print(f"[bold]2[/bold] a service is ready at {client.base_url}")
        dataset = client.datasets.upload(data, name="digits, long-tailed")
        spec = Gelda(
            dataset=dataset,
            match="largest",
            latents={"model": "direct"},  # pixels: docs/decisions/14-residual-or-direct.md
            objective={"steps": STEPS},
            seed=arguments.seed,
        )
        job = client.jobs.create(spec, evaluate=EvaluateSpec(seeds=SEEDS))
        console.print(f"[bold]3[/bold] {job.id}: train, choose on validation, sample, evaluate")
        job.wait()
        x, y = job.output.to_numpy()
        counts = np.bincount(y, minlength=len(sizes)).tolist()
        console.print(f"[bold]4[/bold] {len(x)} synthetic latents came back: {counts} a class\n")
        job.download(arguments.out)
        print(job.report)
    seconds = time.monotonic() - began
    for name, what in (
        ("report.html", "the report with its plots"),
        ("report.json", "the same as data"),
        ("synthetic.npz", "the synthetic latents"),
    ):
        console.print(f"  {arguments.out / name}  {what}")
    console.print(f"\nDone in {seconds:.0f} s.")


def connect(arguments: argparse.Namespace) -> Client:
    """Return a client of the service asked for, or of one started for the demo."""
    if arguments.url:
        return Client(arguments.url, arguments.key)
    return Client.local(arguments.out / "service")


if __name__ == "__main__":
    sys.exit(main())
