"""Supervisors of the tests in this folder have done their imports when they start; those of scripts start as users' do."""

from __future__ import annotations

from tests.warm_starts import warm_interpreters, warm_starts

__all__ = ["warm_interpreters", "warm_starts"]
