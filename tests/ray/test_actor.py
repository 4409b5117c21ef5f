"""Actors that don't come to life, without a cluster."""

from __future__ import annotations

from typing import Any

from loader.ipc.channels import wait_readable
from loader.produce.remote.cluster.calls import Calls


def test_calls_of_an_actor_that_could_not_be_started_say_why() -> None:
    """Else the node would be refused for good, for an error that has nothing to do with it."""
    from ray.exceptions import RaySystemError

    from loader.produce.remote.cluster.cluster import Actor, death_in_words

    def start() -> Any:
        raise RaySystemError("the head does not answer")

    calls, told = Calls(), list[str | None]()
    actor = Actor(start, calls)
    for method in ("where", "start"):
        actor.call(method, then=lambda value, error: told.append(death_in_words(error)))
    while len(told) < 2:
        assert wait_readable([calls.wake], 10)
        for then, value, error in calls.finished():
            then(value, error)
    assert all(words is not None and "the head does not answer" in words for words in told)
