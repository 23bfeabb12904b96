"""From a zip of class folders to synthetic images, a classifier and a report: GLICO, in one job.

    python examples/glico_digits.py [--shots 10] [--out var/glico]

Takes scikit-learn's digits (they come with the package), writes a zip with ten images of each class to train
on, starts a service of its own, and leaves `report.html` with pictures, the synthetic images in class folders,
and a classifier that is loaded and asked once more. Some minutes on two cores.
"""

import argparse
import io
import sys
import time
import zipfile
from pathlib import Path

from ending import ended
from PIL import Image
from raw_folders import few_digits
from rich.console import Console

from cultivar import Client
from cultivar.specs import EvaluateSpec, Glico, ImageClassifierSpec, ReconstructionSpec


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shots", type=int, default=10, help="training images a class (10)")
    parser.add_argument("--out", type=Path, default=Path("var/glico"), help="folder for results")
    parser.add_argument("--seed", type=int, default=0, help="of the job, and of the images kept")
    arguments = parser.parse_args()
    return ended(lambda console: run(arguments, console), arguments.out, "GLICO on digits")


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Write the zip, start a service, run the job, use what it made."""
    began, out = time.monotonic(), arguments.out
    data = few_digits(out / "digits.zip", arguments.shots, arguments.seed)
    with Client.local(out / "service") as client:
        console.print(f"[bold]1[/bold] a service is ready at {client.base_url}")
        dataset = client.datasets.upload(data, modality="image", name="digits")
        spec = Glico(
            dataset=dataset,
            size=16,
            multiply=5,
            reconstruction=ReconstructionSpec(steps=600),
            # A mirrored digit is another sign, or none.
            classifier=ImageClassifierSpec(steps=400, flip=False),
            seed=arguments.seed,
        )
        job = client.jobs.create(spec, evaluate=EvaluateSpec(seeds=3, penalties=[1.0]))
        console.print(
            f"[bold]2[/bold] {job.id}: codes and generator, then classifiers for each arm"
        )
        job.wait()
        job.download(out)
        made = job.images(out / f"images-{job.id[-8:]}")
        print(job.report)
        console.print(f"[bold]3[/bold] {len(made.paths)} images in {made.folder}")
        classifier = job.classifier.load()
        with zipfile.ZipFile(data) as archive:
            names = [name for name in archive.namelist() if name.startswith("test/")][::100]
            said = classifier.predict([Image.open(io.BytesIO(archive.read(n))) for n in names])
        right = sum(name.split("/")[1] == one for name, one in zip(names, said, strict=True))
        console.print(
            f"[bold]4[/bold] its classifier, loaded here, names {right} of {len(names)} test images"
        )
    console.print(f"  {out / 'report.html'}  the report with its pictures")
    console.print(f"\nDone in {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    sys.exit(main())
