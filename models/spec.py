"""What every spec has in common: immutable, nothing unknown accepted, parameters declared once."""

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """Base of all specs; a field's docstring is its description in the API's schema."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )
