"""Tiny diffusion pipelines from configs, with random weights, saved in the standard layout."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from tokenizers import pre_tokenizers

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())
TOKENS = 40
"""What the text encoder of the Stable Diffusion family reads of a prompt."""


def stable(folder: Path, *, factor: int = 4, checker: bool = False) -> Path:
    """Save a StableDiffusionPipeline whose VAE makes 1 / `factor` of a side; return its folder."""
    torch.manual_seed(0)
    parts = _parts(factor) | _no_checker()
    if checker:
        parts |= {
            "safety_checker": _checker(),
            "feature_extractor": transformers.CLIPImageProcessorPil(
                size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
            ),
            "requires_safety_checker": True,
        }
    scheduler = diffusers.PNDMScheduler(skip_prk_steps=True, steps_offset=1, **_betas())
    diffusers.StableDiffusionPipeline(**parts, scheduler=scheduler).save_pretrained(folder)
    return folder


def instruct(folder: Path) -> Path:
    """Save a StableDiffusionInstructPix2PixPipeline; return its folder."""
    torch.manual_seed(0)
    parts = _parts(8) | _no_checker() | {"unet": _unet(in_channels=8)}
    scheduler = diffusers.EulerAncestralDiscreteScheduler(**_betas())
    diffusers.StableDiffusionInstructPix2PixPipeline(**parts, scheduler=scheduler).save_pretrained(
        folder
    )
    return folder


def consistency(folder: Path) -> Path:
    """Save a LatentConsistencyModelPipeline; return its folder."""
    torch.manual_seed(0)
    parts = _parts(4) | _no_checker() | {"unet": _unet(time_cond_proj_dim=16)}
    scheduler = diffusers.LCMScheduler(**_betas())
    diffusers.LatentConsistencyModelPipeline(**parts, scheduler=scheduler).save_pretrained(folder)
    return folder


def flux(folder: Path, *, distilled: bool = True) -> Path:
    """Save a Flux2KleinPipeline; return its folder."""
    torch.manual_seed(0)
    transformer = diffusers.Flux2Transformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=3 * 16, timestep_guidance_channels=16,
        axes_dims_rope=(4, 4, 4, 4), guidance_embeds=False,
    )  # fmt: skip
    vae = diffusers.AutoencoderKLFlux2(
        block_out_channels=(16, 16), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, layers_per_block=1, latent_channels=4,
        norm_num_groups=8, sample_size=32,
    )  # fmt: skip
    # The pipeline reads the states of layers 9, 18 and 27.
    text = transformers.Qwen3Config(
        hidden_size=16, intermediate_size=16, num_hidden_layers=28, num_attention_heads=2,
        num_key_value_heads=2, head_dim=8, vocab_size=len(LETTERS) + 3,
    )  # fmt: skip
    diffusers.Flux2KleinPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae, text_encoder=transformers.Qwen3ForCausalLM(text), tokenizer=_qwen_tokenizer(),
        transformer=transformer, is_distilled=distilled,
    ).save_pretrained(folder)  # fmt: skip
    return folder


MAKERS: dict[str, Callable[[Path], Path]] = {
    "img2img": stable,
    "txt2img": stable,
    "instruct_pix2pix": instruct,
    "lcm": consistency,
    "flux2_klein": flux,
}


def _parts(factor: int) -> dict[str, Any]:
    widths = {4: (8, 16, 16), 8: (8, 16, 16, 16)}[factor]
    text = transformers.CLIPTextConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        vocab_size=2 * len(LETTERS) + 2, max_position_embeddings=TOKENS, bos_token_id=0,
        eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    return {
        "vae": diffusers.AutoencoderKL(
            block_out_channels=widths, down_block_types=("DownEncoderBlock2D",) * len(widths),
            up_block_types=("UpDecoderBlock2D",) * len(widths), norm_num_groups=8, sample_size=32,
            latent_channels=4,
        ),
        "unet": _unet(),
        "text_encoder": transformers.CLIPTextModel(text),
        "tokenizer": _clip_tokenizer(),
    }  # fmt: skip


def _unet(**more: Any) -> diffusers.UNet2DConditionModel:
    config: dict[str, Any] = {
        "in_channels": 4, "block_out_channels": (32, 64), "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"), "cross_attention_dim": 32,
        "attention_head_dim": 2, "norm_num_groups": 8, "sample_size": 8,
    }  # fmt: skip
    return diffusers.UNet2DConditionModel(**config | more)


def _betas() -> dict[str, Any]:
    return {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def _no_checker() -> dict[str, Any]:
    return {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}


def _checker() -> Any:
    """Return a safety checker that flags every image: its thresholds are below any cosine."""
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

    tower = {
        "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "image_size": 32, "patch_size": 16,
    }  # fmt: skip
    config = transformers.CLIPConfig(
        vision_config=tower, text_config={"hidden_size": 16}, projection_dim=16
    )
    checker = StableDiffusionSafetyChecker(config)
    checker.concept_embeds_weights.data.fill_(-2.0)
    return checker


def _clip_tokenizer() -> Any:
    words = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(f"{one}</w>" for one in LETTERS)]
    return transformers.CLIPTokenizer(
        vocab={word: number for number, word in enumerate(words)},
        merges=[],
        model_max_length=TOKENS,
    )


def _qwen_tokenizer() -> Any:
    words = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *LETTERS]
    tokenizer = transformers.Qwen2Tokenizer(
        vocab={word: number for number, word in enumerate(words)}, merges=[]
    )
    tokenizer.chat_template = CHAT
    return tokenizer
