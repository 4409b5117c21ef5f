"""Sound: equal to what soundfile and soxr give by hand, cut, padded; and what is no sound is refused in words."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from loader import ByteFiles, ConfigError, Loader, SampleError, decode
from loader.data.decode.decoder import Undecodable
from tests.batches import take

RATE = 8000
FORMATS = {"wav": ("WAV", "PCM_16"), "wav24": ("WAV", "PCM_24"), "float": ("WAV", "FLOAT"), "flac": ("FLAC", "PCM_16"), "ogg": ("OGG", "VORBIS")}
FORMATS |= {"opus": ("OGG", "OPUS"), "mp3": ("MP3", "MPEG_LAYER_III")}


def tone(seconds: float = 1.0, rate: int = RATE, channels: int = 1, pitch: float = 440.0) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    sound = np.stack([np.sin(2 * np.pi * pitch * (channel + 1) * time) for channel in range(channels)], axis=1) * 0.5
    return (sound + np.random.default_rng(0).normal(0, 0.01, sound.shape)).astype(np.float32)


def file_of(sound: np.ndarray, kind: str = "wav", rate: int = RATE) -> bytes:
    name, subtype = FORMATS[kind]
    file = io.BytesIO()
    soundfile.write(file, sound, rate, format=name, subtype=subtype)
    return file.getvalue()


def of(decoder: Any, content: bytes) -> Any:
    return pickle.loads(pickle.dumps(decoder)).decode(memoryview(content))


@pytest.mark.parametrize("kind", FORMATS)
def test_sound_is_what_soundfile_and_soxr_make_of_it(kind: str) -> None:
    content = file_of(tone(), kind)
    by_hand, rate = soundfile.read(io.BytesIO(content), dtype="float32")
    np.testing.assert_array_equal(of(decode.audio(), content), by_hand)
    np.testing.assert_array_equal(of(decode.audio(16_000), content), soxr.resample(by_hand, rate, 16_000))
    part, _ = soundfile.read(io.BytesIO(content), start=round(0.25 * rate), frames=round(0.5 * rate), dtype="float32")
    np.testing.assert_array_equal(of(decode.audio(offset_s=0.25, duration_s=0.5), content), part)
    np.testing.assert_allclose(part, by_hand[round(0.25 * rate) : round(0.75 * rate)], rtol=0, atol=1e-6 if kind == "mp3" else 0)
    resampled = soxr.resample(part, rate, 11_025)[: round(0.5 * 11_025)]
    found = of(decode.audio(11_025, duration_s=0.5, offset_s=0.25), content)
    assert (found.shape, found.dtype) == ((round(0.5 * 11_025),), np.float32)
    np.testing.assert_array_equal(found[: len(resampled)], resampled)
    assert not found[len(resampled) :].any()


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_channels_are_mixed_or_kept(channels: int) -> None:
    content = file_of(tone(channels=channels), "float")
    by_hand, _ = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    np.testing.assert_array_equal(of(decode.audio(), content), by_hand.mean(axis=1))
    np.testing.assert_array_equal(of(decode.audio(mono=False), content), by_hand)
    both = of(decode.audio(4000, duration_s=2.0, mono=False), content)
    assert both.shape == (8000, channels)
    np.testing.assert_array_equal(both[:4000], soxr.resample(by_hand, RATE, 4000))
    assert not both[4000:].any()


def test_a_short_file_is_padded_and_a_long_one_cut() -> None:
    short, long = (file_of(tone(seconds), "float") for seconds in (0.3, 3.0))
    decoder = decode.audio(RATE, 1.0)
    assert of(decoder, short).shape == of(decoder, long).shape == (RATE,)
    assert not of(decoder, short)[2400:].any()
    np.testing.assert_array_equal(of(decoder, short)[:2400], tone(0.3)[:, 0])
    np.testing.assert_array_equal(of(decoder, long), tone(3.0)[:RATE, 0])


def test_the_spec_is_known_where_rate_and_duration_are() -> None:
    assert str(decode.audio(16_000, 0.5).known_spec()) == "(x: (8000,) float32)"
    unknown = [decode.audio(), decode.audio(16_000), decode.audio(duration_s=1.0), decode.audio(16_000, 0.5, mono=False)]
    assert [decoder.known_spec() for decoder in unknown] == [None] * 4


def wav_with(sound: bytes, said: int | None = None, rate: int = RATE, channels: int = 1) -> bytes:
    """Return a WAV file of 16 bit whose header says `said` bytes of sound."""
    length = len(sound) if said is None else said
    form = b"fmt " + (16).to_bytes(4, "little") + (1).to_bytes(2, "little") + channels.to_bytes(2, "little") + rate.to_bytes(4, "little")
    form += (2 * rate * channels).to_bytes(4, "little") + (2 * channels).to_bytes(2, "little") + (16).to_bytes(2, "little")
    return b"RIFF" + (36 + len(sound)).to_bytes(4, "little") + b"WAVE" + form + b"data" + length.to_bytes(4, "little") + sound


def lying_flac() -> bytes:
    """Return a FLAC file whose header says 2**35 samples."""
    content = bytearray(file_of(tone(), "flac"))
    content[21] |= 0x08  # of 36 bits of the number of samples, the upper four
    return bytes(content)


BAD = {
    "an empty file": (b"", "is empty (0 bytes)"),
    "an empty WAV": (wav_with(b""), "holds no sound: 0 samples"),
    "a WAV that is shorter than it says": (wav_with(bytes(1000), 1400), "is cut off: 400 bytes or more of its sound are missing"),
    "half a WAV": (file_of(tone())[:9000], "is cut off: 7,044 bytes or more of its sound are missing"),
    "a WAV without channels": (
        wav_with(bytes(1000), channels=0),
        "is damaged or cut off, or of a kind of sound that can't be read. libsndfile says: ",
    ),
    "text": (b"this is text, and no sound at all", "is not a sound file that can be read but text, beginning b'this is text, and no'"),
    "zeros": (bytes(500), "it begins with zeros"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(99), "but a PNG image"),
    "half a FLAC": (file_of(tone(), "flac")[:3000], "is damaged or cut off, or of a kind of sound that can't be read. libsndfile says: "),
    "a FLAC whose header lies": (lying_flac(), "is damaged"),
    "half an Ogg": (file_of(tone(3.0), "ogg")[:-3000], "is cut off: "),
    "half an MP3": (file_of(tone(3.0), "mp3")[:6000], "is damaged or cut off: its header means 24,000 samples, but none could be read after "),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_whole_sound_is_refused_in_words(name: str) -> None:
    content, words = BAD[name]
    with pytest.raises(Undecodable) as caught:
        decode.audio().decode(memoryview(content))
    assert words in str(caught.value)


def test_a_length_that_nobody_knew_is_not_taken_for_a_lie() -> None:
    """What programs write that send a WAV through a pipe."""
    sound = (tone()[:, 0] * 32767).astype("<i2").tobytes()
    for said in (0xFFFFFFFF, 0x7FFFFFFF):
        assert len(of(decode.audio(), wav_with(sound, said))) == RATE


def test_an_offset_beyond_the_end_is_refused() -> None:
    with pytest.raises(Undecodable, match=r"has 1\.000 s of sound, nothing after offset_s=1$"):
        of(decode.audio(RATE, 1.0, offset_s=1.0), file_of(tone()))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sample_rate": 0}, "sample_rate=0: must be"),
        ({"sample_rate": 16000.5}, "sample_rate=16000.5"),
        ({"sample_rate": "16k"}, "sample_rate='16k'"),
        ({"sample_rate": True}, "sample_rate=True"),
        ({"duration_s": 0}, "duration_s=0: must be seconds, more than 0"),
        ({"duration_s": float("nan")}, "duration_s=nan"),
        ({"offset_s": -1}, "offset_s=-1"),
        ({"mono": 2}, "mono=2"),
        ({"sample_rate": 100, "duration_s": 0.001}, "is less than one sample at 100 Hz"),
        (
            {"sample_rate": -5, "duration_s": -1},
            "sample_rate=-5: must be a whole number of Hz, such as 16000, or None for the rate of each file; duration_s=-1",
        ),
    ],
)
def test_arguments_that_can_not_be_are_refused(arguments: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        decode.audio(**arguments)
    assert words in str(caught.value)


def test_it_says_how_it_was_made() -> None:
    assert repr(decode.audio()) == "decode.audio()"
    assert repr(decode.audio(16_000, 2, False, 0.5)) == "decode.audio(sample_rate=16000, duration_s=2.0, mono=False, offset_s=0.5)"


def test_a_missing_library_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "soxr" else object())
    with pytest.raises(ConfigError, match=r"decode\.audio\(sample_rate=16000\) needs soxr, not installed here.*npy-loader\[audio\]"):
        ByteFiles(tmp_path, decode=decode.audio(16_000))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(10):
        kind = ["wav", "flac", "ogg", "mp3"][number % 4]
        (tmp_path / f"{number}.{kind}").write_bytes(file_of(tone(0.2 + 0.1 * number, 16_000, 1 + number % 2, 200 + 50 * number), kind, 16_000))
    (tmp_path / "notes.txt").write_text("none of them")
    return tmp_path


def test_the_bits_are_the_same_for_any_number_of_workers(folder: Path) -> None:
    found = []
    for workers in (0, 1, 3):
        source = ByteFiles(folder, labels=list(range(10)), decode=decode.audio(RATE, 0.5, offset_s=0.1))
        with Loader(source, 4, shuffle=True, workers=workers) as loader:
            found.append([(x.tobytes(), y.tolist()) for x, y in take(loader)])
    assert found[0] == found[1] == found[2]
    assert sorted(label for _, labels in found[0] for label in labels) == list(range(10))


def test_files_of_another_length_are_bad_samples_that_say_what_to_do(folder: Path) -> None:
    with Loader(ByteFiles(folder, decode=decode.audio(RATE)), 4, workers=0) as loader, pytest.raises(SampleError) as caught:
        take(loader)
    words = f"{folder}/1.flac: is 2,400 samples at 8,000 Hz, but the first file is 1,600 samples. What to do: decode.audio(duration_s=...); where"
    assert words in str(caught.value)


def test_a_broken_file_can_be_substituted(folder: Path) -> None:
    (folder / "4.wav").write_bytes(file_of(tone(), "wav")[:5000])
    with Loader(ByteFiles(folder, decode=decode.audio(RATE, 0.5)), 5, workers=1, on_error="substitute") as loader:
        with pytest.warns(RuntimeWarning, match=r"4\.wav.* is cut off"):
            assert [x.shape for (x,) in take(loader)] == [(5, 4000)] * 2
        assert loader.stats().errors >= 1  # one in each epoch that was begun
