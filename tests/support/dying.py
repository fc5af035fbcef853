"""Work that does not come back, for processes that import this by name."""

import os


def square(number: int) -> int:
    if number % 7 == 3:
        os.abort()
    if number == 1000:
        raise KeyError(number)
    return number * number
