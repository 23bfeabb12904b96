"""A frozen encoder at work: items in, one vector each out."""

import hashlib
import json
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.cores import cores
from models.encoders.ahead import ahead
from models.encoders.allowed import Modality
from models.encoders.catalogue import Found
from models.encoders.family import Resolved, Tower
from models.encoders.layers import Place, find_place, states_at
from models.encoders.loading import Loaded, load, tower_for
from models.encoders.pooling import check, pooled_output, pooled_states, resolve, unavailable
from models.encoders.prepare import Batch, Decode, Item, Preparation, preparation_for
from models.encoders.sentences import sentence_pooling
from models.encoders.spec import EncoderSpec
from models.errors import InputProblem, Interrupted

Vectors = npt.NDArray[np.float32]

MOST_THREADS = 8
"""Threads that decode; more than the machine has cores only wait for each other."""

BATCHES_AHEAD = 2
"""Batches that are decoded while one is in the model."""


class Source(Protocol):
    """Items by row, as bytes; read from several threads at once."""

    def __len__(self) -> int: ...

    def item(self, row: int) -> bytes:
        """Return one item's bytes."""


def _no_progress(_done: int, _total: int) -> None: ...


def _never() -> bool:
    return False


@dataclass
class Encoder:
    """A tower, how its input is prepared, and where its vectors are taken.

    Attributes:
        dim: values of a vector.
        fingerprint: what decides the vectors and so may not differ within a dataset: id, revision
            (of the files), layer, pooling, and the digest of the preprocessing. Neither the size of
            a batch nor the device is in it.
        rows_at_once: rows of a batch that go through the model together; whoever is told that memory
            is short may lower it, which moves no cut between batches.
        waited: of the last `encode`, the share of time in which the model waited for data, 0 to 1.
    """

    found: Found
    spec: EncoderSpec
    device: torch.device
    pooling: Resolved
    dim: int
    fingerprint: dict[str, Any]
    rows_at_once: int
    waited: float = field(default=0.0, init=False)
    _loaded: Loaded = field(repr=False)
    _preparation: Preparation = field(repr=False)
    _place: Place | None = field(repr=False)

    @classmethod
    def load(
        cls,
        found: Found,
        spec: EncoderSpec,
        device: str = "cpu",
        *,
        modality: Modality | None = None,
        param: str = "encoder",
    ) -> Self:
        """Load a model at hand and try it on an item without content.

        Args:
            found: the model, by `catalogue.find`.
            spec: its layer and pooling.
            device: of torch.
            modality: what is to be read; None: what the model is for.
            param: the field that holds ``spec``, for errors.

        Raises:
            InputProblem: ``encoder_modality_mismatch``, ``model_incomplete``,
                ``unknown_encoder_layer`` or ``encoder_pooling_unavailable``.
        """
        name = f"{param}.model"
        tower = tower_for(found, modality, name)
        loaded = load(found, tower, name)
        preparation = preparation_for(found, tower, loaded.model, spec, name)
        stated = sentence_pooling(found.path) if tower.modality == "text" else None
        trial = _Trial(loaded, preparation, torch.device(device))
        place = trial.place(spec, f"{param}.layer")
        pooling = resolve(spec, tower, stated)
        pooling, dim = trial.pooling(pooling, place, spec, f"{param}.pooling")
        few = preparation.rows_on_cpu if trial.device.type == "cpu" else spec.batch_rows
        fingerprint = {
            **_fingerprint(found, tower, preparation),
            "layer": None if place is None else place.layer,
            "pooling": pooling,
        }
        at_once = min(few, spec.batch_rows)
        parts = loaded, preparation, place
        return cls(found, spec, trial.device, pooling, dim, fingerprint, at_once, *parts)

    def encode(
        self,
        source: Source,
        rows: Sequence[int] | npt.NDArray[np.integer[Any]],
        *,
        decode: Decode,
        on_progress: Callable[[int, int], None] = _no_progress,
        should_stop: Callable[[], bool] = _never,
    ) -> Vectors:
        """Return (len(rows), dim) float32 vectors of ``rows``, in their order.

        Batches are cut every `batch_rows` rows from the first: shards that begin at multiples of it
        give the bytes that one call for all rows gives.

        Args:
            source: where the items are.
            rows: which of them.
            decode: from bytes to an image, or with a rate to samples and theirs; None for texts.
            on_progress: called with rows done and rows in all after each batch.
            should_stop: asked before each batch.

        Raises:
            Interrupted: `should_stop` said so.
        """
        total, size = len(rows), self.spec.batch_rows
        vectors = np.empty((total, self.dim), dtype=np.float32)
        began, waited = time.perf_counter(), 0.0
        with closing(self._items(source, rows, decode)) as items:
            for start in range(0, total, size):
                if should_stop():
                    raise Interrupted
                asked = time.perf_counter()
                batch = list(islice(items, size))
                waited += time.perf_counter() - asked
                vectors[start : start + size] = self._vectors(batch)
                on_progress(min(start + size, total), total)
        self.waited = waited / max(time.perf_counter() - began, 1e-9)
        return vectors

    def _items(
        self, source: Source, rows: Sequence[int] | npt.NDArray[np.integer[Any]], decode: Decode
    ) -> Generator[Item, None, None]:
        def prepared(row: int) -> Item:
            return self._preparation.item(source.item(row), decode)

        threads = min(MOST_THREADS, cores()) if self._preparation.threads_help else 1
        most = BATCHES_AHEAD * self.spec.batch_rows + threads
        return ahead(prepared, map(int, rows), threads=threads, most=most)

    def _vectors(self, items: Sequence[Item]) -> Vectors:
        vectors = np.empty((len(items), self.dim), dtype=np.float32)
        size = self.rows_at_once
        for start in range(0, len(items), size):
            part = vectors[start : start + size]
            for batch in self._preparation.batches(items[start : start + size]):
                pooled = _run(self._loaded, batch, self._place, self.pooling, self.device)
                if pooled is None:
                    raise RuntimeError(f"{self.found.id} gave other axes than in its trial")
                part[batch.rows] = pooled.float().cpu().numpy()
        return vectors


