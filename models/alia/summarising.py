"""From captions to descriptions of domains: a language model is asked, or phrases are grouped.

Source: Dunlap et al. 2023, section 3.2; the prompts' wording is ours.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

import numpy as np

from models.alia.answers import Parsed, Rejected, parse
from models.alia.descriptions import folded
from models.alia.phrases import cluster
from models.alia.spec import SummariseSpec
from models.errors import InputProblem, Interrupted
from models.seeds import derived_seed

SHOWN = 300
"""Characters of an answer that a message quotes."""


class Message(TypedDict):
    """One turn of a conversation."""

    role: Literal["user", "assistant"]
    content: str


class Turned(TypedDict):
    """A line of an answer that is not used, and why."""

    text: str
    why: str


class Asked(TypedDict):
    """One conversation, as JSON.

    `seed` is null where the likeliest answer was taken, `stands` tells whether the answer was a list of
    descriptions as asked; one that was not is asked for again with another seed.
    """

    draw: int
    attempt: int
    seed: int | None
    messages: list[Message]
    descriptions: list[str]
    rejected: list[Turned]
    stands: bool


Ask = Callable[[Sequence[Message], int | None], str]
"""Answers a conversation, the likeliest with no seed, else one drawn with it."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Descriptions of a dataset's domains.

    Attributes:
        descriptions: those that most draws came to first.
        how: by a language model, or by grouping phrases.
        asked: every conversation, in order; none for phrases.
        rejected: lines of the answers used that are no descriptions.
    """

    descriptions: tuple[str, ...]
    how: Literal["llm", "phrases"]
    asked: tuple[Asked, ...]
    rejected: tuple[Rejected, ...]


def summarise(
    captions: Sequence[str],
    classes: Sequence[str],
    spec: SummariseSpec,
    seed: int,
    ask: Ask | None,
    on_progress: Callable[[int, int], None],
    should_stop: Callable[[], bool],
) -> Summary:
    """Return descriptions of what captions show, agnostic of the class.

    The same captions in any order, the same seed and the same answers give the same. Each draw's question
    is asked greedily first; while its answer does not stand (`Parsed.stands`), anew with seeds. Where none
    of a draw's answers stands, the one with most usable lines is taken, cut to `spec.most`.

    Args:
        captions: one an image.
        classes: names of all classes.
        spec: prefix, captions a prompt, draws, turns and retries.
        seed: the job's.
        ask: a language model; None, or none in the spec: phrases are grouped.
        on_progress: called with draws done and draws in all.
        should_stop: asked before every question.

    Raises:
        InputProblem: ``no_descriptions``: there are no captions, or nothing usable came.
        Interrupted: ``should_stop`` said so.
    """
    distinct = sorted({" ".join(caption.split()) for caption in captions} - {""})
    if not distinct:
        raise InputProblem(
            "no_descriptions", "No image has a caption: there is nothing to summarise.", "captions"
        )
    if ask is None or spec.model is None:
        found = cluster(captions, classes, spec.prefix, spec.most)
        if not found:
            raise _no_phrases(distinct[0])
        on_progress(1, 1)
        return Summary(found, "phrases", (), ())
    asked: list[Asked] = []
    taken: list[Parsed] = []
    for draw, drawn in enumerate(_draws(distinct, spec, seed)):
        taken.append(_draw_answer(drawn, draw, classes, spec, seed, ask, should_stop, asked))
        on_progress(draw + 1, spec.draws)
    descriptions = _merged(taken, spec.most)
    if not descriptions:
        raise _no_answer(asked)
    rejected = tuple(line for parsed in taken for line in parsed.rejected)
    return Summary(descriptions, "llm", tuple(asked), rejected)


def questions(captions: Sequence[str], spec: SummariseSpec) -> list[str]:
    """Return what is asked about captions, one text a turn, the captions in the first."""
    lines = "\n".join(captions)
    form = f'"{spec.prefix} [setting]"'
    if spec.turns == 1:
        return [
            f"Summarise these captions into at most {spec.most} settings. Each has the form {form}; "
            f"replace the class with {{}}. Answer with a JSON list of strings.\n{lines}"
        ]
    return [
        "Here are captions of images, one a line. Set aside what the images are of: what do the captions say "
        "of the setting, the scene, the action, the camera, the light and the quality of the image? "
        f"Answer in short lines of the form {form}, where {{}} stands for whatever the image is of; write "
        f"{{}} as it is, and name nothing in its place.\nCaptions:\n{lines}",
        f"Now choose fewer than {spec.most + 1} descriptions of domains from what you found. Together they "
        "cover as much of it as they can, and each says something that no other says. They hold for any class "
        f"of thing: each has the form {form}, with {{}} as it is, and names no class. Answer with a JSON list "
        "of strings and nothing else.",
    ]


def _draws(distinct: list[str], spec: SummariseSpec, seed: int) -> Iterator[list[str]]:
    """Yield every draw's captions, all different. None comes again before all have come as often."""
    rng = np.random.default_rng(derived_seed("summarise", seed))
    size = min(spec.captions, len(distinct))
    waiting: list[int] = []
    for _ in range(spec.draws):
        if len(waiting) < size:
            shuffled = rng.permutation(len(distinct)).tolist()
            # Those still waiting come last of the new round: a draw would have them twice else.
            waiting += sorted(shuffled, key=waiting.__contains__)
        drawn, waiting = waiting[:size], waiting[size:]
        yield [distinct[row] for row in drawn]


