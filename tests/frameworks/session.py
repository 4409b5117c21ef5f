"""Runs in a process of its own: scripts one after the other, so that a framework is imported once for many tests.

Each line of standard input is the path of a script; for each, a line of JSON goes to the descriptor that is the first argument: null, or the
traceback of what the script raised. Names, warnings and loaders of a script are gone before the next one.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
import warnings

ANSWERS = int(sys.argv[1])


def run(path: str) -> str | None:
    with open(path) as file:
        code = compile(file.read(), path, "exec")
    try:
        with warnings.catch_warnings():
            exec(code, {"__name__": "__main__"})
    except BaseException:
        return traceback.format_exc()
    return None


for line in sys.stdin:
    answer = run(line.strip())
    keras = sys.modules.get("keras")
    if keras is not None:
        keras.backend.clear_session()
    gc.collect()
    sys.stdout.flush()
    os.write(ANSWERS, json.dumps(answer).encode() + b"\n")
