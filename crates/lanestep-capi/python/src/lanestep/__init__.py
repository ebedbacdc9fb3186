"""The optimizer step on CPU: PyTorch's optimizers, and newer ones, as one call over all parameters.

    optimizer = lanestep.AdamW(model.parameters(), lr=1e-3)

Every class is a `torch.optim.Optimizer`. `RULES` has the names and the defaults of all of them.
"""

import inspect

from ._call import RULES, ffi, lib
from ._optimizer import Optimizer, Report

__version__ = ffi.string(lib.lanestep_version()).decode()
__all__ = ["Optimizer", "Report", "RULES", *RULES]


def _class(rule, defaults):
    def __init__(self, params, lr=defaults["lr"], **options):
        Optimizer.__init__(self, params, rule, lr=lr, **options)

    common = [p for p in inspect.signature(Optimizer).parameters.values() if p.kind is p.KEYWORD_ONLY]
    options = [(name, tuple(value) if isinstance(value, list) else value) for name, value in defaults.items()]
    by_place, by_name = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    __init__.__signature__ = inspect.Signature([
        inspect.Parameter("self", by_place),
        inspect.Parameter("params", by_place),
        inspect.Parameter("lr", by_place, default=defaults["lr"]),
        *(inspect.Parameter(name, by_name, default=value) for name, value in options if name != "lr"),
        *common,
    ])
    __init__.__qualname__ = f"{rule}.__init__"
    twin = f"PyTorch's `{rule}`" if hasattr(__import__("torch").optim, rule) else f"The rule {rule}"
    doc = f"""{twin}, in one call over all parameters.

    Options and their defaults: {", ".join(f"{name}={value!r}" for name, value in options)}.
    The others are those of `lanestep.Optimizer`.
    """
    return type(rule, (Optimizer,), {"__init__": __init__, "__doc__": doc, "__module__": __name__})


for _rule, _defaults in RULES.items():
    globals()[_rule] = _class(_rule, _defaults)
del _rule, _defaults
