"""A language model's answer, read as descriptions: a JSON list, or lines with numbers or bullets."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from models.alia.descriptions import (
    LONGEST,
    PLACE,
    class_pattern,
    folded,
    has_form,
    leaked,
    setting_of,
)

Why = Literal[
    "no_place", "two_places", "other_form", "no_setting", "class_named", "too_long", "repeated",
    "too_many",
]  # fmt: skip
"""Of a line that is not used: it has no `{}`, or several; does not begin with the prefix; adds nothing to
it; names a class; is too long; was said before; or comes after as many as were asked for."""

THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
MARKER = re.compile(r"\s*(?:[-*•–+]|\(?\d{1,3}[.):])\s+")
NAMED_PLACE = re.compile(
    r"\{[\w -]{0,30}\}|\[(?:class|object|subject)\]|<(?:class|object|subject)>"
)
LABEL = re.compile(r"[^:{}]{1,60}:\s+")
AROUND = " \t\"'`*“”‘’.,;"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line of an answer that is not used, and why."""

    text: str
    why: Why


@dataclass(frozen=True, slots=True)
class Parsed:
    """What an answer gives.

    Attributes:
        descriptions: each once, in the answer's order, in the prefix's own letters.
        rejected: the other lines that were meant as descriptions, in the answer's order.
    """

    descriptions: tuple[str, ...]
    rejected: tuple[Rejected, ...]

    @property
    def stands(self) -> bool:
        """Whether the answer keeps to what was asked: not too many, and more good lines than bad."""
        bad = [line.why for line in self.rejected if line.why != "repeated"]
        return len(self.descriptions) > len(bad) and "too_many" not in bad


def parse(text: str, prefix: str, classes: Sequence[str], most: int) -> Parsed:
    """Read descriptions from a model's answer, whatever surrounds them.

    A JSON list of strings is looked for first (fenced or not, cut off or not, within an object or of
    objects), then lines with a number or a bullet and lines of the prefix's form. `{class}` and the like
    are read as `{}`, and so is a class that is written out in the place of `{}`: "a photo of a robin in
    snow" says what "a photo of a {} in snow" says. A class anywhere else is a leak, and its line is
    rejected. Prose gives nothing at all.

    Args:
        text: the answer.
        prefix: how descriptions begin.
        classes: names of all classes.
        most: how many descriptions are taken.
    """
    descriptions: dict[str, str] = {}
    rejected: list[Rejected] = []
    for line in _lines(THOUGHT.sub("", text), prefix):
        read = _with_place(line, prefix, classes)
        why = _fault(read, prefix, classes)
        if why is None:
            description = f"{prefix.strip()} {setting_of(read, prefix)}"
            if folded(description) in descriptions:
                why = "repeated"
            elif len(descriptions) >= most:
                why = "too_many"
            else:
                descriptions[folded(description)] = description
        if why is not None:
            rejected.append(Rejected(line, why))
    return Parsed(tuple(descriptions.values()), tuple(rejected))


def _lines(text: str, prefix: str) -> list[str]:
    """Return the pieces of an answer that are meant as descriptions, without what is around each."""
    pieces = _json_strings(text)
    if pieces is None:
        pieces = _quoted(text)
    if pieces is None:
        lines = [(line, MARKER.sub("", line, count=1)) for line in text.splitlines()]
        pieces = [
            rest for line, rest in lines if rest != line or PLACE in rest or has_form(rest, prefix)
        ]
    bare = (_bare(piece, prefix) for piece in pieces)
    return [piece for piece in bare if piece]


def _json_strings(text: str) -> list[str] | None:
    """Return the strings of the first JSON list that has some, or None."""
    decoder = json.JSONDecoder()
    for start in re.finditer(r"\[", text):
        try:
            value, _ = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            continue
        strings = [string for item in value for string in _strings_of(item)]
        if strings:
            return strings
    return None


def _strings_of(item: Any) -> list[str]:
    """Return a string of a list, or those of an object: {"description": "…"}."""
    if isinstance(item, dict):
        return [value for value in item.values() if isinstance(value, str)]
    return [item] if isinstance(item, str) else []


def _quoted(text: str) -> list[str] | None:
    """Return what stands in quotes in a list that is cut off or in single quotes, or None."""
    opened = re.search(r"\[\s*([\"'])", text)
    if opened is None:
        return None
    quote = opened[1]
    # A quote ends a string where a comma, a bracket or a line's end follows: "a bird's nest" goes on.
    pattern = rf"{quote}((?:[^{quote}\n]|{quote}(?!\s*(?:[,\]]|$)))+){quote}"
    return re.findall(pattern, text[opened.end(1) - 1 :], re.MULTILINE) or None


def _bare(piece: str, prefix: str) -> str:
    """Return a line without quotes, emphasis and final points, and without a label before it."""
    text = " ".join(NAMED_PLACE.sub(PLACE, piece).replace("**", "").split()).strip(AROUND)
    label = LABEL.match(text)
    if label and has_form(text[label.end() :].lstrip(AROUND), prefix):
        return text[label.end() :].lstrip(AROUND)
    return text


def _with_place(line: str, prefix: str, classes: Sequence[str]) -> str:
    """Return a line with `{}` for a class that stands where the prefix has it."""
    if PLACE in line:
        return line
    # The longest first: "american robin" is not "american {}".
    for class_name in sorted(classes, key=len, reverse=True):
        pattern = class_pattern(class_name)
        for found in re.finditer(pattern, line, re.IGNORECASE) if pattern else ():
            read = line[: found.start()] + PLACE + line[found.end() :]
            if has_form(read, prefix):
                return read
    return line


def _fault(line: str, prefix: str, classes: Sequence[str]) -> Why | None:
    places = line.count(PLACE)
    if places > 1:
        return "two_places"
    if not places:
        return "class_named" if leaked(line, classes) is not None else "no_place"
    setting = setting_of(line, prefix)
    if not has_form(line, prefix) or re.search(r"[{}]", setting) or not setting.isprintable():
        return "other_form"
    if not setting:
        return "no_setting"
    if leaked(setting, classes) is not None:
        return "class_named"
    return "too_long" if len(f"{prefix.strip()} {setting}") > LONGEST else None
