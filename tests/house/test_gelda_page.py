"""docs/gelda.md, run as it stands: only the network and its training are smaller."""

import re
from pathlib import Path

import numpy as np
import pytest

from cultivar import Client
from cultivar.specs import DenoiserSpec, EvaluateSpec, Gelda, HeadSpec, ObjectiveSpec

PAGE = Path(__file__).parents[2] / "docs/gelda.md"


def test_its_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    names, languages = np.array(["anger", "joy", "calm"]), np.array(["english", "urdu"])
    cells = np.repeat(np.arange(6), 60)
    label, language = names[cells // 2], languages[cells % 2]
    x = (rng.standard_normal((360, 12)) + 2 * rng.standard_normal((6, 12))[cells]).astype(
        np.float32
    )
    split = np.tile(["train", "train", "val", "test"], 90)
    # No example of anger in Urdu trains or chooses; those that report are all there is.
    unseen = (label == "anger") & (language == "urdu")
    kept = ~unseen | (split == "test")
    np.savez(
        tmp_path / "calls.npz",
        x=x[kept],
        y=label[kept],
        language=language[kept],
        split=split[kept],
    )
    text = PAGE.read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    monkeypatch.chdir(tmp_path)

    def short(**fields: object) -> Gelda:
        quick: dict[str, object] = {
            "denoiser": DenoiserSpec(width=32, blocks=1),
            "objective": ObjectiveSpec(steps=30),
            "classifier": HeadSpec(epochs=1),
        }
        if "match" not in fields:  # there the page says itself how to evaluate
            quick["evaluate"] = EvaluateSpec(
                seeds=1, controls=(), temperatures=(1.0,), penalties=(1.0,)
            )
        return Gelda(**quick, **fields)  # type: ignore[arg-type]

    with Client.local(tmp_path / "home") as cv:
        space = {"cv": cv, "x_new": x[:5]}
        imports, _, rest = code.partition(")\n")
        exec(imports + ")\n", space)
        space["Gelda"] = short
        exec(
            rest.replace(
                '{"subdomain": "language"}', '{"subdomain": "language", "split": "split"}'
            ),
            space,
        )
        drawn = space["more"].output.to_numpy()  # type: ignore[attr-defined]
    assert len(drawn[0]) == 3 * 20
