"""Puts ids that exist, and specs that hold, into requests that were drawn from the document.

Drawn alone, an id of 32 digits never exists and a spec of fifty fields hardly ever holds: nearly all answers
would be 404 and 422, and what the routes do would go untried. One request in five stays as it was drawn.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from schemathesis.core import NOT_SET

from models.encoders.allowed import PACKAGED
from tests.fuzz.world import FILE, ITEM, PART, World

Choose = Callable[[Sequence[Any]], Any]
"""Takes one of several: by Hypothesis' own draw, or by a generator of random numbers."""

_ANY_JOB = ("done", "queued", "failed", "descriptions", "edits")
_DONE, _EDITS = ("done",), ("edits",)
_JOBS: Mapping[str, tuple[str, ...]] = {
    "retry_job": ("failed",),
    "cancel_job": ("queued", "done"),
    "review_job": ("edits", "descriptions"),
    "resume_job": ("resumable",),
    "list_job_items": _EDITS,
    "get_job_item_image": _EDITS,
    "list_job_artifacts": _DONE,
    "download_job_artifacts": _DONE,
    "get_job_report": _DONE,
}
_ID = re.compile(r"(ds|up|gen|job)_[0-9a-f]{32}")
_OF_PREFIX = {"up": "complete", "gen": "generators", "job": "done"}
_DATASET_OF_KIND = {"glico": "image", "alia": "image", "embed": "text"}
_AS_DRAWN, _WITH_IDS, _EXAMPLE = range(3)


class Filling:
    """Fills requests of one world; what it chooses is chosen by the caller, so that a seed gives the same run."""

    def __init__(self, world: World) -> None:
        self._world = world

    def fill(self, choose: Choose, case: Any) -> Any:
        """Change a request that was drawn as valid so that it is likely to succeed, and return it."""
        if case.meta is not None and case.meta.generation.mode.is_negative:
            return case
        how = choose((_AS_DRAWN, _WITH_IDS, _EXAMPLE, _EXAMPLE, _EXAMPLE))
        if how == _AS_DRAWN:
            return case
        name = case.operation.definition.raw["operationId"]
        if case.path_parameters:
            case.path_parameters = self._path(choose, name, case.method, case.path_parameters)
        if how == _EXAMPLE:
            self._example(choose, name, case)
        elif isinstance(case.body, dict):
            case.body = self._with_ids(choose, case.body)
        return case

    def example(self, choose: Choose, operation: Any) -> Any:
        """Return a request of an operation that is to succeed, whatever else is drawn."""
        raw = operation.definition.raw
        named = [one["name"] for one in raw.get("parameters", ()) if one["in"] == "path"]
        verb, name = operation.method, raw["operationId"]
        path = self._path(choose, name, verb, dict.fromkeys(named))
        case = operation.Case(path_parameters=path, body={} if "requestBody" in raw else NOT_SET)
        self._example(choose, name, case)
        return case

    def _path(
        self, choose: Choose, name: str, verb: str, drawn: Mapping[str, Any]
    ) -> dict[str, Any]:
        uses_up = verb.upper() == "DELETE"
        pools = self._world.ids
        filled = dict(drawn)
        for parameter in drawn:
            match parameter:
                case "job_id" | "dataset_id" | "upload_id" | "key_id" if uses_up:
                    filled[parameter] = self._world.fresh(parameter)
                case "job_id":
                    kinds = _JOBS.get(name, _ANY_JOB)
                    filled[parameter] = choose([i for k in kinds for i in pools[k]])
                case "upload_id":
                    of = "complete" if name == "complete_upload" else "receiving"
                    filled[parameter] = choose(pools[of])
                case "dataset_id":
                    of = "image" if name.endswith("thumbnails") else "embedding"
                    filled[parameter] = choose(pools[of])
                case "model_id":
                    of = "generators" if "generator" in name else "classifiers"
                    filled[parameter] = choose(pools[of])
                case "artifact_id":
                    filled[parameter] = choose(pools["artifacts"])
                case "key_id":
                    filled[parameter] = choose(pools["keys"])
                case "number":
                    filled[parameter] = 1
                case "name":
                    filled[parameter] = FILE
                case "item_id":
                    filled[parameter] = ITEM
                case "side":
                    filled[parameter] = choose(("before", "after"))
                case _:
                    raise LookupError(f"{name}: the world has nothing for {{{parameter}}}")
        return filled

    def _example(self, choose: Choose, name: str, case: Any) -> None:
        match name:
            case "put_part":
                case.body = PART
            case "begin_upload":
                case.body = {**case.body, "filename": "birds.npz", "bytes": len(PART)}
            case "create_key":
                case.body = {"name": "x", "scopes": ["jobs:read"]}
            case "rename_dataset":
                case.body = {"name": "x"}
            case "create_dataset":
                case.body = self._dataset(choose)
            case "create_job" | "validate_job":
                case.body = {"spec": self._spec(choose), "seed": 7}
            case "review_job":
                awaited = case.path_parameters["job_id"] in self._world.ids["edits"]
                edits, words = {"accept": [ITEM]}, {"descriptions": ["a photo of a {} in snow"]}
                case.body = edits if awaited else words
            case "list_jobs":
                case.query = {**case.query, "ids": ",".join(self._world.ids["done"])}
            case "list_job_events":
                if case.path_parameters["job_id"] in self._world.ids["done"]:
                    case.headers["Accept"] = "text/event-stream"  # it ends with the job
            case "get_job_report":
                case.headers["Accept"] = choose(("text/html", "*/*"))
        if "Range" in case.headers or "range" in case.headers:
            case.headers["Range"] = choose(("bytes=0-0", "bytes=-1", "bytes=9-"))
        for header in (
            "Idempotency-Key",
            "prefer",
        ):  # drawn, these are soon the same for two bodies
            case.headers.pop(header, None)

    def _dataset(self, choose: Choose) -> dict[str, Any]:
        upload = choose(self._world.ids["complete"])
        modality, format_ = choose(
            (("embedding", "npz"), ("image", "zip"), ("audio", "tar"), ("text", "csv"))
        )
        return {"upload_ids": [upload], "modality": modality, "format": format_}

    def _spec(self, choose: Choose) -> dict[str, Any]:
        kind = choose(("gelda", "glico", "alia", "embed", "sample", "classifier", "mixed"))
        ids = self._world.ids
        dataset = choose(ids[_DATASET_OF_KIND.get(kind, "embedding")])
        match kind:
            case "sample":
                generator = choose(ids["generators"] + ids["done"])
                return {"kind": kind, "generator": generator, "plan": {"per_class": 3}}
            case "embed":
                return {"kind": kind, "dataset": dataset, "encoder": {"model": PACKAGED}}
            case "mixed":
                job = choose(ids["done"])
                return {"kind": "classifier", "dataset": dataset, "mix": [job]}
            case _:
                return {"kind": kind, "dataset": dataset}

    def _with_ids(self, choose: Choose, value: Any, kind: str = "gelda") -> Any:
        """Return a JSON value with ids that exist wherever it has an id."""
        match value:
            case dict():
                kind = value["kind"] if isinstance(value.get("kind"), str) else kind
                return {key: self._with_ids(choose, one, kind) for key, one in value.items()}
            case list():
                return [self._with_ids(choose, one, kind) for one in value]
            case str() if found := _ID.fullmatch(value):
                of = _OF_PREFIX.get(found[1]) or _DATASET_OF_KIND.get(kind, "embedding")
                return choose(self._world.ids[of])
            case _:
                return value
