"""An instruction-tuned language model from a local folder: a conversation in, an answer out."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from models.alia.folders import load_part, load_weights, of_another_kind, read_config
from models.errors import InputProblem, Interrupted

TEMPERATURE, TOP_P = 0.7, 0.8
"""Of answers that are drawn, as Qwen3's authors advise for answers without thinking."""

SHORTEST_ANSWER = 64
"""Tokens that a prompt must leave of what the model reads."""


class LanguageModel:
    """A loaded language model; `answer` may be called from one thread at a time."""

    def __init__(self, model: Any, tokenizer: Any, name: str, param: str) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._name = name
        self._param = param

    @torch.inference_mode()
    def answer(
        self,
        messages: Sequence[Mapping[str, str]],
        max_tokens: int,
        seed: int | None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> str:
        """Return the model's next turn in a conversation, without special tokens.

        Args:
            messages: with `role` and `content`, the last one the user's.
            max_tokens: of the answer; fewer where prompt and answer would not fit into the model.
            seed: None for the likeliest token each time, else of the tokens drawn. Drawing leaves torch's
                own generators as they are.
            should_stop: asked at every token.

        Raises:
            InputProblem: ``prompt_too_long``.
            Interrupted: ``should_stop`` said so.
        """
        text = self._tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,  # of templates that know the word (Qwen3)
        )
        # The template has written what the tokenizer would add (a first token, say).
        inputs = self._tokenizer(text, return_tensors="pt", add_special_tokens=False)
        inputs = {
            key: inputs[key].to(self._model.device) for key in ("input_ids", "attention_mask")
        }
        length = int(inputs["input_ids"].shape[1])
        stop = _Stop(should_stop)
        written = self._model.generate(
            **inputs,
            generation_config=self._generation(min(max_tokens, self._room(length))),
            logits_processor=LogitsProcessorList([] if seed is None else _drawing(seed)),
            stopping_criteria=StoppingCriteriaList([stop]),
        )
        if stop.said:
            raise Interrupted
        answer: str = self._tokenizer.decode(written[0, length:], skip_special_tokens=True)
        return answer.strip()

    def _room(self, prompt_tokens: int) -> int:
        """Return how many tokens an answer may have, or refuse a prompt that leaves too few."""
        limit = getattr(self._model.config, "max_position_embeddings", None)
        room = 2**31 if limit is None else int(limit) - prompt_tokens
        if room < SHORTEST_ANSWER:
            raise InputProblem(
                "prompt_too_long",
                f"The prompt with the captions has {prompt_tokens:,} tokens; the model {self._name!r} reads "
                f"{limit:,} with its answer, for which {SHORTEST_ANSWER} are needed. Lower "
                "`summarise.captions`, and raise `summarise.draws` for as many captions in all.",
                self._param,
            )
        return room

    def _generation(self, max_tokens: int) -> GenerationConfig:
        """Return settings that take nothing of the folder's but which tokens end an answer."""
        own = self._model.generation_config
        ends = own.eos_token_id
        ends = ends if isinstance(ends, list) else [] if ends is None else [ends]
        if self._tokenizer.eos_token_id not in {
            None,
            *ends,
        }:  # of a chat: base models end at another
            ends = [*ends, self._tokenizer.eos_token_id]
        return GenerationConfig(
            do_sample=False,  # drawing is by `_Gumbel`, whose generator is its own
            num_beams=1,
            max_new_tokens=max_tokens,
            eos_token_id=ends or None,
            pad_token_id=ends[0] if own.pad_token_id is None and ends else own.pad_token_id,
        )


class _Gumbel(LogitsProcessor):  # type: ignore[misc]
    """Makes the likeliest token one drawn from the softmax: arg max of logits plus Gumbel noise.

    Transformers draws from torch's one global generator, which other work in the process uses too. The
    noise is made on the CPU, so that a seed means the same on every device.
    """

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002 (the interface)
        uniform = torch.rand(scores.shape, generator=self._generator, dtype=torch.float64)
        noise = -torch.log(-torch.log(uniform.clamp(1e-300, 1 - 1e-16)))
        return scores.double() + noise.to(scores.device)


def _drawing(seed: int) -> list[LogitsProcessor]:
    return [TemperatureLogitsWarper(TEMPERATURE), TopPLogitsWarper(TOP_P), _Gumbel(seed)]


class _Stop(StoppingCriteria):  # type: ignore[misc]
    """Ends an answer where the caller wants to stop, and remembers that it did."""

    def __init__(self, should_stop: Callable[[], bool]) -> None:
        self._should_stop = should_stop
        self.said = False

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:  # noqa: ARG002
        self.said = self.said or self._should_stop()
        return torch.full((len(input_ids),), self.said, device=input_ids.device)


def load_language_model(folder: Path, name: str, param: str, device: str) -> LanguageModel:
    """Load a language model that follows instructions.

    Args:
        folder: its config, tokenizer with a chat template, and weights as safetensors.
        name: of the model, in messages.
        param: the field that names it.
        device: where it computes.

    Raises:
        InputProblem: ``model_of_another_kind``, ``no_chat_template`` or ``model_incomplete``.
    """
    config = read_config(folder, name, param)
    if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise of_another_kind(name, f"a {config.model_type}", "a language model", param)
    tokenizer = load_part(AutoTokenizer, folder, name, param)
    if not getattr(tokenizer, "chat_template", None):
        raise InputProblem(
            "no_chat_template",
            f"The model {name!r} has no chat template: it does not follow instructions. Expected an "
            "instruction-tuned model, whose folder has `chat_template.jinja`.",
            param,
        )
    model = load_weights(AutoModelForCausalLM, config, folder, name, param, device)
    return LanguageModel(model, tokenizer, name, param)
