"""Editors of the Stable Diffusion family: a UNet between a VAE's latents, led by CLIP's text."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import diffusers
import numpy as np
import torch

from models.alia.editing.computing import own_precision
from models.alia.editing.engine import Batch
from models.alia.editing.scheduling import DEFAULTS, beside, steps_taken
from models.alia.editing.sizes import Pixels, Sizes
from models.alia.spec import EditSpec
from models.errors import InputProblem


class StableModel(ABC):
    """A pipeline of the family; subclasses say how theirs is called.

    Attributes:
        sizes, steps, sees_source, facts: see `engine.Model`.
    """

    sees_source = True
    has_strength = False
    leads_away = True
    """Whether there is a negative prompt."""
    scheduler: type[Any] | None = None
    """What takes the place of the model's own scheduler."""

    def __init__(self, pipeline: Any, spec: EditSpec, param: str) -> None:
        """Take a loaded pipeline.

        Raises:
            InputProblem: the spec's steps and strength leave the scheduler nothing to do.
        """
        if self.scheduler is not None and not isinstance(pipeline.scheduler, self.scheduler):
            pipeline.scheduler = self.scheduler.from_config(pipeline.scheduler.config)
        self._pipeline = pipeline
        self._spec = spec
        self._negative: torch.Tensor | None = None
        defaults = DEFAULTS[spec.editor]
        self._asked = spec.steps or defaults.steps
        self._guidance = defaults.guidance if spec.guidance is None else spec.guidance
        scheduler = type(pipeline.scheduler).__name__
        self.steps = steps_taken(
            self._taken, self._asked, spec.strength if self.has_strength else None, scheduler,
            beside(param, "strength" if self.has_strength else "steps"),
        )  # fmt: skip
        config = pipeline.unet.config
        trained = (
            config.sample_size if isinstance(config.sample_size, int) else min(config.sample_size)
        )
        self.sizes = Sizes(
            spec.size or trained * pipeline.vae_scale_factor,
            pipeline.vae_scale_factor * 2 ** (len(config.block_out_channels) - 1),
        )
        self._scale: float = pipeline.vae.config.scaling_factor
        own_precision(pipeline.unet)
        self.facts = {
            "pipeline": type(pipeline).__name__,
            "scheduler": scheduler,
            "steps": self._asked,
            "calls": self.steps,
            "guidance": self._guidance,
            **({"strength": spec.strength} if self.has_strength else {}),
            **({"negative": spec.negative} if self.leads_away else {}),
        }

    def embed(self, prompt: str) -> torch.Tensor:
        pipeline = self._pipeline
        embedded: torch.Tensor = pipeline.encode_prompt(prompt, pipeline.device, 1, False)[0]
        return embedded

    def reads_whole(self, prompt: str) -> bool:
        tokenizer = self._pipeline.tokenizer
        return bool(
            len(tokenizer(prompt, truncation=False).input_ids) <= tokenizer.model_max_length
        )

    def encode(self, image: Pixels) -> torch.Tensor:
        vae = self._pipeline.vae
        pixels = torch.from_numpy(image.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
        # The mode, not a draw: an image's latents serve all its edits.
        latents: torch.Tensor = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist.mode()
        return latents.float() * self._scale

    def denoise(self, batch: Batch, on_step: Callable[[], None]) -> torch.Tensor:
        def step_ended(_: object, __: int, ___: object, ____: object) -> dict[str, Any]:
            on_step()
            return {}

        (latents,) = self._pipeline(
            prompt_embeds=batch.embeddings,
            num_inference_steps=self._asked,
            guidance_scale=self._guidance,
            generator=batch.generators,
            output_type="latent",
            callback_on_step_end=step_ended,
            return_dict=False,
            **self._arguments(batch),
        )[:1]
        found: torch.Tensor = latents
        return found

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        pipeline, vae = self._pipeline, self._pipeline.vae
        scaled = (latents / vae.config.scaling_factor).to(vae.dtype)
        pixels: torch.Tensor = vae.decode(scaled, return_dict=False)[0].float() / 2 + 0.5
        if pipeline.safety_checker is not None:
            _, flagged = pipeline.run_safety_checker(2 * pixels - 1, pixels.device, torch.float32)
            pixels[torch.tensor(flagged, device=pixels.device)] = 0
        return pixels

    @abstractmethod
    def _arguments(self, batch: Batch) -> dict[str, Any]:
        """Return what this pipeline takes besides what all of them take."""

    def _taken(self, steps: int) -> int:
        self._pipeline.scheduler.set_timesteps(steps)
        return len(self._pipeline.scheduler.timesteps)

    def _away(self, batch: Batch) -> dict[str, Any]:
        if self._negative is None:
            self._negative = self.embed(self._spec.negative)
        return {"negative_prompt_embeds": self._negative.expand_as(batch.embeddings)}


class ImageToImage(StableModel):
    """SDEdit (Meng et al. 2022): noise to a share of the schedule, and back by the new prompt."""

    has_strength = True
    scheduler = diffusers.DPMSolverMultistepScheduler

    def _arguments(self, batch: Batch) -> dict[str, Any]:
        return {"image": batch.sources, "strength": self._spec.strength, **self._away(batch)}

    def _taken(self, steps: int) -> int:
        self._pipeline.scheduler.set_timesteps(steps)
        timesteps, _ = self._pipeline.get_timesteps(steps, self._spec.strength, None)
        return len(timesteps)


class TextToImage(StableModel):
    """Text alone: the control without a source."""

    sees_source = False
    scheduler = diffusers.DPMSolverMultistepScheduler

    def _arguments(self, batch: Batch) -> dict[str, Any]:
        height, width = batch.size
        return {"height": height, "width": width, **self._away(batch)}


class InstructPix2Pix(StableModel):
    """InstructPix2Pix (Brooks et al. 2023): the source's latents beside the noise, an instruction."""

    def __init__(self, pipeline: Any, spec: EditSpec, param: str) -> None:
        super().__init__(pipeline, spec, param)
        self._scale = 1.0  # as it was trained
        self.facts |= {"image_guidance": spec.image_guidance}

    def embed(self, prompt: str) -> torch.Tensor:
        pipeline = self._pipeline  # without the public method that the others have
        embedded: torch.Tensor = pipeline._encode_prompt(prompt, pipeline.device, 1, False)
        return embedded

    def _arguments(self, batch: Batch) -> dict[str, Any]:
        return {
            "image": batch.sources,
            "image_guidance_scale": self._spec.image_guidance,
            **self._away(batch),
        }


class LatentConsistency(StableModel):
    """SDEdit in a few steps of a consistency model (Luo et al. 2023), guided by an embedded scale."""

    has_strength = True
    leads_away = False
    scheduler = diffusers.LCMScheduler

    def __init__(self, pipeline: Any, spec: EditSpec, param: str) -> None:
        if pipeline.unet.config.time_cond_proj_dim is None:
            raise InputProblem(
                "model_of_another_kind",
                "The denoiser takes no guidance scale (`time_cond_proj_dim`); the editor `lcm` needs a "
                "latent consistency model that was distilled with guidance.",
                param,
            )
        super().__init__(pipeline, spec, param)

    def _arguments(self, batch: Batch) -> dict[str, Any]:
        return {"image": batch.sources, "strength": self._spec.strength}

    def _taken(self, steps: int) -> int:
        self._pipeline.scheduler.set_timesteps(steps, strength=self._spec.strength)
        return len(self._pipeline.scheduler.timesteps)
