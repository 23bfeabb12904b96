"""From raw files to a report, through the service, in one job.

    python examples/raw_to_report.py digits
    python examples/raw_to_report.py pacs --data pacs64 --model mobilenetv2-imagenet
    python examples/raw_to_report.py emodb --data emodb16k

`digits`: the demo's long tail of scikit-learn's digits as PNG files, on any machine. `pacs`: photographs, and few paintings
of each class (`domain` is the subdomain); the report is on other paintings. `emodb`: recordings, split by
speaker. `--model` is a folder of a model as transformers keeps it; without one, an encoder of random
weights is made, which shows the way from files to report and nothing of what an encoder can do.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from ending import ended
from raw_folders import clips, digits, few_paintings, random_model
from rich.console import Console

from cultivar import Client
from cultivar.specs import EncoderSpec, EvaluateSpec, Gelda

COLUMNS = {
    "digits": {},
    "pacs": {"subdomain": "domain", "split": "split"},
    "emodb": {"group": "speaker"},
}
PLAN = {
    "digits": {"match": "largest"},
    "pacs": {"match": "largest"},  # of each class in each domain
    "emodb": {"per_class": 60},
}
PREPARATION = {
    "digits": {},
    "pacs": {"transform": "sqrt", "components": 256, "normalise": True},  # 1,280 values, ReLU'd
    "emodb": {},
}
MODALITY = {"digits": "image", "pacs": "image", "emodb": "audio"}
RANDOM = {"image": "vit", "audio": "whisper"}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=sorted(MODALITY))
    parser.add_argument("--data", type=Path, help="pacs, emodb: the folder of the raw files")
    parser.add_argument("--model", type=Path, help="folder of the encoder")
    parser.add_argument("--out", type=Path, help="folder for results (var/raw/WHAT)")
    parser.add_argument("--seed", type=int, default=0, help="of the job, and of the paintings kept")
    arguments = parser.parse_args()
    if arguments.what != "digits" and not arguments.data:
        parser.error(f"{arguments.what} needs --data, the folder of its raw files")
    arguments.out = arguments.out or Path("var/raw") / arguments.what
    return ended(lambda console: run(arguments, console), arguments.out, arguments.what)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Make the folder, start a service that has the model, run the job, say where the report is."""
    began, modality = time.monotonic(), MODALITY[arguments.what]
    folder = _folder(arguments)
    model = arguments.model
    if model is None:
        kind = RANDOM[modality]
        model = random_model(kind, arguments.out / "models" / f"{kind}-of-random-weights")
        console.print("[yellow]The encoder has random weights: it has learned nothing.[/yellow]")
    os.environ["CULTIVAR_MODELS"] = str(model.resolve().parent)
    with Client.local(arguments.out / "service") as client:
        console.print(f"[bold]1[/bold] a service is ready at {client.base_url}")
        dataset = client.datasets.upload(
            folder, modality=modality, columns=COLUMNS[arguments.what], name=arguments.what
        )
        spec = Gelda(
            dataset=dataset,
            encoder=EncoderSpec(model=model.resolve().name),
            plan=PLAN[arguments.what],
            preparation=[PREPARATION[arguments.what]],
            subdomains={"source": "one_hot"} if arguments.what == "pacs" else None,
            seed=arguments.seed,
        )
        job = client.jobs.create(spec, evaluate=EvaluateSpec(seeds=3))
        console.print(f"[bold]2[/bold] {job.id}: read, encode, train, choose, sample, evaluate")
        job.wait()
        console.print(f"[bold]3[/bold] {dataset.refresh().manifest['rows']} items went in\n")
        job.download(arguments.out)
        print(job.report)
    console.print(f"  {arguments.out / 'report.html'}  the report with its plots")
    console.print(f"\nDone in {time.monotonic() - began:.0f} s.")


def _folder(arguments: argparse.Namespace) -> Path:
    out: Path = arguments.out / "files"
    if arguments.what == "digits":
        return digits(out, arguments.seed)
    if arguments.what == "pacs":
        return few_paintings(arguments.data, out, arguments.seed)
    return clips(arguments.data, out)


if __name__ == "__main__":
    sys.exit(main())
