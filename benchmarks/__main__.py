"""`python -m benchmarks`: measure what is promised, print a table, write JSON. `--help` says how."""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import workloads
from benchmarks.augment import AUGMENTED
from benchmarks.fresh import Benchmark, Measure, Measured, ratio_line, rounds_of
from benchmarks.pictures import PICTURES
from benchmarks.terminal import line, note

WORKLOADS: dict[str, workloads.Workload] = {**workloads.WORKLOADS, **PICTURES, **AUGMENTED}


def main() -> None:
    """Run what was asked for."""
    data = Path(tempfile.gettempdir()) / "loader-bench"
    _BENCHMARK.parser.add_argument("--workers", type=int, default=2, help="worker processes, and processes of the bare loop (default: 2)")
    _BENCHMARK.parser.add_argument("--data", type=Path, default=data, help="folder of the data, kept (4.4 GB)")
    _BENCHMARK.parser.add_argument("--megabytes", type=int, default=250, help="size of the text file of `lines` (default: 250)")
    _BENCHMARK.main(lambda what: _single(what, Path(what["data"])), _measuring)


@contextlib.contextmanager
def _measuring(arguments: argparse.Namespace) -> Iterator[Measure]:
    print(f"{arguments.workers} workers, each round in fresh processes, by turns", flush=True)
    yield lambda name: _throughput(name, arguments) if name in WORKLOADS else _OTHERS[name](arguments)


# Each of these runs in a process of its own.


def _single(what: Measured, data: Path) -> Measured:
    from benchmarks import (
        auto,
        bare,
        buckets,
        cold,
        describe,
        fit,
        forms,
        functions,
        kept,
        lines,
        many_workers,
        ours,
        pictures,
        ranks,
        scale,
        shared,
        stats,
        top,
    )

    match what["kind"]:
        case "ours":
            return ours.throughput(WORKLOADS[what["name"]], data, what["workers"], what["seconds"])
        case "bare":
            return bare.measure(WORKLOADS[what["name"]], data, what["workers"], what["seconds"])
        case "fit":
            return fit.measure(what["backend"], what["feed"], what["size"], what["steps"])
        case "auto":
            return auto.measure(what["case"], data, what["workers"])
        case "cold":
            return cold.loader(cold.WORKLOADS[what["name"]], data)
        case "cold_bare":
            return cold.bare(cold.WORKLOADS[what["name"]], data, what["depth"])
        case "form":
            return forms.measure(what["form"], data, what["workers"], what["seconds"])
        case "bare_sound":
            return forms.bare_sound(data, what["workers"], what["seconds"])
        case "empty":
            return ours.empty(what["workers"], what["seconds"])
        case "function":
            return functions.measure(what["workers"], what["seconds"])
        case "import":
            return ours.imports()
        case "stall":
            return ours.stall()
        case "first_batch":
            return ours.first_batch(data)
        case "paths":
            return scale.paths(data)
        case "jpeg_large":
            return pictures.large(data)
        case "epoch_gap":
            return scale.epoch_gap(data, what["workers"])
        case "rows":
            return scale.rows(data)
        case "cache":
            return kept.cache(data, what["workers"], what["seconds"])
        case "pack":
            return kept.pack(data, what["workers"])
        case "buckets":
            return buckets.measure(data, what["workers"], what["seconds"])
        case "describe":
            return describe.measure(data, what["workers"])
        case "many_workers":
            return many_workers.share(what["workers"], what["wait_ms"], what["seconds"])
        case "paced":
            return many_workers.paced(what["seconds"])
        case "first_of_many":
            return many_workers.first_batch()
        case "ranks":
            return ranks.measure(what["case"], data, what["workers"], what["seconds"])
        case "lines":
            return lines.measure(data, what["megabytes"], what["workers"], what["seconds"])
        case "shared_work":
            return shared.work(what["readers"], what["seconds"])
        case "shared_slow":
            return shared.slow(what["seconds"])
        case "shared_struck":
            return shared.struck(what["seconds"])
        case "shared_first":
            return shared.first()
        case "shared_tiny":
            return shared.tiny(what["readers"], what["step_s"], what["seconds"])
        case "stats":
            return stats.measure(data, what["workers"], rounds=int(8 * what["seconds"]))
        case "top":
            return top.measure(data, what["workers"], rounds=int(4 * what["seconds"]))
        case "metrics":
            return top.measure_metrics(data, what["workers"], rounds=int(4 * what["seconds"]))
        case _:
            return ours.memory(data)


