"""Health."""

from typing import Literal

from app.api.schemas.base import View


class Alive(View):
    status: Literal["ok"] = "ok"


class Ready(View):
    status: Literal["ready"] = "ready"

    checks: dict[str, str]
    """`ok` for each of store, blobs and queue; of workers also which classes nobody serves."""

    served: list[str]
    """Classes of tasks that a live worker serves."""

    unserved: list[str]
    """Classes that none does: their tasks wait, which alone makes no service unready."""
