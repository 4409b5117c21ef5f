"""Sound: WAV, FLAC, Ogg and MP3, as samples of one rate and one length."""

from __future__ import annotations

import io
import math
import mmap
from collections.abc import Sequence
from numbers import Real
from typing import NamedTuple

import numpy as np

from loader.data.decode.audio_header import missing_bytes, plain_samples
from loader.data.decode.decoder import Decoder, Undecodable
from loader.data.npy.refusals import not_a
from loader.data.spec import MAKE_ALIKE, Array, Leaf, SampleSpec
from loader.errors import ConfigError

_SCALE_16 = np.float32(2**-15)  # libsndfile's
_RATES = (1, 2**31 - 1)
_EMPTY = "holds no sound: 0 samples"
_FRAMES_OF_A_BYTE = 65_536  # more than any format has: a header that claims more is wrong


def audio(sample_rate: int | None = None, duration_s: float | None = None, mono: bool = True, offset_s: float = 0.0) -> AudioDecoder:
    """Return a decoder of sound files, for `ByteFiles`: WAV, FLAC, Ogg (Vorbis, Opus) and MP3, as float32 from -1 to 1.

    Only the part that is asked for is decoded, with the bits of `soundfile.read(file, start=..., frames=...)`. It is mixed to one channel, then
    resampled by `soxr`, then cut or padded with zeros at its end. A file that was cut off is a bad sample.

    Args:
        sample_rate: in Hz; files with other rates are resampled to it. None: each file keeps its own.
        duration_s: length of a sample, in seconds; None: up to the end of the file. Where lengths differ, the first transform must be
            `Excerpt`, `Pad`, `Crop`, or a function that makes them alike.
        mono: the mean of the channels, of shape `(samples,)`; False: all channels, of shape `(samples, channels)`.
        offset_s: seconds to leave out at the start of the file. A file that is no longer than that is a bad sample.

    Raises:
        ConfigError: an argument is out of range.

    Example:
        >>> audio(sample_rate=16_000, duration_s=1.0)
        decode.audio(sample_rate=16000, duration_s=1.0)
    """
    problems = []
    if sample_rate is not None and not (_is_number(sample_rate) and sample_rate == int(sample_rate) and _RATES[0] <= sample_rate <= _RATES[1]):
        problems.append(f"sample_rate={sample_rate!r}: must be a whole number of Hz, such as 16000, or None for the rate of each file")
    if duration_s is not None and not (_is_number(duration_s) and duration_s > 0):
        problems.append(f"duration_s={duration_s!r}: must be seconds, more than 0, or None for whole files")
    if not _is_number(offset_s) or offset_s < 0:
        problems.append(f"offset_s={offset_s!r}: must be seconds, 0 or more")
    if not isinstance(mono, bool | np.bool_):
        problems.append(f"mono={mono!r}: must be True or False")
    if not problems and sample_rate and duration_s and round(duration_s * sample_rate) < 1:
        problems.append(f"duration_s={duration_s!r}: is less than one sample at {sample_rate:,} Hz")
    if problems:
        raise ConfigError("decode.audio: " + "; ".join(problems))
    rate, length = None if sample_rate is None else int(sample_rate), None if duration_s is None else float(duration_s)
    return AudioDecoder(rate, length, bool(mono), float(offset_s))


