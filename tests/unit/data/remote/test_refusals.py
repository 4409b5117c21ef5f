"""What an answer of a store means that is none of what it was asked for, and what obstore's errors do."""

from __future__ import annotations

import re

import obstore
import pytest
from obstore.store import MemoryStore

from loader.data.remote.stores.obstore_errors import problem_of
from loader.data.remote.stores.refusals import refusal

pytestmark = pytest.mark.usefixtures("what_obstore_keeps")


@pytest.mark.parametrize(
    ("status", "passes", "slow_down", "missing"),
    [(404, False, False, True), (403, False, False, False), (500, True, False, False), (503, True, True, False), (429, True, True, False)],
)
def test_statuses_mean_what_they_should(status: int, passes: bool, slow_down: bool, missing: bool) -> None:
    problem = refusal(status)
    assert (problem.passes, problem.slow_down, problem.missing) == (passes, slow_down, missing)
    assert str(status) in problem.words
    assert passes or "What to do" in problem.words


@pytest.mark.parametrize(
    ("end", "words", "passes"),
    [
        ("HTTP error: error following redirect", "from one address to the next", False),
        ("HTTP error: request timed out\n kind: Timeout", "no answer in time", True),
        ("HTTP error: error sending request\n kind: Connect", "no connection", True),
        ("something new", "the request failed", True),
    ],
)
def test_names_of_objects_are_no_part_of_what_went_wrong(end: str, words: str, passes: bool) -> None:
    problem = problem_of(Exception(f"Generic HTTP error: Error performing GET http://h/redirect/list.npy in 3s - {end}"))
    assert words in problem.words
    assert problem.passes is passes


@pytest.mark.parametrize("name", ["two\nlines.npy", "double//slash.npy", "./dot.npy"])
def test_a_name_that_obstore_does_not_take_is_told_whole(name: str) -> None:
    with pytest.raises(Exception, match=r"Path|path") as caught:
        obstore.get(MemoryStore(), name)
    problem = problem_of(caught.value)
    assert repr(name) in problem.words
    assert "rename the object" in problem.words
    assert not problem.passes


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("NoSuchBucket", 404, r"no such bucket .*check its name"),
        ("SignatureDoesNotMatch", 403, r"the secret does not fit the key"),
        ("InvalidAccessKeyId", 403, r"does not know the key"),
        ("ExpiredToken", 400, r"token has expired.*get new credentials"),
        ("RequestTimeTooSkewed", 403, r"the clock of this machine is wrong"),
        ("PermanentRedirect", 301, r"in another region.*AWS_REGION"),
        ("NeverHeardOf", 403, r"access is denied \(403\)"),
    ],
)
def test_a_code_says_more_than_its_status(code: str, status: int, words: str) -> None:
    answer = f"Server returned non-2xx status code: {status} Words: <Error><Code>{code}</Code><Message>secret</Message></Error>"
    problem = problem_of(Exception(f"Generic S3 error: Error performing GET http://h/b?signature=secret in 1ms - {answer}"))
    assert re.search(words, problem.words)
    assert not problem.passes
    assert "=secret" not in problem.words
    assert "GET" not in problem.words
