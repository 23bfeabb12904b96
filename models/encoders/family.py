"""What each family of foundation models is: what it reads, which part of it, pooled how."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from models.encoders.allowed import Modality

Resolved = Literal["pooler", "projection", "cls", "mean", "mean_unit"]
"""A pooling as it is carried out; `mean_unit`: the mean over tokens, brought to length 1."""


@dataclass(frozen=True, slots=True)
class Tower:
    """The part of a family's models that reads one modality.

    Attributes:
        auto: pooling of the model's own output where a spec leaves it open.
        has_cls: whether the first token stands for the whole.
        model_class: the class in transformers; None: what `AutoModel` takes.
        config: the part of config.json that describes this tower; None: all of it.
        rename: of weights, by regular expression, where the part is saved inside a larger model.
        fills_up: whether the family pads all its texts to full length and knows no mask.
    """

    modality: Modality
    auto: Resolved
    has_cls: bool = True
    model_class: str | None = None
    config: str | None = None
    rename: tuple[tuple[str, str], ...] = ()
    fills_up: bool = False


_WHISPER = Tower("audio", "mean", False, "WhisperEncoder", rename=((r"^(model\.)?encoder\.", ""),))
_WAVEFORM = Tower("audio", "mean", has_cls=False)
_SIGLIP = (
    Tower("image", "pooler", False, "SiglipVisionModel", "vision_config"),
    Tower("text", "pooler", False, "SiglipTextModel", "text_config", fills_up=True),
)

FAMILIES: Mapping[str, tuple[Tower, ...]] = {
    "clip": (
        Tower("image", "projection", True, "CLIPVisionModelWithProjection", "vision_config"),
        Tower("text", "projection", False, "CLIPTextModelWithProjection", "text_config"),
    ),
    "siglip": _SIGLIP,
    "dinov2": (Tower("image", "cls"),),
    "dinov2_with_registers": (Tower("image", "cls"),),
    "vit": (Tower("image", "cls"),),
    "deit": (Tower("image", "cls"),),
    "mobilenet_v2": (Tower("image", "pooler", has_cls=False),),
    "whisper": (_WHISPER,),
    "wav2vec2": (_WAVEFORM,),
    "hubert": (_WAVEFORM,),
    "wavlm": (_WAVEFORM,),
    "audio-spectrogram-transformer": (Tower("audio", "pooler"),),
    **dict.fromkeys(
        ("bert", "distilbert", "mpnet", "roberta", "xlm-roberta"), (Tower("text", "mean_unit"),)
    ),
}
"""By `model_type` of config.json, the tower a model is for first. Others go by `unlisted`."""


def unlisted(preprocessor: Mapping[str, Any] | None, has_tokenizer: bool) -> tuple[Tower, ...]:
    """Return how a model of a family that is not listed is read, by what prepares its input.

    Empty where nothing tells: such a folder is no encoder.
    """
    if preprocessor is not None and "image_processor_type" in preprocessor:
        return (Tower("image", "pooler", has_cls=False),)
    if preprocessor is not None and "sampling_rate" in preprocessor:
        return (_WAVEFORM,)
    return (Tower("text", "mean_unit"),) if has_tokenizer else ()
