"""`/v1/generators` and `/v1/classifiers`: the two kinds of trained model look alike."""

from collections.abc import Callable
from mimetypes import guess_type
from typing import Protocol

from fastapi import APIRouter, Response

from app.api.artifacts import file_responses
from app.api.callers import ModelReader
from app.api.downloads import Asked, Download, blob_response
from app.api.openapi import problems
from app.api.paging import After, Limit, page
from app.api.route import ApiRoute
from app.api.schemas.artifact import ModelView
from app.api.schemas.base import Page
from app.domain.problems import NotFound
from app.domain.records import Model
from app.store.database import Transaction


class Models(Protocol):
    """The repository of either table."""

    def get(self, tenant_id: str, model_id: str, /) -> Model | None: ...

    def list(
        self, tenant_id: str, limit: int, after: str | None, /
    ) -> tuple[list[Model], bool]: ...


def model_routes(noun: str, table: Callable[[Transaction], Models]) -> APIRouter:
    """Return the routes of ``generator`` or ``classifier``, read from ``table``."""
    router = APIRouter(prefix=f"/v1/{noun}s", tags=[f"{noun}s"], route_class=ApiRoute)

    @router.get("", name=f"list_{noun}s", summary=f"List {noun}s")
    def list_models(caller: ModelReader, limit: Limit = 20, after: After = None) -> Page[ModelView]:
        with caller.store.read() as tx:
            rows, has_more = table(tx).list(caller.tenant_id, limit, after)
        return page(ModelView, rows, has_more)

    @router.get(
        "/{model_id}", name=f"get_{noun}", summary=f"Show a {noun}", responses=problems(404)
    )
    def get_model(model_id: str, caller: ModelReader) -> ModelView:
        with caller.store.read() as tx:
            model = table(tx).get(caller.tenant_id, model_id)
        if model is None:
            raise NotFound(noun)
        return ModelView.model_validate(model)

    @router.get(
        "/{model_id}/files/{name}",
        name=f"get_{noun}_file",
        summary=f"Download one file of a {noun}",
        response_class=Response,
        responses=file_responses(),
    )
    def get_file(model_id: str, name: str, asked: Asked, caller: ModelReader) -> Response:
        with caller.store.read() as tx:
            model = table(tx).get(caller.tenant_id, model_id)
        if model is None or name not in model.files:
            raise NotFound("file")
        file = model.files[name]
        media_type = guess_type(name)[0] or "application/octet-stream"
        download = Download(name, file["sha256"], file["bytes"], media_type)
        return blob_response(asked, caller, download)

    return router
