"""Images through a foundation model: its own output, or many hidden layers of one pass."""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import nn

from benchmarks.face import Face
from benchmarks.raw_images import RawImages, Vectors
from models.encoders.catalogue import Found, find
from models.encoders.family import Resolved
from models.encoders.folder import CONFIG, FOLDERS_VARIABLE
from models.encoders.loading import load, tower_for
from models.encoders.pooling import pooled_output, pooled_states, resolve
from models.encoders.prepare import Preparation, preparation_for
from models.encoders.spec import EncoderSpec
from models.errors import InputProblem
from models.raw.image import decode_image


def add_options(face: Face) -> None:
    """Let a benchmark be told the model, the domain that is short of images, and where to keep."""
    add = face.parser.add_argument
    add("--model", required=True, help="folder of a transformers image model, or a name at hand")
    add("--scarce", default="art_painting", metavar="DOMAIN", help="short of images (art_painting)")
    add("--keep", type=Path, metavar="FOLDER", help="keep embeddings there, for other runs")


def model_at(name: str) -> Found:
    """Return a model by its folder, or by the name under which it is at hand."""
    before = os.environ.get(FOLDERS_VARIABLE)
    folder = Path(name).resolve()
    try:
        if (folder / CONFIG).is_file():
            os.environ[FOLDERS_VARIABLE] = str(folder.parent)
            name = folder.name
        return find(name, "--model")
    except InputProblem as problem:
        raise SystemExit(str(problem)) from problem
    finally:
        if before is None:
            os.environ.pop(FOLDERS_VARIABLE, None)
        else:
            os.environ[FOLDERS_VARIABLE] = before


@dataclass(frozen=True)
class Passes:
    """A model, and how its hidden layers are pooled.

    Attributes:
        found: the model.
        model: its weights.
        preparation: of its input.
        last: number of the last hidden layer; the one after it stands for the model's own output.
        hidden: pooling of hidden layers.
        own: pooling of its own output.
    """

    found: Found
    model: nn.Module
    preparation: Preparation
    last: int
    hidden: Resolved
    own: Resolved

    @classmethod
    @torch.inference_mode()
    def of(cls, found: Found) -> Self:
        """Load a model, and try it on an image without content."""
        tower = tower_for(found, "image", "--model")
        model = load(found, tower, "--model").model
        spec = EncoderSpec(model=found.id)
        preparation = preparation_for(found, tower, model, spec, "--model")
        (trial,) = preparation.batches([preparation.blank()])
        states = model(**trial.inputs, output_hidden_states=True).hidden_states
        at_a_layer = EncoderSpec(model=found.id, layer=-1)
        hidden, own = (resolve(one, tower, None) for one in (at_a_layer, spec))
        return cls(found, model, preparation, len(states) - 1, hidden, own)

    def spread(self, number: int) -> list[int]:
        """Return so many hidden layers, evenly from the first block's to the last, and the output."""
        wanted = np.linspace(1, self.last, min(number, self.last)).round().astype(int)
        return [*dict.fromkeys(wanted.tolist()), self.last + 1]

    def embeddings(
        self,
        images: RawImages,
        layers: Sequence[int],
        keep: Path | None = None,
        on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> dict[int, Vectors]:
        """Return (n, d) embeddings by layer: those of `models.encoders`, but all from one pass.

        Args:
            images: n of them.
            layers: by number.
            keep: a folder where they are kept, for other runs on the same images and model.
            on_progress: called with images done and images in all.
        """
        files = {} if keep is None else self._files(keep, images, layers)
        found = {n: np.load(path) for n, path in files.items() if path.is_file()}
        missing = [n for n in layers if n not in found]
        if missing:
            made = self._one_pass(images, missing, on_progress)
            for n in set(files) & set(made):
                files[n].parent.mkdir(parents=True, exist_ok=True)
                np.save(files[n], made[n])
            found |= made
        return {n: found[n] for n in layers}

    def _files(self, keep: Path, images: RawImages, layers: Sequence[int]) -> dict[int, Path]:
        whole = hashlib.sha256(self.found.revision.encode())
        for row in range(len(images)):
            whole.update(hashlib.sha256(images.item(row)).digest())
        stem = f"{self.found.id.replace('/', '--')}-{whole.hexdigest()[:16]}"
        return {n: keep / f"{stem}-{'own' if n > self.last else n}.npy" for n in layers}

    @torch.inference_mode()
    def _one_pass(
        self, images: RawImages, layers: Sequence[int], on_progress: Callable[[int, int], None]
    ) -> dict[int, Vectors]:
        parts: dict[int, list[Vectors]] = {n: [] for n in layers}
        size = self.preparation.rows_on_cpu
        for start in range(0, len(images), size):
            rows = range(start, min(start + size, len(images)))
            items = [self.preparation.item(images.item(row), decode_image) for row in rows]
            batch, *others = self.preparation.batches(items)
            if others:
                raise SystemExit(f"{self.found.id} takes images of unlike shapes: not all at once")
            batch = batch.to(torch.device("cpu"))
            output = self.model(**batch.inputs, output_hidden_states=True)
            for n in layers:
                if n > self.last:
                    pooled = pooled_output(output, batch.mask, self.own)
                else:
                    pooled = pooled_states(output.hidden_states[n], batch.mask, self.hidden)
                if pooled is None:
                    raise SystemExit(f"layer {n} does not give one vector a token or place")
                parts[n].append(pooled.float().numpy())
            on_progress(rows.stop, len(images))
        return {n: np.concatenate(part) for n, part in parts.items()}
