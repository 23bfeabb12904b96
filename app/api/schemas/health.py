"""Health."""

from typing import Literal

from app.api.schemas.base import View


class Alive(View):
    status: Literal["ok"] = "ok"


class Ready(View):
    status: Literal["ready"] = "ready"
    checks: dict[str, str]
    """`ok` for each of store, blobs and queue."""
