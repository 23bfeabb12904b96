"""Descriptions from captions without any model: phrases of place, time and light, grouped by their noun.

A caption is cut at its prepositions; a phrase "in the deep snow" is of the group of its last word, "snow".
What captions share most often comes first. It reads English, and only what captions say in so many words.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from models.alia.descriptions import PLACE, class_pattern, has_form, setting_of

PLACES = (
    "next to", "close to", "in front of", "on top of", "in the middle of", "in", "on", "at", "under",
    "underneath", "over", "above", "below", "beneath", "near", "by", "beside", "besides", "behind",
    "inside", "outside", "between", "among", "amongst", "against", "along", "across", "through", "around",
    "during", "before", "after", "amid", "within", "underwater", "indoors", "outdoors",
)  # fmt: skip
"""With what a phrase of place or time begins."""

BACKDROPS = frozenset({"background", "backdrop", "sky", "lighting", "light"})
"""With which "with" begins a setting: "with a blurred background", not "with a red beak"."""

ENDS = frozenset({
    "and", "or", "but", "while", "as", "that", "which", "who", "is", "are", "was", "were", "has", "have",
    "with", "without", "to", "for", "from", "its", "his", "her", "their",
})  # fmt: skip
"""Words that end a phrase; "its", because what is the subject's own is no setting ("on its back")."""

NOUNS = frozenset({
    "awning", "building", "ceiling", "clearing", "clothing", "crossing", "dining", "evening", "landing",
    "lighting", "living", "morning", "opening", "painting", "parking", "railing", "ring", "setting",
    "spring", "string", "swimming", "swing", "wedding",
})  # fmt: skip
"""Words in "ing" that are no verbs, or hardly ever; a verb ends a phrase."""

LOOSE = frozenset({"a", "an", "the", "this", "that", "some", "of", "very"})
"""Words that do not tell one group from another."""

ALONE = frozenset({"underwater", "indoors", "outdoors", "outside", "inside"})
"""Phrases of one word."""

LONGEST_PHRASE, LONGEST_WORD = 8, 24
"""Words of a phrase, and characters of a word; phrases are cut before what is longer."""

LEAST_SHARE = 0.005
"""Of captions that say so: a group with less is a slip of the captioner, or tells of one image."""

_STARTS = re.compile(
    rf"(?<!\S)(?:{'|'.join(sorted(PLACES, key=len, reverse=True))}|with)(?!\S)"
)  # longest first: "in front of" before "in"


def cluster(
    captions: Sequence[str], classes: Sequence[str], prefix: str, most: int
) -> tuple[str, ...]:
    """Return descriptions of what captions share once class words are out, most shared first.

    The same captions in any order give the same. A group is worded by its commonest phrase; groups of
    equal size are ordered by wording. A group needs two captions and `LEAST_SHARE` of all, unless none has.

    Args:
        captions: one an image; equal ones count each time.
        classes: names of all classes.
        prefix: how descriptions begin, with `{}` for the class.
        most: descriptions, at most.

    Returns:
        At most ``most`` descriptions; none where captions speak of no place, time or light.
    """
    wordings: defaultdict[str, Counter[str]] = defaultdict(Counter)
    named = _any_class(classes)
    for caption, times in Counter(captions).items():
        # A caption that repeats itself ("on a tree on a tree") says it once.
        said = {_group(phrase): phrase for phrase in _phrases(caption, named, prefix)}
        for group, phrase in said.items():
            wordings[group][phrase] += times
    sizes = {group: phrases.total() for group, phrases in wordings.items()}
    least = max(2, LEAST_SHARE * len(captions))
    if any(size >= least for size in sizes.values()):
        sizes = {group: size for group, size in sizes.items() if size >= least}
    worded = [(-size, _commonest(wordings[group])) for group, size in sizes.items()]
    return tuple(f"{prefix.strip()} {phrase}" for _, phrase in sorted(worded)[:most])


def _any_class(classes: Sequence[str]) -> re.Pattern[str] | None:
    """Return what finds any class, the longest name first; None where no class can be found."""
    found = (class_pattern(name) for name in sorted(classes, key=len, reverse=True))
    patterns = [pattern for pattern in found if pattern is not None]
    return re.compile("|".join(patterns), re.IGNORECASE) if patterns else None


def _phrases(caption: str, named: re.Pattern[str] | None, prefix: str) -> Iterator[str]:
    """Yield a caption's phrases of place, time and light, in lower case, in which no class is named."""
    text = re.sub(r"[_\s]+", " ", caption.casefold())
    text = named.sub(PLACE, text) if named else text
    if has_form(text, prefix):
        text = setting_of(text, prefix)
    for clause in re.split(r"[.,;:!?()\"]", text):
        starts = list(_STARTS.finditer(clause))
        ends = [start.start() for start in starts[1:]] + [len(clause)] * bool(starts)
        for start, end in zip(starts, ends, strict=True):
            phrase = _phrase(start[0], clause[start.end() : end].split())
            if phrase:
                yield phrase


def _phrase(start: str, rest: list[str]) -> str | None:
    """Return a phrase up to the word that ends it, or None where it is no setting."""
    kept: list[str] = []
    for word in rest[: LONGEST_PHRASE - 1]:
        verb = word.endswith("ing") and word not in NOUNS
        if verb or word in ENDS or len(word) > LONGEST_WORD:
            break
        kept.append(word)
    if any({"{", "}"} & set(word) or not word.isprintable() for word in kept):
        return None
    if start == "with":
        return " ".join([start, *kept]) if kept and kept[-1] in BACKDROPS else None
    if not set(kept) - LOOSE:
        return start if start in ALONE else None
    return " ".join([start, *kept])


def _group(phrase: str) -> str:
    """Return the phrase's last word of weight, without the plural: "on two branches" is of "branch"."""
    word = [word for word in phrase.split() if word not in LOOSE][-1]
    if word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _commonest(phrases: Counter[str]) -> str:
    """Return the commonest phrase; of equally common ones the shortest, then the first by letters."""
    return min(phrases, key=lambda phrase: (-phrases[phrase], len(phrase), phrase))
