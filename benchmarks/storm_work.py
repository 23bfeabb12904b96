"""The jobs of a storm: short ones of several kinds, each with what it must come to."""

import io
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

SIZES, DIM = (24, 12, 6), 8
Makes = Literal["dataset", "generator", "classifier"]

LATENTS = frozenset({"card.md", "lineage.parquet", "manifest.json", "synthetic.npz"})
HEAD = frozenset(
    {"card.md", "classifier.safetensors", "config.json", "manifest.json", "report.json"}
)


@dataclass(frozen=True)
class Expected:
    """What a job comes to that nobody cancels.

    Attributes:
        error: the code that it fails with; None where it succeeds.
        makes: the row that becomes visible with its end.
        artifacts: names of its files.
        generated: rows drawn, where it draws any.
        rows: of its dataset, where it makes one.
        same: jobs with equal ones make equal bytes; None where nothing else is like it.
    """

    error: str | None = None
    makes: Makes | None = None
    artifacts: frozenset[str] = frozenset()
    generated: int | None = None
    rows: int | None = None
    same: tuple[object, ...] | None = None


@dataclass(frozen=True)
class Asked:
    """A job to ask for: a spec, or a file to make a dataset of.

    Attributes:
        name: as the table has it.
    """

    name: str
    expected: Expected
    spec: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    file: tuple[str, bytes] | None = None
    modality: str = "embedding"


@dataclass(frozen=True)
class Bedrock:
    """What was made in the calm before the storm, and jobs refer to."""

    dataset: str
    generator: str


def embeddings(content: int) -> bytes:
    """Return a small npz of three classes; equal numbers give equal bytes."""
    rng = np.random.default_rng(content)
    y = np.repeat(np.arange(len(SIZES)), SIZES)
    x = rng.standard_normal((len(y), DIM)) + 2.0 * rng.standard_normal((len(SIZES), DIM))[y]
    file = io.BytesIO()
    np.savez(file, x=x.astype(np.float32), y=y, classes=np.array(["ant", "bee", "cat"]))
    return file.getvalue()


def ingest(chance: random.Random) -> Asked:
    """Embeddings; few contents, so that equal blobs are made again and again."""
    content = chance.randrange(6)
    expected = Expected(makes="dataset", rows=sum(SIZES), same=("ingest", content))
    return Asked("ingest", expected, file=("rows.npz", embeddings(content)))


def texts(chance: random.Random) -> Asked:
    """Texts, each time others."""
    lines = [f"line {n} of {chance.random()},{'ab'[n % 2]}" for n in range(20)]
    content = "\n".join(["text,label", *lines, ""]).encode()
    expected = Expected(makes="dataset", rows=20)
    return Asked("ingest text", expected, file=("rows.csv", content), modality="text")


def refused(chance: random.Random) -> Asked:
    """A file that is none: it must fail, and say why, whatever happens meanwhile."""
    content = f"no archive: {chance.random()}".encode()
    return Asked("ingest bad", Expected(error="format_mismatch"), file=("rows.npz", content))


def gelda(chance: random.Random, dataset: str, *, known: bool, long: bool = False) -> Asked:
    """Six stages, checkpoints on the way.

    Args:
        chance: draws plan and seed.
        dataset: that it is trained on.
        known: whether that is the bedrock's, so that others are equal to it.
        long: whether training takes seconds.
    """
    rows, seed = chance.randrange(2, 5), chance.randrange(3)
    steps = 900 if long else 12
    spec = {
        "kind": "gelda",
        "dataset": dataset,
        "denoiser": {"width": 32, "blocks": 1},
        "objective": {"steps": steps, "batch_size": 16, "checkpoint_steps": steps // 4},
        "sampler": {"steps": 2},
        "plan": {"per_class": rows},
    }
    expected = Expected(
        makes="generator",
        artifacts=LATENTS,
        generated=rows * len(SIZES),
        same=("gelda", rows, seed, steps) if known else None,
    )
    return Asked("gelda long" if long else "gelda", expected, spec, seed)


def sample(chance: random.Random, generator: str, *, known: bool) -> Asked:
    """Rows of a generator, or of the job that is going to make it."""
    rows, seed = chance.randrange(1, 9), chance.randrange(4)
    expected = Expected(
        artifacts=LATENTS,
        generated=rows * len(SIZES),
        same=("sample", rows, seed) if known else None,
    )
    spec = {"kind": "sample", "generator": generator, "plan": {"per_class": rows}}
    return Asked("sample", expected, spec, seed)


def classifier(chance: random.Random, dataset: str) -> Asked:
    seed = chance.randrange(8)
    expected = Expected(makes="classifier", artifacts=HEAD, same=("classifier", seed))
    spec = {"kind": "classifier", "dataset": dataset, "head": {"epochs": 1}}
    return Asked("classifier", expected, spec, seed)


Draw = Callable[[random.Random, Bedrock], Asked]

MIX: dict[str, tuple[int, Draw]] = {
    "classifier": (47, lambda chance, rock: classifier(chance, rock.dataset)),
    "sample": (22, lambda chance, rock: sample(chance, rock.generator, known=True)),
    "gelda": (8, lambda chance, rock: gelda(chance, rock.dataset, known=True)),
    "gelda long": (
        4,
        lambda chance, rock: gelda(chance, rock.dataset, known=True, long=True),
    ),
    "ingest": (10, lambda chance, _: ingest(chance)),
    "texts": (2, lambda chance, _: texts(chance)),
    "refused": (3, lambda chance, _: refused(chance)),
}
"""Weight and maker of each kind of job; what is cheap is asked for most."""

CHAIN_SHARE = 0.02
"""Of draws that begin a chain: a dataset, a generator from it, rows from that, none waited for."""


def draw(chance: random.Random, rock: Bedrock) -> Asked:
    """Return the next job to ask for."""
    weights = [weight for weight, _ in MIX.values()]
    ((_, make),) = chance.choices(list(MIX.values()), weights)
    return make(chance, rock)
