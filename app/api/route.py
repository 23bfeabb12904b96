"""The route class of `/v1`: the key first, then a body that is read within limits and strictly."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json

from app.api.context import authenticate, services
from app.domain.problems import BadRequest, Invalid, TooLarge, UnsupportedMedia

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class StrictRequest(Request):
    """A request whose JSON has no NaN, no lone surrogates, no NUL and no bottomless nesting."""

    async def body(self) -> bytes:
        """Return the body, cut at one byte over the limit.

        Raises:
            TooLarge: it is longer than `Settings.max_body_bytes`.
        """
        if not hasattr(self, "_body"):
            self._body = await self._read(services(self).settings.max_body_bytes)
        return self._body

    async def _read(self, limit: int) -> bytes:
        chunks = bytearray()
        if _declared_length(self) > limit:
            raise _too_large(limit)
        async for chunk in self.stream():
            chunks += chunk
            if len(chunks) > limit:
                raise _too_large(limit)
        return bytes(chunks)

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            body = await self.body()
            try:
                self._json = from_json(body, allow_inf_nan=False, cache_strings=False)
            except ValueError as error:
                raise BadRequest(f"The body is not JSON: {error}.", code="invalid_json") from error
            # PostgreSQL cannot keep it, and nobody means it. JSON can only write it escaped, so that
            # the long look is rare.
            if b"\\u0000" in body and any("\0" in text for text in _strings(self._json)):
                raise Invalid("A string holds the character U+0000.", code="invalid_text")
        return self._json


class ApiRoute(APIRoute):
    """Authenticates before anything of the request is read."""

    def get_route_handler(self) -> Handler:
        handler = super().get_route_handler()
        takes_json = self.body_field is not None

        async def handle(request: Request) -> Response:
            await authenticate(request)
            if takes_json:
                request = StrictRequest(request.scope, request.receive)
                _check_media_type(request)
                if await request.body():
                    await request.json()  # here, where a Problem reaches its handler
            return await handler(request)

        return handle


def _check_media_type(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMedia("The body must be application/json.", param="Content-Type")


def _declared_length(request: Request) -> int:
    length = request.headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() else 0


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes.")


def _strings(value: Any) -> Iterator[str]:
    """Yield every string in a JSON value, keys too; the parser has bounded its depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
