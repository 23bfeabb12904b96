"""Few-shot CIFAR-10: GLICO against tuned classical augmentation, mixup and a cross-fade of the same pairs.

    python -m benchmarks.glico --data cifar10_fewshot.npz --runs FOLDER [--shots 10,25] [--seeds 5]
        [--questions 25] [--jobs 2] [--network resnet-8]

Data: npz with uint8 ``x, y`` (disjoint training sets are cut from it, seed by seed), ``x_val, y_val``, by
which every arm chooses among its tries (seed 0, or ``--choosing N`` seeds; at most 8 tries), ``x_test, y_test`` and ``classes``. All
arms train the same network for the same 1,500 steps of 32 images, on crops and mirror images; a generator
is trained anew for each seed and shared by the arms that draw from it. What is chosen is what knows most about the
validation images: the mean log-probability of the right class, at the temperature that suits it best.

``--questions N`` adds the arms that ask what GLICO owes to which part, at N a class: lerp in place of slerp,
no path (reconstructions with noise), no residuals, a conditioned decoder. They take the rate, decay and share of synthetic images that GLICO chose without mixup. Novelty is the distance of samples to
the nearest training image as a multiple of held-out images' own, diversity the mean distance between two
samples of a class as a multiple of training images' own, both in pixels. Beside the plain accuracy stands
that on test images with noise, blur or little contrast.

Every run is kept in FOLDER and read again by the next call: an interrupted benchmark goes on where it was.
5 and 50 a class are two more calls, with ``--seeds 3 --shots 5 --settings-of 10`` and ``--seeds 3 --shots 50
--settings-of 25``. Cost on two cores with AMX: a run is about a minute, a generator too; 10 and 25 a class
at 5 seeds are about 100 runs.

On a GPU, the published network: ``--network wrn-28-10 --steps 20000 --batch 128 --shots 10,25,50,100
--seeds 2``, for more than which the file has too few images at 100 a class.
"""

import argparse
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.comparison import Comparison
from benchmarks.corruptions import CORRUPTIONS
from benchmarks.face import Face
from benchmarks.few_shot import THIN, FewShot, Job, Ran, run_all
from benchmarks.few_shot_arms import ARMS, BEST, QUESTIONS, RATES, Arm
from benchmarks.figures import Estimate, lines
from models.glico.spec import DecoderSpec, GlicoSpec, ReconstructionSpec
from models.images.spec import ImageClassifierSpec

QUICK = {"steps": 3, "width": 4}


@dataclass(frozen=True)
class Bench:
    """The benchmark's settings, and what turns a setting into a run."""

    data: FewShot
    arguments: Namespace
    face: Face

    def job(self, shots: int, seed: int, setting: Any) -> Job:
        """Return the run of a setting."""
        a = self.arguments
        small: dict[str, Any] = dict(QUICK) if a.quick else {"steps": a.steps}
        classifier = ImageClassifierSpec(network=a.network, batch_size=a.batch, **small)
        glico = GlicoSpec(
            dataset="ds_" + "0" * 32,
            decoder=DecoderSpec(upsampling="transposed", width=8 if a.quick else 32),
            reconstruction=ReconstructionSpec(
                steps=3 if a.quick else a.generator_steps, batch_size=32
            ),
        )
        return Job(self.data, a.runs, shots, seed, setting, classifier, glico)

    def ran(self, jobs: Sequence[Job], part: str) -> dict[Path, Ran]:
        """Return what came of runs, telling progress."""
        self.face.begin(part)
        found = run_all(jobs, self.arguments.jobs, self.face.progress)
        self.face.end()
        return found

    def choose(self, shots: int, arms: Mapping[str, Arm]) -> dict[str, Any]:
        """Return the setting of each arm that validation takes, by the mean over the first seeds."""
        seeds = range(min(self.arguments.choosing, self.arguments.seeds))
        tries = {
            name: [[self.job(shots, seed, setting) for seed in seeds] for setting in arm.tries]
            for name, arm in arms.items()
        }
        every = [job for each in tries.values() for jobs in each for job in jobs]
        found = self.ran(every, f"{shots} a class: what validation takes")

        def score(jobs: Sequence[Job]) -> float:
            return float(np.mean([found[job.path].score for job in jobs]))

        return {name: max(each, key=score)[0].setting for name, each in tries.items()}

    def measure(self, shots: int, settings: Mapping[str, Any]) -> dict[str, list[Ran]]:
        """Return the runs of each arm, seed by seed."""
        jobs = {
            name: [self.job(shots, seed, setting) for seed in range(self.arguments.seeds)]
            for name, setting in settings.items()
        }
        every = [job for each in jobs.values() for job in each]
        found = self.ran(every, f"{shots} a class: {self.arguments.seeds} seeds")
        return {name: [found[job.path] for job in each] for name, each in jobs.items()}


