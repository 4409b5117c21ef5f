"""What holds training up, by how much, and what to do about it. Pure.

The rules are tried in the order of `_RULES`, and the first that has an answer decides. A rule comes early if what it looks for changes the meaning of
what the later ones measure: workers that wait for slots are idle for another reason than workers that have nothing to do.
"""

from __future__ import annotations

from dataclasses import dataclass

from loader.measure.kinds import Kind
from loader.measure.measurements import Measurements
from loader.measure.remote.nodes import RemoteStats
from loader.measure.worker_count import MOST_GAIN

# Less waiting than this is noise, and removing it would gain as little.
_NOTICEABLE = 0.05
# If workers have so little time to spare, a little more waiting is normal: both sides are equally fast.
_EVEN_WAIT = 0.12
_EVEN_BUSY = 0.75
# Workers that are busy for less than this are waiting for something else.
_BUSY = 0.7
# Handing out a batch and taking it costs tens of µs over all processes; with a model, a step is never as short as this.
_SHORT_WORK_S = 100e-6
_SHORT_STEP_S = 1e-3
_DOMINANT = 0.5
_SLOW_SHARE = 0.3
_SLOW_SAMPLES = 0.1
_COMPUTING = 0.75
_QUEUEING = 0.15
_CORES_USED = 0.85
_KEPT = 0.5
_NOTHING_TO_FILL = 0.2
_COPIED = 0.25
# As much as "auto" wants to see of a number of workers before it judges it (docs/tuning.md): less may be chance. With slow batches, time decides.
_ENOUGH_S = 1.0
_ENOUGH_BATCHES = 4
_LONG_ENOUGH_S = 5.0
# The whole window. A trainer that takes nothing for so long does not do so by chance.
_LONG_S = 10.0


@dataclass(frozen=True)
class Verdict:
    """The answer.

    Attributes:
        kind: what it is about.
        sentence: the same in words, with figures and with what to do.
        gain: how many times as fast training is expected to run after that, rounded to a tenth, as in the sentence.
    """

    kind: Kind
    sentence: str
    gain: float = 1.0


def judge(seen: Measurements) -> Verdict:
    """Return what holds training up.

    A trainer that waits for a share w of its time would be `1 / (1 - w)` times as fast with data always there. Workers that are busy for a
    share b could deliver `1 / b` times as much.
    """
    return next(verdict for rule in _RULES if (verdict := rule(seen)) is not None)


def _nothing(seen: Measurements) -> Verdict | None:
    if seen.delivered or (seen.begun and seen.elapsed_s < _LONG_S):
        return None
    return Verdict(Kind.NOTHING, f"no batch was taken from the loader {'in the last 10 s' if seen.begun else 'yet'}")


def _inline(seen: Measurements) -> Verdict | None:
    if not seen.inline:
        return None
    words = f"the trainer makes its batches itself (workers=0), for {seen.wait:.0%} of its time; workers=1 would do that in parallel"
    return _with_gain(Kind.INLINE, words, min(seen.most_gain, 1 / max(seen.wait, 1e-9), 2.0) if seen.wait > _NOTICEABLE else 1.0)


def _measuring(seen: Measurements) -> Verdict | None:
    if (seen.taking_s >= _ENOUGH_S and seen.batches >= _ENOUGH_BATCHES) or (seen.taking_s >= _LONG_ENOUGH_S and seen.batches):
        return None
    batches = f"{seen.batches:,} batch{'es' * (seen.batches != 1)} in {seen.taking_s:.1f} s"
    return Verdict(Kind.MEASURING, f"still measuring: {batches} since the first one, or since the number of workers changed")


def _overhead(seen: Measurements) -> Verdict | None:
    if seen.work_s > _SHORT_WORK_S or seen.step_s > _SHORT_STEP_S or seen.share > _BUSY:
        return None
    words = f"the batches are tiny: {1 / seen.step_s:,.0f} are taken per second, so handing them over is most of the work; "
    return _with_gain(Kind.OVERHEAD, f"{words}a larger batch_size would be faster", seen.step_s / max(seen.work_s, 1e-9))


