"""Attacks every operation of the OpenAPI document with drawn requests, and checks every answer.

`python -m tests.fuzz.api --cases 20000` (part of `make fuzz`; about 25 cases a second on one core). Exit
status 1 where an answer is at fault or an operation has succeeded too seldom to say much.
"""

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure, MalformedJson
from schemathesis.engine import Status, events, from_schema

from tests.fuzz.answers import check_answer
from tests.fuzz.filling import Filling
from tests.fuzz.service import Attacked, attacked
from tests.fuzz.world import World

PROGRESS_SECONDS = 5.0
REQUEST_SECONDS = 90.0
STATEFUL_STEPS = 10
EXAMPLES = 3
"""Requests of each operation and round that are to succeed as they are."""

REFUSALS = ("400", "401", "403", "404", "405", "409", "413", "415", "422")
FULL = 20_000
COVERAGE_FROM = 1_000
"""Cases from which a run also tries the edges of every field one by one, which alone takes thousands."""

SUCCESSES = 20
"""Successes that an operation must have in a run of `FULL` cases, and in proportion in a smaller one."""


@dataclass
class Outcome:
    """What came of a run so far.

    Attributes:
        statuses: answers by operation and status.
        faults: what was wrong, by a title; the first three of each are told in full.
        slowest: seconds, and the request.
    """

    statuses: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    slowest: tuple[float, str] = (0.0, "")
    peak_bytes: int = 0

    @property
    def cases(self) -> int:
        return sum(sum(found.values()) for found in self.statuses.values())

    def successes(self, operation: str) -> int:
        return sum(n for status, n in self.statuses[operation].items() if status < 400)

    def too_seldom(self, wanted: int) -> list[str]:
        """Return the operations that have succeeded fewer times than is wanted."""
        return [name for name in sorted(self.statuses) if self.successes(name) < wanted]


@schemathesis.check
def answered_as_promised(_: Any, response: Any, case: Any) -> None:
    """What the service promises of every answer, as one of Schemathesis' checks."""
    check_answer(response, case)


