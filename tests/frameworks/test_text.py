"""A TextVectorization layer's vocabulary in the workers, against the layer itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.time_limit(200)
@pytest.mark.parametrize("keras_script", ["tensorflow"], indirect=True)
def test_texts_get_the_numbers_that_the_layer_gives_them(keras_script: Callable[..., str], tmp_path: Path) -> None:
    keras_script(
        f"""
from loader import ByteFiles, decode

rng = np.random.default_rng(3)
letters = np.array([chr(n) for n in range(1, 128)] + list("ÉéßİΣ€ \\u00a0\\u2003日") + ["the ", "Cat "] * 20)
texts = ["".join(rng.choice(letters, rng.integers(0, 60))) for _ in range(300)] + ["", " ", "[UNK]", "the cat's cat"]

def check(**settings):
    layer = keras.layers.TextVectorization(output_sequence_length=16, **settings)
    layer.adapt(texts[:200])
    decoder = decode.text(layer, 16)
    wanted = keras.ops.convert_to_numpy(layer(texts))
    got = np.stack([decoder.decode(memoryview(text.encode())) for text in texts])
    assert got.dtype == np.int32 and np.array_equal(got, wanted), settings
    by_list = decode.vocabulary(layer.get_vocabulary(), settings.get("standardize", "lower"), settings.get("split", "whitespace"))
    if "standardize" in settings:
        assert [by_list(text)[:16] for text in texts] == [row[: len(by_list(text))].tolist() for row, text in zip(got, texts)]
    return layer, wanted

for standardize in ("lower_and_strip_punctuation", "lower", "strip_punctuation", None):
    for split in ("whitespace", "character") if standardize is None else ("whitespace",):
        check(standardize=standardize, split=split)
layer, wanted = check(max_tokens=20)

for number, text in enumerate(texts[:8]):
    with open("{tmp_path}/" + f"{{number}}.txt", "w", newline="") as file:
        file.write(text)
source = ByteFiles("{tmp_path}", decode=decode.text(layer, 16))
with Loader(source, 8, workers=2) as loader:
    ((x,),) = loader
    assert np.array_equal(x, wanted[:8])
    del x

for settings in ({{"ngrams": 2}}, {{"output_mode": "count"}}, {{"standardize": lambda text: text}}):
    layer = keras.layers.TextVectorization(**settings)
    layer.adapt(texts[:9])
    try:
        decode.text(layer, 4)
    except ConfigError as error:
        assert next(iter(settings)) in str(error), error
    else:
        raise AssertionError(settings)
"""
    )
