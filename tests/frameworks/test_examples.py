"""The examples run as a user runs them, and learn; those for Keras where it is imported already."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.frameworks.conftest import on_jax

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def last(name: str, output: str) -> float:
    """Return the value that `name` had in the last epoch."""
    found = re.findall(rf"\b{name}: ([0-9.]+(?:e[-+][0-9]+)?)", output)
    assert found, output
    return float(found[-1])


def last_val_accuracy(output: str) -> float:
    return last("val_accuracy", output)


@pytest.mark.time_limit(200)
@pytest.mark.parametrize(("epochs", "least"), [(2, 0.9), pytest.param(5, 0.97, marks=pytest.mark.thorough)])
def test_the_digits_are_learned(epochs: int, least: float, forked_script, tmp_path) -> None:
    result = forked_script(EXAMPLES / "digits.py", "--data", tmp_path / "digits", "--epochs", epochs, timeout=180)
    assert result.returncode == 0, result.stderr
    assert last_val_accuracy(result.stdout) >= least
    assert 0 <= last("loader_wait", result.stdout) <= 1
    assert "verdict" in result.stdout.lower()
    assert len(list((tmp_path / "digits").glob("*/*/*.npy"))) == 1797


@pytest.mark.thorough
@pytest.mark.time_limit(200)
def test_the_digits_are_learned_without_workers_too(forked_script) -> None:
    result = forked_script(EXAMPLES / "digits.py", "--workers", 0, "--epochs", 2, timeout=180)
    assert result.returncode == 0, result.stderr
    assert last_val_accuracy(result.stdout) >= 0.9
    assert "verdict" in result.stdout.lower()


@pytest.mark.thorough
@pytest.mark.time_limit(200)
def test_pictures_in_class_folders_are_learned(forked_script) -> None:
    result = forked_script(EXAMPLES / "image_folders.py", "--pictures", 600, timeout=180)
    assert result.returncode == 0, result.stderr
    assert "600 files" in result.stdout
    assert last_val_accuracy(result.stdout) >= 0.8
    assert "verdict" in result.stdout


@pytest.mark.thorough
@pytest.mark.time_limit(200)
def test_one_large_file_is_learned_from(forked_script) -> None:
    result = forked_script(EXAMPLES / "one_large_file.py", "--samples", 8000, timeout=180)
    assert result.returncode == 0, result.stderr
    assert last_val_accuracy(result.stdout) >= 0.95
    assert "verdict" in result.stdout.lower()


@pytest.mark.thorough
@pytest.mark.time_limit(200)
def test_an_hdf5_file_is_learned_from(forked_script) -> None:
    result = forked_script(EXAMPLES / "hdf5.py", timeout=180)
    assert result.returncode == 0, result.stderr
    assert "data.h5: 3,000 samples of (x: (24, 24, 1) uint8, y: () int32)" in result.stdout
    assert last_val_accuracy(result.stdout) >= 0.95
    assert "verdict" in result.stdout.lower()


@pytest.mark.thorough
@pytest.mark.time_limit(200)
def test_a_store_that_lets_one_wait_is_trained_on(forked_script) -> None:
    result = forked_script(EXAMPLES / "measure.py", "--epochs", 1, timeout=180)
    assert result.returncode == 0, result.stderr
    assert "verdict" in result.stdout.lower()


@pytest.mark.thorough
@pytest.mark.time_limit(200)
def test_volumes_are_learned_by_id(forked_script) -> None:
    result = forked_script(EXAMPLES / "volumes.py", timeout=180)
    assert result.returncode == 0, result.stderr
    assert "batches: (x: (32, 32, 32, 1) float32, y: (3,) float32)" in result.stdout
    assert last_val_accuracy(result.stdout) >= 0.95


@pytest.mark.thorough
@pytest.mark.time_limit(200)
def test_a_label_in_the_samples_file_is_learned(forked_script) -> None:
    result = forked_script(EXAMPLES / "sample_and_label_in_one_file.py", timeout=180)
    assert result.returncode == 0, result.stderr
    assert "a file:   (x: (60, 4) float32)" in result.stdout
    assert "a sample: (x: (60, 3) float32, y: (60,) int32)" in result.stdout
    assert last_val_accuracy(result.stdout) >= 0.95


@pytest.mark.thorough
@pytest.mark.time_limit(200)
def test_two_inputs_and_weights_are_learned_from(forked_script) -> None:
    result = forked_script(EXAMPLES / "two_inputs.py", timeout=180)
    assert result.returncode == 0, result.stderr
    assert last_val_accuracy(result.stdout) >= 0.93  # without the weights, a fifth of the labels are guesses: 85 % at most


@pytest.mark.thorough
@pytest.mark.time_limit(200)
def test_sentences_in_a_csv_file_are_learned(forked_script) -> None:
    result = forked_script(EXAMPLES / "text.py", "--sentences", 2000, "--epochs", 2, timeout=180)
    assert result.returncode == 0, result.stderr
    assert "batches: (x: (16,) int32, y: () int32)" in result.stdout
    assert last_val_accuracy(result.stdout) >= 0.95


@pytest.mark.thorough
@pytest.mark.time_limit(200)
@on_jax
def test_masks_that_are_flipped_with_their_images_are_learned(forked_script) -> None:
    result = forked_script(EXAMPLES / "segmentation.py", "--images", 300, timeout=180)
    assert result.returncode == 0, result.stderr
    assert "300 images, 294 masks, 294 pairs of (x: (32, 32, 1) uint8, y: (32, 32, 1) bool)" in result.stdout
    assert last("val_iou", result.stdout) >= 0.7


@pytest.mark.time_limit(200)
def test_a_flat_folder_is_predicted_to_a_csv(forked_script, tmp_path) -> None:
    result = forked_script(EXAMPLES / "predict_folder.py", "--output", tmp_path / "found.csv", timeout=180)
    assert result.returncode == 0, result.stderr
    assert re.search(r"200 predictions in .*found\.csv, accuracy: (1\.000|0\.9\d+)", result.stdout), result.stdout
    assert "skipped 1 file of another kind" in result.stderr
    lines = (tmp_path / "found.csv").read_text().splitlines()
    assert len(lines) == 201
    assert lines[0] == "path,class,score"
    assert re.search(r"/incoming/0000\.png,(horizontal|vertical),[01]\.\d{3}$", lines[1])


@pytest.mark.thorough
@pytest.mark.time_limit(200)
def test_targets_of_a_csv_are_learned(forked_script) -> None:
    result = forked_script(EXAMPLES / "csv_targets.py", timeout=180)
    assert result.returncode == 0, result.stderr
    assert "a sample: (x: (32, 32, 1) uint8, y: (3,) float32)" in result.stdout
    assert last("val_mae", result.stdout) <= 0.06


@pytest.mark.thorough
@pytest.mark.time_limit(200)
def test_records_without_a_header_are_learned_from(forked_script) -> None:
    result = forked_script(EXAMPLES / "raw_binary.py", "--frames", 4000, timeout=180)
    assert result.returncode == 0, result.stderr
    assert "9,216,064 = 4,000 × 2,304 + 64" in result.stdout
    assert "give offset=64" in result.stdout
    assert last_val_accuracy(result.stdout) >= 0.95


@pytest.mark.thorough
@pytest.mark.time_limit(200)
def test_a_time_series_is_forecast(forked_script) -> None:
    result = forked_script(EXAMPLES / "time_series.py", "--steps", 20_000, timeout=180)
    assert result.returncode == 0, result.stderr
    assert "15,947 windows to train with: (x: (48, 3) float32, y: (6, 3) float32)" in result.stdout
    assert last("val_mae", result.stdout) < 0.3 * float(re.findall("if nothing changed: ([0-9.]+)", result.stdout)[0])


@pytest.mark.thorough
@pytest.mark.time_limit(200)
def test_three_models_are_trained_on_one_pool(forked_script) -> None:
    result = forked_script(EXAMPLES / "model_search.py", "--samples", 3200, "--epochs", 4, timeout=180)
    assert result.returncode == 0, result.stderr
    found = dict(re.findall(r"width (\d+): val_accuracy: ([0-9.]+)", result.stdout))
    assert sorted(map(int, found)) == [4, 16, 64]
    assert float(found["64"]) >= 0.9
    assert "3 readers, " in result.stdout


@pytest.mark.thorough
@pytest.mark.time_limit(200)
def test_sounds_are_told_apart(forked_script) -> None:
    result = forked_script(EXAMPLES / "sound.py", "--files", 240, "--epochs", 6, timeout=180)
    assert result.returncode == 0, result.stderr
    assert "240 files of bell, clarinet, flute, violin: (x: (4000,) float32, y: () int32)" in result.stdout
    assert last_val_accuracy(result.stdout) >= 0.8


def test_shards_share_every_sample_once_an_epoch(run_script) -> None:
    result = run_script(EXAMPLES / "shards.py", timeout=90)
    assert result.returncode == 0, result.stderr
    epochs = [line for line in result.stdout.splitlines() if "together" in line]
    assert epochs == [f"epoch {epoch}, together: 100 samples, 100 different ones of 100" for epoch in range(2)]
    assert result.stdout.count("50 samples in 7 batches") == 4


def test_two_ranks_train_one_model_from_one_pool(run_script) -> None:
    result = run_script(EXAMPLES / "two_ranks.py", "--samples", 2048, "--epochs", 2, timeout=90)
    assert result.returncode == 0, result.stderr
    assert last("accuracy", result.stdout) >= 0.95
    assert "each of 2 ranks saw 1024 of 2048 samples" in result.stdout
    pools = re.findall(r"rank [01]: 32 batches of 32, from the pool of process (\d+)", result.stdout)
    assert len(pools) == 2
    assert len(set(pools)) == 1


def test_a_file_larger_than_memory_is_read_once_an_epoch(run_script) -> None:
    result = run_script(EXAMPLES / "larger_than_memory.py", "--samples", 300, "--window", 100, timeout=60)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("300 different ones of 300") == 3


@pytest.mark.thorough
@on_jax
def test_a_loop_in_plain_jax_learns(forked_script) -> None:
    result = forked_script(EXAMPLES / "jax_loop.py", timeout=90)
    assert result.returncode == 0, result.stderr
    assert last_val_accuracy(result.stdout) >= 0.97


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_every_example_says_how_to_run_it(path: Path) -> None:
    text = path.read_text()
    assert f"    python examples/{path.name}" in text.split('"""')[1]
    assert "argparse.ArgumentParser(description=" in text
