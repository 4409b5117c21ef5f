"""What obstore's errors mean. Pure, from their type and text.

The text may hold credentials, such as a signature in a URL: only what is known of it is passed on, and nothing from where it shows the request.
"""

from __future__ import annotations

import re

from loader.data.remote.objects import Problem
from loader.data.remote.stores.refusals import refusal

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_KIND = re.compile(r"kind: (Connect|Timeout|Interrupted)\b")
_KINDS = {
    "Connect": "no connection; check the URL, or the endpoint, and the network",
    "Timeout": "no answer in time",
    "Interrupted": "the connection was cut off",
}
_NAME = re.compile(r'Path "(.{1,200}?)"', re.DOTALL)  # that obstore does not take
_DNS = ("dns error", "failed to lookup address", "Name or service not known")
_METADATA = ("169.254.169.254", "metadata.google.internal", "/latest/api/token")

_NO_CREDENTIALS = (
    "there are no credentials. What to do: set them in the environment or by storage_options=; for public data: "
    'storage_options={"skip_signature": True}'
)
_NO_LISTS = "the server can't list folders"
_NO_RANGES = (
    "the server sends whole objects only, and no ranges of them. What to do: download it to this machine (curl, wget), and give the path of the file"
)
_BAD_NAME = (
    "the name of an object, {!r}, can't be asked for: it has a line break or another control character, // in it, or a part of dots only. "
    "What to do: rename the object; or give a list of the others"
)
_REDIRECTS = "the server sends from one address to the next, without end. What to do: check the URL"


def problem_of(error: BaseException) -> Problem:
    """Return why a request failed."""
    text = str(error)
    status = 404 if isinstance(error, FileNotFoundError) else _number(_STATUS.search(text))
    if status:
        code = _CODE.search(text)
        return refusal(status, code[1] if code else "")
    if type(error).__name__ == "NotSupportedError":
        return Problem(_NO_RANGES if "Range request not supported" in text else _NO_LISTS, passes=False)
    if any(place in text for place in _METADATA):
        return Problem(_NO_CREDENTIALS, passes=False)
    if "incorrectly configured region" in text:  # sent elsewhere, without a word where
        return refusal(301, "PermanentRedirect")
    if "error following redirect" in text:
        return Problem(_REDIRECTS, passes=False)
    if (name := _NAME.search(text)) is not None:
        return Problem(_BAD_NAME.format(name[1]), passes=False)
    if not text.startswith("Generic"):
        return Problem(text.partition("\n")[0].partition(": Error performing")[0], passes=False)
    if any(words in text for words in _DNS):
        return Problem("the name of the server is not known; check the URL and the network", passes=True)
    kind = _KIND.search(text)
    return Problem(_KINDS[kind[1]] if kind else "the request failed", passes=True)


def _number(found: re.Match[str] | None) -> int:
    return int(found[1]) if found else 0