def _fresh(arguments: argparse.Namespace, **what: Any) -> Measured:
    return _BENCHMARK.fresh(data=str(arguments.data), **what)


# Each of these prints a line of the table.


def _throughput(name: str, arguments: argparse.Namespace) -> Measured:
    workload = WORKLOADS[name]
    workload.write(arguments.data, note)
    rounds = []
    for _ in rounds_of(name, arguments):
        workload.warm(arguments.data)
        common = {"name": name, "workers": arguments.workers, "seconds": arguments.seconds}
        before, ours, after = (_fresh(arguments, kind=kind, **common) for kind in ("bare", "ours", "bare"))
        if {before["checksum"], after["checksum"]} != {ours["checksum"]}:
            sys.exit(f"{name}: the batches differ from the bare loop's")
        rounds.append((ours["samples_per_s"], (before["samples_per_s"] + after["samples_per_s"]) / 2))
    return ratio_line(name, rounds, "samples/s", "bare loop", f"wanted {workload.target:.0%}")


def _form(arguments: argparse.Namespace, form: str, wanted: float) -> Measured:
    from benchmarks import forms

    forms.write(form, arguments.data, note)
    common = {"workers": arguments.workers, "seconds": arguments.seconds}
    other: Measured = {"kind": "bare_sound"} if form == "sound" else {"kind": "form", "form": f"npy_{form}"}
    rounds = []
    for _ in rounds_of(form, arguments):
        before, ours, after = (_fresh(arguments, **what, **common) for what in (other, {"kind": "form", "form": form}, other))
        if {before["checksum"], after["checksum"]} != {ours["checksum"]}:
            sys.exit(f"{form}: the batches differ")
        rounds.append((ours["samples_per_s"], (before["samples_per_s"] + after["samples_per_s"]) / 2))
    return ratio_line(form, rounds, "samples/s", "bare loop" if form == "sound" else "NpyArrays", f"wanted {wanted:.0%}")


def _median_of(arguments: argparse.Namespace, name: str, key: str, wanted: str, unit: str, **what: Any) -> Measured:
    values = []
    for _ in rounds_of(name, arguments):
        values.append(_fresh(arguments, kind=name, **what)[key])
    median = statistics.median(values)
    line(name, f"{median:>11,.2f} {unit} ({min(values):,.2f} to {max(values):,.2f})   wanted {wanted}")
    return {"median": median, "unit": unit, "values": values, "wanted": wanted}


def _empty(arguments: argparse.Namespace) -> Measured:
    return _median_of(arguments, "empty", "batches_per_s", "≥ 60,000", "batches/s", workers=arguments.workers, seconds=arguments.seconds)


def _first_batch(arguments: argparse.Namespace) -> Measured:
    WORKLOADS["vol32"].write(arguments.data, note)
    return _median_of(arguments, "first_batch", "seconds", "≤ 0.5", "s with 8 workers, TensorFlow imported")


def _import(arguments: argparse.Namespace) -> Measured:
    return _median_of(arguments, "import", "ms", "≤ 60", "ms for `import loader`, beyond NumPy")


def _function(arguments: argparse.Namespace) -> Measured:
    figures = {
        "share": ("× as fast as `workers=0` as often, for a function that does nothing over rows of 1 KB", "wanted ≥ 0.9"),
        "bare": ("× as fast as plain loops", ""),
        "samples_per_s": ("samples/s", ""),
    }
    return _several(arguments, "function", figures, workers=arguments.workers, seconds=arguments.seconds)


def _memory(arguments: argparse.Namespace) -> Measured:
    WORKLOADS["vol32"].write(arguments.data, note)
    return _median_of(arguments, "memory", "megabytes", "≤ 4", "MB anonymous per worker")


def _stall(arguments: argparse.Namespace) -> Measured:
    return _median_of(arguments, "stall", "median_ms", "≤ 50", "ms more than usual after SIGKILL of one of two workers")