def _model(seen: Measurements) -> Verdict | None:
    remote = seen.remote if seen.remote is not None and seen.remote.workers else None
    brought = "" if remote is None else f"; {_brought(remote)}"
    if seen.wait < _EVEN_WAIT and seen.share >= _EVEN_BUSY and (remote is None or remote.busy_ratio >= _EVEN_BUSY):
        words = f"loader and model are balanced: the trainer waits {seen.wait:.0%} of its time, and the workers are busy {seen.share:.0%} of theirs"
        return Verdict(Kind.BALANCED, f"{words}; only both together could be made faster{brought}")
    if seen.wait >= _NOTICEABLE:
        return None
    words = f"the model is the slow part: it waits for data {seen.wait:.0%} of its time, the workers are busy {seen.share:.0%} of theirs"
    words += f" and could deliver {1 / max(seen.share, 0.01):.1f} times as much"
    count, needed = len(seen.busy), seen.load.least
    if remote is not None:
        return Verdict(Kind.MODEL, f"{words}{brought}")
    if needed < count:
        words += f"; {needed} of {count} workers would do"
    return Verdict(Kind.TOO_MANY if needed <= count / 2 else Kind.MODEL, words)


def _memory(seen: Measurements) -> Verdict | None:
    if seen.reduced_to is None or seen.pressed < _BUSY:
        return None
    gain = seen.load.gain_with(max(seen.wanted, len(seen.busy)))
    allowed = f"memory allows only {seen.reduced_to} of {seen.wanted} workers"
    return _slow(seen, Kind.MEMORY, f"{allowed}; with a higher memory_limit, smaller batches or fewer slots, all of them could run", gain)


def _reader(seen: Measurements) -> Verdict | None:
    slow = seen.slow_reader
    if slow is None:
        return None
    words = f"a slower reader holds up this one, which waits {seen.wait:.0%} of its time and could run {_times(_rounded(seen.most_gain))}: reader "
    words += f"{slow.number} (pid {slow.pid}) gets the same batches and takes {slow.samples_per_s:,.0f} samples/s, without waiting for them"
    return Verdict(Kind.READER, f'{words}; lag="split" makes batches once more for a slow reader', _rounded(seen.most_gain))


def _slots(seen: Measurements) -> Verdict | None:
    filled_up = seen.nothing_to_fill >= _NOTHING_TO_FILL
    kept = seen.slots > 0 and seen.lent >= _KEPT * seen.slots and filled_up
    if seen.share >= _BUSY or not (kept or seen.copied >= _COPIED):
        return None
    why = f"the workers wait for slots, of which the trainer keeps {seen.lent:.1f} of {seen.slots}"
    return _slow(
        seen,
        Kind.SLOTS,
        f"{why}; copy what you need from a batch instead of keeping it, or set a higher slots=",
        min(seen.most_gain, 1 / max(seen.share, 0.1)),
    )


def _straggler(seen: Measurements) -> Verdict | None:
    # Time that other processes on the machine take looks the same.
    share = seen.slow_share - seen.queueing
    if share < _SLOW_SHARE or not 0 < seen.slow_samples < _SLOW_SAMPLES:
        return None
    which = "" if seen.slow_sample is None else f" (sample {seen.slow_sample} is one)"
    why = f"1 sample in {1 / seen.slow_samples:,.0f}{which} takes {seen.slow_ms:,.0f} ms longer than usual, "
    why += f"which is {seen.slow_share:.0%} of the workers' time"
    return _slow(seen, Kind.STRAGGLER, f"{why}; look at such a sample, or leave it out", min(seen.most_gain, 1 / (1 - min(share, 0.9))))


def _remote(seen: Measurements) -> Verdict | None:
    remote = seen.remote
    if remote is None or not remote.wanted or seen.pressed < _BUSY:
        return None
    trouble, gain = remote.trouble(seen.most_gain)
    return _slow(seen, Kind.REMOTE, f"{_brought(remote)}; {trouble}" if remote.workers else trouble, gain) if trouble else None


def _cores(seen: Measurements) -> Verdict | None:
    if seen.pressed < _BUSY and seen.queueing < _QUEUEING:
        return None
    used = sum(seen.busy) * seen.computing
    short_of = seen.queueing >= _QUEUEING and used + sum(seen.busy) * seen.queueing >= _CORES_USED * seen.cores
    full = used >= _CORES_USED * seen.cores
    largest = seen.largest
    if not (short_of or full) or (largest is not None and largest.share >= _DOMINANT and largest.name not in ("read", "write", "order")):
        return None
    why = f"the workers compute {seen.computing:.0%} of their time, on {seen.cores} core{'s' * (seen.cores > 1)}"
    if seen.queueing >= _NOTICEABLE:
        why += f", and stand in line for a core {seen.queueing:.0%} of it"
    return _slow(
        seen,
        Kind.CORES,
        f"{why}; more workers here would not help, but more cores, or those of other machines (remote=), or less work per sample would",
        seen.most_gain,
    )


