"""Runs a command as the process that controls its terminal, which is standard input."""

from __future__ import annotations

import fcntl
import runpy
import sys
import termios

fcntl.ioctl(0, termios.TIOCSCTTY, 0)
del sys.argv[0]
runpy.run_module("loader", run_name="__main__", alter_sys=True)