class AudioDecoder(Decoder):
    """Decodes sound; see `audio`, which has the same arguments."""

    suffixes = (".wav", ".flac", ".ogg", ".opus", ".mp3")
    extra = "audio"

    def __init__(self, sample_rate: int | None, duration_s: float | None, mono: bool, offset_s: float) -> None:
        self.sample_rate = sample_rate
        self.duration_s = duration_s
        self.mono = mono
        self.offset_s = offset_s
        self.modules = ("soundfile",) if sample_rate is None else ("soundfile", "soxr")

    def known_spec(self) -> SampleSpec | None:
        if self.sample_rate is None or self.duration_s is None or not self.mono:
            return None
        return SampleSpec((Leaf(0, None, (round(self.duration_s * self.sample_rate),), np.dtype(np.float32)),))

    def shapes_in(self, path: str) -> Sequence[tuple[int, ...]]:
        facts = read_facts(path)
        part = self._part(facts.sample_rate, facts.frames)
        rate, there = facts.sample_rate, part.stop - part.start
        if self.sample_rate is not None and rate != self.sample_rate:
            rate, there = self.sample_rate, int(there * self.sample_rate / rate + 0.5)  # as soxr has it
        length = self._length(rate, there)
        return ((length,) if self.mono else (length, facts.channels),)

    def decode(self, content: memoryview) -> Array:
        samples, rate = self._read(content)
        out = np.empty((self._length(rate, len(samples)), *samples.shape[1:]), np.float32)
        _fit(samples, out)
        return out

    def decode_into(self, content: memoryview, out: Sequence[Array], spec: SampleSpec) -> None:
        samples, rate = self._read(content)
        (target,) = out
        shape = (self._length(rate, len(samples)), *samples.shape[1:])
        if shape != target.shape:
            raise Undecodable(f"is {_in_words(shape, rate)}, but the first file is {_in_words(target.shape)}. {self._remedy()}")
        _fit(samples, target)

    def _read(self, content: memoryview) -> tuple[Array, int]:
        """Return the part of a file that is wanted, or as much of it as there is, resampled, and its rate."""
        if not len(content):
            raise Undecodable(not_a("a sound file", b""))
        plain = plain_samples(content)
        if plain is not None:
            whole, rate = plain
            samples = whole[self._part(rate, len(whole))] * _SCALE_16
        else:
            samples, rate = self._by_libsndfile(content)
        if self.mono:
            samples = _mixed(samples)
        if self.sample_rate is None or rate == self.sample_rate:
            return samples, rate
        import soxr

        return soxr.resample(samples, rate, self.sample_rate), self.sample_rate

    def _part(self, rate: int, frames: int) -> slice:
        """Return which samples of a file are wanted. Raises Undecodable if there are none."""
        if not frames:
            raise Undecodable(_EMPTY)
        first = round(self.offset_s * rate)
        if first >= frames:
            raise Undecodable(f"has {frames / rate:.3f} s of sound, nothing after offset_s={self.offset_s:g}")
        return slice(first, min(frames, first + self._length(rate, frames)))

    def _by_libsndfile(self, content: memoryview) -> tuple[Array, int]:
        """Return the wanted part of a file, of shape (samples, channels), and its rate."""
        import soundfile

        try:
            with soundfile.SoundFile(io.BytesIO(content)) as file:
                rate, frames, missing = file.samplerate, file.frames, missing_bytes(content)
                if missing:
                    raise Undecodable(_cut_off(missing))
                part = self._part(rate, frames)
                if frames > _FRAMES_OF_A_BYTE * len(content):
                    raise Undecodable(f"is damaged: its header means {frames:,} samples, in a file of {len(content):,} bytes")
                file.seek(part.start)  # also to 0, as `soundfile.read` does: MP3 then differs in the last bit
                samples = file.read(part.stop - part.start, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise Undecodable(_why(bytes(content[:64]), error)) from error
        end = part.start + len(samples)
        if end < part.stop:
            raise Undecodable(f"is damaged or cut off: its header means {frames:,} samples, but none could be read after {end:,}")
        return samples, rate

    def _length(self, rate: int, there: int) -> int:
        """Return how many samples are wanted at a rate: all that are there, if no duration is given."""
        return there if self.duration_s is None else max(1, round(self.duration_s * rate))

    def _remedy(self) -> str:
        given = {"sample_rate=...": self.sample_rate, "duration_s=...": self.duration_s}
        missing = [name for name, value in given.items() if value is None] or ["mono=True"]
        return f"What to do: decode.audio({', '.join(missing)}); {MAKE_ALIKE}"

    def __repr__(self) -> str:
        given = {
            "sample_rate": (self.sample_rate, None),
            "duration_s": (self.duration_s, None),
            "mono": (self.mono, True),
            "offset_s": (self.offset_s, 0),
        }
        return f"decode.audio({', '.join(f'{name}={value!r}' for name, (value, default) in given.items() if value != default)})"


class SoundFacts(NamedTuple):
    """What the header of a sound file says.

    Attributes:
        format: such as `WAV`.
        sample_rate: in Hz.
        channels: how many.
        frames: samples of each channel.
    """

    format: str
    sample_rate: int
    channels: int
    frames: int


def read_facts(path: str) -> SoundFacts:
    """Return what the header of a sound file says.

    Raises:
        Undecodable: it can't be read, is empty, or was cut off.
        OSError: with the path in it.
    """
    import soundfile

    with open(path, "rb") as file:
        if not file.read(1):
            raise Undecodable(not_a("a sound file", b""))
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content, memoryview(content) as view:
            missing, head = missing_bytes(view), view[:64].tobytes()
        file.seek(0)
        try:
            with soundfile.SoundFile(file) as sound:
                facts = SoundFacts(sound.format, int(sound.samplerate), sound.channels, sound.frames)
        except soundfile.SoundFileError as error:
            raise Undecodable(_why(head, error)) from error
    if missing:
        raise Undecodable(_cut_off(missing))
    if not facts.frames:
        raise Undecodable(_EMPTY)
    return facts


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_) and math.isfinite(value)


def _mixed(samples: Array) -> Array:
    """Return the mean of the channels, of shape (samples,). By hand: `mean` takes 20 times as long over so short an axis (docs/measurements.md)."""
    channels = samples.shape[1]
    if channels == 1:
        return samples[:, 0]
    total = samples[:, 0] + samples[:, 1]
    for channel in range(2, channels):
        total += samples[:, channel]
    total /= channels
    return total


def _fit(samples: Array, out: Array) -> None:
    """Copy as many samples as there is room for, followed by zeros if there are fewer."""
    out[: len(samples)] = samples[: len(out)]
    out[len(samples) :] = 0


def _in_words(shape: tuple[int, ...], rate: int | None = None) -> str:
    at = "" if rate is None else f" at {rate:,} Hz"
    channels = "" if len(shape) == 1 else f" of {shape[1]} channel{'s' if shape[1] > 1 else ''}"
    return f"{shape[0]:,} samples{channels}{at}"


def _cut_off(missing: int) -> str:
    return f"is cut off: {missing:,} bytes or more of its sound are missing. Perhaps its writing or copying was cut off"


def _why(head: bytes, error: Exception) -> str:
    """Return what is wrong with a file that libsndfile can't read, which begins with `head`."""
    words = str(getattr(error, "error_string", error)).removeprefix("Error : ").rstrip(".")
    if "ormat not recognised" in words:
        return not_a("a sound file that can be read", head)
    return f"is damaged or cut off, or of a kind of sound that can't be read. libsndfile says: {words}"
