"""Train from sound files: which of four instruments plays, from half a second of WAV, FLAC and Ogg files of several rates and lengths.

The files lie in a folder per class. Workers decode them, resample them to 8 kHz, and cut or pad them to half a second; the network sees float32 of
shape (4000,). Needs `pip install 'npy-loader[audio]'`. Takes 15 s on two cores.

    python examples/sound.py --files 400
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from loader import ByteFiles, Loader, decode

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras

RATE = 8_000
SECONDS = 0.5
SEED = 7
OVERTONES = {"flute": [1.0], "clarinet": [1.0, 0.0, 0.8, 0.0, 0.6], "violin": [1.0, 0.9, 0.8, 0.7, 0.6, 0.5], "bell": [0.2, 0.0, 0.0, 1.0]}
FORMATS = [("wav", 44_100), ("flac", 22_050), ("ogg", 16_000), ("wav", 8_000)]


def write_sounds(folder: Path, files: int) -> None:
    """Write tones of random pitch, loudness and length under noise, each class into a folder of its name."""
    rng = np.random.default_rng(SEED)
    for number in range(files):
        name = list(OVERTONES)[number % len(OVERTONES)]
        suffix, rate = FORMATS[number // len(OVERTONES) % len(FORMATS)]
        time = np.arange(round(rng.uniform(0.4, 0.7) * rate)) / rate
        pitch = rng.uniform(200, 400)
        tone = sum(loudness * np.sin(2 * np.pi * pitch * order * time) for order, loudness in enumerate(OVERTONES[name], 1))
        sound = rng.uniform(0.1, 0.2) * tone + rng.normal(0, 0.02, len(time))
        (folder / name).mkdir(exist_ok=True)
        soundfile.write(folder / name / f"{number:04d}.{suffix}", sound.astype(np.float32), rate)


def build_model() -> keras.Model:
    """Return a small compiled network over the waveform."""
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((round(SECONDS * RATE),)),
            layers.Reshape((-1, 1)),
            layers.Conv1D(32, 128, strides=16, activation="relu"),
            layers.BatchNormalization(momentum=0.7),
            layers.Conv1D(32, 3, strides=2, activation="relu"),
            layers.BatchNormalization(momentum=0.7),
            layers.GlobalAveragePooling1D(),
            layers.Dense(len(OVERTONES), activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description="Train from WAV, FLAC and Ogg files.")
    parser.add_argument("--files", type=int, default=400, help="sound files to write (default: 400)")
    parser.add_argument("--epochs", type=int, default=8, help="passes over the training part (default: 8)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sounds-") as folder:
        write_sounds(Path(folder), options.files)
        source = ByteFiles.from_folder(folder, decode=decode.audio(sample_rate=RATE, duration_s=SECONDS))
        training, validation = source.split(validation=0.2, seed=SEED, stratify=True)
        print(f"{len(source)} files of {', '.join(source.classes)}: {source.spec}", flush=True)
        with (
            Loader(training, 16, shuffle=True, seed=SEED, name="train") as train,
            Loader(validation, 16, workers=1, name="val") as val,
        ):
            keras.utils.set_random_seed(SEED)
            build_model().fit(train, validation_data=val, epochs=options.epochs, verbose=2)
            print(train.stats())


if __name__ == "__main__":
    main()
