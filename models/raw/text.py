"""One text out of untrusted data."""

from models.raw.limits import RAW_LIMITS, RawLimits
from models.raw.problem import ItemProblem


def check_text_item(text: str, limits: RawLimits = RAW_LIMITS) -> bytes:
    """Return a text as UTF-8.

    Raises:
        ItemProblem: ``text_empty``, ``text_too_long``, ``bad_text``.
    """
    if not text.strip():
        raise ItemProblem("text_empty", "has no characters but white space")
    if len(text) > limits.max_characters:
        raise ItemProblem(
            "text_too_long",
            f"has {len(text):,} characters; at most {limits.max_characters:,} are taken",
        )
    if "\0" in text:
        raise ItemProblem("bad_text", "holds a NUL character")
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ItemProblem("bad_text", "holds half of a surrogate pair") from None


def decode_text(data: bytes) -> str:
    """Return the text of an item of a canonical dataset.

    Raises:
        ItemProblem: ``bad_text``.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ItemProblem("bad_text", f"is not UTF-8 ({error.reason})") from None
