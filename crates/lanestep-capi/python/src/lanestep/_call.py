"""Calls into the library, whose errors become exceptions."""

import json

from ._library import ffi, lib

_EXCEPTIONS = {lib.LANESTEP_STATUS_VALUE: ValueError, lib.LANESTEP_STATUS_MEMORY: MemoryError}


def check(status):
    if status:
        message = ffi.string(lib.lanestep_last_error()).decode()
        raise _EXCEPTIONS.get(status, RuntimeError)(message)


def told(function, *arguments):
    """What a function tells in JSON, by its last argument."""
    out = ffi.new("char **")
    check(function(*arguments, out))
    try:
        return json.loads(ffi.string(out[0]))
    finally:
        lib.lanestep_text_free(out[0])


def text(value):
    """As JSON, which has no numbers but finite ones."""
    try:
        return json.dumps(value, allow_nan=False).encode()
    except ValueError:
        raise ValueError(f"numbers must be finite in {value}") from None


RULES = {rule["defaults"].pop("rule"): rule["defaults"] for rule in told(lib.lanestep_rules)}
"""All rules, with the defaults of their options."""
