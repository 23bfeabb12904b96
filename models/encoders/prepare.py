"""From an item's bytes to what a tower is fed: one item at a time, then a batch of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from PIL.Image import Image
from torch import Tensor, nn
from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer

from models.encoders.catalogue import Found
from models.encoders.family import Tower
from models.encoders.loading import OFFLINE
from models.encoders.spec import EncoderSpec
from models.errors import InputProblem, first_line

Item = Mapping[str, npt.NDArray[Any]]
Samples = npt.NDArray[np.float32]
DecodeImage = Callable[[bytes], Image]
DecodeAudio = Callable[[bytes, int], tuple[Samples, int]]
Decode = DecodeImage | DecodeAudio | None
"""Of images, of recordings (bytes, and the rate that is wanted); None for texts, which are UTF-8."""

SHORTEST_SECONDS = 0.1
"""Shorter recordings are filled up with silence: a convolution over 25 ms needs something to read."""


FEW = 4
"""Images or recordings that a CPU takes at once. The activations of 32 pictures are fetched from the
system anew for every layer (malloc maps what is large), which halves the rate of a MobileNetV2."""


class Batch(NamedTuple):
    """Rows that go through the model together.

    Attributes:
        rows: their places among the items that were given.
        inputs: keyword arguments of the model.
        mask: (rows, tokens) true where a token is not padding; None: there is no padding.
    """

    rows: list[int]
    inputs: dict[str, Tensor]
    mask: Tensor | None

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device, pictures with the channels of a pixel side by side."""
        inputs = {
            name: tensor.to(device, memory_format=torch.channels_last)
            if tensor.ndim == 4
            else tensor.to(device)
            for name, tensor in self.inputs.items()
        }
        return Batch(self.rows, inputs, None if self.mask is None else self.mask.to(device))


class Preparation(Protocol):
    """How items of one modality become batches."""

    threads_help: bool
    """Whether several threads may prepare items at once."""

    rows_on_cpu: int
    """Rows of a batch that a CPU takes at once."""

    @property
    def limits(self) -> dict[str, float]:
        """What the spec limits an item to, for the fingerprint."""

    def blank(self) -> Item:
        """Return an item of no content, to try the model with."""

    def item(self, data: bytes, decode: Any) -> Item:
        """Return one item's arrays, without a batch axis."""

    def batches(self, items: Sequence[Item]) -> list[Batch]:
        """Return the items in batches that together hold each once."""


class ImagePreparation:
    """Resizing, cropping and normalising by the model's own processor, without torchvision."""

    threads_help = True
    rows_on_cpu = FEW

    def __init__(self, found: Found) -> None:
        self._processor = AutoImageProcessor.from_pretrained(found.path, backend="pil", **OFFLINE)

    @property
    def limits(self) -> dict[str, float]:
        return {}

    def blank(self) -> Item:
        return self._arrays(np.zeros((64, 64, 3), dtype=np.uint8))

    def item(self, data: bytes, decode: Any) -> Item:
        return self._arrays(decode(data))

    def _arrays(self, image: Any) -> Item:
        return _first(self._processor(images=image, return_tensors="np"))

    def batches(self, items: Sequence[Item]) -> list[Batch]:
        return _by_shape(items)


