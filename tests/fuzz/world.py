"""What the attacked tenant has: enough of everything that a request with its ids can succeed.

No worker runs: the store is told what workers would have told it, as `tests/app/api` does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from app.domain.jobs import NewJob
from app.domain.problems import JobFailure
from app.domain.reviews import Picture, ReviewItem
from app.domain.specs import AliaSpec, EmbedSpec
from app.domain.tasks import Effects, NewArtifact, NewModel
from models.encoders.allowed import PACKAGED
from models.gelda.spec import GeldaSpec
from tests.app.api.conftest import MANIFEST, work
from tests.fuzz.service import Attacked

PART = b"0123456789"
ITEM = "7"
FILE = "config.json"
REPORTS = {
    "report.json": "application/json",
    "report.html": "text/html",
    "latents.npz": "application/zip",
}

Json = dict[str, Any]


@dataclass
class World:
    """Ids by what they are of; the lists stay as they are while requests are drawn from them."""

    attacked: Attacked
    many: int
    ids: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._client = httpx.Client(
            base_url=self.attacked.url, headers=self.attacked.headers, timeout=60
        )
        self._uploads()
        self._datasets()
        self._done()
        self._awaiting()
        self._queued()
        self.ids["keys"] = [self._key() for _ in range(self.many)]

    def spared(self, operation: str, verb: str, path: Mapping[str, Any]) -> dict[str, Any]:
        """Return a request's path parameters, without ids that other requests need if it uses them up."""
        kept = {self.attacked.key_id}.union(*self.ids.values())
        given = dict(path)
        if verb.upper() == "DELETE":
            given |= {name: self.fresh(name) for name, value in path.items() if value in kept}
        elif operation in ("cancel_job", "resume_job"):
            waiting = self.ids["edits"] + self.ids["descriptions"]
            if path["job_id"] in waiting:
                given["job_id"] = self.ids["resumable"][0]
        return given

    def fresh(self, parameter: str) -> str:
        """Return the id of something made for a request that takes it away."""
        match parameter:
            case "upload_id":
                return self._upload("b.npz", complete=False)
            case "key_id":
                return self._key()
            case "dataset_id":
                made = self._dataset("embedding", "npz")
                self._call("POST", f"/v1/jobs/{made['job_id']}/cancel")  # no job may be reading it
                return str(made["id"])
            case _:
                job = self._create(GeldaSpec(dataset=self.ids["embedding"][0]))
                self._call("POST", f"/v1/jobs/{job}/cancel")
                return job

    def _call(self, verb: str, path: str, **asked: Any) -> Json:
        answer = self._client.request(verb, path, **asked)
        answer.raise_for_status()
        found: Json = answer.json()
        return found

    def _upload(self, name: str, *, complete: bool) -> str:
        begun = self._call("POST", "/v1/uploads", json={"filename": name, "bytes": len(PART)})
        if complete:
            self._call("PUT", f"/v1/uploads/{begun['id']}/parts/1", content=PART)
            self._call("POST", f"/v1/uploads/{begun['id']}/complete")
        return str(begun["id"])

    def _uploads(self) -> None:
        self.ids["complete"] = [self._upload("birds.npz", complete=True) for _ in range(4)]
        self.ids["receiving"] = [self._upload("b.npz", complete=False) for _ in range(self.many)]

    def _datasets(self) -> None:
        blob = self.attacked.blobs.put_bytes(self.attacked.tenant, PART)
        sheet = {"columns": {"thumbnails": {"sha256": blob.sha256, "bytes": blob.bytes}}}
        for modality, format_ in (("embedding", "npz"), ("image", "zip"), ("text", "csv")):
            self.ids[modality] = []
            for _ in range(3):
                made = str(self._dataset(modality, format_)["id"])
                manifest = (
                    MANIFEST | {"modality": modality} | (sheet if modality == "image" else {})
                )
                work(self.attacked.store, Effects(dataset={"manifest": manifest, "stats": {}}))
                self.ids[modality].append(made)

    def _dataset(self, modality: str, format_: str) -> Json:
        upload = self.ids["complete"][0]
        body = {"upload_ids": [upload], "modality": modality, "format": format_}
        return self._call("POST", "/v1/datasets", json=body)

    def _create(self, spec: Any) -> str:
        with self.attacked.store.write() as tx:
            new = NewJob(self.attacked.tenant, spec.kind, spec.model_dump(mode="json"), seed=1)
            return str(tx.jobs.create(new).id)

    def _done(self) -> None:
        """Make jobs that succeeded, with artifacts and models, and jobs that failed."""
        blob = self.attacked.blobs.put_bytes(self.attacked.tenant, b"{}")
        files = tuple(
            NewArtifact(name, blob.sha256, blob.bytes, media) for name, media in REPORTS.items()
        )
        model = NewModel(
            {FILE: {"sha256": blob.sha256, "bytes": blob.bytes}},
            {"method": "gelda", "classes": ["cat", "dog"], "class_counts": {"cat": 20, "dog": 10}},
        )
        published = Effects(artifacts=files, generator=model, classifier=model)
        self.ids["done"], self.ids["failed"] = [], []
        for _ in range(3):
            self.ids["done"].append(self._create(GeldaSpec(dataset=self.ids["embedding"][0])))
            work(self.attacked.store, published)
            while self._state(self.ids["done"][-1]) != "succeeded":
                work(self.attacked.store, Effects())
            self.ids["failed"].append(self._create(GeldaSpec(dataset=self.ids["embedding"][0])))
            with self.attacked.store.write() as tx:
                claim = tx.tasks.claim({"cpu", "gpu"}, "fuzz", 60.0)
            assert claim is not None
            with self.attacked.store.write() as tx:
                tx.tasks.fail(claim.lease, JobFailure.no_progress(1))
        for noun in ("generators", "classifiers"):
            found = self._call("GET", f"/v1/{noun}")["data"]
            self.ids[noun] = [one["id"] for one in found]
        self.ids["artifacts"] = [
            one["id"]
            for job in self.ids["done"]
            for one in self._call("GET", f"/v1/jobs/{job}/artifacts")["data"]
        ]

    def _state(self, job_id: str) -> str:
        return str(self._call("GET", f"/v1/jobs/{job_id}")["state"])

    def _awaiting(self) -> None:
        """Make `alia` jobs that wait for a person: for descriptions, and for edits."""
        store, blob = self.attacked.store, self.attacked.blobs.put_bytes(self.attacked.tenant, PART)
        picture = Picture(blob.sha256, blob.bytes)
        item = ReviewItem(
            ITEM, "cat", "a {} in snow", "7.png", picture, picture, "image/png", "kept"
        )
        stages = {
            "descriptions": (Effects(), Effects(pause="descriptions")),
            "edits": (*(Effects(),) * 4, Effects(pause="edits", review=(item,))),
        }
        for what, effects in stages.items():
            made = []
            for _ in range(self.many):
                made.append(self._create(AliaSpec(dataset=self.ids["image"][0])))
                work(store, *effects)
            self.ids[what] = made[: self.many // 2 + 1]
            self.ids["resumable"] = self.ids.get("resumable", []) + made[self.many // 2 + 1 :]

    def _queued(self) -> None:
        """Make jobs that nobody works on; last, as claims take the oldest first."""
        specs = [
            EmbedSpec.model_validate(
                {"kind": "embed", "dataset": self.ids["text"][0], "encoder": {"model": PACKAGED}}
            ),
            *(GeldaSpec(dataset=self.ids["embedding"][0]) for _ in range(self.many)),
        ]
        self.ids["queued"] = [self._create(spec) for spec in specs]

    def _key(self) -> str:
        body = {"name": "spare", "scopes": ["jobs:read"]}
        return str(self._call("POST", "/v1/keys", json=body)["id"])