@dataclass(frozen=True)
class _Trial:
    """One pass of an item without content: what layers there are, and how wide a vector is."""

    loaded: Loaded
    preparation: Preparation
    device: torch.device

    def __post_init__(self) -> None:
        self.loaded.model.to(self.device)

    def place(self, spec: EncoderSpec, param: str) -> Place | None:
        if spec.layer is None:
            return None
        batch = self._batch()
        with torch.inference_mode():
            return find_place(self.loaded.model, batch.inputs, spec.layer, param)

    def pooling(
        self, wanted: Resolved, place: Place | None, spec: EncoderSpec, param: str
    ) -> tuple[Resolved, int]:
        """Return the pooling, and the width of what it gives."""
        if wanted == "pooler" and spec.pooling == "auto" and not self._has_pooler():
            wanted = "mean"
        check(self.loaded, wanted, param)
        batch = self._batch()
        pooled = _run(self.loaded, batch, place, wanted, self.device)
        if pooled is not None:
            return wanted, pooled.shape[1]
        if place is None:
            raise unavailable(wanted, f"it is a {type(self.loaded.model).__name__}", param)
        raise InputProblem(
            "unknown_encoder_layer",
            f"The layer {spec.layer!r} does not give one vector a token or place.",
            param.replace("pooling", "layer"),
        )

    def _has_pooler(self) -> bool:
        batch = self._batch()
        pooled = _run(self.loaded, batch, None, "pooler", self.device)
        return self.loaded.has_pooler and pooled is not None

    def _batch(self) -> Batch:
        (batch,) = self.preparation.batches([self.preparation.blank()])
        return batch.to(self.device)


def _fingerprint(found: Found, tower: Tower, preparation: Preparation) -> dict[str, Any]:
    fed = {"files": found.preprocessing, **preparation.limits}
    return {
        "id": found.id,
        "revision": found.revision,
        "modality": tower.modality,
        "preprocessing": hashlib.sha256(json.dumps(fed, sort_keys=True).encode()).hexdigest(),
    }


def _run(
    loaded: Loaded, batch: Batch, place: Place | None, pooling: Resolved, device: torch.device
) -> Tensor | None:
    """Return a batch's pooled vectors, in bf16 inside where the device has it."""
    batch = batch.to(device)
    half = device.type == "cuda" and torch.cuda.is_bf16_supported()
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=half):
        if place is None:
            model = loaded.model if pooling == "projection" else loaded.trunk
            output = model(**batch.inputs)
            return pooled_output(output, batch.mask, pooling)
        states = states_at(loaded.model, batch.inputs, place)
        return None if states is None else pooled_states(states, batch.mask, pooling)
