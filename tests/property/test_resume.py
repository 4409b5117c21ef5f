"""Whatever is taken, saved, loaded and left: what comes next is what a quiet run would have had there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from loader import Loader, NpyArrays
from tests.batches import Batch
from tests.examples import examples

ROWS, EPOCHS = 23, 40


class Resuming(RuleBasedStateMachine):
    """A loader without workers against a model that is two numbers: epoch and batch."""

    @initialize(batch_size=st.integers(1, 23), drop_last=st.booleans())
    def make(self, batch_size: int, drop_last: bool) -> None:
        self.batch_size, self.drop_last = batch_size, drop_last
        with self.new() as quiet:
            self.batches = len(quiet)
            self.expected = [x.tolist() for _ in range(EPOCHS) for (x,) in quiet]
        self.loader = self.new()
        self.stream: Iterator[Batch] = self.loader.batches()
        self.place = 0
        self.running = self.left = False  # running: something was taken since the position was loaded or the epoch left
        self.saved = [(0, self.loader.state_dict())]

    def new(self) -> Loader:
        return Loader(NpyArrays(np.arange(ROWS)), self.batch_size, shuffle=True, seed=1, drop_last=self.drop_last, workers=0)

    @rule(count=st.integers(1, 30))
    def some_are_taken(self, count: int) -> None:
        if not self.running:
            self.begin_anew()
        for _ in range(min(count, len(self.expected) - self.place)):
            assert next(self.stream)[0].tolist() == self.expected[self.place]
            self.place += 1
            self.running = True

    @rule(count=st.integers(1, 3))
    def some_are_looked_at_by_an_iterator_that_ends_the_others(self, count: int) -> None:
        self.leave()
        self.begin_anew()
        peek = self.loader.epoch_iterator(leased=False, peek=True)
        for number in range(min(count, self.batches - self.place % self.batches, len(self.expected) - self.place)):
            assert next(peek)[0].tolist() == self.expected[self.place + number]
            assert self.position() == self.place
        peek.close()

    @rule()
    def the_epoch_is_left(self) -> None:
        self.leave()

    def leave(self) -> None:
        self.stream.close()  # type: ignore[attr-defined]
        self.stream = self.loader.batches()
        self.left = self.left or self.running
        self.running = False

    def begin_anew(self) -> None:
        if self.left:
            self.place += -self.place % self.batches
        self.left = False

    @rule()
    def it_is_saved(self) -> None:
        self.saved.append((self.place, self.loader.state_dict()))

    @rule(which=st.integers(0, 20), anew=st.booleans())
    def a_state_is_loaded(self, which: int, anew: bool) -> None:
        if anew:
            self.loader.close()
            self.loader = self.new()
        self.place, state = self.saved[which % len(self.saved)]
        self.loader.load_state_dict(state)
        self.stream = self.loader.batches()
        self.running = self.left = False

    def position(self) -> int:
        state = self.loader.state_dict()
        number: int = state["epoch"] * self.batches + state["batch"]
        return number

    @invariant()
    def it_is_where_it_should_be(self) -> None:
        if hasattr(self, "loader"):
            assert self.position() == self.place

    def teardown(self) -> None:
        if hasattr(self, "loader"):
            self.loader.close()


TestResuming = Resuming.TestCase
TestResuming.settings = examples(60, stateful_step_count=20)
