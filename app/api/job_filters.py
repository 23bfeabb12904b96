"""What a list of jobs is narrowed down to."""

import re

from starlette.datastructures import QueryParams

from app.domain.problems import Invalid

_MOST_IDS = 100
_JOB_ID = re.compile(r"job_[0-9a-f]{32}")
_PREFIX = "metadata."
_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LONGEST_VALUE = 512


def ids_of(text: str) -> list[str]:
    """Return the job ids of ``a,b,c``, each once.

    Raises:
        Invalid: there are too many, or one has not the form of an id.
    """
    found = list(dict.fromkeys(one.strip() for one in text.split(",") if one.strip()))
    if len(found) > _MOST_IDS:
        raise Invalid(f"Up to {_MOST_IDS} ids are taken at once.", param="ids")
    if not all(_JOB_ID.fullmatch(one) for one in found):
        raise Invalid("The ids of jobs, separated by commas, are expected.", param="ids")
    return found


def metadata_of(query: QueryParams) -> dict[str, str]:
    """Return the labels that ``metadata.KEY=VALUE`` parameters ask for."""
    wanted: dict[str, str] = {}
    for name, value in query.multi_items():
        if not name.startswith(_PREFIX):
            continue
        key = name.removeprefix(_PREFIX)
        if not _KEY.fullmatch(key) or len(value) > _LONGEST_VALUE or "\0" in value:
            raise Invalid("This is no label that a job can have.", param="metadata")
        wanted[key] = value
    return wanted
