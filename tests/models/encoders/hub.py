"""A hub on this machine: as much of its HTTP as the client asks for."""

import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

MODEL, COMMIT = "facebook/dinov2-small", "a" * 40


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers over the files of one folder."""

    folder: Path
    model: str
    served: list[str]

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        names = [str(f.relative_to(self.folder)) for f in self.folder.rglob("*") if f.is_file()]
        if path.startswith(f"/api/models/{self.model}/tree/{COMMIT}"):
            body = json.dumps(
                [{"type": "file", "path": name, "oid": f"{i:040x}", "size": self._size(name)}
                 for i, name in enumerate(names)]
            ).encode()  # fmt: skip
        elif path in {f"/api/models/{self.model}", f"/api/models/{self.model}/revision/{COMMIT}"}:
            siblings = [{"rfilename": name, "size": self._size(name)} for name in names]
            body = json.dumps({"id": self.model, "sha": COMMIT, "siblings": siblings}).encode()
        elif path.startswith(f"/{self.model}/resolve/{COMMIT}/"):
            name = path.removeprefix(f"/{self.model}/resolve/{COMMIT}/")
            self.served.append(name)
            body = (self.folder / name).read_bytes()
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{abs(hash(path)):040x}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _size(self, name: str) -> int:
        return (self.folder / name).stat().st_size

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def hub_of(model: Path, folder: Path, name: str = MODEL) -> Iterator[SimpleNamespace]:
    """Serve a copy of a model under a name, beside whose safetensors lie a pickle and code."""
    shutil.copytree(model, folder)
    for evil in ("pytorch_model.bin", "modeling_evil.py", "onnx/config.json"):
        (folder / evil).parent.mkdir(exist_ok=True)
        (folder / evil).write_bytes(b"evil")
    handler = type("Handler", (Hub,), {"folder": folder, "model": name, "served": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(
        url=f"http://127.0.0.1:{server.server_port}", folder=folder, served=handler.served
    )
    server.shutdown()
    server.server_close()
