"""What a store means by an answer that is none of what it was asked for, and whether another try is worth it. Pure."""

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
_MISSING = frozenset((404, 410))
_PASSING = frozenset((408, 425, 429, 500, 502, 503, 504))
_SLOW_DOWN = frozenset((429, 503))

# Codes that say more than the status that they come with: of S3 and Google Cloud Storage, and of Azure.
_NO_BUCKET = ("there is no such bucket", "check its name, and the endpoint and region")
_OLD_TOKEN = ("the session token has expired, or is none", "get new credentials, and start again")
_OTHER_KEY = ("the secret does not fit the key", "check both for a missing character or a space at the end; in the environment, or storage_options=")
_OTHER_REGION = ("the bucket is in another region", 'give it by AWS_REGION, or storage_options={"region": ...}')
_CODES = {
    "AuthenticationFailed": _OTHER_KEY,
    "AuthorizationHeaderMalformed": _OTHER_REGION,
    "ContainerNotFound": _NO_BUCKET,
    "ExpiredToken": _OLD_TOKEN,
    "InvalidAccessKeyId": ("the store does not know the key", "check it, and the endpoint, in the environment or storage_options="),
    "InvalidObjectState": ("the object is in an archive (Glacier), from which it can't be read", "restore it first"),
    "InvalidToken": _OLD_TOKEN,
    "NoSuchBucket": _NO_BUCKET,
    "PermanentRedirect": _OTHER_REGION,
    "RequestTimeTooSkewed": ("the clock of this machine is wrong", "set it: stores take what was signed at most 15 minutes ago"),
    "SignatureDoesNotMatch": _OTHER_KEY,
}


def refusal(status: int, code: str = "") -> Problem:
    """Return what is wrong where a store answered with this status of HTTP, and with this code."""
    missing = status in _MISSING
    if code in _CODES:
        what, remedy = _CODES[code]
        return Problem(f"{what} ({status} {code}). What to do: {remedy}", passes=False, missing=missing)
    if status in _STATUSES:
        what, remedy = _STATUSES[status]
        return Problem(f"{what}. What to do: {remedy}", passes=False, missing=missing)
    return Problem(f"the store answered {status}", passes=status in _PASSING, slow_down=status in _SLOW_DOWN)
