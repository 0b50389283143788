"""The messages of user errors."""

import pytest

from contsym.errors import ContsymError


def message_of(function, *arguments, **named) -> str:
    """The message of the error that a call raises, in one line."""
    with pytest.raises(ContsymError) as caught:
        function(*arguments, **named)
    message = str(caught.value)
    assert "\n" not in message
    return message
