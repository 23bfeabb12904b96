"""Synthetic images come into a folder of the caller's: whole, safely, with where they are from."""

import asyncio
import hashlib
import io
import json
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from cultivar import AsyncClient, AsyncJob, Client, ConfigurationError, CultivarError, Job
from cultivar._images import check_empty, read_images, unpack
from cultivar._records import JobRecord

SIDE = 4
ITEMS = [
    {"file_name": "owl/0-0.png", "label": "owl", "item_id": "0-0", "parents": [3, 1], "seed": 7},
    {"file_name": "owl/0-1.png", "label": "owl", "item_id": "0-1", "parents": [1, 2], "seed": 8},
    {"file_name": "ant/1-0.png", "label": "ant/é", "item_id": "1-0", "parents": [4, 5], "seed": 9},
]


def pixels(number):
    return np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def png(number):
    file = io.BytesIO()
    Image.fromarray(pixels(number)).save(file, "PNG")
    return file.getvalue()


def packed(path, items=ITEMS, **entries):
    """Write an archive as a job does; `entries` are added, or replace what is there."""
    content = {item["file_name"]: png(number) for number, item in enumerate(items)}
    content["metadata.jsonl"] = "".join(json.dumps(item) + "\n" for item in items).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("owl/", b"")
        for name, data in {**content, **entries}.items():
            if data is not None:
                archive.writestr(name, data)
    return path


