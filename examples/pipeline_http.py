"""A training pipeline that uses Cultivar by plain HTTP: httpx and numpy, nothing else of ours.

    python examples/pipeline_http.py --url http://127.0.0.1:8321 --key cv_…
    python examples/pipeline_http.py --data latents.npz      # arrays x, y, x_test, y_test

It uploads a dataset in parts, submits a job without waiting for the dataset to be ready, polls
with `ETag` and back-off, downloads the synthetic latents, checks their sha-256, and trains a
linear head with and without them. What it prints last is the balanced accuracy of both.
Without --data it draws a small long-tailed Gaussian problem, which takes about a minute.
"""

import argparse
import base64
import hashlib
import io
import os
import random
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt

ENDED = {"succeeded", "partially_succeeded", "failed", "canceled", "expired"}
RETRIED = {429, 502, 503, 504}
TRIES = 6
LONGEST_PAUSE = 8.0

Array = npt.NDArray[Any]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default=os.environ.get("CULTIVAR_URL", "http://127.0.0.1:8321"))
    parser.add_argument("--key", default=os.environ.get("CULTIVAR_API_KEY"), help="cv_…")
    parser.add_argument("--data", type=Path, help="npz with x, y, x_test, y_test")
    parser.add_argument("--raise-to", type=int, default=200, help="rows a class after augmentation")
    parser.add_argument("--steps", type=int, help="training steps of the generator")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    key = arguments.key or local_key()

    data = load(arguments.data) if arguments.data else long_tail(arguments.seed)
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=arguments.url, headers=headers, timeout=30) as http:
        # The test rows stay here: no generator and no chooser of settings ever sees them.
        upload = send_file(http, as_npz(x=data["x"], y=data["y"]), "latents.npz")
        dataset = call(http, "POST", "/v1/datasets", json={"upload_ids": [upload]}).json()
        print(f"dataset  {dataset['id']} ({dataset['state']})")
        spec: dict[str, Any] = {
            "kind": "gelda",
            "dataset": dataset["id"],  # not ready yet: the job waits for it, not we
            "plan": {"raise_to": arguments.raise_to},
        }
        if arguments.steps:
            spec["objective"] = {"steps": arguments.steps}
        order = {"spec": spec, "seed": arguments.seed, "evaluate": {"enabled": False}}
        job = call(http, "POST", "/v1/jobs", json=order).json()
        print(f"job      {job['id']}")
        job = wait(http, job["id"])
        if job["state"] not in {"succeeded", "partially_succeeded"}:
            raise SystemExit(f"{job['state']}: {job['error']}")
        synthetic = fetch(http, job["id"], "synthetic.npz")

    x, y = synthetic["x"], synthetic["y"]
    print(f"received {len(x)} synthetic rows of {x.shape[1]} numbers")
    real = train_and_score(data, data["x"], data["y"])
    mixed = train_and_score(data, np.concatenate([data["x"], x]), np.concatenate([data["y"], y]))
    print(f"balanced accuracy: real only {real:.3f}, real + synthetic {mixed:.3f}")


def local_key() -> str:
    """Return the key that a service on this machine keeps in its home."""
    path = Path(os.environ.get("CULTIVAR_HOME", "~/.cultivar")).expanduser() / "key"
    if not path.is_file():
        raise SystemExit(f"no key in {path}: start a service, or name one by --url and --key")
    return path.read_text().strip()


def call(http: httpx.Client, method: str, path: str, **options: Any) -> httpx.Response:
    """Send until it is answered. The key of a POST makes a repeat harmless."""
    headers = dict(options.pop("headers", {}))
    if method == "POST":
        headers["Idempotency-Key"] = str(uuid.uuid4())
    for attempt in range(TRIES):
        pause = min(LONGEST_PAUSE, 0.5 * 2**attempt) * random.uniform(0.5, 1.0)
        try:
            answer = http.request(method, path, headers=headers, **options)
        except httpx.TransportError as error:
            if attempt == TRIES - 1:
                raise SystemExit(f"no answer from {http.base_url}: {error}") from error
        else:
            if answer.status_code not in RETRIED or attempt == TRIES - 1:
                break
            pause = float(answer.headers.get("Retry-After", pause))
        time.sleep(pause)
    if answer.status_code >= 400:  # every error has this one shape, RFC 9457
        problem = answer.json()
        raise SystemExit(f"{problem['code']}: {problem['detail']} [{problem['request_id']}]")
    return answer


