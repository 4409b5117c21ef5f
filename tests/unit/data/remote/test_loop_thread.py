"""The thread in which requests are kept going: what other threads ask of it is done at once, however many of them do."""

from __future__ import annotations

import threading

import pytest

from loader.data.remote.gathering.loop_thread import LoopThread


@pytest.mark.parametrize("debug", [False, True])
def test_nothing_that_threads_ask_for_waits_for_something_else(debug: bool) -> None:
    ended = threading.Event()
    thread = LoopThread(ended.set)
    thread.loop.set_debug(debug)
    done: list[int] = []

    def ask(first: int) -> None:
        for number in range(first, first + 200):
            heard = threading.Event()
            thread.loop.call_soon_threadsafe(lambda number=number, heard=heard: (done.append(number), heard.set()))
            assert heard.wait(30)

    threads = [threading.Thread(target=ask, args=(1000 * number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(done) == [1000 * number + count for number in range(4) for count in range(200)]
    thread.close()
    assert ended.is_set()
    with pytest.raises(RuntimeError):
        thread.loop.call_soon_threadsafe(done.clear)
