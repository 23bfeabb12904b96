"""FLUX.2 klein: a transformer that reads the source's tokens beside the noise, and an instruction."""

from collections.abc import Callable
from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image

from models.alia.editing.computing import own_precision
from models.alia.editing.engine import Batch
from models.alia.editing.scheduling import DEFAULTS, UNDISTILLED_FLUX, beside, steps_taken
from models.alia.editing.sizes import Pixels, Sizes
from models.alia.spec import EditSpec
from models.errors import InputProblem

PATCH = 2
"""Latents a side that make a token."""


class SourcesFlux2KleinPipeline(diffusers.Flux2KleinPipeline):  # type: ignore[misc]
    """The pipeline, with a source of its own for every prompt.

    The pipeline as it is shows all images that it is given to every prompt, and encodes them anew.

    Attributes:
        sources: latents, (n, channels, h, w), of which prompt i sees the i-th; set before a call.
    """

    sources: torch.Tensor

    def prepare_image_latents(
        self, images: Any, batch_size: int, generator: Any, device: Any, dtype: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return tokens, (n, h·w, channels), and places, (n, h·w, 4), of `sources`."""
        del images, generator, dtype
        places = self._prepare_image_ids([self.sources[:1]])
        tokens: torch.Tensor = self._pack_latents(self.sources).to(device)
        return tokens, places.repeat(batch_size, 1, 1).to(device)


class Flux2Klein:
    """FLUX.2 klein as an editor.

    Attributes:
        sizes, steps, sees_source, facts: see `engine.Model`.
    """

    sees_source = True

    def __init__(self, pipeline: SourcesFlux2KleinPipeline, spec: EditSpec, param: str) -> None:
        """Take a loaded pipeline.

        Raises:
            InputProblem: the scheduler has no such steps, or the model takes no guidance.
        """
        self._pipeline: Any = pipeline
        distilled = pipeline.config.is_distilled
        if distilled and spec.guidance is not None:
            raise InputProblem(
                "setting_not_used",
                "The model is distilled and takes no text guidance: leave it open.",
                beside(param, "guidance"),
            )
        defaults = DEFAULTS["flux2_klein"] if distilled else UNDISTILLED_FLUX
        self._asked = spec.steps or defaults.steps
        self._guidance = defaults.guidance if spec.guidance is None else spec.guidance
        self._guided = self._guidance > 1 and not distilled
        self._nothing: torch.Tensor | None = None
        scheduler = type(pipeline.scheduler).__name__
        self.steps = steps_taken(self._taken, self._asked, None, scheduler, beside(param, "steps"))
        factor = pipeline.vae_scale_factor
        self.sizes = Sizes(spec.size or pipeline.default_sample_size * factor, factor * PATCH)
        own_precision(pipeline.transformer)
        self.facts = {
            "pipeline": diffusers.Flux2KleinPipeline.__name__,
            "scheduler": scheduler,
            "steps": self._asked,
            "calls": self.steps * (2 if self._guided else 1),
            "guidance": self._guidance if self._guided else None,
        }

    def embed(self, prompt: str) -> torch.Tensor:
        embedded: torch.Tensor = self._pipeline.encode_prompt(prompt, self._pipeline.device)[0]
        return embedded

    def reads_whole(self, prompt: str) -> bool:
        pipeline = self._pipeline
        messages = [{"role": "user", "content": prompt}]
        tokens = pipeline.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, enable_thinking=False, return_dict=True
        )
        return bool(len(tokens["input_ids"]) <= pipeline.tokenizer_max_length)

    def encode(self, image: Pixels) -> torch.Tensor:
        vae = self._pipeline.vae
        pixels = torch.from_numpy(image.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
        latents: torch.Tensor = self._pipeline._encode_vae_image(
            pixels.to(vae.device, vae.dtype), generator=None
        )
        return latents.float()

    def denoise(self, batch: Batch, on_step: Callable[[], None]) -> torch.Tensor:
        def step_ended(_: object, __: int, ___: object, ____: object) -> dict[str, Any]:
            on_step()
            return {}

        height, width = batch.size
        assert batch.sources is not None
        self._pipeline.sources = batch.sources
        (latents,) = self._pipeline(
            # Any image, for there to be one: `sources` are what is seen.
            image=Image.new("RGB", (64, 64)),
            # Noise is drawn in the type of the embeddings.
            prompt_embeds=batch.embeddings.float(),
            negative_prompt_embeds=self._away(batch) if self._guided else None,
            height=height,
            width=width,
            num_inference_steps=self._asked,
            guidance_scale=self._guidance,
            generator=batch.generators,
            output_type="latent",
            callback_on_step_end=step_ended,
            return_dict=False,
        )
        found: torch.Tensor = latents
        return found

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        vae = self._pipeline.vae
        decoded: torch.Tensor = vae.decode(latents.to(vae.dtype), return_dict=False)[0]
        return decoded.float() / 2 + 0.5

    def _away(self, batch: Batch) -> torch.Tensor:
        if self._nothing is None:
            self._nothing = self.embed("").float()
        return self._nothing.expand(len(batch.embeddings), -1, -1)

    def _taken(self, steps: int) -> int:
        scheduler = self._pipeline.scheduler
        scheduler.set_timesteps(steps, sigmas=np.linspace(1.0, 1 / steps, steps), mu=1.0)
        return len(scheduler.timesteps)