def _network(seen: Measurements) -> Verdict | None:
    network = seen.network
    if network is None or seen.pressed < _BUSY or network.waiting < _DOMINANT:
        return None
    cures = network.cures(len(seen.busy), seen.ceiling)
    words = ", or ".join([words for words, _ in cures]) or "only a faster network would help"
    return _slow(seen, Kind.NETWORK, f"{network.trouble}; {words}", min(seen.most_gain, max([gain for _, gain in cures], default=1.0)))


def _stage(seen: Measurements) -> Verdict | None:
    largest = seen.largest
    if seen.pressed < _BUSY or largest is None or largest.share < _DOMINANT or largest.name in ("write", "order"):
        return None
    if largest.name == "decode":
        why = f"decoding takes {largest.share:.0%} of the workers' time ({largest.ms_per_sample:.3g} ms per sample)"
        cure = "store the files as training takes them, such as pictures no larger than needed"
        if more := _more_workers(seen):
            return _slow(seen, Kind.DECODING, f"{why}; {cure}, or {more}", seen.load.gain_with(seen.load.helpful))
        return _slow(seen, Kind.DECODING, f"{why}; {cure}, which may halve it", min(seen.most_gain, 1 / max(1 - largest.share / 2, 0.1)))
    if largest.name != "read":
        why = f"`{largest.name}` takes {largest.share:.0%} of the workers' time ({largest.cost})"
        if more := _more_workers(seen):
            return _slow(seen, Kind.TRANSFORMING, f"{why}; make it faster, or {more}", seen.load.gain_with(seen.load.helpful))
        return _slow(seen, Kind.TRANSFORMING, f"{why}; make it faster, perhaps twice", min(seen.most_gain, 1 / max(1 - largest.share / 2, 0.1)))
    why = f"reading takes {largest.share:.0%} of the workers' time ({largest.ms_per_sample:.3g} ms per sample)"
    cure = "read less per sample, or use a format that needs less work" if seen.computing >= _COMPUTING else "use faster storage or larger files"
    more = _more_workers(seen)
    return _slow(seen, Kind.READING, f"{why}; {cure}{f', or {more}' * bool(more)}", seen.load.gain_with(seen.load.helpful))


def _workers(seen: Measurements) -> Verdict | None:
    if seen.pressed < _BUSY:
        return None
    why = f"all {len(seen.busy)} workers are busy" if len(seen.busy) != 1 else "the only worker is busy"
    more = _more_workers(seen)
    cure = (
        more or f"no more workers are allowed (max_workers={seen.ceiling})"
        if len(seen.busy) >= seen.ceiling
        else more or "more workers would not help"
    )
    return _slow(seen, Kind.WORKERS, f"{why} {seen.pressed:.0%} of the time; {cure}", seen.load.gain_with(seen.load.helpful))


def _unclear(seen: Measurements) -> Verdict:
    filled = seen.nothing_to_fill >= _NOTHING_TO_FILL
    room = f"and all slots are filled for {seen.nothing_to_fill:.0%} of the time" if filled else "and have slots to fill"
    why = f"the workers are busy only {seen.share:.0%} of their time, {room}"
    return _slow(seen, Kind.UNCLEAR, f"{why}; the machine may be busy with something else, or single batches may have been slow", 1.0)


_RULES = (
    _nothing,
    _inline,
    _measuring,
    _overhead,
    _model,
    _memory,
    _reader,
    _slots,
    _straggler,
    _remote,
    _cores,
    _network,
    _stage,
    _workers,
    _unclear,
)


def _brought(remote: RemoteStats) -> str:
    return f"remote workers bring {remote.brings:.1f} ×"


def _more_workers(seen: Measurements) -> str:
    """Return how many workers would be better, if any."""
    helpful = seen.load.helpful
    return f"use {helpful} workers" if helpful > len(seen.busy) else ""


def _slow(seen: Measurements, kind: Kind, why: str, gain: float) -> Verdict:
    most = _rounded(seen.most_gain)
    lead = f"the loader is the slow part: the trainer waits for data {seen.wait:.0%} of its time and could run {_times(most)}"
    if _rounded(gain) == most:  # which has been said
        return Verdict(kind, f"{lead}; {why}", most)
    return _with_gain(kind, f"{lead}; {why}", gain)


def _with_gain(kind: Kind, words: str, gain: float) -> Verdict:
    """Return a verdict whose sentence ends with what the cure would gain, if that is visible."""
    gain = _rounded(gain)
    return Verdict(kind, f"{words}, with which it would run about {_times(gain)}" if gain > 1.0 else words, gain)


def _rounded(gain: float) -> float:
    return round(min(MOST_GAIN, max(1.0, gain)), 1)


def _times(gain: float) -> str:
    return f"{gain:.1f} times as fast" if gain < MOST_GAIN else "many times as fast"
