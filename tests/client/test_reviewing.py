"""A job that waits for a person, from the client's side: shown, judged, resumed."""

import asyncio
import io
import threading
import time
from types import SimpleNamespace

import pytest
import uvicorn

from app.domain.jobs import NewJob
from app.domain.records import ALL_SCOPES
from app.domain.reviews import Picture, ReviewItem
from app.domain.tasks import Effects
from app.main import create_app
from app.queue import Bell
from cultivar import AsyncClient, Client, ConflictError, UnprocessableEntityError, WaitTimeout
from cultivar._cli.parser import Exit, main
from models.alia.spec import AliaSpec

BEFORE, AFTER = b"the source", b"the edit"
PROPOSED = ["a photo of a {} in the snow", "a photo of a {} at night"]


@pytest.fixture
def database_url(sqlite_url):
    return sqlite_url


@pytest.fixture
def service(settings, store, blobs, tenant):
    """A service without workers: the tests do their work."""
    app = create_app(settings, store=store, blobs=blobs, bell=Bell(None))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the service did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with store.write() as tx:
        key = tx.keys.create(tenant, "test", ALL_SCOPES)[1]
    yield SimpleNamespace(
        url=f"http://127.0.0.1:{port}", key=key, store=store, blobs=blobs, tenant=tenant
    )
    server.should_exit = True
    thread.join()


@pytest.fixture
def client(service):
    with Client(service.url, service.key) as client:
        yield client


def work(service, *effects):
    for effect in effects:
        with service.store.write() as tx:
            lease = tx.tasks.claim(("cpu", "gpu"), "tests", 60.0).lease
            tx.tasks.succeed(lease, effect)


@pytest.fixture
def job_id(service):
    """A job that waits for its descriptions."""
    with service.store.write() as tx:
        made = tx.jobs.create(NewJob(service.tenant, "ingest", {"uploads": []}, seed=0))
        tx.datasets.create(service.tenant, "birds", "image", "imagefolder", made.id, "ds_1")
    work(service, Effects(dataset={"manifest": {"classes": ["duck", "owl"], "columns": {}}}))
    dataset = f"ds_{0:032x}"
    spec = AliaSpec(dataset=dataset).model_dump(mode="json") | {"dataset": "ds_1"}
    with service.store.write() as tx:
        job = tx.jobs.create(NewJob(service.tenant, "alia", spec, seed=1))
    work(service, Effects(), Effects(pause="descriptions", summary={"descriptions": PROPOSED}))
    return job.id


@pytest.fixture
def edits_id(service, job_id):
    """The same job, waiting with three edits of which the first has no source."""
    before, after = (service.blobs.put_bytes(service.tenant, one) for one in (BEFORE, AFTER))
    items = [
        ReviewItem(
            item_id=f"e{number}",
            label="duck",
            description=PROPOSED[0],
            source="7.png" if number else None,
            before=Picture(before.sha256, before.bytes) if number else None,
            after=Picture(after.sha256, after.bytes),
            media_type="image/png",
            decision="kept",
            scores={"semantic": 0.5},
        )
        for number in range(3)
    ]
    with service.store.write() as tx:
        tx.reviews.resume(service.tenant, job_id)
    work(service, Effects(), Effects(), Effects(pause="edits", review=tuple(items)))
    return job_id


def claimed(service):
    with service.store.write() as tx:
        return tx.tasks.claim(("cpu", "gpu"), "tests", 60.0)


def test_a_wait_ends_where_the_job_waits_and_descriptions_bring_it_on(client, service, job_id):
    job = client.jobs.get(job_id).wait(progress=False)
    assert (job.state, job.awaiting, job.finished) == ("awaiting_review", "descriptions", False)
    assert job.review(descriptions=["a {} in fog"]).reviews.descriptions == ("a {} in fog",)
    assert job.resume().state == "running"
    assert job.awaiting is None
    assert claimed(service).review["descriptions"] == ["a {} in fog"]


def test_a_wait_until_the_end_waits_through_a_review(client, job_id):
    with pytest.raises(WaitTimeout):
        client.jobs.get(job_id).wait(0.3, progress=False, until_ended=True)


