"""What an image-text model sees: whether an edit still shows the subject, and which domain an image is of.

Source: Radford et al. 2021 (CLIP), for the probabilities; Dunlap et al. 2023, section 3.3, for the filter.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer
from transformers.utils import logging

from models.alia.descriptions import fill
from models.alia.spec import SemanticSpec
from models.encoders.loading import OFFLINE
from models.errors import InputProblem, Interrupted, first_line

Image = npt.NDArray[np.uint8]
"""uint8 (h, w, 3)."""

PADDING: dict[str, bool | str] = {"clip": True, "siglip": "max_length"}
"""Families that are known here, and how their texts are filled up: SigLIP learnt from full length only."""

LONGEST = 8
"""Of an image's sides, as a multiple of the other; of longer ones the middle is looked at."""

BATCH = 32
"""Images, or texts, through the model at once."""


class Prompts(NamedTuple):
    """What an edit may be taken for."""

    positives: tuple[str, ...]
    negatives: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Positives and after them negatives, as `ImageText.probabilities` is to be asked."""
        return self.positives + self.negatives

    def margin(self, probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return float32 (n,), by how much the likeliest positive is likelier than the likeliest negative.

        Above 0 the edit shows the subject; in a tie it is exactly 0. Without negatives all is above 0.

        Args:
            probabilities: (n, p) of `all`.
        """
        cut = len(self.positives)
        positive = probabilities[:, :cut].max(axis=1)
        negative = probabilities[:, cut:].max(axis=1, initial=0)
        return np.asarray(positive - negative, dtype=np.float32)


def prompts(
    spec: SemanticSpec, subject: str | None, prefix: str, classes: Sequence[str]
) -> Prompts:
    """Return the prompts of the semantic filter.

    Args:
        spec: its negatives.
        subject: what the classes are kinds of: the one positive prompt; None: one a class.
        prefix: their form, with `{}` where subject or class goes.
        classes: names of the classes.
    """
    named = [subject] if subject is not None else classes
    # A negative that is also a positive could never lose to it.
    positives = tuple(dict.fromkeys(fill(prefix, name).strip() for name in named))
    negatives = tuple(text for text in spec.negatives if text not in positives)
    return Prompts(positives, tuple(dict.fromkeys(negatives)))


@dataclass
class ImageText:
    """An image-text model in evaluation mode, in float32 on any device: decisions should not depend on it.

    Attributes:
        name: what it is called in messages.
        scale: by which cosines are multiplied before the softmax; the model's own.
    """

    name: str
    device: torch.device
    scale: float
    _model: Any = field(repr=False)
    _tokenizer: Any = field(repr=False)
    _processor: Any = field(repr=False)
    _texts: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def probabilities(
        self,
        images: Sequence[Image],
        prompts: Sequence[str],
        on_progress: Callable[[int, int], None] = lambda _done, _total: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> npt.NDArray[np.float32]:
        """Return float32 (n, p): each image's softmax over the prompts of scale times cosine.

        A prompt's embedding is computed once, as long as the model is loaded.

        Args:
            images: uint8 (h, w, 3), of any sizes; the model's own processor resizes and crops.
            prompts: texts; longer ones than the model reads are cut.
            on_progress: called with images done and images in all after each batch.
            should_stop: asked before each batch.

        Raises:
            Interrupted: ``should_stop`` said so.
        """
        found = np.empty((len(images), len(prompts)), dtype=np.float32)
        texts = self._embedded(prompts)
        for start in range(0, len(images), BATCH):
            if should_stop():
                raise Interrupted(f"stopped before image {start + 1} of {len(images)}")
            seen = self._seen(images[start : start + BATCH])
            said = self.scale * functional.linear(seen, texts)
            found[start : start + len(seen)] = said.softmax(dim=1).cpu().numpy()
            on_progress(start + len(seen), len(images))
        return found

    def _embedded(self, prompts: Sequence[str]) -> Tensor:
        """Return float32 (p, dim) unit vectors of texts."""
        new = [text for text in dict.fromkeys(prompts) if text not in self._texts]
        for start in range(0, len(new), BATCH):
            part = new[start : start + BATCH]
            tokens = self._tokenizer(
                part,
                padding=PADDING[self._model.config.model_type],
                truncation=True,
                max_length=self._model.config.text_config.max_position_embeddings,
                return_tensors="pt",
            ).to(self.device)
            with torch.inference_mode():
                vectors = _unit(self._model.get_text_features(**tokens))
            self._texts.update(zip(part, vectors, strict=True))
        return torch.stack([self._texts[text] for text in prompts])

    @torch.inference_mode()
    def _seen(self, images: Sequence[Image]) -> Tensor:
        """Return float32 (n, dim) unit vectors of images."""
        # Channels last must be said: an image of three rows would be taken for one of three channels.
        pixels = self._processor(
            images=[_middle(image) for image in images],
            input_data_format="channels_last",
            return_tensors="pt",
        )["pixel_values"]
        return _unit(self._model.get_image_features(pixel_values=pixels.to(self.device)))


def load_image_text(folder: Path, name: str, param: str, device: str = "cpu") -> ImageText:
    """Load an image-text model from a folder of transformers.

    Args:
        folder: config, safetensors, tokenizer and image processor.
        name: what it is called in messages.
        param: the field that names it.
        device: of torch.

    Raises:
        InputProblem: ``model_of_another_kind``: neither CLIP nor SigLIP; ``model_incomplete``: the folder
            cannot be loaded or lacks weights.
    """
    logging.disable_progress_bar()  # a bar for a hundred tensors, on the service's standard error
    logging.set_verbosity_error()  # what is missing is told below
    try:
        config = AutoConfig.from_pretrained(folder, **OFFLINE)
        if config.model_type not in PADDING:
            raise _another_kind(name, config.model_type, param)
        model, told = AutoModel.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            **OFFLINE,
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, **OFFLINE)
        processor = AutoImageProcessor.from_pretrained(folder, backend="pil", **OFFLINE)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise _incomplete(name, first_line(error), param) from error
    if missing := sorted(told["missing_keys"]):
        raise _incomplete(
            name, f"there are no weights {missing[0]!r}, and {len(missing) - 1} more lack", param
        )
    model = model.eval().requires_grad_(requires_grad=False).to(device)
    scale = float(model.logit_scale.exp())
    return ImageText(name, torch.device(device), scale, model, tokenizer, processor)