def _draw_answer(
    drawn: list[str],
    draw: int,
    classes: Sequence[str],
    spec: SummariseSpec,
    seed: int,
    ask: Ask,
    should_stop: Callable[[], bool],
    asked: list[Asked],
) -> Parsed:
    """Ask until an answer stands, adding every conversation to ``asked``; return the answer taken."""
    answers: list[Parsed] = []
    for attempt in range(1 + spec.retries):
        own_seed = derived_seed("ask", seed, draw, attempt) if attempt else None
        messages: list[Message] = []
        for question in questions(drawn, spec):
            if should_stop():
                raise Interrupted
            messages.append({"role": "user", "content": question})
            messages.append({"role": "assistant", "content": ask(tuple(messages), own_seed)})
        parsed = parse(messages[-1]["content"], spec.prefix, classes, spec.most)
        answers.append(parsed)
        asked.append(
            Asked(
                draw=draw,
                attempt=attempt,
                seed=own_seed,
                messages=messages,
                descriptions=list(parsed.descriptions),
                rejected=[Turned(text=line.text, why=line.why) for line in parsed.rejected],
                stands=parsed.stands,
            )
        )
        if parsed.stands:
            return parsed
    return max(answers, key=lambda parsed: len(parsed.descriptions))


def _merged(answers: Sequence[Parsed], most: int) -> tuple[str, ...]:
    """Return the descriptions that most answers have first, of equal ones that said first, worded as first."""
    said = [description for parsed in answers for description in parsed.descriptions]
    worded: dict[str, str] = {}
    for description in said:
        worded.setdefault(folded(description), description)
    votes = Counter(
        map(folded, said)
    )  # in the order of their first coming, which `most_common` keeps
    return tuple(worded[key] for key, _ in votes.most_common(most))


def _no_phrases(example: str) -> InputProblem:
    return InputProblem(
        "no_descriptions",
        "The captions speak of no place, time or light that could be grouped; the first is "
        f"{_short(example)!r}. Give `descriptions`, or name a language model in `summarise.model`.",
        "summarise.model",
    )


def _no_answer(asked: Sequence[Asked]) -> InputProblem:
    last = asked[-1]["messages"][-1]["content"]
    return InputProblem(
        "no_descriptions",
        f"The language model was asked {len(asked)} times and gave no usable description; its last answer was "
        f"{_short(last)!r}. Give `descriptions`, raise `summarise.retries`, or set `summarise.model` to null: "
        "phrases of the captions are grouped then.",
        "summarise.model",
    )


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
