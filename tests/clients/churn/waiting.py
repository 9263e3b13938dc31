"""Waiting for conditions: nothing here sleeps for a time in the hope that something has happened by then."""

import time


def eventually(what, check, within):
    """What `check` gives as soon as that is true; fails after `within` seconds."""
    end = time.monotonic() + within
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {within} s: {what() if callable(what) else what}")
        time.sleep(0.05)
