"""The one exception by which plain machine learning says that its input is at fault."""


class InputProblem(Exception):
    """Input that cannot be used, in words its owner can act on.

    Attributes:
        code: one of the codes of the documentation's bad-input table, e.g. ``non_finite_values``.
        detail: what was found, where, and what was expected.
        param: the column, file or field at fault.
    """

    def __init__(self, code: str, detail: str, param: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.param = param


class Interrupted(Exception):
    """Training or sampling stopped because the caller's ``should_stop`` said so; state is saved."""


def first_line(error: Exception) -> str:
    """Return what a foreign error says first, or its name where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)