def main() -> int:
    face = Face(__doc__, seeds=5)
    add_options(face)
    arguments = face.parse(data=1)
    arguments.runs.mkdir(parents=True, exist_ok=True)
    data = FewShot.read(arguments.data[0])
    for shots in (*arguments.shots, *([arguments.questions] if arguments.questions else [])):
        data.subset(shots, arguments.seeds - 1)  # or it ends here, not after hours
    data.claim(arguments.runs)
    bench = Bench(data, arguments, face)
    told = {}
    for shots in arguments.shots:
        arms = {name: ARMS[name] for name in arguments.arms}
        settings = bench.choose(arguments.settings_of or shots, arms)
        told[shots] = show(bench, shots, settings, {name: arm.label for name, arm in ARMS.items()})
    if len(told) > 1:
        draw(face, told, arguments.network)
    asked = None
    if arguments.questions:
        asked = ask(bench, arguments.questions)
    face.finish({"shots": told, "questions": asked, "seeds": arguments.seeds})
    return 0


def add_options(face: Face) -> None:
    """Add the benchmark's own options."""
    add = face.parser.add_argument
    add("--runs", type=Path, required=True, metavar="FOLDER", help="where runs are kept")
    add("--shots", type=_numbers, default=(10, 25), metavar="N,N", help="images a class (10,25)")
    add("--settings-of", type=int, metavar="N", help="take what validation chose at N a class")
    add("--choosing", type=_one_or_more, default=1, metavar="N", help="seeds that choose (1)")
    add("--arms", type=_arms, default=tuple(ARMS), metavar="A,B", help="these alone (all)")
    add("--questions", type=int, metavar="N", help="ask what each part is worth, at N a class")
    add("--jobs", type=int, default=1, metavar="N", help="runs at a time (1)")
    add("--network", default="resnet-8", help="of the classifiers (resnet-8)")
    add("--steps", type=int, default=1500, help="of every classifier (1500)")
    add("--batch", type=int, default=32, help="images a step (32)")
    add("--generator-steps", type=int, default=1000, help="of every generator (1000)")


