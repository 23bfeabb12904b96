"""ALIA on a small biased world: caption, summarise, edit, filter and train, as jobs of a service of its own.

    python -m benchmarks.alia --world FOLDER --runs FOLDER [--seeds 3] [--questions] [--workers 2]

A world is a folder with small trained models (`captioner`, `llm`, `clip`, `sd`, `instruct`) and `world/` with
`train.zip` (biased: each class lives in a domain or two), `val.zip`, `test.zip` and `extra.zip` (unbiased).
All goes through the SDK: the images are uploaded as one zip, and each seed is a job for each editor, which
captions, asks the language model for domains, edits each training image twice, filters and trains. Editor,
filters and classical augmentation are chosen on `val` in the jobs of the first seed, for every arm its own. On
`test` the classifier stands beside real images only, RandAugment, changed colours and CutMix, beside as many
text-to-image images of the same prompts, and beside 300 unbiased real images.

``--questions`` adds a job a seed for each of: one fixed prompt of a user in place of ALIA's; each filter on
and off; fewer edits, 300 of them beside the 300 real images.

Every job's result is kept in ``--runs`` and read again: an interrupted benchmark goes on where it was.
Cost on two free cores with AMX: about 25 minutes for the first seed, half of that for each further one; the questions,
2 to 5 minutes for each of six variants and each seed.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.alia_jobs import EDITORS, Bench, Labels, Ran, switched
from benchmarks.comparison import Comparison
from benchmarks.face import Face
from benchmarks.image_world import check

CONTROLS = ("randaugment", "color", "cutmix", "text_to_image", "extra_real")
WORDS = {
    "alia": "ALIA",
    "real": "real only",
    "randaugment": "real, RandAugment",
    "color": "real, changed colours",
    "cutmix": "real, CutMix",
    "text_to_image": "text to image, same prompts",
    "extra_real": "300 unbiased real images",
}


def main() -> int:
    face = Face(__doc__, seeds=3)
    add = face.parser.add_argument
    add("--world", type=Path, required=True, metavar="FOLDER", help="models and images")
    add("--runs", type=Path, required=True, metavar="FOLDER", help="where results are kept")
    add("--questions", action="store_true", help="also what each part is worth")
    add("--workers", type=int, default=2, metavar="N", help="worker processes (2)")
    add("--steps", type=int, default=800, help="of every classifier (800)")
    arguments = face.parse()
    check(arguments.world)
    arguments.runs.mkdir(parents=True, exist_ok=True)
    bench = Bench(arguments, face)
    try:
        told = run(bench)
    finally:
        bench.close()
    face.finish(told)
    return 0


def run(bench: Bench) -> dict[str, Any]:
    """Run the jobs of all seeds, print the tables, return the figures."""
    seeds = range(bench.arguments.seeds)
    for some in (seeds[:1], seeds[1:]):
        # What validation says to the first job stands for the others: they search no more.
        chosen = {} if some == seeds[:1] else {e: narrowed(bench.kept(e, 0)) for e in EDITORS}
        bench.queue(
            [
                (
                    editor,
                    seed,
                    CONTROLS if editor == "instruct_pix2pix" else (),
                    {"edit": edit} | chosen.get(editor, {}),
                )
                for seed in some
                for editor, edit in EDITORS.items()
            ]
        )
    runs = {editor: [bench.kept(editor, seed) for seed in seeds] for editor in EDITORS}
    scores = {editor: each[0].score for editor, each in runs.items()}
    best = max(scores, key=lambda editor: scores[editor])
    first = runs["instruct_pix2pix"]
    said = {"alia": _stack(runs[best], "alia")}
    said |= {name: _stack(first, name) for name in ("real", *CONTROLS)}
    words = WORDS | {"alia": f"ALIA, {best}"}
    for editor in EDITORS:
        if editor != best:
            said[editor] = _stack(runs[editor], "alia")
            words[editor] = f"ALIA, {editor}"
    figures = _shown(bench, "test", first[0].y, said, words)
    domains = by_domain(bench, first[0], said, words)
    told: dict[str, Any] = {
        "editor": best,
        "scores": scores,
        "rows": figures,
        "domains": domains,
        "settings": {editor: [dict(one.settings) for one in each] for editor, each in runs.items()},
        "edits": {editor: [_edits(one) for one in each] for editor, each in runs.items()},
        "seeds": bench.arguments.seeds,
    }
    if bench.arguments.questions:
        told["questions"] = ask(bench, best, runs[best], first)
    return told


def narrowed(one: Ran) -> dict[str, Any]:
    """Return the part of a spec that leaves nothing open which validation has decided.

    Where arms chose differently, both stay open.
    """
    settings = one.settings
    filters = str(settings["alia"].get("filters", "none")).split("+")
    of_text = str(settings.get("text_to_image", settings["alia"]).get("filters", "none")).split("+")
    semantic = {"semantic" in filters, "semantic" in of_text}
    switch = "auto" if len(semantic) > 1 else ("on" if True in semantic else "off")
    return {
        "augmentations": tuple(
            dict.fromkeys(
                each["augmentation"] for each in settings.values() if "augmentation" in each
            )
        ),
        "filters": switched(switch, "on" if "confidence" in filters else "off"),
    }


def _stack(runs: Sequence[Ran], arm: str) -> Labels:
    return np.stack([one.said[arm] for one in runs])


def _edits(one: Ran) -> dict[str, Any]:
    """Return how many edits were made and used, and what each filter dropped."""
    dropped = {part["name"]: part["dropped"] for part in one.told["filters"]}
    return dict(one.told["compute"]["edits"]) | {"dropped": dropped}


def _shown(
    bench: Bench, title: str, y: Labels, said: Mapping[str, Labels], words: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    comparison = Comparison(y, said, {}, method="alia", words=words)
    return comparison.show(bench.face, f"{title}, {bench.arguments.seeds} seeds", f"alia-{title}")


def by_domain(
    bench: Bench, one: Ran, said: Mapping[str, Labels], words: Mapping[str, str]
) -> dict[str, dict[str, float]]:
    """Return, and print, the accuracy of each arm by domain."""
    right = {name: (each == one.y).mean(axis=0) for name, each in said.items()}
    told = {
        name: {
            domain: round(100 * float(each[one.domain == number].mean()), 2)
            for number, domain in enumerate(one.domains)
        }
        for name, each in right.items()
    }
    bench.face.say("accuracy by domain")
    bench.face.table(
        ("arm", *one.domains),
        [(words[name], *values.values()) for name, values in told.items()],
    )
    return told


def ask(bench: Bench, editor: str, own: Sequence[Ran], first: Sequence[Ran]) -> dict[str, Any]:
    """Measure what each part is worth: everything else as validation chose it."""
    seeds = range(bench.arguments.seeds)
    chosen = narrowed(own[0]) | {"edit": EDITORS[editor]}
    variants: dict[str, tuple[str, dict[str, Any]]] = {
        "fixed_prompt": ("one fixed prompt of a user", {"descriptions": ("a photo of a {}",)}),
        "no_filter": ("no filter", {"filters": switched("off", "off")}),
        "semantic": ("semantic filter alone", {"filters": switched("on", "off")}),
        "confidence": ("confidence filter alone", {"filters": switched("off", "on")}),
        "both": ("both filters", {"filters": switched("on", "on")}),
        "edits_300": ("300 edits", {"per_class": 30}),
        "edits_1000": ("1,000 edits", {"per_class": 100}),
    }
    # What validation chose is there already.
    variants = {name: one for name, one in variants.items() if chosen | one[1] != chosen}
    plan = []
    for name, (_, change) in variants.items():
        more = chosen | change
        if "per_class" in more:
            more["multiply"] = None
        if name == "fixed_prompt":
            more["avoid_own"] = False
        plan += [(name, seed, (), more) for seed in seeds]
    bench.queue(plan)
    said = {"alia": _stack(own, "alia"), "extra_real": _stack(first, "extra_real")}
    words = {"alia": "as validation chose", "extra_real": WORDS["extra_real"]}
    edits: dict[str, Any] = {}
    for name, (label, _) in variants.items():
        runs = [bench.kept(name, seed) for seed in seeds]
        said[name], words[name] = _stack(runs, "alia"), label
        edits[name] = [_edits(one) for one in runs]
    return {"rows": _shown(bench, "questions", own[0].y, said, words), "edits": edits}


if __name__ == "__main__":
    sys.exit(main())
