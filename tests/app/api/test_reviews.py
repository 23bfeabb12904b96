"""A job that waits for a person shows what it has made, hears what is said of it, and goes on."""

import hashlib
from typing import Any

import pytest
import redis
from starlette.testclient import TestClient

from app.domain.jobs import NewJob
from app.domain.reviews import Picture, ReviewItem
from app.domain.tasks import Effects
from app.store.blobs import LocalBlobs
from app.store.database import Store
from models.alia.spec import AliaSpec
from tests.app.api.conftest import BOTH_DATABASES, ready_dataset, work
from tests.app.api.test_problems import assert_problem

BEFORE, AFTER = b"the source", b"the edit"


class Waiting:
    """An `alia` job that a test brings to where it waits."""

    def __init__(self, client: TestClient, store: Store, blobs: LocalBlobs, tenant: str) -> None:
        self.client, self.store, self.blobs, self.tenant = client, store, blobs, tenant
        spec = AliaSpec(dataset=ready_dataset(client, store)).model_dump(mode="json")
        with store.write() as tx:
            self.job_id = tx.jobs.create(NewJob(tenant, "alia", spec, seed=1)).id
        self.path = f"/v1/jobs/{self.job_id}"

    def for_descriptions(self) -> "Waiting":
        work(self.store, Effects(), Effects(pause="descriptions"))
        return self

    def for_edits(self) -> "Waiting":
        before, after = (self.blobs.put_bytes(self.tenant, one) for one in (BEFORE, AFTER))
        source = Picture(before.sha256, before.bytes)
        items = tuple(
            ReviewItem(
                item_id=f"edit-{number}",
                label="cat",
                description="a photo of a {} in the snow",
                source="7.png" if number else None,
                before=source if number else None,
                after=Picture(after.sha256, after.bytes),
                media_type="image/png",
                decision="kept",
                scores={"semantic": 0.5},
            )
            for number in range(3)
        )
        done = (Effects(),) * 4
        work(self.store, *done, Effects(pause="edits", review=items))
        return self

    def see(self) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(self.path).json()
        return found

    def say(self, **said: Any) -> Any:
        return self.client.post(f"{self.path}/reviews", json=said)

    def resume(self, **headers: str) -> Any:
        return self.client.post(f"{self.path}/resume", headers=headers)


@pytest.fixture
def waiting(client: TestClient, store: Store, blobs: LocalBlobs, tenant: str) -> Waiting:
    return Waiting(client, store, blobs, tenant)


@BOTH_DATABASES
def test_descriptions_are_edited_and_the_job_goes_on(waiting: Waiting, store: Store) -> None:
    assert waiting.see()["awaiting"] is None
    waiting.for_descriptions()
    job = waiting.see()
    assert (job["state"], job["awaiting"]) == ("awaiting_review", "descriptions")
    given = ["a photo of a {} in the snow", "a photo of a {} at night"]
    said = {"awaiting": "descriptions", "descriptions": given, "accepted": [], "rejected": []}
    answered = waiting.say(descriptions=given)
    assert (answered.status_code, answered.json()) == (200, said)
    assert waiting.client.get(f"{waiting.path}/reviews").json() == said
    resumed = waiting.resume()
    assert (resumed.status_code, resumed.json()["state"]) == (202, "running")
    assert resumed.json()["awaiting"] is None
    with store.write() as tx:
        claim = tx.tasks.claim({"gpu"}, "tests", 60.0)
    assert claim is not None
    assert claim.review["descriptions"] == given


@BOTH_DATABASES
def test_items_are_shown_and_judged(waiting: Waiting) -> None:
    waiting.for_edits()
    assert waiting.see()["awaiting"] == "edits"
    first = waiting.client.get(f"{waiting.path}/items?limit=2").json()
    assert first["has_more"]
    rest = waiting.client.get(f"{waiting.path}/items?after={first['next_after']}").json()
    assert (rest["has_more"], rest["next_after"]) == (False, None)
    shown = first["data"] + rest["data"]
    assert [one["id"] for one in shown] == ["edit-0", "edit-1", "edit-2"]
    picture = {"sha256": hashlib.sha256(AFTER).hexdigest(), "bytes": len(AFTER)}
    assert shown[0] == {
        "id": "edit-0",
        "label": "cat",
        "description": "a photo of a {} in the snow",
        "source": None,
        "before": None,
        "after": picture,
        "media_type": "image/png",
        "scores": {"semantic": 0.5},
        "decision": "kept",
        "verdict": None,
    }
    answered = waiting.say(accept=["edit-1"], reject=["edit-0", "edit-2"])
    assert answered.json()["rejected"] == ["edit-0", "edit-2"]
    judged = waiting.client.get(f"{waiting.path}/items").json()["data"]
    assert [one["verdict"] for one in judged] == ["rejected", "accepted", "rejected"]
    assert waiting.resume().status_code == 202
    assert_problem(waiting.say(accept=["edit-0"]), 409, "not_awaiting_review")