def _arms(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if not {BEST, "real"} <= set(names) <= set(ARMS):
        raise argparse.ArgumentTypeError(f"{BEST} and real, and others of {', '.join(ARMS)}")
    return names


def _one_or_more(text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number from 1 on")
    return int(text)


def _numbers(text: str) -> tuple[int, ...]:
    numbers = tuple(int(part) if part.strip().isdecimal() else 0 for part in text.split(","))
    if min(numbers) < 2:
        raise argparse.ArgumentTypeError(f"{text} is no list of numbers from 2 on, such as 10,25")
    return numbers


def show(
    bench: Bench, shots: int, settings: Mapping[str, Any], words: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Measure the arms, print their table, return the figures."""
    runs = bench.measure(shots, settings)
    told = compared(bench, runs, words)
    for name, figures in told.items():
        figures.update(more(runs[name], bench.data), setting=_in_words(settings[name]))
    bench.face.say(f"{shots} images a class, accuracy on test, {bench.arguments.seeds} seeds")
    bench.face.table(
        (
            "arm",
            "test",
            "GLICO minus it [95 %]",
            "corrupted",
            "novelty",
            "diversity",
            "s",
            "setting",
        ),
        [
            (
                f["label"],
                f["all"],
                _lead(f),
                f["corrupted"],
                f["novelty"],
                f["diversity"],
                f"{f['generator_seconds']:.0f} + {f['seconds']:.0f}",
                f["setting"],
            )
            for f in told.values()
        ],
    )
    return told


def compared(
    bench: Bench, runs: Mapping[str, Sequence[Ran]], words: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Return accuracy of each arm and GLICO's lead over it; beside them its own over real only."""
    y = bench.data.y_test
    said = {name: np.stack([run.on_test for run in each]) for name, each in runs.items()}
    told = Comparison(y, said, {}, method=BEST, words=words).figures()
    for name in set(said) - {"real"}:
        lead = Comparison(y, {name: said[name], "real": said["real"]}, {}, method=name).lead("real")
        told[name]["over_real"] = [round(100 * v, 2) for v in (lead.mean, lead.low, lead.high)]
    return told


def more(runs: Sequence[Ran], data: FewShot) -> dict[str, Any]:
    """Return an arm's figures besides its accuracy: means over seeds, medians of seconds."""

    def mean(name: str) -> float | None:
        values = [getattr(run, name) for run in runs]
        return None if None in values else round(float(np.mean(values)), 2)

    right = np.stack([run.corrupted == data.y_test[::THIN] for run in runs]).mean(axis=(0, 2))
    by = {name: round(100 * float(v), 2) for name, v in zip(CORRUPTIONS, right, strict=True)}
    return {
        "corrupted": round(100 * float(right.mean()), 2),
        "by_corruption": by,
        # Medians: whatever else a machine does for a while is no cost of an arm.
        "seconds": round(float(np.median([run.seconds for run in runs])), 2),
        "generator_seconds": round(float(np.median([run.generator_seconds for run in runs])), 2),
        "novelty": mean("novelty"),
        "diversity": mean("diversity"),
    }


def ask(bench: Bench, shots: int) -> dict[str, dict[str, Any]]:
    """Measure what each part is worth, at GLICO's own rate and decay."""
    alone = Arm("GLICO with residuals", ARMS[BEST].tries[: len(RATES)])
    chosen = bench.choose(shots, {BEST: alone, "real": ARMS["real"]})
    settings = dict(chosen)
    own = {"classifier": chosen[BEST].classifier, "probability": chosen[BEST].probability}
    settings |= {name: replace(setting, **own) for name, (_, setting) in QUESTIONS.items()}
    words = {BEST: alone.label, "real": ARMS["real"].label}
    return show(
        bench, shots, settings, words | {name: label for name, (label, _) in QUESTIONS.items()}
    )


def draw(face: Face, told: Mapping[int, Mapping[str, Mapping[str, Any]]], network: str) -> None:
    """Draw each arm's lead over real images by images a class."""
    series = {
        arm.label: [(shots, Estimate(*told[shots][name]["over_real"])) for shots in told]
        for name, arm in ARMS.items()
        if name != "real" and all(name in figures for figures in told.values())
    }
    face.figure(
        "glico",
        lambda: lines(
            series,
            x_label="training images a class",
            y_label="accuracy over real only, points",
            title=f"{network}: what a few images gain",
            log_x=True,
        ),
    )


def _lead(figures: Mapping[str, Any]) -> str:
    if "lead" not in figures:
        return ""
    mean, low, high = figures["lead"]
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}] {figures['standing']}"


def _in_words(setting: Any) -> str:
    c = setting.classifier
    told = [f"rate {c['learning_rate']:g}, decay {c['weight_decay']:g}"]
    if setting.probability:
        told.append(f"p {setting.probability:g}")
    if "mixup" in c:
        told.append(f"mixup {c['mixup']:g}")
    if setting.generator.get("decoder", {}).get("conditioned"):
        told.append("generator told the class")
    return ", ".join(told)


if __name__ == "__main__":
    sys.exit(main())
