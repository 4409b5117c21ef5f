"""Sound: formats, sample rates, channels and durations, and the rate and length that they could be brought to."""

from __future__ import annotations

from collections import Counter

from loader.data.decode.audio_decoder import SoundFacts, audio, read_facts
from loader.watch.inspect.finding import Contents, Look, batch_lines, counts_in_words, in_words, look_at, spread

_USUAL_RATE = 16_000
_USUAL_S = 1.0


def look(paths: list[str], most: int) -> Look:
    """Read the headers of sound files. Raises ConfigError if soundfile is not installed."""
    audio().check()
    return look_at(paths, read_facts, most)


def contents(seen: Look) -> Contents:
    """Return what the headers of sound files say, and how they could be decoded."""
    sounds: list[SoundFacts] = [found for _, found in seen.good]
    if not sounds:
        decoder = audio(sample_rate=_USUAL_RATE, duration_s=_USUAL_S)
        return Contents({}, {}, decoder, None)
    durations = spread([found.frames / found.sample_rate for found in sounds])
    formats, rates, channels = (
        {str(key): count for key, count in Counter(getattr(found, name) for found in sounds).most_common()}
        for name in ("format", "sample_rate", "channels")
    )
    decoder = audio(sample_rate=int(next(iter(rates))), duration_s=max(round(durations["median"], 3), 0.001))
    spec = decoder.known_spec()
    nbytes = spec.nbytes if spec else None
    facts = {"formats": formats, "sample rates": rates, "channels": channels, "durations": durations}
    lines = {
        "formats": counts_in_words(formats),
        "sample rates": counts_in_words({f"at {int(rate):,} Hz": count for rate, count in rates.items()}),
        "channels": counts_in_words({_channels(int(number)): count for number, count in channels.items()}),
        "durations": in_words(durations, " s"),
    }
    return Contents(facts, lines | batch_lines(nbytes), decoder, nbytes)


def _channels(number: int) -> str:
    return {1: "mono", 2: "stereo"}.get(number, f"of {number} channels")