def _several(arguments: argparse.Namespace, name: str, figures: dict[str, tuple[str, str]], **what: Any) -> Measured:
    """Print a line for each figure: its key in what is measured → its unit, and what is wanted of it."""
    rounds = []
    for _ in rounds_of(name, arguments):
        rounds.append(_fresh(arguments, kind=name, **what))
    found: Measured = {}
    for key, (unit, wanted) in figures.items():
        values = [measured[key] for measured in rounds]
        median = statistics.median(values)
        line(name, f"{median:>11,.2f} {unit} ({min(values):,.2f} to {max(values):,.2f})   {wanted}")
        found[key] = {"median": median, "unit": unit, "values": values, "wanted": wanted}
    return found


def _paths(arguments: argparse.Namespace) -> Measured:
    from benchmarks import scale

    WORKLOADS["vol32"].write(arguments.data, note)
    scale.write_paths(arguments.data)
    first = "s to the first batch with 8 workers, TensorFlow not imported"
    return _several(arguments, "paths", {"source_s": ("s for NpyFiles of 10⁶ paths", "wanted ≤ 0.5"), "first_batch_s": (first, "wanted ≤ 0.6")})


def _epoch_gap(arguments: argparse.Namespace) -> Measured:
    WORKLOADS["vol32"].write(arguments.data, note)
    figures = {
        "ratio": ("× the wait inside an epoch, batches lying ready", "wanted ≤ 2"),
        "idle_ratio": ("× the wait inside an epoch, means, in a loop without work", "wanted ≤ 2"),
        "between_us": ("µs between epochs, batches lying ready", ""),
        "inside_us": ("µs inside an epoch, batches lying ready", ""),
    }
    return _several(arguments, "epoch_gap", figures, workers=arguments.workers)


def _rows(arguments: argparse.Namespace) -> Measured:
    from benchmarks import scale

    scale.write_rows(arguments.data)
    figures = {
        "seconds": ("s to the first batch of 10⁹ rows", "wanted ≤ 1"),
        "megabytes": ("MB anonymous more than with 10³ rows", "wanted: the same"),
    }
    return _several(arguments, "rows", figures)


def _jpeg_large(arguments: argparse.Namespace) -> Measured:
    figures = {
        "ratio": ("× as fast as decoding whole, 2000 × 1500 to 224 × 224", "wanted ≥ 2"),
        "ms": ("ms of CPU for a picture", ""),
        "whole_ms": ("ms, decoded whole", ""),
        "difference": ("of 255 is the mean difference of the two, in the picture where it is largest", ""),
    }
    return _several(arguments, "jpeg_large", figures)


def _buckets(arguments: argparse.Namespace) -> Measured:
    from benchmarks import buckets

    buckets.write(arguments.data, note)
    figures = {
        "trained": ("× the samples/s of one shape, in a loop that computes the tanh of each value", "wanted ≥ 1.8"),
        "trained_cpu": ("× the CPU time of a sample, in that loop", ""),
        "alone": ("× the samples/s of one shape, in a loop that does nothing", ""),
        "alone_cpu": ("× the CPU time of a sample, in that loop", ""),
        "bytes": ("× the bytes of one shape", "wanted ≤ 0.6"),
    }
    return _several(arguments, "buckets", figures, workers=arguments.workers, seconds=arguments.seconds)


def _describe(arguments: argparse.Namespace) -> Measured:
    WORKLOADS["img224"].write(arguments.data, note)
    WORKLOADS["img224"].warm(arguments.data)
    figures = {
        "ratio": ("× a bare loop of the same arithmetic, img224", "wanted ≥ 0.85"),
        "samples_per_s": ("samples/s", ""),
        "bare_samples_per_s": ("samples/s of the bare loop", ""),
    }
    return _several(arguments, "describe", figures, workers=arguments.workers)


def _cache(arguments: argparse.Namespace) -> Measured:
    WORKLOADS["jpeg"].write(arguments.data, note)
    figures = {
        "folder": ("× NpyArrays of the decoded pictures, cached in a folder", "wanted ≥ 0.92"),
        "memory": ("× NpyArrays, cached in memory", "wanted ≥ 0.92"),
        "folder_cpu": ("× the workers' CPU time of NpyArrays for a sample, in a folder", ""),
        "memory_cpu": ("× the workers' CPU time of NpyArrays for a sample, in memory", ""),
        "later": ("× NpyArrays, cached in a folder, read back from the disk", "wanted ≥ 0.92"),
        "first": ("× NpyArrays, first epoch of a later run, with checksums", ""),
        "samples_per_s": ("samples/s of NpyArrays", ""),
    }
    return _several(arguments, "cache", figures, workers=arguments.workers, seconds=arguments.seconds)