class Attack:
    """A run against one service, in rounds of other seeds until enough requests were sent."""

    def __init__(self, service: Attacked, *, cases: int, seed: int, coverage: bool) -> None:
        self.outcome = Outcome()
        self._service, self._cases, self._seed = service, cases, seed
        self._coverage = coverage
        self._world = World(service, many=max(6, cases // 200))
        self._filling = Filling(self._world)
        self._random = random.Random(seed)
        self._said = time.monotonic()
        self._lock = threading.Lock()

    def run(self) -> Outcome:
        """Send the requests and return what came of them."""
        number = 0
        with self._world_kept():
            while self.outcome.cases < self._cases:
                self._round(self._seed + number, first=number == 0)
                number += 1
        self.outcome.peak_bytes = self._service.peak_bytes()
        for line in self._service.bugs():
            self.outcome.faults["an error in the service's log"].append(line)
        return self.outcome

    def _round(self, seed: int, *, first: bool) -> None:
        left = self._cases - self.outcome.cases
        config = SchemathesisConfig.from_dict(
            settings(self._service, seed, left, coverage=self._coverage and first)
        )
        schema = schemathesis.openapi.from_url(
            f"{self._service.url}/openapi.json", config=config, timeout=REQUEST_SECONDS
        )
        schema.hooks.register_hook_with_name(self._flatmap_case, "flatmap_case")
        schema.hooks.register_hook_with_name(self._after_call, "after_call")
        schema.hooks.register_hook_with_name(self._before_add_examples, "before_add_examples")
        schema.hooks.register_hook_with_name(is_fault, "filter_failure")
        for operation in schema.get_all_operations():
            self.outcome.statuses[operation.ok().definition.raw["operationId"]].update(())
        for event in from_schema(schema).execute():
            self._hear(event)

    def _flatmap_case(self, _: Any, case: Any) -> st.SearchStrategy[Any]:
        return st.composite(
            lambda draw: self._filling.fill(lambda some: draw(st.sampled_from(some)), case)
        )()

    def _before_add_examples(self, context: Any, examples: list[Any]) -> None:
        examples += [
            self._filling.example(self._random.choice, context.operation) for _ in range(EXAMPLES)
        ]

    def _after_call(self, _: Any, case: Any, response: Any) -> None:
        name = case.operation.definition.raw["operationId"]
        with self._lock:
            self.outcome.statuses[name][response.status_code] += 1
            if response.elapsed > self.outcome.slowest[0]:
                self.outcome.slowest = (response.elapsed, f"{case.method} {case.formatted_path}")
            if time.monotonic() - self._said > PROGRESS_SECONDS:
                self._said = time.monotonic()
                print(f"{self.outcome.cases:>7} of {self._cases} cases", flush=True)

    def _hear(self, event: events.EngineEvent) -> None:
        if isinstance(event, events.ScenarioFinished):
            for case_id, checks in event.recorder.checks.items():
                for check in checks:
                    if check.status is Status.FAILURE and check.failure_info is not None:
                        self._blame(event.recorder.cases[case_id].value, check)
        elif isinstance(event, events.NonFatalError):
            self.outcome.faults[f"{event.label}: {event.info.title}"].append(
                str(event.info.format())
            )
        elif isinstance(event, events.FatalError):
            raise event.exception

    def _blame(self, case: Any, check: Any) -> None:
        failure = check.failure_info.failure
        title = f"{check.name}, {case.operation.definition.raw['operationId']}: {failure.title}"
        self.outcome.faults[title].append(f"{failure.message}\n{check.failure_info.code_sample}")

    @contextmanager
    def _world_kept(self) -> Iterator[None]:
        """Have no request take away what others need: the run's own key, what the world offers."""

        def before_call(_: Any, case: Any, kwargs: Any) -> None:
            name = case.operation.definition.raw["operationId"]
            case.path_parameters = self._world.spared(name, case.method, case.path_parameters)

        schemathesis.hook(before_call)
        try:
            yield
        finally:
            schemathesis.hooks.unregister(before_call)


def is_fault(_: Any, failure: Failure, case: Any, response: Any) -> bool:
    """Whether what Schemathesis calls a failure is one: a range of a JSON document is no JSON."""
    return not (response.status_code == 206 and isinstance(failure, MalformedJson))


def settings(service: Attacked, seed: int, left: int, *, coverage: bool) -> dict[str, Any]:
    """Return Schemathesis' settings for one round of a run that wants ``left`` more requests."""
    each = max(2, min(60, left // 60))
    return {
        "seed": seed,
        "headers": service.headers,
        "base-url": service.url,
        "continue-on-failure": True,
        "request-timeout": REQUEST_SECONDS,
        "generation": {
            "max-examples": each,
            "no-shrink": True,
            "database": "none",
            "with-security-parameters": False,
        },
        "phases": {
            "coverage": {"enabled": coverage},
            "stateful": {
                "max-steps": STATEFUL_STEPS,
                "generation": {"max-examples": max(2, left // 30 if left < 2000 else each)},
            },
        },
        "checks": {
            # A valid document may name what is not there, or contradict itself: refusals are no fault.
            "positive_data_acceptance": {"enabled": False},
            "negative_data_rejection": {"expected-statuses": list(REFUSALS)},
            # It takes the id that was made for the one that was put into the request in its place.
            "ensure_resource_availability": {"enabled": False},
        },
    }


def table(outcome: Outcome) -> Iterator[str]:
    """Yield the lines of what came of a run."""
    yield f"{'operation':<26}{'cases':>7}{'successes':>11}  answers"
    for name, found in sorted(outcome.statuses.items()):
        answers = ", ".join(f"{status}: {n}" for status, n in sorted(found.items()))
        yield f"{name:<26}{sum(found.values()):>7}{outcome.successes(name):>11}  {answers}"
    seconds, request = outcome.slowest
    total = sum((found for found in outcome.statuses.values()), Counter())
    errors = sum(n for status, n in total.items() if status >= 500)
    yield f"cases {outcome.cases}, server errors {errors}, faults {len(outcome.faults)}"
    yield f"slowest answer {seconds:.2f} s ({request}); peak memory of the API {outcome.peak_bytes >> 20} MiB"
    for title, told in outcome.faults.items():
        yield f"\nFAULT {title} ({len(told)} times)"
        yield from told[:3]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=FULL)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the service is ended on the way out
    wanted = max(1, min(SUCCESSES, SUCCESSES * asked.cases // FULL))
    with (
        tempfile.TemporaryDirectory(prefix="cultivar-fuzz-") as home,
        attacked(Path(home)) as service,
    ):
        coverage = asked.cases >= COVERAGE_FROM
        outcome = Attack(service, cases=asked.cases, seed=asked.seed, coverage=coverage).run()
    print("\n".join(table(outcome)))
    seldom = outcome.too_seldom(wanted)
    if seldom:
        print(f"\nfewer than {wanted} successes: {', '.join(seldom)}")
    return 1 if outcome.faults or seldom else 0


if __name__ == "__main__":
    sys.exit(main())