def test_items_are_listed_fetched_and_judged(client, service, edits_id, tmp_path):
    job = client.jobs.get(edits_id)
    items = list(job.items())
    assert [one.id for one in items] == ["e0", "e1", "e2"]
    assert (items[0].before, items[1].after.bytes) == (None, len(AFTER))
    paths = job.download_items(tmp_path / "edits", progress=False)
    assert [path.name for path in paths] == [
        "e0-after.png",
        "e1-before.png",
        "e1-after.png",
        "e2-before.png",
        "e2-after.png",
    ]
    assert [path.read_bytes() for path in paths[:3]] == [AFTER, BEFORE, AFTER]
    job.review(accept="e1", reject=["e0", "e2"])  # one id need not be a list
    assert [one.verdict for one in job.items()] == ["rejected", "accepted", "rejected"]
    job.resume()
    assert claimed(service).review["rejected"] == ["e0", "e2"]


def test_what_is_not_awaited_or_cannot_be_meant_is_a_typed_error(client, job_id):
    job = client.jobs.get(job_id)
    with pytest.raises(ConflictError) as conflict:
        job.review(accept=["e1"])
    assert conflict.value.code == "not_awaiting_review"
    with pytest.raises(UnprocessableEntityError, match="'owl'"):
        job.review(descriptions=["a {} beside an owl"])
    with pytest.raises(UnprocessableEntityError) as empty:
        job.review()
    assert empty.value.code == "empty_review"


def test_the_asynchronous_client_reviews_too(service, edits_id, tmp_path):
    async def review():
        async with AsyncClient(service.url, service.key) as client:
            job = await (await client.jobs.get(edits_id)).wait(progress=False)
            ids = [item.id async for item in job.items()]
            await job.download_items(tmp_path / "edits", progress=False)
            await job.review(reject=ids[:1])
            said = await job.reviews()
            return ids, said.rejected, (await job.resume()).state

    assert asyncio.run(review()) == (["e0", "e1", "e2"], ("e0",), "running")
    assert len(list((tmp_path / "edits").iterdir())) == 5


@pytest.fixture
def cultivar(service, capsys):
    def run(*words):
        status = main(["--url", service.url, "--key", service.key, "jobs", *map(str, words)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_descriptions_are_edited_on_the_command_line(cultivar, service, job_id, tmp_path):
    status, out, err = cultivar("wait", job_id)
    assert (status, out) == (Exit.DONE, "awaiting_review\n")
    assert f"cultivar jobs review {job_id} --descriptions FILE" in err
    status, out, _ = cultivar("review", job_id)
    assert out.splitlines() == PROPOSED
    file = tmp_path / "descriptions.txt"
    file.write_text(f"{PROPOSED[1]}\n\n  a photo of a {{}} in fog\n")
    status, out, err = cultivar("review", job_id, "--descriptions", file)
    assert (status, out) == (Exit.DONE, "2 descriptions\n")
    assert cultivar("review", job_id)[1].splitlines() == [PROPOSED[1], "a photo of a {} in fog"]
    status, out, _ = cultivar("resume", job_id)
    assert (status, out.strip()) == (
        Exit.DONE,
        f"alia {job_id} · running, waits: no worker serves gpu",
    )
    assert claimed(service).review["descriptions"] == [PROPOSED[1], "a photo of a {} in fog"]


def test_edits_are_judged_on_the_command_line(cultivar, edits_id, tmp_path):
    status, out, err = cultivar("items", edits_id, "--to", tmp_path / "edits")
    assert status == Exit.DONE
    assert "e2" in out
    assert err.count("wrote ") == 5
    status, out, err = cultivar("review", edits_id, "--reject", "e0", "e1", "--accept", "e2")
    assert (status, out) == (Exit.DONE, "1 accepted, 2 rejected\n")
    assert f"cultivar jobs resume {edits_id}" in err
    _, out, err = cultivar("review", edits_id)
    assert "rejected: e0 e1" in err
    status, _, err = cultivar("review", edits_id, "--reject", "e9")
    assert status == Exit.REFUSED
    assert "unknown_item" in err


@pytest.mark.parametrize(
    ("content", "said"), [(b"\n \n", "has no description"), (b"\xff", "UTF-8")]
)
def test_a_file_without_descriptions_is_named(cultivar, job_id, tmp_path, content, said):
    file = tmp_path / "empty.txt"
    file.write_bytes(content)
    status, _, err = cultivar("review", job_id, "--descriptions", file)
    assert status == Exit.USAGE
    assert "empty.txt" in err
    assert said in err


def test_descriptions_come_from_standard_input_too(cultivar, job_id, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("a {} in fog\n"))
    assert cultivar("review", job_id, "--descriptions", "-")[:2] == (Exit.DONE, "1 descriptions\n")
