"""Everything that can be answered with a problem, as one tree.

Problem                         any RFC 9457 answer; also the shape of ``job.error``
├── BadRequest            400   the message cannot be read at all
├── Unauthenticated       401   no key, an unknown or a revoked one
├── Forbidden             403   the key's scopes do not reach
├── NotFound              404   absent, or another tenant's: never told apart
├── MethodNotAllowed      405
├── Conflict              409   the resource's state does not permit it
├── TooLarge              413   more bytes than the limit
├── UnsupportedMedia      415   a format that is never opened
├── RangeNotSatisfiable   416
├── Invalid               422   readable, but a value is wrong
├── InternalError         500   a bug; the detail says nothing of its inside
├── Unavailable           503   the store or the queue did not answer; retryable
├── OutOfSpace            507   the disk is full; retryable
└── JobFailure                  no HTTP status of its own: why a job ended without success
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class Problem(Exception):
    """A fact about a request or a job that its owner should read.

    Attributes:
        code: stable, machine-readable, e.g. ``non_finite_values``.
        detail: one sentence with what was found and what was expected.
        param: the field, column, row or file it is about, if there is one.
        retryable: whether the very same call may succeed later.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    default_code: ClassVar[str] = "internal_error"
    retryable: bool = False

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retryable: bool | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code
        self.param = param
        self.headers = dict(headers or {})
        if retryable is not None:
            self.retryable = retryable

    def body(self, request_id: str | None = None) -> dict[str, Any]:
        """Return the RFC 9457 object; ``type`` is a URN made from the code."""
        return {
            "type": f"urn:cultivar:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "param": self.param,
            "request_id": request_id,
            "retryable": self.retryable,
        }


class BadRequest(Problem):
    status, title, default_code = 400, "Bad request", "bad_request"


class Unauthenticated(Problem):
    status, title, default_code = 401, "Unauthenticated", "unauthenticated"


class Forbidden(Problem):
    status, title, default_code = 403, "Forbidden", "insufficient_scope"


class NotFound(Problem):
    """The id itself is never echoed: the answer must not differ between absent and forbidden."""

    status, title, default_code = 404, "Not found", "not_found"

    def __init__(self, noun: str = "resource", *, because: str | None = None) -> None:
        """Say that it is not there, and why, where the caller may see what it would belong to."""
        super().__init__(f"There is no such {noun}{f': {because}' if because else ''}.")


class MethodNotAllowed(Problem):
    status, title, default_code = 405, "Method not allowed", "method_not_allowed"


class Conflict(Problem):
    status, title, default_code = 409, "Conflict", "conflict"


class TooLarge(Problem):
    status, title, default_code = 413, "Content too large", "body_too_large"


class UnsupportedMedia(Problem):
    status, title, default_code = 415, "Unsupported media type", "unsupported_media_type"


class RangeNotSatisfiable(Problem):
    status, title, default_code = 416, "Range not satisfiable", "range_not_satisfiable"


class Invalid(Problem):
    status, title, default_code = 422, "Invalid input", "invalid"


class InternalError(Problem):
    """A bug. The request id leads from the answer to the log; nothing else is told."""

    def __init__(self) -> None:
        super().__init__("The service met an error of its own; the log has it under request_id.")


class Unavailable(Problem):
    status, title, default_code = 503, "Service unavailable", "unavailable"
    retryable = True


class OutOfSpace(Problem):
    status, title, default_code = 507, "Insufficient storage", "out_of_space"
    retryable = True


class JobFailure(Problem):
    """Why a job ended without success; kept as ``job.error``, answered with the job, status 200."""

    status, title, default_code = 422, "Job failed", "job_failed"

    @classmethod
    def input_failed(cls, what: str) -> "JobFailure":
        return cls(f"An input of this job did not succeed: {what}.", code="input_failed")

    @classmethod
    def job_ended(
        cls, job_id: str, state: str, error: Mapping[str, Any] | None = None
    ) -> "JobFailure":
        """Return what dependents of a job fail with: its own error, which is what is to be mended.

        A job that itself failed for an input hands on the words it was given: the first cause.
        """
        if error is None or error["code"] == state:
            return cls.input_failed(f"job {job_id} ended as {state}")
        if error["code"] == "input_failed":
            return cls(error["detail"], code="input_failed")
        why = f"{error['code']}: {error['detail']}".rstrip(".")
        return cls.input_failed(f"job {job_id} ended as {state}, {why}")

    @classmethod
    def not_released(cls, why: str) -> "JobFailure":
        return cls(why, code="not_released", param="release_if")

    @classmethod
    def crash_loop(cls, crashes: int) -> "JobFailure":
        return cls(
            f"Its worker died {crashes} times with no progress in between.", code="crash_loop"
        )

    @classmethod
    def deadline_exceeded(cls, seconds: float) -> "JobFailure":
        return cls(f"It did not end within {seconds:g} s.", code="deadline_exceeded")

    @classmethod
    def no_progress(cls, seconds: float) -> "JobFailure":
        return cls(
            f"It reported no progress for {seconds:g} s.", code="no_progress", retryable=True
        )
