"""Items decoded in full on threads, in their order, a bounded number of bytes at a time."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from models.cores import cores
from models.embeddings.limits import MiB
from models.raw.audio import AudioFacts, inspect_audio
from models.raw.extensions import check_extension
from models.raw.image import ImageFacts, inspect_image
from models.raw.limits import RawLimits
from models.raw.parts import RawItem
from models.raw.problem import ItemProblem
from models.raw.spec import Modality
from models.raw.text import check_text_item

_BATCH = 32
_BATCH_BYTES = 4 * MiB
_MAX_THREADS = 4


class TextFacts(NamedTuple):
    """What a checked text is."""

    characters: int


Facts = ImageFacts | AudioFacts | TextFacts


class Checked(NamedTuple):
    """An item once it has been decoded: its bytes and facts, or what is wrong with it."""

    item: RawItem
    outcome: tuple[bytes, Facts] | ItemProblem


def check_items(
    items: Iterable[RawItem], modality: Modality, limits: RawLimits
) -> Iterator[Checked]:
    """Yield every item in order, decoded by as many threads as there are processors, up to 4.

    Pillow and libsndfile let go of the interpreter while they decode. No more is read ahead than
    a batch (4 MiB, or one item) for each thread and one more.
    """
    threads = min(_MAX_THREADS, cores())
    pending: deque[Future[list[Checked]]] = deque()
    check = CHECKS[modality]
    with ThreadPoolExecutor(threads) as pool:
        for batch in _batches(items):
            pending.append(pool.submit(_check_all, batch, check, limits))
            if len(pending) > threads:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()


def _batches(items: Iterable[RawItem]) -> Iterator[list[RawItem]]:
    batch: list[RawItem] = []
    held = 0
    for item in items:
        batch.append(item)
        held += 0 if isinstance(item.content, ItemProblem) else len(item.content)
        if len(batch) >= _BATCH or held >= _BATCH_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


Check = Callable[[RawItem, RawLimits], tuple[bytes, Facts]]


def _check_all(batch: list[RawItem], check: Check, limits: RawLimits) -> list[Checked]:
    checked: list[Checked] = []
    for item in batch:
        try:
            checked.append(Checked(item, check(item, limits)))
        except ItemProblem as problem:
            checked.append(Checked(item, problem))
    return checked


def _image(item: RawItem, limits: RawLimits) -> tuple[bytes, Facts]:
    data = _bytes(item, limits)
    facts = inspect_image(data, limits)
    check_extension(item.name, "image", facts.format)
    return data, facts


def _audio(item: RawItem, limits: RawLimits) -> tuple[bytes, Facts]:
    data = _bytes(item, limits)
    facts = inspect_audio(data, limits)
    check_extension(item.name, "audio", facts.format)
    return data, facts


def _text(item: RawItem, limits: RawLimits) -> tuple[bytes, Facts]:
    content = item.content
    if isinstance(content, ItemProblem):
        raise content
    if isinstance(content, bytes):
        raise ItemProblem("bad_text", "is bytes; expected text")
    return check_text_item(content, limits), TextFacts(len(content))


def _bytes(item: RawItem, limits: RawLimits) -> bytes:
    content = item.content
    if isinstance(content, ItemProblem):
        raise content
    if isinstance(content, str):
        raise ItemProblem("item_missing", "is text; expected the bytes of a file")
    if len(content) > limits.max_item_bytes:
        raise ItemProblem(
            "item_too_large",
            f"has {len(content):,} bytes; at most {limits.max_item_bytes:,} are taken",
        )
    return content


CHECKS: dict[Modality, Check] = {"image": _image, "audio": _audio, "text": _text}
