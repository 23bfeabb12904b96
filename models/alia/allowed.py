"""Models of the hub that ALIA may use: captioners, language models, image-text models, editors."""

from dataclasses import dataclass
from typing import Literal

from models.alia.spec import EditorName

Role = Literal["captioner", "language", "image_text", "editor"]

OPEN_RAIL_M = "CreativeML OpenRAIL-M"
"""Not an open-source licence: it forbids uses that its attachment names, and passes that on."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """A model of the hub.

    Attributes:
        role: what ALIA uses it for.
        licence: as its page states it; an SPDX identifier where it has one.
        megabytes: about how much is fetched.
        memory_megabytes: about how much memory of a GPU its weights and a usual batch take: in bfloat16, but
            image-text models in float32, as `semantic.load_image_text` has them.
        editors: of an editor, those that it can be the weights of.
        revision: the commit to take; None: what `main` is when it is pulled, which is then kept.
    """

    id: str
    role: Role
    licence: str
    megabytes: int
    memory_megabytes: int
    editors: tuple[EditorName, ...] = ()
    revision: str | None = None


ALLOWED = {
    one.id: one
    for one in (
        Allowed("Salesforce/blip-image-captioning-large", "captioner", "BSD-3-Clause", 1880, 2000),
        Allowed("Salesforce/blip-image-captioning-base", "captioner", "BSD-3-Clause", 990, 1300),
        Allowed("florence-community/Florence-2-base", "captioner", "MIT", 470, 1500),
        Allowed("florence-community/Florence-2-large", "captioner", "MIT", 1550, 3000),
        Allowed("Qwen/Qwen3-4B-Instruct-2507", "language", "Apache-2.0", 8060, 10_000),
        Allowed("Qwen/Qwen2.5-1.5B-Instruct", "language", "Apache-2.0", 3100, 4000),
        Allowed("Qwen/Qwen2.5-0.5B-Instruct", "language", "Apache-2.0", 1000, 1600),
        Allowed("openai/clip-vit-large-patch14", "image_text", "MIT", 1710, 2200),
        Allowed("openai/clip-vit-base-patch32", "image_text", "MIT", 605, 800),
        Allowed("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "image_text", "MIT", 605, 800),
        Allowed("google/siglip-base-patch16-224", "image_text", "Apache-2.0", 813, 1200),
        Allowed(
            "stable-diffusion-v1-5/stable-diffusion-v1-5",
            "editor",
            OPEN_RAIL_M,
            5490,
            6000,
            ("img2img", "txt2img"),
        ),
        Allowed("timbrooks/instruct-pix2pix", "editor", "MIT", 5490, 7000, ("instruct_pix2pix",)),
        Allowed("SimianLuo/LCM_Dreamshaper_v7", "editor", "MIT", 5490, 5000, ("lcm",)),
        Allowed(
            "black-forest-labs/FLUX.2-klein-4B",
            "editor",
            "Apache-2.0",
            16_000,
            20_000,
            ("flux2_klein",),
        ),
    )
}
"""By id. A folder in `CULTIVAR_MODELS` needs no entry here: its operator has put it there."""
