"""What is at hand, what may be pulled, and pulling it from a hub of our own."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from models.encoders import allowed
from models.encoders import pull as pulling
from models.encoders.allowed import PACKAGED
from models.encoders.catalogue import available, find
from models.encoders.encode import Encoder
from models.encoders.folder import FOLDERS_VARIABLE
from models.encoders.hub import store_of
from models.encoders.pull import pull
from models.encoders.spec import EncoderSpec
from models.errors import InputProblem
from tests.models.encoders.hub import COMMIT, MODEL, hub_of


@pytest.fixture
def hub(tiny_models: Path, tmp_path: Path) -> Iterator[SimpleNamespace]:
    with hub_of(tiny_models / "dinov2", tmp_path / "on the hub") as served:
        yield served


def test_a_pulled_model_is_at_hand_at_its_commit_and_encodes_offline(hub: SimpleNamespace) -> None:
    assert MODEL not in available()
    told: list[tuple[int, int]] = []
    found = pull(MODEL, lambda *seen: told.append(seen), hub.url)
    assert (found.id, found.commit, found.licence) == (MODEL, COMMIT, "Apache-2.0")
    assert found == find(MODEL)
    assert set(hub.served) == {"config.json", "model.safetensors", "preprocessor_config.json"}
    size = sum((hub.folder / name).stat().st_size for name in set(hub.served))
    assert told[-1] == (size, size)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert Encoder.load(found, EncoderSpec(model=MODEL)).dim == 16


def test_what_was_pulled_stays_when_main_moves_on(hub: SimpleNamespace) -> None:
    pull(MODEL, endpoint=hub.url)
    (store_of(MODEL) / "refs" / "main").write_text("b" * 40)
    hub.served.clear()
    assert pull(MODEL, endpoint=hub.url).commit == COMMIT
    assert not hub.served


def test_a_download_that_stopped_half_way_is_not_at_hand(hub: SimpleNamespace) -> None:
    found = pull(MODEL, endpoint=hub.url)
    (found.path / "model.safetensors").unlink()
    assert MODEL not in available()
    pull(MODEL, endpoint=hub.url)
    assert MODEL in available()


def test_a_model_without_safetensors_is_not_pulled(hub: SimpleNamespace) -> None:
    (hub.folder / "model.safetensors").unlink()
    with pytest.raises(InputProblem, match=r"no weights .* as safetensors") as caught:
        pull(MODEL, endpoint=hub.url)
    assert caught.value.code == "model_without_safetensors"
    assert not hub.served


def test_a_full_disk_is_told_before_the_download(
    hub: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "SPARE", 1e15)
    with pytest.raises(InputProblem, match=r"takes \d+ MB; [\d,]+ MB are free") as caught:
        pull(MODEL, endpoint=hub.url)
    assert caught.value.code == "not_enough_disk"
    assert not hub.served


def test_a_hub_that_does_not_answer_is_told() -> None:
    with pytest.raises(InputProblem, match=f"{MODEL}' could not be fetched") as caught:
        pull(MODEL, endpoint="http://127.0.0.1:9")
    assert caught.value.code == "model_download_failed"


@pytest.mark.parametrize("name", ["someone/else", "../../etc", "/etc", "gpt2", "https://a/b"])
def test_a_name_off_the_list_is_neither_found_nor_pulled(name: str) -> None:
    for look in (find, pull):
        with pytest.raises(InputProblem, match="not on this service's list") as caught:
            look(name)
        assert caught.value.code == "model_not_allowed"


def test_a_model_that_may_be_pulled_is_missing_with_the_command_that_gets_it() -> None:
    with pytest.raises(InputProblem, match=f"`cultivar models pull {MODEL}`") as caught:
        find(MODEL, "spec.encoder.model")
    assert (caught.value.code, caught.value.param) == ("model_not_at_hand", "spec.encoder.model")


def test_folders_are_listed_with_what_they_say_about_themselves(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vit = shutil.copytree(tiny_models / "vit", tmp_path / "mine" / "my-vit")
    (vit / "README.md").write_text("---\nlicense: mit\ntags: [x]\n---\n# Mine\n")
    pickled = shutil.copytree(tiny_models / "vit", tmp_path / "mine" / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    (tmp_path / "mine" / "no model").mkdir()
    monkeypatch.setenv(FOLDERS_VARIABLE, f"{tmp_path / 'mine'}:{tiny_models}")
    found = available()
    assert (found["my-vit"].licence, found["my-vit"].modalities) == ("mit", ("image",))
    assert found["my-vit"].revision == found["vit"].revision
    assert found["my-vit"].bytes == (vit / "model.safetensors").stat().st_size
    assert (found["clip"].modalities, found["clip"].family) == (("image", "text"), "clip")
    assert found["vit"].licence == "as in its folder"
    assert found[PACKAGED].licence == "Apache-2.0"
    assert not {"pickled", "no model"} & set(found)


def test_the_allow_list_is_sound() -> None:
    for name, one in allowed.ALLOWED.items():
        assert name == one.id
        assert name.count("/") == 1
        assert one.modalities
        assert one.megabytes > 0
        assert one.revision is None or len(one.revision) == 40
