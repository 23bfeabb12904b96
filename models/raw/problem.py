"""One item is at fault, and the rest goes on."""


class ItemProblem(Exception):
    """An image, clip or text that cannot be used, in words its owner can act on.

    Attributes:
        code: stable and machine-readable, e.g. ``image_truncated``.
        detail: what was found, and what was expected; the item's name is its reporter's to add.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
