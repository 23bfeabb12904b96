"""The whole service, embedded: an API, a worker, and plain HTTP to speak to them."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from cultivar import Client

ENDED = {"succeeded", "failed", "canceled"}
WAIT_SECONDS = 150.0

Json = dict[str, Any]
Files = dict[str, bytes]


class Service:
    """The embedded stack, spoken to in plain HTTP."""

    def __init__(self, client: Client) -> None:
        self.client = client
        server = client._server
        assert server is not None
        self.log: Path = server.log
        self.http = httpx.Client(
            base_url=server.url,
            headers={"Authorization": f"Bearer {server.api_key}"},
            timeout=30,
            trust_env=False,
        )
        pid = int((server.home / "serve.lock").read_text())
        self.api = psutil.Process(pid)
        (self.worker,) = [one for one in self.api.children() if "workers" in one.cmdline()]

    def ask(self, method: str, path: str, **more: Any) -> Json:
        answer = self.http.request(method, path, **more)
        assert answer.is_success, answer.text
        found: Json = answer.json()
        return found

    def upload(self, name: str, content: bytes) -> str:
        begun = self.ask("POST", "/v1/uploads", json={"filename": name, "bytes": len(content)})
        upload_id: str = begun["id"]
        if content:  # an empty file has no part
            self.ask("PUT", f"/v1/uploads/{upload_id}/parts/1", content=content)
        self.ask("POST", f"/v1/uploads/{upload_id}/complete")
        return upload_id

    def dataset(self, files: Files, format_: str = "npz", **columns: Any) -> Json:
        uploads = [self.upload(name, content) for name, content in files.items()]
        body = {"upload_ids": uploads, "format": format_, "columns": columns}
        return self.ask("POST", "/v1/datasets", json=body)

    def job(self, **spec: Any) -> Json:
        return self.ask("POST", "/v1/jobs", json={"spec": spec})

    def ended(self, job_id: str) -> Json:
        end = time.monotonic() + WAIT_SECONDS
        while (job := self.ask("GET", f"/v1/jobs/{job_id}"))["state"] not in ENDED:
            assert time.monotonic() < end, f"{job}\n{self.log.read_text()[-4000:]}"
            time.sleep(0.05)
        return job

    def events(self, job_id: str) -> list[str]:
        return [one["type"] for one in self.ask("GET", f"/v1/jobs/{job_id}/events")["data"]]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Client.local(tmp_path_factory.mktemp("home")) as client:
        service = Service(client)
        with service.http:
            yield service
