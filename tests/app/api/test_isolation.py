"""Another tenant's things are not there: every operation of the document, asked for them with another key."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.domain.jobs import NewJob
from app.domain.reviews import Picture, ReviewItem
from app.domain.tasks import Effects, NewArtifact, NewModel
from app.store.blobs import LocalBlobs
from app.store.database import Store
from models.alia.spec import AliaSpec
from models.encoders.allowed import PACKAGED
from tests.app.api.conftest import MANIFEST, dataset, upload, work
from tests.app.api.test_problems import assert_problem

CONTENT = b"some bytes"
SECRETS = ("the owner's birds", "owner.npz", "a class of the owner's", "a label of the owner's")
"""Words that are in the owner's things and nowhere else."""


@dataclass(frozen=True)
class Owned:
    """One of everything that has an id, and the request that reaches it.

    Attributes:
        ids: by the name that a path has for them; of `model_id`, by the path's second part.
        awaiting: ids again, where another job stands for `job_id`: one that waits for a person.
    """

    ids: dict[str, str]
    awaiting: dict[str, str]

    def of(self, path: str) -> dict[str, str]:
        found = self.awaiting if REVIEWED.intersection(path.split("/")) else self.ids
        return {**found, "model_id": found.get(path.split("/")[2], "")}


REVIEWED = frozenset({"reviews", "resume", "items"})
PLACES = frozenset({"number", "name", "item_id", "side"})
"""Parameters of a path that are no id: what they name is found below an id."""

BODIES: dict[str, dict[str, Any]] = {
    "put_part": {"content": CONTENT},
    "rename_dataset": {"json": {"name": "x"}},
    "review_job": {"json": {"reject": ["7"]}},
}
"""What is sent, by operation; the walk fails for an operation that takes a body and is not here."""

VARIANTS: tuple[dict[str, str], ...] = (
    {},
    {"If-None-Match": "*"},
    {"Range": "bytes=0-0"},
    {"Accept": "text/event-stream", "Last-Event-ID": "1"},
    {"Accept": "text/html"},
)
"""Header fields that lead a GET another way through its route."""


@pytest.fixture
def owned(client: TestClient, store: Store, blobs: LocalBlobs, tenant: str) -> Owned:
    made = client.post(
        "/v1/datasets",
        json={"upload_ids": [upload(client, CONTENT, SECRETS[1])], "name": SECRETS[0]},
    ).json()
    blob = blobs.put_bytes(tenant, CONTENT)
    files = [
        NewArtifact(f"report.{form}", blob.sha256, blob.bytes, "text/plain")
        for form in ("json", "html")
    ]
    model = NewModel(
        {"config.json": {"sha256": blob.sha256, "bytes": blob.bytes}},
        {"method": "gelda", "classes": [SECRETS[2]]},
    )
    sheet = {"thumbnails": {"sha256": blob.sha256, "bytes": blob.bytes}}
    raw = {"modality": "image", "columns": sheet, "classes": [SECRETS[2]]}
    made_of = {"manifest": MANIFEST | raw, "stats": {"classes": [SECRETS[2]]}}
    work(store, Effects({}, (), tuple(files), model, model, made_of))
    awaiting = _awaiting(store, blobs, tenant, made["id"])
    receiving = client.post("/v1/uploads", json={"filename": SECRETS[1], "bytes": len(CONTENT)})
    named = {
        noun: client.get(f"/v1/{noun}").json()["data"][0]["id"]
        for noun in ("generators", "classifiers", "keys")
    }
    artifacts = client.get(f"/v1/jobs/{made['job_id']}/artifacts").json()["data"]
    ids = {
        "upload_id": receiving.json()["id"],
        "dataset_id": made["id"],
        "job_id": made["job_id"],
        "number": "1",
        "artifact_id": artifacts[0]["id"],
        "generators": named["generators"],
        "classifiers": named["classifiers"],
        "key_id": named["keys"],
        "name": "config.json",
        "item_id": "7",
        "side": "before",
    }
    return Owned(ids, ids | {"job_id": awaiting})