def _pack(arguments: argparse.Namespace) -> Measured:
    from benchmarks import kept

    kept.write_small_files(arguments.data, note)
    figures = {
        "ratio": ("× 20,000 small files, caches dropped, for a pack of them", "wanted ≥ 5"),
        "in_blocks": ('× the files, for the pack with shuffle="blocks"', ""),
        "bare_ratio": ("× the files read in a bare loop", ""),
        "samples_per_s": ("samples/s of the files", ""),
        "packed_samples_per_s": ("samples/s of the pack", ""),
        "bare_samples_per_s": ("samples/s of the files in a bare loop", ""),
    }
    return _several(arguments, "pack", figures, workers=arguments.workers)


def _many_workers(arguments: argparse.Namespace) -> Measured:
    from benchmarks import many_workers

    found: Measured = {}
    for (workers, wait_ms), wanted in many_workers.CASES.items():
        rounds = []
        for _ in rounds_of(f"many_workers, {workers} × {wait_ms:g} ms", arguments):
            rounds.append(_fresh(arguments, kind="many_workers", workers=workers, wait_ms=wait_ms, seconds=arguments.seconds))
        ratios = [measured["ratio"] for measured in rounds]
        figures = ("samples_per_s", "of_bare", "supervisor")
        rate, of_bare, supervisor = (statistics.median(one[key] for one in rounds) for key in figures)
        share = f"{statistics.median(ratios):6.1%} ({min(ratios):.1%} to {max(ratios):.1%}) of the ideal   wanted {wanted:.0%}"
        words = f"{workers} workers × {wait_ms:g} ms, {of_bare:.0%} of as many bare processes, supervisor {supervisor:.0%} of a core"
        line("many_workers", f"{rate:>9,.0f} samples/s   {share}   {words}")
        measured = {"samples_per_s": rate, "ratios": ratios, "wanted": wanted, "of_bare": of_bare, "supervisor": supervisor}
        found[f"{workers} × {wait_ms:g} ms"] = measured
    pace = {"share": ("of a core for the supervisor at 20,000 rows/s of 5 ms", "wanted ≤ 0.3"), "samples_per_s": ("samples/s of it", "")}
    found["paced"] = _several(arguments, "paced", pace, seconds=arguments.seconds)
    first = {
        "ratio": ("× the start and one row, for the first batch of 64 rows of 5 ms with 64 workers", "wanted ≤ 1.3"),
        "seconds": ("s, all in all", ""),
    }
    found["first_of_many"] = _several(arguments, "first_of_many", first)
    rates = {workers: many_workers.schedule(workers) for workers in many_workers.SIMULATED_WORKERS}
    listed = ", ".join(f"{workers} workers: {rate:,.0f}" for workers, rate in rates.items())
    line("schedule", f"{listed} events per second of CPU time   wanted ≥ 100,000, however many workers")
    found["schedule"] = rates
    return found


def _shared(arguments: argparse.Namespace) -> Measured:
    found: Measured = {}
    seconds = 5 * arguments.seconds
    rounds = []
    for _ in rounds_of("shared", arguments):
        rounds.append([_fresh(arguments, kind="shared_work", readers=readers, seconds=seconds) for readers in (1, 4)])
    for key, words in (("made", "samples made"), ("cpu_ms", "CPU time of the workers")):
        ratios = [four[key] / one[key] for one, four in rounds]
        share = f"{statistics.median(ratios):11.2f} × ({min(ratios):.2f} to {max(ratios):.2f})"
        line("shared", f"{share} the {words} for one reader, for four with models of 20 ms that begin 0.5 s apart   wanted ≤ 1.05")
        found[key] = ratios
    slow = {"share": ("× the batches, for two readers with models of 20 ms beside one with a model of 200 ms", "wanted ≥ 0.97")}
    found["slow"] = _several(arguments, "shared_slow", slow, seconds=seconds)
    words = "s at most that a reader waits for a batch when another one is"
    struck = {"stopped": (f"{words} stopped", "wanted ≤ 1"), "killed": (f"{words} killed", "wanted ≤ 1")}
    found["struck"] = _several(arguments, "shared_struck", struck, seconds=arguments.seconds)
    first = {"seconds": ("s from attaching to the first batch, beside two readers", "wanted ≤ 0.1")}
    found["first"] = _several(arguments, "shared_first", first)
    for step_s, words in ((0.0, "as fast as they can"), (2e-3, "every 2 ms")):
        tiny = {"us": (f"µs of the supervisor for a batch of each of 16 readers, {words}", "wanted ≤ 15"), "batches_per_s": ("batches/s, of all", "")}
        found[words] = _several(arguments, "shared_tiny", tiny, readers=16, step_s=step_s, seconds=arguments.seconds)
    return found