def test_the_images_of_an_item_come_with_their_type_and_digest(waiting: Waiting) -> None:
    waiting.for_edits()
    for side, content in (("before", BEFORE), ("after", AFTER)):
        found = waiting.client.get(f"{waiting.path}/items/edit-1/{side}")
        assert (found.status_code, found.content) == (200, content)
        assert found.headers["content-type"] == "image/png"
        assert found.headers["etag"] == f'"{hashlib.sha256(content).hexdigest()}"'
        assert f"edit-1-{side}.png" in found.headers["content-disposition"]
    part = waiting.client.get(f"{waiting.path}/items/edit-1/after", headers={"Range": "bytes=0-2"})
    assert (part.status_code, part.content) == (206, AFTER[:3])
    without = waiting.client.get(f"{waiting.path}/items/edit-0/before")
    assert "without a source" in str(assert_problem(without, 404)["detail"])
    assert_problem(waiting.client.get(f"{waiting.path}/items/edit-9/after"), 404)
    assert_problem(waiting.client.get(f"{waiting.path}/items/edit-1/beside"), 422)


@pytest.mark.parametrize(
    ("said", "code", "param", "names"),
    [
        ({}, "empty_review", None, "descriptions"),
        ({"descriptions": []}, "invalid", "descriptions", "At least 1"),
        ({"descriptions": ["in the snow"]}, "bad_description", "descriptions", "Description 0"),
        ({"descriptions": ["a {} in {}"]}, "bad_description", "descriptions", "2 `{}`"),
        ({"descriptions": ["a {} by a dog"]}, "bad_description", "descriptions", "'dog'"),
        ({"descriptions": ["a {} here", "A {} here"]}, "bad_description", "descriptions", "same"),
        ({"descriptions": ["a {} here"], "accept": ["a"]}, "two_reviews", "descriptions", "both"),
        ({"accept": ["a"], "reject": ["b", "a"]}, "accepted_and_rejected", "reject.1", "'a'"),
        ({"reject": ["a/b"]}, "invalid", "reject.0", "a/b"),
        ({"keep": ["a"]}, "unknown_field", "keep", ""),
    ],
)
def test_what_cannot_be_meant_is_refused(
    waiting: Waiting, said: dict[str, Any], code: str, param: str | None, names: str
) -> None:
    waiting.for_descriptions()
    problem = assert_problem(waiting.say(**said), 422, code)
    assert problem["param"] == param
    assert names in str(problem["detail"])
    assert waiting.client.get(f"{waiting.path}/reviews").json()["descriptions"] is None


def test_a_verdict_on_an_unknown_item_names_it(waiting: Waiting) -> None:
    waiting.for_edits()
    problem = assert_problem(waiting.say(reject=["edit-1", "edit-7"]), 422, "unknown_item")
    assert problem["param"] == "reject.1"
    assert "edit-7" in str(problem["detail"])


def test_a_job_that_does_not_wait_is_neither_reviewed_nor_resumed(waiting: Waiting) -> None:
    assert_problem(waiting.say(descriptions=["a {} here"]), 409, "not_awaiting_review")
    assert_problem(waiting.resume(), 409, "not_awaiting_review")
    waiting.for_descriptions()
    assert_problem(waiting.say(accept=["edit-0"]), 409, "not_awaiting_review")


def test_a_repeated_resume_is_answered_alike_and_wakes_nobody_twice(
    waiting: Waiting, redis_url: str
) -> None:
    waiting.for_descriptions()
    with redis.Redis.from_url(redis_url) as bells:
        bells.flushall()
        first = waiting.resume(**{"Idempotency-Key": "one"})
        rung = bells.dbsize()
        assert rung
        assert waiting.resume(**{"Idempotency-Key": "one"}).json() == first.json()
        assert waiting.resume().status_code == 202
        assert bells.dbsize() == rung


def test_a_waiting_job_is_canceled_at_once(waiting: Waiting) -> None:
    waiting.for_descriptions()
    canceled = waiting.client.post(f"{waiting.path}/cancel").json()
    assert (canceled["state"], canceled["awaiting"]) == ("canceled", None)
    assert_problem(waiting.resume(), 409, "not_awaiting_review")


def test_strangers_and_keys_without_the_scope_come_to_nothing(
    waiting: Waiting, stranger: TestClient, make_key: Any
) -> None:
    waiting.for_edits()
    for path in ("/reviews", "/items", "/items/edit-1/after"):
        assert_problem(stranger.get(waiting.path + path), 404)
    assert_problem(stranger.post(f"{waiting.path}/reviews", json={"accept": ["edit-1"]}), 404)
    assert_problem(stranger.post(f"{waiting.path}/resume"), 404)
    reader = {"Authorization": f"Bearer {make_key(frozenset({'jobs:read'}))}"}
    assert waiting.client.get(f"{waiting.path}/reviews", headers=reader).status_code == 200
    assert_problem(waiting.client.get(f"{waiting.path}/items", headers=reader), 403)
    assert_problem(waiting.client.post(f"{waiting.path}/resume", headers=reader), 403)