def send_file(http: httpx.Client, content: bytes, filename: str) -> str:
    """Upload in parts, each checked by its sha-256; return the upload's id."""
    whole = hashlib.sha256(content).hexdigest()
    begin = {"filename": filename, "bytes": len(content), "sha256": whole}
    upload = call(http, "POST", "/v1/uploads", json=begin).json()
    size = upload["part_bytes"]
    for number, start in enumerate(range(0, len(content), size), 1):
        part = content[start : start + size]
        digest = base64.b64encode(hashlib.sha256(part).digest()).decode()
        headers = {"Content-Digest": f"sha-256=:{digest}:"}
        path = f"/v1/uploads/{upload['id']}/parts/{number}"
        call(http, "PUT", path, content=part, headers=headers)
    call(http, "POST", f"/v1/uploads/{upload['id']}/complete")
    return str(upload["id"])


def wait(http: httpx.Client, job_id: str) -> dict[str, Any]:
    """Poll until the job has ended; slower while nothing changes, which a 304 says."""
    seen: dict[str, str] = {}
    pause, told = 0.2, ""
    while True:
        answer = call(http, "GET", f"/v1/jobs/{job_id}", headers=seen)
        if answer.status_code == 304:
            pause = min(5.0, pause * 1.5)
        else:
            seen, pause = {"If-None-Match": answer.headers["ETag"]}, max(0.2, pause / 2)
            job: dict[str, Any] = answer.json()
            under_way = [step["code"] for step in job["steps"] if 0 < step["value"] < step["max"]]
            now = " ".join([job["state"], *under_way])
            if now != told:
                print(f"         {now}", flush=True)
            told = now
            if job["state"] in ENDED:
                return job
        time.sleep(pause)


def fetch(http: httpx.Client, job_id: str, name: str) -> dict[str, Array]:
    """Download one of a job's files and return its arrays; never unpickled."""
    listed = call(http, "GET", f"/v1/jobs/{job_id}/artifacts").json()["data"]
    artifact = next(one for one in listed if one["name"] == name)
    path = f"/v1/artifacts/{artifact['id']}/content"
    content = call(http, "GET", path, follow_redirects=True).content
    if hashlib.sha256(content).hexdigest() != artifact["sha256"]:
        raise SystemExit(f"{name} did not arrive as it was sent")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)


def as_npz(**arrays: Array) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def load(path: Path) -> dict[str, Array]:
    """Return the file's arrays, with labels numbered as the service numbers them: in order."""
    names = ("x", "y", "x_test", "y_test")
    if not path.is_file():
        raise SystemExit(f"no such file: {path}")
    with np.load(path, allow_pickle=False) as arrays:
        if missing := [name for name in names if name not in arrays]:
            raise SystemExit(f"{path} has no array {', '.join(missing)}; needed are {names}")
        data = {name: arrays[name] for name in names}
    classes, data["y"] = np.unique(data["y"], return_inverse=True)
    data["y_test"] = np.searchsorted(classes, data["y_test"])
    return data


def long_tail(seed: int) -> dict[str, Array]:
    """Draw a Gaussian problem: 6 classes of 200 to 10 rows in 16 dimensions, 100 test rows each."""
    rng = np.random.default_rng(seed)
    means = rng.normal(0, 0.6, (6, 16))
    counts = [200, 110, 60, 33, 18, 10]

    def draw(sizes: list[int]) -> tuple[Array, Array]:
        y = np.repeat(np.arange(6), sizes)
        return (means[y] + rng.normal(size=(len(y), 16))).astype(np.float32), y

    x, y = draw(counts)
    x_test, y_test = draw([100] * 6)
    return {"x": x, "y": y, "x_test": x_test, "y_test": y_test}


def train_and_score(data: dict[str, Array], x: Array, y: Array, steps: int = 500) -> float:
    """Fit a linear softmax head by gradient descent; return balanced accuracy on the test rows."""
    mean, scale = data["x"].mean(0), data["x"].std(0) + 1e-6
    rows = np.c_[(x - mean) / scale, np.ones(len(x))]
    classes = int(data["y"].max()) + 1
    targets = np.eye(classes)[y]
    weights = np.zeros((rows.shape[1], classes))
    for step in range(steps):
        logits = rows @ weights
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        gradient = rows.T @ (p - targets) / len(rows) + 1e-3 * weights
        weights -= 0.5 * (1 - step / steps) * gradient
    test = np.c_[(data["x_test"] - mean) / scale, np.ones(len(data["x_test"]))]
    hit = (test @ weights).argmax(1) == data["y_test"]
    return float(np.mean([hit[data["y_test"] == k].mean() for k in range(classes)]))


if __name__ == "__main__":
    main()
