"""The first cases of `make fuzz`, at every run of the tests."""

from __future__ import annotations

from tests.fuzz.npy_header import run


def test_damaged_and_hostile_files_are_read_as_numpy_reads_them_or_refused() -> None:
    findings, counts = run(3_000, seed=0)
    assert not findings, "\n".join(findings)
    assert counts["both read"] > 300
