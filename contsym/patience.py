"""A limit to how long a run waits for a server in all, however slowly it answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class Patient:
    """An object whose methods raise TimeoutError once `seconds` have passed since it was made.

    A call that is under way is not broken off; it has a timeout of its own.
    """

    def __init__(self, client: Any, seconds: float) -> None:
        self._client, self._seconds = client, seconds
        self._until = time.monotonic() + seconds

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        return self._limited(found) if callable(found) else found

    def _limited(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def limited(*args: Any, **kwargs: Any) -> Any:
            if time.monotonic() > self._until:
                raise TimeoutError(f"too slow: not done after {self._seconds:g} s")
            return call(*args, **kwargs)

        return limited
