"""Train on sentences: a CSV file with a text and a label in each row, cut into words by a vocabulary.

Each sentence praises or complains, sometimes by saying that something was *not* so, and the network learns which. The vocabulary is that of the
training file; words that are not in it share one number. A tokenizer of tokenizers or transformers, a function, or a `keras.layers.TextVectorization`
that was adapted can take its place in `decode.text`. Takes 10 s on two cores.

    python examples/text.py --sentences 4000
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import tempfile
from collections import Counter
from pathlib import Path

from loader import Loader, TextLines, decode

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras

LENGTH = 16
WORDS = 500
SEED = 7
THINGS = ["food", "film", "room", "service", "book", "seat", "music", "coffee"]
GOOD = ["good", "great", "lovely", "excellent", "charming"]
BAD = ["bad", "awful", "dull", "terrible", "dirty"]
ENDINGS = ["", ", I must say", " again", ", to be honest", "; we stayed for an hour"]


def write_reviews(path: Path, count: int, rng: random.Random) -> None:
    """Write a file with the columns `text` and `opinion`."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "opinion"])
        for _ in range(count):
            good, negated = rng.random() < 0.5, rng.random() < 0.3
            word = rng.choice(GOOD if good != negated else BAD)
            sentence = f"The {rng.choice(THINGS)} was {'not ' if negated else ''}{word}{rng.choice(ENDINGS)}."
            writer.writerow([sentence, "praise" if good else "complaint"])


def count_words(path: Path) -> list[str]:
    """Return the vocabulary of a file: what stands for padding and for unknown words, then the most frequent words."""
    punctuation = str.maketrans("", "", ".,;!?")
    with path.open(newline="") as file:
        counts = Counter(word for row in csv.DictReader(file) for word in row["text"].lower().translate(punctuation).split())
    return ["", "[UNK]", *(word for word, _ in counts.most_common(WORDS - 2))]


def build_model() -> keras.Model:
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((LENGTH,), dtype="int32"),
            layers.Embedding(WORDS, 16),
            layers.Conv1D(16, 2, activation="relu"),  # two words together: "not good"
            layers.GlobalMaxPooling1D(),
            layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description="Train on sentences in a CSV file.")
    parser.add_argument("--sentences", type=int, default=4000, help="rows to write, and a quarter as many for validation (default: 4000)")
    parser.add_argument("--epochs", type=int, default=3, help="passes over the training file (default: 3)")
    options = parser.parse_args()
    rng = random.Random(SEED)
    with tempfile.TemporaryDirectory(prefix="text-") as folder:
        training, validation = Path(folder) / "train.csv", Path(folder) / "validation.csv"
        write_reviews(training, options.sentences, rng)
        write_reviews(validation, options.sentences // 4, rng)
        columns = {"text_column": "text", "label_columns": "opinion", "classes": ["complaint", "praise"]}
        to_words = decode.text(decode.vocabulary(count_words(training)), LENGTH)
        source = TextLines(training, decode=to_words, **columns)
        print(f"first sentence: {source[0][0].tolist()}, {source.classes[source[0][1]]}")
        with (
            Loader(source, 32, shuffle=True, seed=SEED, workers=2, name="train") as train,
            Loader(TextLines(validation, decode=to_words, **columns), 32, workers=1, name="validation") as val,
        ):
            print(f"batches: {train.spec}")
            keras.utils.set_random_seed(SEED)
            build_model().fit(train, validation_data=val, epochs=options.epochs, verbose=2)


if __name__ == "__main__":
    main()
