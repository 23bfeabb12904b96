"""A language model answers by its chat template, greedily or drawn by a seed of its own."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf

from models.alia.language import TEMPERATURE, TOP_P, LanguageModel, _drawing, load_language_model
from models.errors import InputProblem, Interrupted
from tests.models.alia import tiny_language

QUESTION = [{"role": "user", "content": "Where is a {}? é"}]
TURNS = [
    *QUESTION,
    {"role": "assistant", "content": "At sea."},
    {"role": "user", "content": "And?"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("language") / "talker"
    tiny_language.qwen3(folder)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> LanguageModel:
    return load(folder)


def load(folder: Path) -> LanguageModel:
    return load_language_model(folder, folder.name, "summarise.model", "cpu")


@pytest.mark.parametrize("messages", [QUESTION, TURNS])
def test_without_a_seed_the_answer_is_that_of_plain_greedy_code(
    messages: list[dict[str, str]], model: LanguageModel, folder: Path
) -> None:
    tokenizer: Any = tf.AutoTokenizer.from_pretrained(folder)
    plain: Any = tf.AutoModelForCausalLM.from_pretrained(folder)
    inputs = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    written = plain.generate(**inputs, max_new_tokens=24, do_sample=False)
    answer = tokenizer.decode(written[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert model.answer(messages, 24, None) == answer.strip()


def test_a_seed_draws_one_answer_and_other_seeds_others_and_torch_s_generator_stays(
    model: LanguageModel,
) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = model.answer(QUESTION, 24, 1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    assert model.answer(QUESTION, 24, 1) == first
    others = {model.answer(QUESTION, 24, seed) for seed in (2, 3, 2**64 - 1)}
    assert len(others | {first}) == 4


def test_drawn_tokens_come_as_often_as_temperature_and_top_p_say() -> None:
    logits = torch.tensor([[2.0, 1.5, 0.5, -1.0]])
    p = (logits[0] / TEMPERATURE).softmax(0)
    kept = p[:2] if p[:2].sum() >= TOP_P else p[:3]
    counts = torch.zeros(4)
    processors = _drawing(0)
    for _ in range(4000):
        scores = logits
        for processor in processors:
            scores = processor(torch.zeros(1, 1, dtype=torch.long), scores)
        counts[scores.argmax()] += 1
    expected = torch.zeros(4)
    expected[: len(kept)] = kept / kept.sum()
    assert torch.allclose(counts / 4000, expected, atol=0.025)


def test_an_answer_has_at_most_as_many_tokens_as_asked_for(model: LanguageModel) -> None:
    assert (
        len(model.answer(QUESTION, 3, 1).encode(errors="ignore")) <= 9
    )  # a broken byte reads as 3
    assert model.answer(QUESTION, 24, None).startswith(model.answer(QUESTION, 4, None)[:1])


def test_an_answer_is_cut_where_the_model_reads_no_further_and_a_prompt_that_fills_it_is_refused(
    tmp_path: Path,
) -> None:
    tiny_language.qwen3(tmp_path / "short", positions=160)
    model = load(tmp_path / "short")
    model.answer([{"role": "user", "content": "x" * 70}], 10_000, 1)
    with pytest.raises(
        InputProblem, match=r"the model 'short' reads 160 .* `summarise.captions`"
    ) as caught:
        model.answer([{"role": "user", "content": "x" * 90}], 16, None)
    assert (caught.value.code, caught.value.param) == ("prompt_too_long", "summarise.model")


def test_stopping_is_asked_at_every_token(model: LanguageModel) -> None:
    asked: list[None] = []

    def at_the_third() -> bool:
        asked.append(None)
        return len(asked) == 3

    with pytest.raises(Interrupted):
        model.answer(QUESTION, 24, 1, at_the_third)
    assert len(asked) == 3


def test_a_model_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    tiny_language.qwen3(tmp_path / "base", chat=None)
    with pytest.raises(InputProblem, match="'base' has no chat template") as caught:
        load(tmp_path / "base")
    assert (caught.value.code, caught.value.param) == ("no_chat_template", "summarise.model")


def test_a_model_that_writes_no_text_is_refused_by_what_it_is(tmp_path: Path) -> None:
    tf.ViTConfig(hidden_size=8).save_pretrained(tmp_path / "eyes")
    with pytest.raises(InputProblem, match="'eyes' is a vit, expected a language model") as caught:
        load(tmp_path / "eyes")
    assert caught.value.code == "model_of_another_kind"


def test_a_model_without_weights_is_refused(tmp_path: Path) -> None:
    tiny_language.qwen3(tmp_path / "empty")
    (tmp_path / "empty" / "model.safetensors").unlink()
    with pytest.raises(InputProblem, match="'empty' cannot be loaded") as caught:
        load(tmp_path / "empty")
    assert caught.value.code == "model_incomplete"
