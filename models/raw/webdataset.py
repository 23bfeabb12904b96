"""WebDataset shards: tar archives in which `key.jpg`, `key.cls` and `key.json` are one sample."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from models.embeddings.parts import UNASSIGNED
from models.embeddings.wording import listing, show, size
from models.errors import InputProblem
from models.raw import audio, image
from models.raw.archive_parts import read_item
from models.raw.archives import Archive, Member
from models.raw.limits import RawLimits
from models.raw.list_column import ListColumn, Value, from_text
from models.raw.parts import SPLIT_WORDS, RawItem, RawPart
from models.raw.problem import ItemProblem
from models.raw.spec import Modality, RawColumns

_ITEMS = {"image": tuple(image.FORMATS), "audio": tuple(audio.FORMATS)}
_LABELS = ("cls", "json", "txt")
_ROLES = ("label", "split", "id", "subdomain", "group")


class _Sample(NamedTuple):
    """One sample: its item, and its other files by extension, without the dot."""

    key: str
    item: Member
    others: Mapping[str, Member]


def webdataset_part(
    archive: Archive, modality: Modality, columns: RawColumns, prefix: str, limits: RawLimits
) -> RawPart:
    """Return the samples of one shard, in its order.

    A value is looked for in the file of its name (`key.speaker` for `speaker`), then in the fields
    of `key.json`; a label called `label` in `key.cls`, in `key.json`, then in `key.txt`.

    Raises:
        InputProblem: ``bad_layout``, ``column_missing``, ``bad_jsonl``.
    """
    samples = _samples(archive, _item_extensions(modality, columns))
    named = {role: getattr(columns, role) for role in _ROLES}
    roles = {role: name for role, name in named.items() if name is not None}
    values: dict[str, list[Value]] = {role: [] for role in roles}
    found = dict.fromkeys(roles, False)
    for sample in samples:
        reader = _Values(archive, sample, limits)
        for role, name in roles.items():
            value = reader.label() if (role, name) == ("label", "label") else reader.value(name)
            found[role] = found[role] or value is not None
            values[role].append(value)
    for role, there in found.items():
        if not there and not (role == "label" and columns.unlabelled):
            raise InputProblem(
                "column_missing",
                f"{archive.where} has no sample with {show(roles[role])}, which `columns.{role}` asks "
                "for: neither a file of that extension nor a field of its .json.",
                f"columns.{role}",
            )
    taken = {role: _column(role, roles[role], archive, values[role]) for role in roles}
    keys = [prefix + sample.key for sample in samples]
    return RawPart(
        where=archive.where,
        rows=len(samples),
        y=taken["label"],
        id=taken.get("id") or ListColumn("id", archive.where, keys),
        items=lambda: _items(archive, samples, prefix, limits),
        splits=taken.get("split") or _split_folders(archive, samples),
        subdomain=taken.get("subdomain"),
        group=taken.get("group"),
    )


def _item_extensions(modality: Modality, columns: RawColumns) -> tuple[str, ...]:
    if columns.item is not None:
        return (columns.item.lower().removeprefix("."),)
    return tuple(name.removeprefix(".") for name in _ITEMS[modality])


def _samples(archive: Archive, extensions: tuple[str, ...]) -> list[_Sample]:
    """Return the samples of a shard; each has one item.

    Raises:
        InputProblem: ``bad_layout``.
    """
    groups: dict[str, dict[str, Member]] = {}
    for member in archive.members:
        folder, slash, last = member.name.rpartition("/")
        stem, _, ending = last.partition(".")
        groups.setdefault(folder + slash + stem, {})[ending.lower()] = member
    samples: list[_Sample] = []
    for key, files in groups.items():
        items = [name for name in files if name in extensions]
        if len(items) != 1:
            raise InputProblem(
                "bad_layout",
                f"{archive.where} has the sample {show(key)} of {listing(files)}; expected one of "
                f"{listing(extensions)} in each.",
                "columns.item",
            )
        others = {name: file for name, file in files.items() if name != items[0]}
        samples.append(_Sample(key, files[items[0]], others))
    return samples


class _Values:
    """The values that stand beside one item."""

    def __init__(self, archive: Archive, sample: _Sample, limits: RawLimits) -> None:
        self._archive = archive
        self._sample = sample
        self._limits = limits
        self._fields: Mapping[str, Any] | None = None

    def label(self) -> Value:
        for name in _LABELS:
            value = self._field("label") if name == "json" else self._text(name)
            if value is not None:
                return value
        return None

    def value(self, name: str) -> Value:
        text = None if name == "json" else self._text(name)
        return text if text is not None else self._field(name)

    def _text(self, name: str) -> str | None:
        member = self._sample.others.get(name.lower())
        if member is None:
            return None
        try:
            return self._read(member).decode().strip()
        except UnicodeDecodeError:
            raise self._bad("bad_text", member, "is not UTF-8") from None

    def _field(self, name: str) -> Value:
        if self._fields is None:
            self._fields = self._json()
        value = self._fields.get(name)
        if isinstance(value, dict | list):
            raise self._bad(
                "label_type", self._sample.others["json"], f"has {show(value)} as {show(name)}"
            )
        return int(value) if isinstance(value, bool) else value

    def _json(self) -> Mapping[str, Any]:
        member = self._sample.others.get("json")
        if member is None:
            return {}
        try:
            fields = json.loads(self._read(member))
        except (ValueError, RecursionError) as error:
            raise self._bad("bad_jsonl", member, f"is no JSON ({str(error)[:100]})") from None
        if not isinstance(fields, dict):
            raise self._bad("bad_jsonl", member, "is no JSON object")
        return fields

    def _read(self, member: Member) -> bytes:
        if member.size > self._limits.max_sidecar:
            raise self._bad("table_too_large", member, f"has {size(member.size)}")
        try:
            return self._archive.read(member)
        except ItemProblem as problem:
            raise self._bad("bad_archive", member, problem.detail) from None

    def _bad(self, code: str, member: Member, found: str) -> InputProblem:
        return InputProblem(
            code, f"{show(member.name)} of {self._archive.where} {found}.", member.name
        )


def _column(role: str, name: str, archive: Archive, values: list[Value]) -> ListColumn:
    text = all(value is None or isinstance(value, str) for value in values)
    known = from_text(values) if text else values  # type: ignore[arg-type]
    return ListColumn(name, f"{role} {show(name)} of {archive.where}", known)


def _split_folders(archive: Archive, samples: list[_Sample]) -> ListColumn | None:
    """Return what the first folders of the keys say, where they are called as splits are."""
    codes = [
        SPLIT_WORDS.get(sample.key.partition("/")[0].lower(), UNASSIGNED) for sample in samples
    ]
    known = any(code != UNASSIGNED for code in codes)
    return ListColumn("split", f"the folders of {archive.where}", codes) if known else None


def _items(
    archive: Archive, samples: list[_Sample], prefix: str, limits: RawLimits
) -> Iterator[RawItem]:
    for row, sample in enumerate(samples):
        yield RawItem(row, prefix + sample.item.name, read_item(archive, sample.item, limits))
