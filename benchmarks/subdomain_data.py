"""Labelled rows in several subdomains, from npz files: one a subdomain, or one with a `domain` column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

Labels = npt.NDArray[np.int64]
Embeddings = npt.NDArray[np.float32]
Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class SubdomainData:
    """Rows of the classes that all subdomains have.

    Attributes:
        x: (n, dim) embeddings.
        y: (n,) indices into ``classes``.
        subdomain: (n,) indices into ``subdomains``.
        group: (n,) numbers of the speakers; each row its own where none are given.
        grouped: whether groups were given.
        classes: names, K.
        subdomains: names, S.
    """

    x: Embeddings
    y: Labels
    subdomain: Labels
    group: Labels
    grouped: bool
    classes: tuple[str, ...]
    subdomains: tuple[str, ...]

    @classmethod
    def read(cls, paths: Sequence[Path], features: str = "x") -> Self:
        """Return what the files hold; the array ``features`` of each is taken as embeddings.

        A file has ``y`` and ``classes``, or ``label`` and ``label_names``, and may have ``speaker``.
        """
        parts = [_arrays(path, features) for path in paths]
        if len(parts) == 1:
            domain = parts[0].get("domain")
            if domain is None:
                raise SystemExit(f"{paths[0]} has no `domain`: give one npz a subdomain, or this")
            names = tuple(str(name) for name in np.unique(domain))
            parts = [{k: a[domain == name] for k, a in parts[0].items()} for name in names]
        else:
            names = _stems(paths)
        shared = set.intersection(*({str(one) for one in part["name"]} for part in parts))
        if len(shared) < 2:
            raise SystemExit(f"the subdomains share {len(shared)} classes; 2 or more are needed")
        kept = [
            {k: a[np.isin(part["name"], sorted(shared))] for k, a in part.items()} for part in parts
        ]
        classes, y = np.unique(np.concatenate([part["name"] for part in kept]), return_inverse=True)
        sizes = [len(part["name"]) for part in kept]
        return cls(
            x=np.concatenate([part["x"] for part in kept]),
            y=y.astype(np.int64),
            subdomain=np.repeat(np.arange(len(kept)), sizes),
            group=_groups(kept, names),
            grouped=all("speaker" in part for part in kept),
            classes=tuple(str(name) for name in classes),
            subdomains=names,
        )

    @property
    def cells(self) -> Labels:
        """(n,) cell numbers, class · S + subdomain."""
        return self.y * len(self.subdomains) + self.subdomain

    def folds(self, n: int, seed: int) -> Labels:
        """Return the fold of each row, 0 to n - 1: cells in like shares, speakers never parted."""
        kind = StratifiedGroupKFold if self.grouped else StratifiedKFold
        found = np.empty(len(self.y), np.int64)
        group = self.group if self.grouped else None
        parts = kind(n, shuffle=True, random_state=seed).split(self.x, self.cells, group)
        for number, (_, rows) in enumerate(parts):
            found[rows] = number
        return found


def _arrays(path: Path, features: str) -> dict[str, npt.NDArray[Any]]:
    """Return the rows' embeddings `x` and class names `name`, and `domain`, `speaker` where given."""
    with np.load(path, allow_pickle=False) as file:
        pair = ("y", "classes") if "y" in file.files else ("label", "label_names")
        missing = [name for name in (features, *pair) if name not in file.files]
        if missing:
            raise SystemExit(f"{path} lacks {', '.join(missing)}; it has {', '.join(file.files)}")
        found = {"x": file[features].astype(np.float32), "name": file[pair[1]][file[pair[0]]]}
        return found | {name: file[name] for name in ("domain", "speaker") if name in file.files}


def _stems(paths: Sequence[Path]) -> tuple[str, ...]:
    """Return the files' names without what they have in common in front."""
    stems = [path.stem for path in paths]
    if len(set(stems)) < len(stems):
        raise SystemExit("--data: two files of the same name; the name is the subdomain's")
    common = 0
    while len({stem[: common + 1] for stem in stems}) == 1:
        common += 1
    return tuple(stem[common:] or stem for stem in stems)


def _groups(parts: Sequence[Arrays], names: Sequence[str]) -> Labels:
    """Return numbers of the speakers: one name in two subdomains is two speakers."""
    keys = [
        f"{name} {speaker}"
        for name, part in zip(names, parts, strict=True)
        for speaker in part.get("speaker", np.arange(len(part["name"])))
    ]
    return np.unique(keys, return_inverse=True)[1].astype(np.int64)
