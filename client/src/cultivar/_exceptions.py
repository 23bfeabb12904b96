"""Everything the client raises on purpose, as one tree.

CultivarError
├── ConfigurationError             no key, a bad address, a package that is not installed
├── APIError                       a request did not get the answer it asked for
│   ├── APIConnectionError         no answer came
│   │   └── APITimeoutError        … in time
│   └── APIStatusError             the service answered with a problem (RFC 9457)
│       ├── BadRequestError            400
│       ├── AuthenticationError        401
│       ├── PermissionDeniedError      403
│       ├── NotFoundError              404
│       ├── ConflictError              409
│       ├── ContentTooLargeError       413
│       ├── UnsupportedMediaTypeError  415
│       ├── UnprocessableEntityError   422
│       ├── RateLimitError             429
│       └── InternalServerError        500 and above
├── JobFailed                      a job ended without success; carries its code
├── WaitTimeout                    a job did not end in the time given; it goes on
├── InvalidInput                   rows that a classifier cannot take
├── DigestMismatch                 bytes that arrived are not the bytes that were promised
└── LocalServerError               the embedded stack did not start, or stopped
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class CultivarError(Exception):
    """Base of everything this package raises on purpose."""


class ConfigurationError(CultivarError):
    pass


class APIError(CultivarError):
    """A request did not get the answer it asked for.

    Attributes:
        retryable: whether the very same request may succeed later.
    """

    retryable: bool = False


class APIConnectionError(APIError):
    retryable = True

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"No answer from {url}: {reason}")
        self.url = url


class APITimeoutError(APIConnectionError):
    def __init__(self, url: str) -> None:
        super().__init__(url, "it took too long")


class APIStatusError(APIError):
    """The service answered with a problem.

    Attributes:
        status: HTTP status.
        code: stable and machine-readable, e.g. ``idempotency_key_reused``.
        detail: one sentence for a person.
        param: the field or file it is about, if there is one.
        request_id: what to quote to the service's operator.
        retry_after: seconds that the service asked to wait, if it did.
        body: the whole problem object.
    """

    def __init__(self, status: int, body: Mapping[str, Any], request_id: str | None = None) -> None:
        self.status = status
        self.body = dict(body)
        self.code = str(body.get("code") or f"http_{status}")
        self.detail = str(body.get("detail") or body.get("title") or "no reason was given")
        self.param: str | None = body.get("param")
        self.request_id: str | None = body.get("request_id") or request_id
        self.retryable = bool(body.get("retryable", False))
        self.retry_after: float | None = None
        about = f" ({self.param})" if self.param else ""
        quote = f" [request {self.request_id}]" if self.request_id else ""
        super().__init__(f"{status} {self.code}{about}: {self.detail}{quote}")


class BadRequestError(APIStatusError):
    pass


class AuthenticationError(APIStatusError):
    pass


class PermissionDeniedError(APIStatusError):
    pass


class NotFoundError(APIStatusError):
    pass


class ConflictError(APIStatusError):
    pass


class ContentTooLargeError(APIStatusError):
    pass


class UnsupportedMediaTypeError(APIStatusError):
    pass


class UnprocessableEntityError(APIStatusError):
    pass


class RateLimitError(APIStatusError):
    pass


class InternalServerError(APIStatusError):
    pass


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: ContentTooLargeError,
    415: UnsupportedMediaTypeError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def status_error(
    status: int, body: Mapping[str, Any], request_id: str | None = None
) -> APIStatusError:
    """Return the error class of a status, made from a problem object."""
    fallback = InternalServerError if status >= 500 else APIStatusError
    return _BY_STATUS.get(status, fallback)(status, body, request_id)


class JobFailed(CultivarError):
    """A job ended without success.

    Attributes:
        job_id: the job.
        state: ``failed``, ``canceled`` or ``expired``.
        code: the service's code, e.g. ``non_finite_values``; the state where there is none.
        param: the field, column, row or file at fault, if there is one.
        retryable: whether the same job may succeed later.
        request_id: what to quote to the service's operator.
    """

    default_code: ClassVar[str] = "job_failed"

    def __init__(self, job_id: str, state: str, error: Mapping[str, Any] | None) -> None:
        error = error or {}
        self.job_id = job_id
        self.state = state
        self.code = str(error.get("code") or (self.default_code if state == "failed" else state))
        self.detail = str(error.get("detail") or f"the job is {state}")
        self.param: str | None = error.get("param")
        self.retryable = bool(error.get("retryable", False))
        self.request_id: str | None = error.get("request_id")
        if self.code == state:  # canceled, expired: the state says it all
            told = f"{job_id} is {state}" + (f": {error['detail']}" if error.get("detail") else "")
        else:
            told = f"{job_id} {state}, {self.code}: {self.detail}"
        super().__init__(told)


class WaitTimeout(CultivarError, TimeoutError):
    def __init__(self, job_id: str, seconds: float) -> None:
        super().__init__(f"{job_id} did not end within {seconds:g} s; it goes on at the service")
        self.job_id = job_id


class InvalidInput(CultivarError, ValueError):
    pass


class DigestMismatch(CultivarError):
    def __init__(self, name: str, expected: str, found: str) -> None:
        super().__init__(f"{name}: sha-256 is {found}, {expected} was promised; nothing was kept")


class LocalServerError(CultivarError):
    pass
