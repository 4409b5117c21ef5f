"""Supervisors of the tests in this folder have done their imports when they start; those of scripts start as users' do."""

from __future__ import annotations

from tests.warm_supervisors import warm_interpreter, warm_supervisors

__all__ = ["warm_interpreter", "warm_supervisors"]
