"""Which controls apply to a job, and which of them train heads of their own."""

from models.classifiers.spec import HeadSpec
from models.evaluation.arms import ADJUSTED, NO_SUBDOMAIN, ONE_HOT, SAME_HEAD, SHUFFLED
from models.evaluation.controls import AUGMENTING
from models.evaluation.data import EvaluationData
from models.evaluation.spec import LATENT_CONTROLS, EvaluateSpec
from models.evaluation.transfer_controls import TRANSFERRING


def applicable(data: EvaluationData, head: HeadSpec, spec: EvaluateSpec) -> list[str]:
    """Return the wanted controls that say something about this data and this head."""
    meaning = data.similarity is not None
    needs = {
        SAME_HEAD: head.head == "kernel" and meaning,
        ONE_HOT: meaning,
        SHUFFLED: meaning,
        NO_SUBDOMAIN: bool(data.subdomains),
        **dict.fromkeys(TRANSFERRING, bool(data.subdomains)),
        "gaussian_shrunk": meaning,
    }
    return [n for n in spec.controls if n in LATENT_CONTROLS and needs.get(n, True)]


def trains(name: str) -> bool:
    """Say whether a control trains heads of its own, at a setting of its own."""
    return name in (ADJUSTED, SAME_HEAD) or name in AUGMENTING or name in TRANSFERRING