class AudioPreparation:
    """Log-mel frames or normalised samples, by the model's own feature extractor.

    A model whose convolutions are normalised over time (`feat_extract_norm` "group") reads padding as
    part of a recording, mask or not: recordings of different lengths go through it one by one.
    """

    threads_help = True
    rows_on_cpu = FEW

    def __init__(self, found: Found, model: nn.Module, spec: EncoderSpec) -> None:
        self._extractor = AutoFeatureExtractor.from_pretrained(found.path, **OFFLINE)
        self._rate = int(self._extractor.sampling_rate)
        self._seconds = spec.max_seconds
        self._model: Any = model
        self._pads = getattr(self._model.config, "feat_extract_norm", None) == "layer"

    @property
    def limits(self) -> dict[str, float]:
        return {"max_seconds": self._seconds}

    def blank(self) -> Item:
        return self._arrays(np.zeros(self._rate, dtype=np.float32))

    def item(self, data: bytes, decode: Any) -> Item:
        samples, rate = decode(data, self._rate)
        if rate != self._rate:
            raise ValueError(f"decoded at {rate} Hz, the model reads {self._rate} Hz")
        return self._arrays(samples)

    def _arrays(self, samples: Samples) -> Item:
        samples = samples[: max(1, round(self._seconds * self._rate))]
        short = round(SHORTEST_SECONDS * self._rate) - len(samples)
        if short > 0:
            samples = np.pad(samples, (0, short))
        return _first(
            self._extractor(
                samples, sampling_rate=self._rate, return_attention_mask=True, return_tensors="np"
            )
        )

    def batches(self, items: Sequence[Item]) -> list[Batch]:
        if "input_features" in items[0]:
            return [self._frames(batch) for batch in _by_shape(items)]
        plain = [{"input_values": item["input_values"]} for item in items]
        if self._pads:
            return [self._padded(plain)]
        return [self._whole(batch) for batch in _by_shape(plain)]

    def _frames(self, batch: Batch) -> Batch:
        """Return frames of full length; the second convolution halves them, and so the mask."""
        frames = batch.inputs.pop("attention_mask", None)
        return batch if frames is None else batch._replace(mask=frames[:, ::2].bool())

    def _whole(self, batch: Batch) -> Batch:
        """Return recordings of one length; the mask tells how many tokens a layer should give."""
        tokens = getattr(self._model, "_get_feat_extract_output_lengths", None)
        if tokens is None:
            return batch
        rows, samples = batch.inputs["input_values"].shape
        return batch._replace(mask=_until(tokens(torch.full((rows,), samples))))

    def _padded(self, items: Sequence[Item]) -> Batch:
        lengths = torch.tensor([len(item["input_values"]) for item in items])
        values = torch.zeros(len(items), int(lengths.max()))
        for row, item in zip(values, items, strict=True):
            row[: len(item["input_values"])] = torch.from_numpy(item["input_values"])
        tokens = self._model._get_feat_extract_output_lengths(lengths)
        return Batch(
            list(range(len(items))),
            {"input_values": values, "attention_mask": _until(lengths).long()},
            _until(tokens),
        )


class TextPreparation:
    """Token numbers by the model's own tokenizer, cut to what the model can read."""

    threads_help = False  # a tokenizer is changed by each call
    rows_on_cpu = 64

    def __init__(self, found: Found, tower: Tower, model: nn.Module, spec: EncoderSpec) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(found.path, **OFFLINE)
        config: Any = model.config
        # A tokenizer that does not say how much its model reads, says 10³⁰.
        most = min(self._tokenizer.model_max_length, config.max_position_embeddings)
        self._fills_up = tower.fills_up
        self._tokens = most if tower.fills_up else min(spec.max_tokens, most)

    @property
    def limits(self) -> dict[str, float]:
        return {"max_tokens": self._tokens}

    def blank(self) -> Item:
        return self.item(b"a", None)

    def item(self, data: bytes, decode: Any) -> Item:
        text = data.decode("utf-8") if decode is None else decode(data)
        return {
            name: np.asarray(values)
            for name, values in self._tokenizer(
                text, truncation=True, max_length=self._tokens, return_attention_mask=True
            ).items()
        }

    def batches(self, items: Sequence[Item]) -> list[Batch]:
        tokens = self._tokenizer.pad(
            {name: [item[name].tolist() for item in items] for name in items[0]},
            padding="max_length" if self._fills_up else True,
            max_length=self._tokens if self._fills_up else None,
            return_tensors="pt",
        )
        inputs: dict[str, Tensor] = dict(tokens)
        mask = inputs["attention_mask"].bool()
        if self._fills_up:  # such a model was trained to read its padding
            del inputs["attention_mask"]
        return [Batch(list(range(len(items))), inputs, mask)]


def preparation_for(
    found: Found, tower: Tower, model: nn.Module, spec: EncoderSpec, param: str
) -> Preparation:
    """Return how items for ``tower`` are prepared, from the files of the model's folder.

    Raises:
        InputProblem: ``model_incomplete``: the folder lacks them.
    """
    try:
        if tower.modality == "image":
            return ImagePreparation(found)
        if tower.modality == "audio":
            return AudioPreparation(found, model, spec)
        return TextPreparation(found, tower, model, spec)
    except (OSError, ValueError, ImportError) as error:
        raise InputProblem(
            "model_incomplete",
            f"The model {found.id!r} does not say how {tower.modality} is prepared for it: "
            f"{first_line(error)}",
            param,
        ) from error


def _first(arrays: Mapping[str, npt.NDArray[Any]]) -> Item:
    return {name: np.asarray(array)[0] for name, array in arrays.items()}


def _by_shape(items: Sequence[Item]) -> list[Batch]:
    """Return a batch for each shape that occurs: what differs in length is not padded."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row, item in enumerate(items):
        groups.setdefault(tuple(array.shape for array in item.values()), []).append(row)
    return [
        Batch(
            rows,
            {
                name: torch.from_numpy(np.stack([items[row][name] for row in rows]))
                for name in items[0]
            },
            None,
        )
        for rows in groups.values()
    ]


def _until(lengths: Tensor) -> Tensor:
    """Return (n, longest) booleans, true in the first ``lengths`` places of each row."""
    return torch.arange(int(lengths.max()))[None] < lengths[:, None]
