"""State as PyTorch has it: a dictionary for every parameter, under PyTorch's names."""

import math
from collections.abc import MutableMapping
from functools import lru_cache

import torch

from ._run import Cohort, Run, options_of, slots


class State(MutableMapping):
    """`optimizer.state`: what is looked up is a copy. To change state, put a dictionary in its place."""

    def __init__(self, optimizer):
        self._optimizer = optimizer

    def __getitem__(self, p):
        cohort = self._optimizer._run.cohort_of.get(p)
        if cohort is not None and cohort.steps:
            return {**_numbers(cohort.options, cohort.steps), **self._optimizer._run.state(p)}
        for group in self._optimizer.param_groups:
            if any(p is other for other in group["params"]):
                return _unbegun(self._optimizer.rule, group, p)
        raise KeyError(p)

    def __setitem__(self, p, state):
        self._optimizer.state = {**self, p: state}

    def __delitem__(self, p):
        cohort = self._optimizer._run.cohort_of.get(p)
        if cohort is None or not cohort.steps:
            raise KeyError(p)
        self._optimizer.state = {other: state for other, state in self.items() if other is not p}

    def clear(self):
        self._optimizer.state = {}

    def __iter__(self):
        for group in self._optimizer.param_groups:
            yield from (p for p in group["params"] if p in self)

    def __len__(self):
        return sum(1 for _ in self)

    def __contains__(self, p):
        cohort = self._optimizer._run.cohort_of.get(p)
        if cohort is not None and cohort.steps:
            # A dictionary of nothing, as of SGD without momentum, is none in PyTorch.
            return cohort.options["rule"] != "SGD" or bool(slots(cohort.options))
        # What `_unbegun` has.
        groups = self._optimizer.param_groups if self._optimizer.rule == "Adagrad" else []
        return any(p is other for group in groups for other in group["params"])


def _numbers(options, steps):
    """What PyTorch keeps beside the elements' state, and the library computes from the number of steps."""
    rule, numbers = options["rule"], {"step": float(steps)}
    if rule == "SGD":
        return {}
    if rule == "NAdam":
        numbers["mu_product"] = _mu_product(0.96 ** options["momentum_decay"], options["betas"][0], steps)
    if rule == "ASGD":
        lr = options["lr"]
        numbers["eta"] = lr / (1 + options["lambd"] * lr * steps) ** options["alpha"]
        numbers["mu"] = 1 / max(1, steps - options["t0"])
    return {name: torch.tensor(number) for name, number in numbers.items()}


@lru_cache
def _mu_product(by, beta, steps):
    return math.prod(beta * (1 - 0.5 * by**t) for t in range(1, steps + 1))


def _unbegun(rule, group, p):
    # Alone among PyTorch's, Adagrad makes its state before the first step; in the library, the first step adds it.
    if rule != "Adagrad":
        return {}
    begin = torch.full(p.shape, options_of(rule, group)["initial_accumulator_value"])
    return {"step": torch.tensor(0.0), "sum": begin}


def _steps(rule, state, named):
    """How many steps state is of; None if it is that of a parameter that has not begun."""
    if rule == "SGD":
        # Not counted: all that is asked of them is whether there were any.
        return None if state.get("momentum_buffer") is None else 1
    if not state:
        return None
    steps = state.get("step")
    if steps is None or not (float(steps) >= 0 and float(steps).is_integer()):
        raise ValueError(f"state of {named} has no number of steps under 'step'")
    return int(steps) or None


def laid(rule, groups, state, named):
    """The run that goes on from state as PyTorch has it."""
    state, begun, parts = dict(state), [], {}
    options = [options_of(rule, group) for group in groups]
    for home, group in enumerate(groups):
        for p in group["params"]:
            of = state.pop(p, {})
            steps = _steps(rule, of, named(p))
            if steps is not None:
                begun.append((p, _checked(of, slots(options[home]), p, named(p))))
                parts.setdefault((home, steps), []).append(p)
    if state:
        raise ValueError(f"there is state of {len(state)} tensors or names that are no parameters")
    run = Run([p for p, _ in begun], [Cohort(home, part, options[home], steps) for (home, steps), part in parts.items()])
    for name in run.names():
        run.write(name, [(p, of[name]) for p, of in begun if name in of])
    return run


def _checked(state, names, p, named):
    # An option that was switched on since the last step adds state, which begins with zero.
    found = {name: state[name] for name in names if state.get(name) is not None}
    if names and not found:
        raise ValueError(f"state of {named} has {', '.join(state)}, and none of {', '.join(names)}")
    for name, numbers in found.items():
        if numbers.shape != p.shape:
            raise ValueError(f"{name} of {named} has the shape {tuple(numbers.shape)}, and must have {tuple(p.shape)}")
    return found
