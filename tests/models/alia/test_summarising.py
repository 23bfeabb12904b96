"""Captions become descriptions by a language model that may fail, or by their phrases."""

import io
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.alia.captioning import load_captioner
from models.alia.language import load_language_model
from models.alia.phrases import cluster
from models.alia.spec import CaptionSpec, SummariseSpec
from models.alia.summarising import Ask, Message, Summary, summarise
from models.errors import InputProblem, Interrupted
from tests.models.alia import tiny_language

PREFIX = "a photo of a {}"
CLASSES = ("robin", "crow")
SNOW, SEA, FOG = (f"{PREFIX} {setting}" for setting in ("in the snow", "at sea", "in fog"))
CAPTIONS = [f"a {name} {place}" for name in CLASSES for place in ("in fog", "at sea", "on mud")] * 2
GOOD = json.dumps([SNOW, SEA])


class Script:
    """A language model that gives answers in turn, and remembers what it was asked."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[list[Message], int | None]] = []

    def __call__(self, messages: Sequence[Message], seed: int | None) -> str:
        self.asked.append((list(messages), seed))
        return self.answers.pop(0)


def run(
    ask: Ask | None,
    said: Sequence[str] = CAPTIONS,
    seed: int = 0,
    should_stop: Callable[[], bool] = lambda: False,
    **spec: Any,
) -> Summary:
    settings = SummariseSpec(**{"turns": 1, **spec})
    return summarise(said, CLASSES, settings, seed, ask, lambda *_: None, should_stop)


def test_one_turn_asks_with_every_distinct_caption_and_takes_the_list() -> None:
    script = Script(GOOD)
    summary = run(script)
    assert (summary.descriptions, summary.how, summary.rejected) == ((SNOW, SEA), "llm", ())
    [([message], seed)] = script.asked
    assert (message["role"], seed) == ("user", None)
    lines = message["content"].splitlines()
    assert sorted(lines[1:]) == sorted(set(CAPTIONS))
    assert PREFIX in lines[0]
    assert "at most 9" in lines[0]


def test_two_turns_ask_for_what_is_said_and_then_for_descriptions() -> None:
    script = Script("They speak of snow and the sea.", GOOD)
    summary = run(script, turns=2, most=5)
    assert summary.descriptions == (SNOW, SEA)
    first, second = (messages for messages, _ in script.asked)
    assert [message["role"] for message in second] == ["user", "assistant", "user"]
    assert (second[:1], second[1]["content"]) == (first, "They speak of snow and the sea.")
    assert "fewer than 6" in second[2]["content"]
    [asked] = json.loads(json.dumps(summary.asked))
    assert asked["messages"] == [*second, {"role": "assistant", "content": GOOD}]
    assert (asked["seed"], asked["stands"], asked["descriptions"]) == (None, True, [SNOW, SEA])


@pytest.mark.parametrize(
    "garbage",
    [
        "The captions show birds in many places.",
        "",
        json.dumps([f"a photo of a {{}} in place {n}" for n in range(12)]),
        json.dumps([f"{PREFIX} beside a crow", f"{PREFIX} among robins"]),
    ],
    ids=["prose", "nothing", "twelve lines", "class names"],
)
def test_an_answer_that_does_not_stand_is_asked_for_again_with_another_seed(garbage: str) -> None:
    script = Script(garbage, garbage, GOOD)
    summary = run(script)
    assert summary.descriptions == (SNOW, SEA)
    seeds = [seed for _, seed in script.asked]
    assert seeds[0] is None
    assert None not in seeds[1:]
    assert len(set(seeds)) == 3
    assert [asked["stands"] for asked in summary.asked] == [False, False, True]
    assert [asked["attempt"] for asked in summary.asked] == [0, 1, 2]


def test_where_no_answer_stands_the_one_with_most_usable_lines_is_cut_and_taken() -> None:
    twelve = [f"a photo of a {{}} in place number {n}" for n in range(12)]
    summary = run(Script("prose", json.dumps(twelve), GOOD[:3]), retries=2)
    assert summary.descriptions == tuple(twelve[:9])
    assert [line.why for line in summary.rejected] == ["too_many"] * 3
    assert [turned["why"] for turned in summary.asked[1]["rejected"]] == ["too_many"] * 3


def test_nothing_usable_after_all_retries_is_a_clear_error_that_quotes_the_answer() -> None:
    with pytest.raises(InputProblem) as caught:
        run(Script(*["I see no images. " * 100] * 6), draws=2, retries=2)
    assert (caught.value.code, caught.value.param) == ("no_descriptions", "summarise.model")
    assert "asked 6 times" in caught.value.detail
    assert "'I see no images. I see" in caught.value.detail
    assert len(caught.value.detail) < 700


def test_draws_are_merged_by_how_many_of_them_say_so() -> None:
    answers = [[SNOW], [FOG, SEA], ["garbage"], ["A photo of a {} At sea", FOG], [SEA]]
    summary = run(Script(*map(json.dumps, answers)), draws=5, retries=0, most=2)
    assert summary.descriptions == (SEA, FOG)
    assert [asked["draw"] for asked in summary.asked] == [0, 1, 2, 3, 4]
    assert [line.text for line in summary.rejected] == ["garbage"]


def test_no_caption_is_drawn_again_before_each_was_drawn_once() -> None:
    script = Script(*[GOOD] * 6)
    run(script, [f"caption number {n}" for n in range(10)], draws=6, captions=4)
    drawn = [messages[0]["content"].splitlines()[1:] for messages, _ in script.asked]
    assert all(len(set(lines)) == 4 for lines in drawn)
    flat = [line for lines in drawn for line in lines]
    assert len(set(flat[:10])) == 10
    assert len(set(flat[10:20])) == 10


def test_captions_in_another_order_are_asked_about_alike_and_another_seed_asks_otherwise() -> None:
    scripts = [Script(*["prose", GOOD] * 2) for _ in range(3)]
    same = run(scripts[0], seed=1, draws=2, captions=3)
    assert run(scripts[1], CAPTIONS[::-1], seed=1, draws=2, captions=3) == same
    run(scripts[2], seed=2, draws=2, captions=3)
    assert scripts[0].asked == scripts[1].asked
    assert scripts[0].asked != scripts[2].asked


@pytest.mark.parametrize("model", [None, "a model"])
def test_without_a_language_model_phrases_are_grouped_and_it_is_said(model: str | None) -> None:
    summary = run(None, model=model)
    assert summary.how == "phrases"
    assert summary.descriptions == cluster(CAPTIONS, CLASSES, PREFIX, 9)
    assert summary.asked == ()
    assert run(Script(), model=None).how == "phrases"


def test_captions_that_say_nothing_are_a_clear_error() -> None:
    with pytest.raises(InputProblem, match="No image has a caption") as caught:
        run(Script(), ["", "  "])
    assert (caught.value.code, caught.value.param) == ("no_descriptions", "captions")
    with pytest.raises(InputProblem, match="the first is 'a crow'") as caught:
        run(None, ["a robin", "a crow"])
    assert (caught.value.code, caught.value.param) == ("no_descriptions", "summarise.model")


def test_progress_is_told_by_draw_and_stopping_is_asked_before_every_question() -> None:
    told: list[tuple[int, int]] = []
    script = Script(*[GOOD] * 9)
    spec = SummariseSpec(draws=3, turns=2)

    def note(done: int, of: int) -> None:
        told.append((done, of))

    def after_three() -> bool:
        return len(script.asked) == 3

    summarise(CAPTIONS, CLASSES, spec, 0, Script(*[GOOD] * 6), note, lambda: False)
    assert told == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(Interrupted):
        summarise(CAPTIONS, CLASSES, spec, 0, script, note, after_three)
    assert told[3:] == [(1, 3)]


def test_a_random_model_s_babble_ends_in_the_same_clear_error(tmp_path: Path) -> None:
    tiny_language.qwen3(tmp_path / "babbler", positions=2048)
    model = load_language_model(tmp_path / "babbler", "babbler", "summarise.model", "cpu")
    with pytest.raises(InputProblem, match="asked 2 times") as caught:
        run(lambda messages, seed: model.answer(messages, 20, seed), retries=1)
    assert caught.value.code == "no_descriptions"


SHARED = os.environ.get("CULTIVAR_SHARED") or Path(__file__).resolve().parents[4] / "shared"
WORLD = Path(SHARED) / "models" / "tiny-world"
DOMAINS = {
    f"{PREFIX} {place}"
    for place in ("on grass", "on sand", "on water", "in snow", "at night", "on brick")
}


@pytest.mark.skipif(not (WORLD / "captioner").is_dir(), reason="tiny-world is not here")
def test_trained_models_find_the_six_domains_of_a_small_world_and_so_do_phrases() -> None:
    with zipfile.ZipFile(WORLD / "world" / "train.zip") as world:
        names = sorted(name for name in world.namelist() if name.endswith(".png"))
        pictures = [Image.open(io.BytesIO(world.read(name))) for name in names[::10]]
        images = [np.asarray(picture.convert("RGB")) for picture in pictures]
    classes = sorted({name.split("/")[0] for name in names})
    spec = SummariseSpec(captions=20, draws=4, turns=1)
    captioner = load_captioner(
        WORLD / "captioner", "captioner", "captions.model", CaptionSpec(), "cpu"
    )
    captions = captioner.caption(images, lambda *_: None, lambda: False)
    model = load_language_model(WORLD / "llm", "llm", "summarise.model", "cpu")

    def ask(messages: Sequence[Message], seed: int | None) -> str:
        return model.answer(messages, spec.max_tokens, seed)

    found = summarise(captions, classes, spec, 0, ask, lambda *_: None, lambda: False)
    assert (set(found.descriptions), len(found.asked)) == (DOMAINS, 4)
    assert set(cluster(captions, classes, PREFIX, 9)) == DOMAINS
