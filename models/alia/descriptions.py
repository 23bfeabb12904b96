"""Descriptions of domains: one text with `{}` where the class goes, and what may not be in it."""

import re
from collections.abc import Sequence

from models.errors import InputProblem

PLACE = "{}"
"""Where the class goes."""

SHORTEST, LONGEST = 3, 300
"""Characters of a description, as in the spec."""

STRUCTURE = frozenset({
    "a", "an", "and", "at", "by", "for", "from", "in", "into", "is", "it", "no", "not", "of",
    "off", "on", "or", "out", "over", "the", "to", "under", "up", "with",
})  # fmt: skip
"""Words that sentences are built of. A class that is one of them (a letter, say) is not searched for:
it would be found in every description."""


def check(
    descriptions: Sequence[str], classes: Sequence[str], param: str, prefix: str = ""
) -> None:
    """Refuse descriptions that cannot be edited into.

    Args:
        descriptions: as a caller gave them.
        classes: names of all classes of the dataset.
        param: the field at fault.
        prefix: how descriptions begin; its words may be a class's, as in "a photo of a {}" where
            "photo" is a class.

    Raises:
        InputProblem: ``bad_description``, with the number (from 0) and the text of the first at fault:
            its length, its `{}`, other braces, line breaks, a class written out, or said before.
    """
    numbers: dict[str, int] = {}
    for number, description in enumerate(descriptions):
        fault = _fault(description, classes, prefix)
        before = numbers.setdefault(folded(description), number)
        if fault is None and before != number:
            fault = f"says the same as description {before}"
        if fault is not None:
            raise InputProblem(
                "bad_description", f"Description {number}, {description!r}, {fault}.", param
            )


def setting_of(description: str, prefix: str) -> str:
    """Return what a description adds to its prefix: "in the snow".

    Letter case and spaces do not count, nor whether "a" or "an" stands before the class. A
    description that does not begin with the prefix is returned whole, without its `{}`.
    """
    found = re.match(_beginning(prefix), description, re.IGNORECASE) if prefix else None
    if found:
        return description[found.end() :].strip(" ,")
    return " ".join(description.replace(PLACE, " ").split())


def has_form(description: str, prefix: str) -> bool:
    """Tell whether a description begins with a prefix, as `setting_of` reads it."""
    return re.match(_beginning(prefix), description, re.IGNORECASE) is not None


def fill(description: str, class_name: str) -> str:
    """Return a description with a class in it, whose name is written as words."""
    return description.replace(PLACE, words(class_name))


def words(class_name: str) -> str:
    """Return a class's name as words: "American_robin" and "003.american-robin" are "american robin".

    Letter case is kept. A number before a point is left out, as folders of CUB have it.
    """
    text = re.sub(r"^\d+\.(?=\D)", "", class_name)
    return " ".join(re.sub(r"[_-]+", " ", text).split()) or class_name


def folded(text: str) -> str:
    """Return what two texts share that differ in letter case, spaces or a final point alone."""
    return " ".join(text.split()).rstrip(".,;!").casefold()


def leaked(text: str, classes: Sequence[str]) -> str | None:
    """Return the first class whose name is in a text, or None.

    Names are found as whole words, whatever their letter case, with `_`, `-` and spaces alike, and in
    the plural by "s" or "es". A name that is a word of `STRUCTURE`, such as "a", is not searched for.
    """
    read = re.sub(r"[_-]+", " ", text)
    for class_name in classes:
        pattern = class_pattern(class_name)
        if pattern is not None and re.search(pattern, read, re.IGNORECASE):
            return class_name
    return None


def class_pattern(class_name: str) -> str | None:
    """Return the regular expression by which a class is found in a text, or None if it is not."""
    name = words(class_name)
    if name.casefold() in STRUCTURE:
        return None
    spaced = r"\s+".join(map(re.escape, name.split()))
    return rf"(?<!\w){spaced}(?:e?s)?(?!\w)"


def _fault(description: str, classes: Sequence[str], prefix: str) -> str | None:
    length, places = len(description.strip()), description.count(PLACE)
    if not SHORTEST <= length <= LONGEST:
        return f"has {length} characters, expected {SHORTEST} to {LONGEST}"
    if places != 1:
        return f"has {places} `{PLACE}`, one is needed"
    if re.search(r"[{}]", description.replace(PLACE, "")):
        return f"has a brace besides its `{PLACE}`"
    if not description.isprintable():
        return "has a line break or another character that cannot be printed"
    named = leaked(setting_of(description, prefix), classes)
    if named is not None:
        return f"names the class {named!r}, where `{PLACE}` stands for any class"
    return None


def _beginning(prefix: str) -> str:
    """Return a regular expression of a prefix in any spacing, with "a" or "an" before the class."""
    read = prefix.split()
    before_class = [following.startswith(PLACE) for following in read[1:]] + [False]
    patterns = [
        "an?" if before and word.casefold() in {"a", "an"} else re.escape(word)
        for word, before in zip(read, before_class, strict=True)
    ]
    return r"\s*" + r"\s+".join(patterns) + r"(?!\w)"