def _ranks(arguments: argparse.Namespace) -> Measured:
    from benchmarks import ranks

    found: Measured = {}
    figures = {
        "speed": ("× the samples/s of two loaders, for two ranks on one pool", "wanted ≥ 1"),
        "memory": ("× their memory", "wanted ≤ 0.6"),
        "cpu": ("× their CPU time for a sample", ""),
        "samples_per_s": ("samples/s of both ranks", ""),
        "megabytes": ("MB of the pool", ""),
        "shards_megabytes": ("MB of two loaders", ""),
    }
    for case in ranks.CASES:
        WORKLOADS[case].write(arguments.data, note)
        WORKLOADS[case].warm(arguments.data)
        line("ranks", case)
        found[case] = _several(arguments, "ranks", figures, workers=arguments.workers, seconds=arguments.seconds, case=case)
    return found


def _lines(arguments: argparse.Namespace) -> Measured:
    from benchmarks import lines

    note("writing lines ...")
    lines.write(arguments.data, arguments.megabytes)
    figures = {
        "index_mb_per_s": ("MB/s, in which lines are found", "wanted ≥ 500"),
        "index_mb_per_cpu_s": ("MB in a second of CPU time", ""),
        "samples_per_s": (f"shuffled lines/s, as bytes padded to {lines.WIDTH}", "wanted ≥ 500,000"),
        "bare_samples_per_s": ("lines/s of a bare loop that slices each", ""),
        "ratio": ("× the bare loop", ""),
        "cpu_us": ("µs of CPU time a line, all processes together", ""),
        "bare_cpu_us": ("µs of CPU time a line, bare loop", ""),
    }
    return _several(arguments, "lines", figures, megabytes=arguments.megabytes, workers=arguments.workers, seconds=arguments.seconds)


def _auto(arguments: argparse.Namespace) -> Measured:
    from benchmarks import auto

    WORKLOADS["vol32"].write(arguments.data, note)
    found: Measured = {}
    for case in auto.CASES:
        fixed = {}
        for workers in auto.COUNTS:
            note(f"auto, {case}: {workers} workers")
            fixed[workers] = _fresh(arguments, kind="auto", case=case, workers=workers)["batches_per_s"]
        note(f"auto, {case}: auto")
        mine = _fresh(arguments, kind="auto", case=case, workers=0)
        fastest = max(fixed, key=lambda workers: fixed[workers])
        ratio = mine["batches_per_s"] / fixed[fastest]
        others = ", ".join(f"{workers}: {rate:,.1f}" for workers, rate in fixed.items())
        auto_found = f"{mine['batches_per_s']:>9,.1f} batches/s with {mine['workers']} workers"
        line("auto", f"{auto_found}   {ratio:6.1%} of the best fixed number, {fastest}   wanted ≥ 95%   {case} ({others})")
        found[case] = {"auto": mine, "fixed": fixed, "ratio": ratio}
    return found


def _fit(arguments: argparse.Namespace, backend: str, name: str, wanted: tuple[float, float]) -> Measured:
    other = "a generator" if backend == "tensorflow" else "prebuilt arrays"
    found = {}
    for size, steps, limit in (("small", 200, wanted[0]), ("large", 30, wanted[1])):
        rounds = []
        for _ in rounds_of(f"{name}, {size} batches", arguments):
            feeds = [_fresh(arguments, kind="fit", backend=backend, feed=feed, size=size, steps=steps) for feed in ("loader", "prebuilt")]
            rounds.append([feed["microseconds"] for feed in feeds])
        mine, theirs = (statistics.median(values) for values in zip(*rounds, strict=True))
        ratio = statistics.median(one / other for one, other in rounds)
        line(f"{name} {size}", f"{mine:>11,.0f} µs a step   {other} {theirs:>11,.0f}   {ratio:6.2f} ×   wanted ≤ {limit} ×")
        found[size] = {"microseconds": mine, "other_microseconds": theirs, "ratio": ratio, "wanted": limit}
    return found


