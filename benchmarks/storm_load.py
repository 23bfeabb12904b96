"""Clients of a service under storm: each POST has a key and is repeated until it is answered."""

import itertools
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from benchmarks import storm_work
from benchmarks.storm_work import Asked, Bedrock

Json = dict[str, Any]

_ANSWER_SECONDS = 6.0
_PAUSE_SECONDS = 0.25
_LATER = {503, 507}
"""Answers after which the same request may succeed."""


class GaveUp(Exception):
    """The storm ended before the service answered."""


class Refused(Exception):
    """The service answered, and not with what was asked for."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(f"{answer.request.method} {answer.request.url.path}: {answer.text[:300]}")
        self.status = answer.status_code
        problem = answer.headers.get("content-type", "").startswith("application/problem")
        self.code: str | None = answer.json().get("code") if problem else None


@dataclass
class Sent:
    """A job that was asked for.

    Attributes:
        job_ids: of every answer that acknowledged it, in order.
        dataset: that it makes, once acknowledged.
        canceled: whether somebody began to ask for its cancel.
    """

    key: str
    asked: Asked
    job_ids: list[str] = field(default_factory=list)
    dataset: str | None = None
    canceled: bool = False

    @property
    def job_id(self) -> str | None:
        return self.job_ids[0] if self.job_ids else None


@dataclass
class Ledger:
    """What clients have asked for and were told. Shared by threads; each appends.

    Attributes:
        answers: how many of each status, 0 for none at all.
        wrong: answers that a promise does not allow.
        to_cancel: jobs whose cancel is due.
    """

    sent: list[Sent] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    to_cancel: "queue.SimpleQueue[Sent]" = field(default_factory=queue.SimpleQueue)
    open: int = 0
    cancels: int = 0

    def acknowledged(self) -> list[Sent]:
        return [one for one in list(self.sent) if one.job_ids]


class Client:
    """Asks until it is answered, or `stop` is set."""

    def __init__(self, url: str, key: str, ledger: Ledger, stop: threading.Event) -> None:
        self._ledger, self._stop = ledger, stop
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=_ANSWER_SECONDS,
            trust_env=False,
        )

    def close(self) -> None:
        self._http.close()

    def ask(self, method: str, path: str, *, key: str | None = None, **more: Any) -> Json:
        """Return what a successful answer holds.

        Raises:
            Refused: the answer is a problem that does not pass by itself.
            GaveUp: there is no answer, and no time left to ask again.
        """
        headers = {} if key is None else {"Idempotency-Key": key}
        while True:
            answer = self._try(method, path, headers=headers, **more)
            if answer is not None and answer.is_success:
                found: Json = answer.json()
                return found
            if answer is not None and not self._may_pass(answer):
                raise Refused(answer)
            if self._stop.wait(_PAUSE_SECONDS):
                raise GaveUp

    def _try(self, method: str, path: str, **more: Any) -> httpx.Response | None:
        try:
            answer = self._http.request(method, path, **more)
        except httpx.TransportError:
            self._ledger.answers[0] += 1
            return None
        self._ledger.answers[answer.status_code] += 1
        if answer.status_code == 500:
            self._ledger.wrong.append(f"{method} {path} was answered with 500")
        return answer

    def _may_pass(self, answer: httpx.Response) -> bool:
        if answer.status_code in _LATER or answer.status_code == 500:
            return True
        problem = answer.headers.get("content-type", "").startswith("application/problem")
        return problem and bool(answer.json()["code"] == "idempotency_key_in_flight")

    def upload(self, key: str, name: str, content: bytes) -> str:
        """Send a file and return the upload's id."""
        body = {"filename": name, "bytes": len(content)}
        upload_id: str = self.ask("POST", "/v1/uploads", key=f"{key}-file", json=body)["id"]
        address = f"/v1/uploads/{upload_id}"
        while True:
            try:
                self.ask("PUT", f"{address}/parts/1", content=content)
            except Refused as refused:  # an answer was lost, and it is complete already
                if refused.code != "upload_complete":
                    raise
            try:
                self.ask("POST", f"{address}/complete")
            except Refused as refused:  # the API died over the part: it is to be sent again
                if refused.code != "upload_incomplete":
                    raise
            else:
                return upload_id

    def submit(self, sent: Sent) -> None:
        """Ask for a job until it is acknowledged; it is in the ledger from then on."""
        asked = sent.asked
        if asked.file is None:
            # With a label of its own, so that two jobs of one key would be found.
            body: Json = {
                "spec": dict(asked.spec),
                "seed": asked.seed,
                "evaluate": {"enabled": False},
                "metadata": {"storm": sent.key},
            }
            sent.job_ids.append(self.ask("POST", "/v1/jobs", key=sent.key, json=body)["id"])
            return
        upload_id = self.upload(sent.key, *asked.file)
        body = {"upload_ids": [upload_id], "name": sent.key, "modality": asked.modality}
        made = self.ask("POST", "/v1/datasets", key=sent.key, json=body)
        sent.dataset = made["id"]
        sent.job_ids.append(made["job_id"])


class Load:
    """Threads that keep some jobs unfinished all the time, and ask for the cancels that are due."""

    def __init__(self, client: Client, ledger: Ledger, rock: Bedrock, seed: int) -> None:
        self._client, self._ledger, self._rock, self._seed = client, ledger, rock, seed
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []
        self.errors: list[BaseException] = []

    def start(self, threads: int, backlog: int) -> None:
        for number in range(threads):
            thread = threading.Thread(target=self._run, args=(number, backlog), daemon=True)
            thread.start()
            self._threads.append(thread)

    def end(self, seconds: float) -> bool:
        """Ask for nothing new; return whether what was asked for got its answer in time."""
        self._ending.set()
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, thread: int, backlog: int) -> None:
        chance = random.Random(f"{self._seed} {thread}")
        keys = (f"storm-{self._seed}-{thread}-{number}" for number in itertools.count())
        try:
            while not self._ending.is_set():
                self._cancel_one()
                if self._ledger.open >= backlog:
                    self._ending.wait(0.02)
                elif chance.random() < storm_work.CHAIN_SHARE:
                    self._chain(chance, keys)
                else:
                    self._submit(next(keys), storm_work.draw(chance, self._rock))
        except GaveUp:
            pass
        except BaseException as error:  # told by whoever waits for the threads
            self.errors.append(error)
            raise

    def _submit(self, key: str, asked: Asked) -> Sent:
        sent = Sent(key, asked)
        self._ledger.sent.append(sent)
        self._client.submit(sent)
        self._ledger.open += 1
        # Now and then once more, as a client does whose answer was lost on its way back.
        if len(self._ledger.sent) % 10 == 0:
            self._client.submit(sent)
        return sent

    def _chain(self, chance: random.Random, keys: Iterator[str]) -> None:
        made = self._submit(next(keys), storm_work.ingest(chance))
        assert made.dataset is not None
        try:
            asked = storm_work.gelda(chance, made.dataset, known=False)
            trained = self._submit(next(keys), asked)
            assert trained.job_id is not None
            self._submit(next(keys), storm_work.sample(chance, trained.job_id, known=False))
        except (
            Refused
        ) as refused:  # an input of it was canceled, or met its end, before it was asked for
            if refused.code != "input_failed":
                raise

    def _cancel_one(self) -> None:
        try:
            sent = self._ledger.to_cancel.get_nowait()
        except queue.Empty:
            return
        sent.canceled = True
        self._client.ask("POST", f"/v1/jobs/{sent.job_id}/cancel")
        self._ledger.cancels += 1
