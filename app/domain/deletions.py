"""What a deletion takes along, what derives from it, and what stands in its way."""

from dataclasses import dataclass

from app.domain.problems import Conflict


@dataclass(frozen=True, slots=True)
class JobMade:
    """A job with what it has made, which goes with it.

    Attributes:
        dataset: its id, for a job that makes one.
        artifacts: how many files its result has.
    """

    id: str
    kind: str
    state: str
    dataset: str | None = None
    generator: str | None = None
    classifier: str | None = None
    artifacts: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Every id by which a spec can name it or something that it has made."""
        made = (self.id, self.dataset, self.generator, self.classifier)
        return tuple(one for one in made if one is not None)


@dataclass(frozen=True, slots=True)
class Deletion:
    """A deletion as it would be carried out now.

    Attributes:
        jobs: those that go, the one that was asked for (or makes the dataset that was) first.
        derived: those that derive from what goes, directly or not, and stay.
        uploads: ids of those that go, because nothing that stays names them.
        refusal: why nothing goes.
    """

    tenant_id: str
    jobs: tuple[JobMade, ...]
    derived: tuple[JobMade, ...]
    uploads: tuple[str, ...]
    refusal: Conflict | None