def _stats(arguments: argparse.Namespace) -> Measured:
    WORKLOADS["mnist"].write(arguments.data, note)
    figures = {
        "cpu_all": ("% more CPU time for a batch, all statistics", "wanted ≤ 2"),
        "cpu_stages": ("% more CPU time for a batch, stages", "wanted < 1"),
        "time_all": ("% more time for a batch, all statistics", ""),
        "time_stages": ("% more time for a batch, stages", ""),
        "batches_per_s": ("batches/s", ""),
    }
    return _several(arguments, "stats", figures, workers=arguments.workers, seconds=arguments.seconds)


def _watched(arguments: argparse.Namespace, name: str, beside: str) -> Measured:
    WORKLOADS["mnist"].write(arguments.data, note)
    figures = {
        "slower": (f"% less throughput beside {beside}", "wanted ≤ 1"),
        "cpu": ("% more CPU time for a batch, the command's included", "wanted ≤ 1"),
        "supervisor_ms": ("ms of the supervisor's CPU a second", ""),
        "own_ms": ("ms of the command's own CPU a second", ""),
    }
    return _several(arguments, name, figures, workers=arguments.workers, seconds=arguments.seconds)


def _cold(arguments: argparse.Namespace) -> Measured:
    from benchmarks import cold

    found: Measured = {}
    for name, workload in cold.WORKLOADS.items():
        workload.write(arguments.data, note)
        rounds = []
        for _ in rounds_of(name, arguments):
            bare = {depth: _fresh(arguments, kind="cold_bare", name=name, depth=depth) for depth in cold.DEPTHS}
            ours = _fresh(arguments, kind="cold", name=name)
            if {loop["checksum"] for loop in bare.values()} != {ours["checksum"]}:
                sys.exit(f"{name}: the batches differ from the bare loop's")
            rounds.append((ours["samples_per_s"], {depth: loop["samples_per_s"] for depth, loop in bare.items()}))
        mine = statistics.median(rate for rate, _ in rounds)
        medians = {depth: statistics.median(bare[depth] for _, bare in rounds) for depth in cold.DEPTHS}
        ratios = [rate / max(bare.values()) for rate, bare in rounds]
        listed = ", ".join(f"{depth}: {rate:,.0f}" for depth, rate in medians.items())
        share = f"{mine / max(medians.values()):6.1%} of the best ({min(ratios):.1%} to {max(ratios):.1%} of a round's best)"
        line(name, f"{mine:>9,.0f} samples/s   bare loops {listed}   {share}   wanted {workload.target:.0%}")
        found[name] = {"samples_per_s": mine, "bare_samples_per_s": medians, "ratios": ratios, "wanted": workload.target}
    return found


_OTHERS: dict[str, Callable[[argparse.Namespace], Measured]] = {
    "empty": _empty,
    "function": _function,
    "first_batch": _first_batch,
    "import": _import,
    "memory": _memory,
    "stall": _stall,
    "fit": partial(_fit, backend="tensorflow", name="fit", wanted=(0.5, 0.6)),
    "fit_jax": partial(_fit, backend="jax", name="fit_jax", wanted=(1.2, 1.2)),
    "fit_torch": partial(_fit, backend="torch", name="fit_torch", wanted=(1.2, 1.2)),
    "jpeg_large": _jpeg_large,
    "paths": _paths,
    "epoch_gap": _epoch_gap,
    "auto": _auto,
    "buckets": _buckets,
    "describe": _describe,
    "cache": _cache,
    "pack": _pack,
    "cold": _cold,
    "rows": _rows,
    "raw": partial(_form, form="raw", wanted=0.95),
    "windows": partial(_form, form="windows", wanted=0.95),
    "sound": partial(_form, form="sound", wanted=0.9),
    "lines": _lines,
    "many_workers": _many_workers,
    "shared": _shared,
    "ranks": _ranks,
    "stats": _stats,
    "top": partial(_watched, name="top", beside="`loader top`"),
    "metrics": partial(_watched, name="metrics", beside="`loader metrics`, scraped each second"),
}

_BENCHMARK = Benchmark("benchmarks", __doc__, [*WORKLOADS, *_OTHERS], rounds=5, seconds=3.0, quiet=True)


if __name__ == "__main__":
    main()
