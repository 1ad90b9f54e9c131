"""A catalog whose process is killed at one of its commits."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any


class Killed(BaseException):
    """The process is gone: no handler of errors runs on."""


def killed_at(commit: Callable[..., Any], number: int, *, is_after: bool = False) -> Callable[..., Any]:
    """`commit_table` of a catalog until its commit of this number, before or after which the process is gone."""
    commits = count(1)

    def commit_table(*arguments: Any) -> Any:
        current = next(commits)
        if current == number and not is_after:
            raise Killed
        done = commit(*arguments)
        if current == number:
            raise Killed
        return done

    return commit_table