@pytest.fixture
def scratch(tmp_path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def test_an_archive_becomes_a_folder_of_class_folders(tmp_path, scratch):
    made = unpack(packed(tmp_path / "s.zip"), scratch, tmp_path / "out")
    assert (tmp_path / "out" / "owl" / "0-1.png").read_bytes() == png(1)
    assert made.items == tuple(ITEMS)
    assert made.classes == ("ant/é", "owl")
    assert made.labels.tolist() == ["owl", "owl", "ant/é"]
    assert [path.relative_to(tmp_path / "out").as_posix() for path in made.paths] == [
        item["file_name"] for item in ITEMS
    ]
    assert repr(made).startswith("<SyntheticImages 3 of 2 classes in ")
    assert list(scratch.iterdir()) == []


def test_images_come_into_memory_as_pixels_and_numbers(tmp_path, scratch):
    x, y = unpack(packed(tmp_path / "s.zip"), scratch, tmp_path / "out").to_numpy()
    np.testing.assert_array_equal(x, np.stack([pixels(0), pixels(1), pixels(2)]))
    assert (x.dtype, y.dtype, y.tolist()) == (np.uint8, np.int64, [1, 1, 0])
    assert read_images(tmp_path / "out").to_numpy()[1].tolist() == [1, 1, 0]


def test_images_of_several_sizes_fit_no_array_and_the_first_that_differs_is_named(
    tmp_path, scratch
):
    file = io.BytesIO()
    Image.new("RGB", (SIDE + 2, SIDE)).save(file, "PNG")
    made = unpack(
        packed(tmp_path / "s.zip", **{"owl/0-1.png": file.getvalue()}), scratch, tmp_path / "out"
    )
    with pytest.raises(
        CultivarError, match=r"0-1\.png is of 6 × 4 pixels, the first image of 4 × 4"
    ):
        made.to_numpy()


def test_no_images_are_images_too(tmp_path, scratch):
    made = unpack(packed(tmp_path / "s.zip", []), scratch, tmp_path / "out")
    x, y = made.to_numpy()
    assert (len(made), len(x), y.tolist(), made.classes) == (0, 0, [], ())


def test_without_pillow_the_command_that_installs_it_is_told(tmp_path, scratch, monkeypatch):
    made = unpack(packed(tmp_path / "s.zip"), scratch, tmp_path / "out")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'cultivar\[images\]'"):
        made.to_numpy()


@pytest.mark.parametrize("name", ["../evil.png", "/evil.png", "owl/../../evil.png", "a\\b.png"])
def test_an_entry_that_leads_out_of_the_folder_unpacks_nothing(tmp_path, scratch, name):
    archive = packed(tmp_path / "s.zip", **{name: b"evil"})
    with pytest.raises(CultivarError, match="leads out of the folder"):
        unpack(archive, scratch, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert list(tmp_path.rglob("evil*")) == []


def test_a_line_that_names_a_file_elsewhere_is_refused(tmp_path, scratch):
    line = json.dumps({"file_name": "../../etc/passwd", "label": "owl"})
    archive = packed(tmp_path / "s.zip", **{"metadata.jsonl": line})
    with pytest.raises(CultivarError, match="leads out of the folder"):
        unpack(archive, scratch, tmp_path / "out")


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"metadata.jsonl": None}, "metadata.jsonl is missing"),
        ({"metadata.jsonl": b'{"file_name": "owl/0-0.png"}\n'}, "line 1: expected file_name and"),
    ],
)
def test_an_archive_of_something_else_is_refused(tmp_path, scratch, entries, told):
    with pytest.raises(CultivarError, match=told):
        unpack(packed(tmp_path / "s.zip", **entries), scratch, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_archive_leaves_nothing_behind(tmp_path, scratch):
    archive = packed(tmp_path / "s.zip")
    data = bytearray(archive.read_bytes())
    at = data.index(b"IDAT")
    data[at : at + 8] = bytes(8)
    archive.write_bytes(data)
    with pytest.raises(CultivarError, match="cannot be unpacked: Bad CRC"):
        unpack(archive, scratch, tmp_path / "out")
    archive.write_bytes(b"no zip at all")
    (scratch / "unpacked").rename(tmp_path / "left")
    with pytest.raises(CultivarError, match="not a zip"):
        unpack(archive, scratch, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_images_that_do_not_fit_on_the_disk_are_not_begun(tmp_path, scratch, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Disk", (), {"free": 100}))
    with pytest.raises(CultivarError, match=r"need \d+ bytes; 100 are free"):
        unpack(packed(tmp_path / "s.zip"), scratch, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_in_it_is_left_as_it_is(tmp_path):
    check_empty(tmp_path / "new")
    check_empty(tmp_path)
    (tmp_path / "mine.txt").write_text("mine")
    for taken in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(CultivarError, match="is not empty"):
            check_empty(taken)


class Handler(BaseHTTPRequestHandler):
    """A service with one job, whose artifacts are `server.files`."""

    def do_GET(self):
        files = self.server.files
        if self.path.split("?")[0].endswith("/artifacts"):
            rows = [
                {
                    "id": f"art_{name}", "name": name, "bytes": len(data), "job_id": "job_1",
                    "sha256": hashlib.sha256(data).hexdigest(), "media_type": "x/y",
                    "created_at": "2026-01-01T00:00:00Z",
                }
                for name, data in files.items()
            ]  # fmt: skip
            body = json.dumps({"data": rows, "has_more": False}).encode()
        else:
            body = files[self.path.split("/")[3].removeprefix("art_")]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files = {
            "synthetic.zip": packed(tmp_path / "s.zip").read_bytes(),
            "report.json": b"{}",
        }
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


RECORD = JobRecord(id="job_1", kind="glico", state="succeeded")


@pytest.fixture
def job(server):
    with Client(f"http://127.0.0.1:{server.server_port}", "cv_test") as client:
        yield Job(client, RECORD)


def test_a_job_hands_its_images_over_in_a_line(job, tmp_path):
    made = job.images(tmp_path / "new" / "images", progress=False)
    assert made.folder == tmp_path / "new" / "images"
    assert [path.exists() for path in made.paths] == [True] * 3
    assert [path.name for path in made.folder.parent.iterdir()] == ["images"]
    with pytest.raises(CultivarError, match="is not empty"):
        job.images(made.folder, progress=False)


def test_the_asynchronous_client_hands_them_over_too(server, tmp_path):
    async def fetched():
        async with AsyncClient(f"http://127.0.0.1:{server.server_port}", "cv_test") as client:
            return await AsyncJob(client, RECORD).images(tmp_path / "out", progress=False)

    assert len(asyncio.run(fetched())) == 3


def test_edits_are_handed_over_as_other_images_are(job, server, tmp_path):
    server.files = {"edits.zip": server.files["synthetic.zip"], "pairs.zip": b""}
    assert len(job.images(tmp_path / "edits", progress=False)) == 3
    with pytest.raises(CultivarError, match=r"but images: job\.images\(folder\)"):
        _ = job.output


def test_edits_in_shards_are_fetched_as_they_are(job, server, tmp_path):
    server.files = {"edits.tar": b""}
    with pytest.raises(CultivarError, match=r"class folders: .* fetches its edits\.tar"):
        job.images(tmp_path / "edits", progress=False)


def test_who_asks_a_job_for_what_it_did_not_make_is_told(job, server, tmp_path):
    with pytest.raises(
        CultivarError, match=r"no synthetic rows, but images: job\.images\(folder\)"
    ):
        _ = job.output
    del server.files["synthetic.zip"]
    with pytest.raises(CultivarError, match=r"\(glico, succeeded\) has no synthetic images"):
        job.images(tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()