def _awaiting(store: Store, blobs: LocalBlobs, tenant: str, dataset_id: str) -> str:
    """Return an `alia` job that waits for a person to look at one edit."""
    spec = AliaSpec(dataset=dataset_id).model_dump(mode="json")
    with store.write() as tx:
        job_id: str = tx.jobs.create(NewJob(tenant, "alia", spec, seed=1)).id
    blob = blobs.put_bytes(tenant, CONTENT)
    picture = Picture(blob.sha256, blob.bytes)
    item = ReviewItem(
        "7", SECRETS[3], "a {} in snow", "7.png", picture, picture, "image/png", "kept"
    )
    work(store, *(Effects(),) * 4, Effects(pause="edits", review=(item,)))
    return job_id


def operations(app: FastAPI, *, with_ids: bool) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield path, verb and description of the operations that have ids in their path, or that have none."""
    for path, verbs in app.openapi()["paths"].items():
        if ("{" in path) == with_ids:
            for verb, operation in verbs.items():
                yield path, verb, operation


def unlike(ids: dict[str, str]) -> dict[str, str]:
    """Return ids that nothing has, of the same form and time as these."""
    return {
        name: value if name in PLACES or not value else value[:-20] + "f" * 20
        for name, value in ids.items()
    }


def sent(operation: dict[str, Any]) -> dict[str, Any]:
    """Return the body that an operation takes, as a request's arguments."""
    if "requestBody" not in operation:
        return {}
    name = operation["operationId"]
    assert name in BODIES, f"the walk does not know what to send to {name}"
    return BODIES[name]


def told(answer: Any) -> tuple[int, dict[str, str], str]:
    """Return an answer without its own request id: what must not differ from id to id, in any byte."""
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name not in ("x-request-id", "date")
    }
    return answer.status_code, headers, answer.text.replace(answer.headers["x-request-id"], "")


def everything(client: TestClient, owned: Owned) -> dict[str, Any]:
    """Return what the owner sees of everything by its id."""
    seen = {}
    for path, verb, _ in operations(client.app, with_ids=True):  # type: ignore[arg-type]
        if verb == "get":
            answer = client.get(path.format(**owned.of(path)))
            assert answer.status_code == 200, path  # so that a stranger's 404 says something
            seen[path] = answer.text
    return seen


def test_another_tenants_id_answers_as_an_unknown_one(
    client: TestClient, stranger: TestClient, owned: Owned
) -> None:
    before = everything(client, owned)
    checked = 0
    for path, verb, operation in operations(stranger.app, with_ids=True):  # type: ignore[arg-type]
        known = owned.of(path)
        for headers in VARIANTS if verb == "get" else VARIANTS[:1]:
            answers = [
                stranger.request(verb, path.format(**ids), headers=headers, **sent(operation))
                for ids in (known, unlike(known))
            ]
            for answer in answers:
                assert_problem(answer, 404, "not_found")
                assert not any(id_ in answer.text for id_ in known.values() if "_" in id_)
            assert told(answers[0]) == told(answers[1]), (verb, path, headers)
        checked += 1
    assert checked > 20
    assert everything(client, owned) == before


def test_what_the_document_leaves_out_tells_ids_apart_no_better(
    client: TestClient, stranger: TestClient, owned: Owned
) -> None:
    for path, verb, _ in operations(stranger.app, with_ids=True):  # type: ignore[arg-type]
        known = owned.of(path)
        if verb == "get":
            answers = [
                stranger.head(path.format(**ids), headers={"X-Request-ID": "same"})
                for ids in (known, unlike(known))
            ]
            assert answers[0].status_code in (404, 405), path
            assert answers[0].headers == answers[1].headers, path
    content = f"/v1/artifacts/{owned.ids['artifact_id']}/content"
    assert (client.head(content).status_code, stranger.head(content).status_code) == (200, 404)


def test_operations_without_ids_show_nothing_of_another_tenant(
    client: TestClient, stranger: TestClient, owned: Owned
) -> None:
    ids = {id_ for id_ in (*owned.ids.values(), *owned.awaiting.values()) if "_" in id_}
    lists = 0
    for path, verb, _ in operations(stranger.app, with_ids=False):  # type: ignore[arg-type]
        if verb != "get":
            continue
        answer = stranger.get(path)
        assert answer.status_code == 200, path
        assert not [word for word in (*ids, *SECRETS) if word in answer.text], path
        if path.startswith("/v1/") and path not in ("/v1/methods", "/v1/keys"):
            assert answer.json() == {"data": [], "has_more": False, "next_after": None}
            assert client.get(path).json()["data"], path
            lists += 1
    assert lists >= 4
    assert len(stranger.get("/v1/keys").json()["data"]) == 1


