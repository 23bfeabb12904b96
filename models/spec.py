"""What every spec has in common: immutable, nothing unknown accepted, parameters declared once."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Precision = Literal["auto", "float32", "bfloat16"]
"""Of a training's forward pass; `auto` is bfloat16 where the machine has hardware for it."""

CONTRADICTION = "contradiction."
"""What the error type of a `contradiction` begins with; its code follows."""


class Spec(BaseModel):
    """Base of all specs; a field's docstring is its description in the API's schema."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


def contradiction(code: str, detail: str, *field: str) -> ValidationError:
    """Return the error for a model's validator to raise where two fields do not go together.

    Args:
        code: stable and machine-readable, what the API answers with.
        detail: a sentence without its full stop.
        field: where, from the model that is validated: ``"plan", "cells"``.
    """
    error = PydanticCustomError(f"{CONTRADICTION}{code}", "{detail}", {"detail": detail})
    return ValidationError.from_exception_data(
        "spec", [InitErrorDetails(type=error, loc=field, input=None)]
    )
