"""What stops `serve`, in one line, with the exit code that scripts rely on."""

from __future__ import annotations

INVALID = 1
TAKEN = 4


class ServeError(Exception):
    """Serving cannot start or go on; the text is one line for the user."""

    def __init__(self, message: str, exit_code: int = INVALID) -> None:
        super().__init__(message)
        self.exit_code = exit_code