def test_a_query_for_another_tenants_ids_finds_nothing(
    client: TestClient, stranger: TestClient, owned: Owned
) -> None:
    ids = f"{owned.ids['job_id']},{owned.awaiting['job_id']}"
    assert len(client.get("/v1/jobs", params={"ids": ids}).json()["data"]) == 2
    assert stranger.get("/v1/jobs", params={"ids": ids}).json()["data"] == []
    dataset(stranger)  # a cursor is compared, and what it points at is never looked at
    for path, name in (
        ("jobs", "job_id"),
        ("datasets", "dataset_id"),
        ("generators", "generators"),
    ):
        id_ = owned.ids[name]
        pages = [
            stranger.get(f"/v1/{path}", params={"after": after}).json()
            for after in (id_, unlike({name: id_})[name])
        ]
        assert pages[0] == pages[1] == {"data": [], "has_more": False, "next_after": None}


def test_a_body_cannot_name_what_is_another_tenants(stranger: TestClient, owned: Owned) -> None:
    own, ids = dataset(stranger)["id"], owned.ids
    plain = {"standardise": False, "transform": "none", "normalise": False}
    vectors = {"source": "upload", "upload": ids["upload_id"]}
    head = {"initial": {"upload": ids["upload_id"]}}
    gelda, classifier = {"kind": "gelda", "dataset": own}, {"kind": "classifier", "dataset": own}
    sample = {"kind": "sample", "plan": {"per_class": 1}}
    asked: list[tuple[str, str, dict[str, Any]]] = [
        *(
            ("dataset_id", "spec.dataset", {"kind": kind, "dataset": ids["dataset_id"]})
            for kind in ("gelda", "glico", "alia", "classifier")
        ),
        (
            "dataset_id",
            "spec.dataset",
            {"kind": "embed", "dataset": ids["dataset_id"], "encoder": {"model": PACKAGED}},
        ),
        ("upload_id", "spec.classes.upload", gelda | {"classes": vectors}),
        ("upload_id", "spec.subdomains.upload", gelda | {"subdomains": vectors}),
        (
            "upload_id",
            "spec.classifier.initial.upload",
            gelda | {"classifier": head, "preparation": [plain], "adapter": {"blocks": 0}},
        ),
        (
            "upload_id",
            "spec.head.initial.upload",
            classifier | {"head": head, "preparation": plain},
        ),
        ("job_id", "spec.mix", classifier | {"mix": [ids["job_id"]]}),
        ("generators", "spec.generator", sample | {"generator": ids["generators"]}),
        ("job_id", "spec.generator", sample | {"generator": ids["job_id"]}),
    ]
    for name, param, spec in asked:
        for route in ("/v1/jobs", "/v1/jobs/validate"):
            refused = []
            for id_ in (ids[name], unlike({name: ids[name]})[name]):
                body = json.dumps({"spec": spec}).replace(ids[name], id_)
                answer = stranger.post(route, json=json.loads(body))
                assert assert_problem(answer, 422, "input_not_found")["param"] == param
                refused.append(told(answer))
            assert refused[0] == refused[1], (route, param)
    answer = stranger.post("/v1/datasets", json={"upload_ids": [ids["upload_id"]]})
    assert_problem(answer, 422, "input_not_found")


def test_another_tenants_idempotency_key_is_a_key_of_ones_own(
    client: TestClient, stranger: TestClient
) -> None:
    body = {"filename": "birds.npz", "bytes": 3}
    made = [
        one.post("/v1/uploads", json=body, headers={"Idempotency-Key": "same"})
        for one in (client, stranger, client)
    ]
    assert made[0].json()["id"] == made[2].json()["id"] != made[1].json()["id"]
    assert "idempotency-replayed" not in made[1].headers