def shown(
    model: ImageText,
    images: Sequence[Image],
    labels: npt.NDArray[np.integer[Any]],
    classes: Sequence[str],
    descriptions: Sequence[str],
    subject: str | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> npt.NDArray[np.int64]:
    """Return int64 (n,): the number of the description that each image is likeliest of.

    Args:
        model: the image-text model.
        images: uint8 (h, w, 3), of any sizes.
        labels: (n,) their classes.
        classes: K names.
        descriptions: with `{}` where the subject goes, or without a subject each image's own class.
        subject: what the classes are kinds of.
        on_progress: called with images done and images in all.
        should_stop: asked before each batch.

    Raises:
        Interrupted: ``should_stop`` said so.
    """
    found, done = np.zeros(len(images), dtype=np.int64), 0
    alike = np.zeros(len(images), dtype=np.int64) if subject is not None else np.asarray(labels)

    def progress(part: int, _of: int) -> None:
        on_progress(done + part, len(images))

    for label in np.unique(alike).tolist():
        rows = np.flatnonzero(alike == label).tolist()
        texts = [fill(text, subject or classes[label]) for text in descriptions]
        mine = [images[row] for row in rows]
        found[rows] = model.probabilities(mine, texts, progress, should_stop).argmax(axis=1)
        done += len(rows)
    return found


def _middle(image: Image) -> Image:
    """Return an image, of a very long one its middle: no more is read of it.

    Processors bring the shorter side to the size that the model reads, then cut the middle out: a strip of
    1 x 9,000 pixels would be 224 x 2,016,000 in between.
    """
    for axis, (long, short) in enumerate((image.shape[:2], image.shape[1::-1])):
        if long > LONGEST * short:
            start = (long - LONGEST * short) // 2
            image = image.take(range(start, start + LONGEST * short), axis=axis)
    return image


def _unit(output: Any) -> Tensor:
    # transformers 5 wraps the projected vectors; before that they came as they are.
    vectors: Tensor = getattr(output, "pooler_output", output)
    return functional.normalize(vectors, dim=-1)


def _another_kind(name: str, found: str, param: str) -> InputProblem:
    return InputProblem(
        "model_of_another_kind",
        f"The model {name!r} is of the kind {found!r}; an image-text model is needed: "
        f"{' or '.join(PADDING)}.",
        param,
    )


def _incomplete(name: str, why: str, param: str) -> InputProblem:
    return InputProblem(
        "model_incomplete", f"The model {name!r} cannot be loaded from its folder: {why}", param
    )
