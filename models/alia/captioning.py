"""Captions of images by a model from a local folder: BLIP, or Florence-2."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from PIL.Image import fromarray
from torch import Tensor
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    BlipForConditionalGeneration,
    Florence2ForConditionalGeneration,
)

from models.alia.folders import load_part, load_weights, of_another_kind, read_config
from models.alia.spec import CaptionSpec
from models.errors import InputProblem, Interrupted

Image = npt.NDArray[np.uint8]

MADE_UP = re.compile(r"\baraf+e?d?\b\s*", re.IGNORECASE)
"""A word that does not exist, with which BLIP-large begins many captions."""

SHORTEST_CAPTION = 4
"""Tokens that a prefix must leave."""

FLORENCE_QUESTION = "What does the image describe?"
"""What the task `<CAPTION>` of Florence-2 is spelt out as."""


class Family(Protocol):
    """How one kind of captioner is fed and read."""

    def tokens(self, pixels: Tensor) -> Tensor:
        """Return the tokens written about images that are prepared, float (n, 3, h, w)."""


class Captioner:
    """A loaded captioner.

    Attributes:
        kind: the model's type, as its config has it.
    """

    def __init__(
        self, model: Any, processor: Any, tokenizer: Any, family: Family, spec: CaptionSpec
    ) -> None:
        self.kind: str = model.config.model_type
        self._model = model
        self._processor = processor
        self._tokenizer = tokenizer
        self._family = family
        self._spec = spec

    @torch.inference_mode()
    def caption(
        self,
        images: Sequence[Image],
        on_progress: Callable[[int, int], None],
        should_stop: Callable[[], bool],
    ) -> list[str]:
        """Return one caption an image, the likeliest word each time, in batches of the spec's size.

        Args:
            images: (h, w, 3) each, of any sizes.
            on_progress: called with images done and images in all.
            should_stop: asked before every batch.

        Raises:
            Interrupted: ``should_stop`` said so.
        """
        captions: list[str] = []
        for start in range(0, len(images), self._spec.batch_size):
            if should_stop():
                raise Interrupted
            batch = images[start : start + self._spec.batch_size]
            # As pictures: of an array of 3 rows a processor cannot tell rows from channels.
            pictures = [fromarray(image) for image in batch]
            pixels = self._processor(images=pictures, return_tensors="pt")["pixel_values"]
            written = self._family.tokens(pixels.to(self._model.device, self._model.dtype))
            read = self._tokenizer.batch_decode(written, skip_special_tokens=True)
            captions += map(tidied, read)
            on_progress(len(captions), len(images))
        return captions


def tidied(caption: str) -> str:
    """Return a caption in single spaces, without the word that BLIP-large made up."""
    return " ".join(MADE_UP.sub("", caption).split())


class _Blip:
    """BLIP goes on from the prefix's tokens, in its text decoder."""

    def __init__(self, model: Any, tokenizer: Any, spec: CaptionSpec) -> None:
        # Its own first token takes the place of the tokenizer's, and the last, an end, is cut off.
        self._prompt: Tensor = tokenizer(spec.prefix, return_tensors="pt")["input_ids"]
        self._model = model
        room = model.config.text_config.max_position_embeddings - self._prompt.shape[1] + 1
        self._max_tokens = min(spec.max_tokens, room)
        if room < SHORTEST_CAPTION:
            raise InputProblem(
                "prompt_too_long",
                f"The prefix of captions leaves {max(0, room)} tokens of those that the captioner writes, "
                f"expected {SHORTEST_CAPTION} at least.",
                "captions.prefix",
            )

    def tokens(self, pixels: Tensor) -> Tensor:
        prompt = self._prompt.repeat(len(pixels), 1).to(pixels.device)
        written: Tensor = self._model.generate(
            pixel_values=pixels,
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=self._max_tokens,
            do_sample=False,
            num_beams=1,
        )
        return written


class _Florence:
    """Florence-2 answers a task's question, which stands behind as many places as an image has features."""

    def __init__(self, model: Any, tokenizer: Any, spec: CaptionSpec) -> None:
        if spec.prefix:
            raise InputProblem(
                "no_caption_prefix",
                "Florence-2 answers a question and cannot go on from given words; leave `captions.prefix` "
                "empty, or take a BLIP model.",
                "captions.prefix",
            )
        question = f"{tokenizer.bos_token}{FLORENCE_QUESTION}{tokenizer.eos_token}"
        self._question: list[int] = tokenizer(question, add_special_tokens=False)["input_ids"]
        self._model = model
        self._max_tokens = spec.max_tokens
        self._places = 0

    def tokens(self, pixels: Tensor) -> Tensor:
        if not self._places:  # the same for all: the processor makes images of one size
            self._places = self._model.get_image_features(pixels[:1]).pooler_output.shape[1]
        prompt = [self._model.config.image_token_id] * self._places + self._question
        inputs = torch.tensor([prompt], device=pixels.device).repeat(len(pixels), 1)
        written: Tensor = self._model.generate(
            pixel_values=pixels,
            input_ids=inputs,
            attention_mask=torch.ones_like(inputs),
            max_new_tokens=self._max_tokens,
            do_sample=False,
            num_beams=1,
        )
        return written


def load_captioner(
    folder: Path, name: str, param: str, spec: CaptionSpec, device: str
) -> Captioner:
    """Load a captioner, of the kind that its config says.

    Args:
        folder: config, tokenizer, image processor, and weights as safetensors.
        name: of the model, in messages.
        param: the field that names it.
        spec: prefix, length and batch size of captions.
        device: where it computes.

    Raises:
        InputProblem: ``model_of_another_kind``, ``model_incomplete``, ``no_caption_prefix`` or
            ``prompt_too_long``.
    """
    config = read_config(folder, name, param)
    if config.model_type not in KINDS:
        raise of_another_kind(
            name, f"of type {config.model_type!r}", f"a captioner: {' or '.join(KINDS)}", param
        )
    model_class, family = KINDS[config.model_type]
    processor = load_part(AutoImageProcessor, folder, name, param, backend="pil")
    tokenizer = load_part(AutoTokenizer, folder, name, param)
    model = load_weights(model_class, config, folder, name, param, device)
    return Captioner(model, processor, tokenizer, family(model, tokenizer, spec), spec)


KINDS: dict[str, tuple[Any, Callable[[Any, Any, CaptionSpec], Family]]] = {
    "blip": (BlipForConditionalGeneration, _Blip),
    "florence2": (Florence2ForConditionalGeneration, _Florence),
}
"""Captioners by the type that their config has."""
