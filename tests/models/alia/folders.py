"""Folders in the layouts of transformers and diffusers, with settings that are real and weights that are not."""

import json
from pathlib import Path

PARTS = {
    "unet": ("diffusers", "UNet2DConditionModel"),
    "vae": ("diffusers", "AutoencoderKL"),
    "text_encoder": ("transformers", "CLIPTextModel"),
    "tokenizer": ("transformers", "CLIPTokenizer"),
    "scheduler": ("diffusers", "PNDMScheduler"),
}


def model(folder: Path, family: str, *architectures: str) -> Path:
    """Write a model of transformers."""
    folder.mkdir(parents=True)
    config = {"model_type": family, "architectures": list(architectures)}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights of " + family.encode())
    return folder


def pipeline(folder: Path, pipeline_class: str) -> Path:
    """Write a pipeline of diffusers, whose safety checker is in its index and not in its folder."""
    folder.mkdir(parents=True)
    index = {"_class_name": pipeline_class, "image_encoder": [None, None], **PARTS}
    index["safety_checker"] = ("stable_diffusion", "StableDiffusionSafetyChecker")
    (folder / "model_index.json").write_text(json.dumps(index))
    for part, (library, _) in PARTS.items():
        (folder / part).mkdir()
        if part == "scheduler":
            (folder / part / "scheduler_config.json").write_text("{}")
        elif part == "tokenizer":
            (folder / part / "vocab.json").write_text("{}")
        else:
            stem = "diffusion_pytorch_model" if library == "diffusers" else "model"
            (folder / part / "config.json").write_text("{}")
            (folder / part / f"{stem}.safetensors").write_bytes(b"weights of " + part.encode())
    return folder
