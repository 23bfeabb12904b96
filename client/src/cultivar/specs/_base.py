"""What all specs of the SDK have in common."""

import re
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

# Names of fields that say which kind of thing an object is; sent even where nobody set them.
DISCRIMINATORS = ("kind", "source", "format")


@runtime_checkable
class HasId(Protocol):
    """A handle of the SDK: a dataset, a job, a generator."""

    @property
    def id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Reference:
    """A field that holds an id and takes whatever has one."""

    pattern: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            id_of, core_schema.str_schema(pattern=re.compile(self.pattern))
        )


def id_of(value: object) -> object:
    """Return the id of a handle; anything else as it is, for the next validator to judge."""
    return value.id if isinstance(value, HasId) else value


class Part(BaseModel):
    """A spec or a part of one: immutable, and nothing unknown is accepted.

    Fields that nobody set are not sent, so that the defaults in force are the service's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def model_post_init(self, _context: Any, /) -> None:
        for name in DISCRIMINATORS:
            if name in type(self).model_fields:
                self.model_fields_set.add(name)

    def to_json(self) -> dict[str, Any]:
        """Return what goes over the wire."""
        return self.model_dump(mode="json", exclude_unset=True)
