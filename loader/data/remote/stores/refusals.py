"""Which failed requests are worth another try: pure, from what the store answered."""

from __future__ import annotations

from loader.data.remote.objects import Problem

_CHECK_ACCESS = "check the credentials (environment, or storage_options=), and whether they may read it"

_STATUSES = {
    401: ("the store does not know who asks (401)", _CHECK_ACCESS),
    403: ("access is denied (403)", f"{_CHECK_ACCESS}; some stores also say so of what does not exist"),
    404: ("there is no such object (404)", "check the URL, and whether it has been deleted"),
    410: ("the object is gone (410)", "check the URL"),
    416: ("the object has fewer bytes than were asked for (416)", "it is empty, has become shorter, or its header is damaged"),
}
_PASSING = frozenset((408, 425, 429, 500, 502, 503, 504))
_SLOW_DOWN = frozenset((429, 503))


def problem_of_status(status: int, words: str = "") -> Problem:
    """Return why a request failed that was answered with this status of HTTP."""
    if status in _STATUSES:
        what, remedy = _STATUSES[status]
        return Problem(f"{what}. What to do: {remedy}", passes=False, missing=status in (404, 410))
    said = f"the store answered {status}{f' ({words})' if words else ''}"
    return Problem(said, passes=status in _PASSING, slow_down=status in _SLOW_DOWN)
