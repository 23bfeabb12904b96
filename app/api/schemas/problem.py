"""The one shape of every answer that is not a success (RFC 9457)."""

from pydantic import BaseModel, ConfigDict


class ProblemView(BaseModel):
    """What went wrong; also the shape of a job's `error`."""

    model_config = ConfigDict(
        use_attribute_docstrings=True, title="Problem", extra="ignore", from_attributes=True
    )

    type: str
    """A URN made from the code."""

    title: str
    """The HTTP status in words."""

    status: int
    """The HTTP status."""

    detail: str
    """One sentence: what was found, and what was expected."""

    code: str
    """Stable and machine-readable, for example `non_finite_values`."""

    param: str | None = None
    """The field, column, row or file it is about."""

    request_id: str | None = None
    """Leads to the service's log."""

    retryable: bool = False
    """Whether the very same call may succeed later."""
