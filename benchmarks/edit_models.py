"""Pipelines of random weights, to measure the speed of editing with: as fast as trained ones."""

import json
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

TOKENS = 77


def full(folder: Path) -> Path:
    """Save a pipeline of the size of Stable Diffusion 1.5, 512 px, in float16; return its folder."""
    torch.manual_seed(0)
    text = transformers.CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
        num_attention_heads=12, max_position_embeddings=TOKENS, bos_token_id=0, eos_token_id=1,
        pad_token_id=1,
    )  # fmt: skip
    four = 4
    pipeline = diffusers.StableDiffusionPipeline(
        vae=diffusers.AutoencoderKL(
            block_out_channels=(128, 256, 512, 512), layers_per_block=2, sample_size=512,
            down_block_types=("DownEncoderBlock2D",) * four,
            up_block_types=("UpDecoderBlock2D",) * four,
        ),
        unet=diffusers.UNet2DConditionModel(
            sample_size=64, cross_attention_dim=768, attention_head_dim=8
        ),
        text_encoder=transformers.CLIPTextModel(text),
        tokenizer=_letters(),
        scheduler=diffusers.PNDMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
            skip_prk_steps=True,
        ),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.to(dtype=torch.float16).save_pretrained(folder)
    return folder


def consistency(folder: Path, into: Path) -> Path:
    """Save a consistency model of another pipeline's parts, its denoiser of random weights; return `into`."""
    torch.manual_seed(0)
    given: Any = diffusers.StableDiffusionPipeline.from_pretrained(
        folder, safety_checker=None, requires_safety_checker=False, dtype=torch.float16
    )
    config = dict(given.unet.config) | {"time_cond_proj_dim": 256}
    diffusers.LatentConsistencyModelPipeline(
        vae=given.vae, text_encoder=given.text_encoder, tokenizer=given.tokenizer,
        unet=diffusers.UNet2DConditionModel.from_config(config).to(torch.float16),
        scheduler=diffusers.LCMScheduler.from_config(given.scheduler.config),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(into)  # fmt: skip
    return into


def side(folder: Path) -> int:
    """Return the side, in pixels, that a pipeline's denoiser was made for."""
    unet, vae = (
        json.loads((folder / part / "config.json").read_text(encoding="utf-8"))
        for part in ("unet", "vae")
    )
    factor: int = 2 ** (len(vae["block_out_channels"]) - 1)
    return int(unet["sample_size"]) * factor


def _letters() -> Any:
    """Return a tokenizer of single letters: prompts are padded to one length whatever they say."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{one}</w>" for one in letters)]
    return transformers.CLIPTokenizer(
        vocab={word: number for number, word in enumerate(words)},
        merges=[],
        model_max_length=TOKENS,
    )
