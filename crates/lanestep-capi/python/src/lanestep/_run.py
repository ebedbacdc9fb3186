"""The library's optimizer, and which of PyTorch's parameters it steps over.

PyTorch counts the steps of every parameter, and one without a gradient does not go on. The library counts those of a group. So
parameters of one of PyTorch's groups that have taken the same steps make up a group here, a cohort. When some of a cohort lack
gradients it is cut in two, for which the library's optimizer is made anew; when all of it do, it is frozen for the step. Cohorts
are never joined: after few steps all cuts are made, whichever parameters take part in the next.
"""

from functools import lru_cache
from itertools import accumulate

import torch

from ._call import RULES, check, ffi, lib, text, told
from ._tensors import Tensors


def options_of(rule, group):
    """A rule as JSON has it, of one of PyTorch's groups."""
    return {"rule": rule, **{name: _plain(group[name]) for name in RULES[rule]}}


def _plain(value):
    if isinstance(value, (tuple, list)):
        return [_plain(part) for part in value]
    return value.item() if hasattr(value, "item") else value


@lru_cache(maxsize=64)
def _slots(rule):
    return told(lib.lanestep_rule_state, rule)


def slots(options):
    """The names of the state that a rule takes with these options."""
    return _slots(text(options))


class Cohort:
    """Parameters of one group that have taken as many steps as each other."""

    def __init__(self, home, params, options, steps):
        self.home, self.params, self.options, self.steps = home, params, options, steps
        self.index = None  # of the group in the library, if there are any elements
        self.frozen = False

    def set_options(self, handle, options):
        if options == self.options:
            return
        if self.index is not None:
            if {**options, "lr": self.options["lr"]} == self.options:
                check(lib.lanestep_set_group_lr(handle, self.index, options["lr"]))
            else:
                check(lib.lanestep_set_rule(handle, self.index, text(options)))
                # From 0, if nothing was carried over.
                steps = ffi.new("uint64_t *")
                check(lib.lanestep_group_steps(handle, self.index, steps))
                self.steps = steps[0]
        self.options = options

    def set_frozen(self, handle, frozen):
        if frozen != self.frozen and self.index is not None:
            check(lib.lanestep_set_frozen(handle, self.index, frozen))
        self.frozen = frozen


class Run:
    """Parameters that have begun, laid end to end in the order of PyTorch's groups, whatever the order they began in."""

    def __init__(self, params, cohorts):
        self.params, self.cohorts, self.tensors = params, cohorts, Tensors(params)
        ends = list(accumulate(self.tensors.lens, initial=0))
        self.len, self.ranges = ends[-1], dict(zip(params, zip(ends, ends[1:])))
        if len(self.ranges) < len(params):
            raise ValueError("a parameter is in its group twice")
        self.cohort_of = {p: cohort for cohort in cohorts for p in cohort.params}
        self.handle = self._new() if self.len else ffi.NULL

    def copied(self):
        """The library's optimizer once more, with its state."""
        out = ffi.new("LanestepOptimizer **")
        check(lib.lanestep_clone(self.handle, out))
        return ffi.gc(out[0], lib.lanestep_free)

    def _new(self):
        groups = []
        for cohort in self.cohorts:
            ranges = [self.ranges[p] for p in cohort.params if p.numel()]
            if ranges:
                cohort.index = len(groups)
                groups.append({"rule": cohort.options, "ranges": ranges})
        out = ffi.new("LanestepOptimizer **")
        check(lib.lanestep_new_with(text(groups), text(self.len), out))
        handle = ffi.gc(out[0], lib.lanestep_free)
        for cohort in self.cohorts:
            if cohort.index is not None:
                check(lib.lanestep_set_group_steps(handle, cohort.index, cohort.steps))
        return handle

    def names(self):
        return told(lib.lanestep_state_names, self.handle) if self.len else []

    def read(self, name, start, end):
        numbers = torch.empty(end - start)
        if start < end:
            pointer = ffi.cast("float *", numbers.data_ptr())
            check(lib.lanestep_read_state(self.handle, name.encode(), start, end, pointer))
        return numbers

    def write(self, name, parts):
        """Puts in state of a name: tensors, of parameters. That of others becomes zero."""
        numbers = torch.zeros(self.len)
        for p, part in parts:
            start, end = self.ranges[p]
            numbers[start:end] = part.detach().reshape(-1)
        check(lib.lanestep_set_state(self.handle, name.encode(), 0, self.len, ffi.cast("float *", numbers.data_ptr())))

    def state(self, p):
        start, end = self.ranges[p]
        return {name: self.read(name, start, end).view(p.shape) for name in slots(self.cohort_of[p].options)}

    def settled(self, params, homes, grads, options, named):
        """This one, if each of its cohorts is now of parameters that all have gradients or all lack them; or else another, that
        goes on from it, of parameters that have begun and those that have gradients now. `homes` are the groups of `params`."""
        parts, begun = {}, []
        for p, home, grad in zip(params, homes, grads):
            cohort = self.cohort_of.get(p)
            if cohort is not None or grad is not None:
                start, end = self.ranges.get(p, (0, p.numel()))
                if p.numel() != end - start:
                    raise TypeError(f"{named(p)} has {p.numel()} elements, and had {end - start} before")
                begun.append(p)
                parts.setdefault((home, cohort, grad is None), []).append(p)
        same = len(begun) == len(self.params) and all(map(lambda a, b: a is b, begun, self.params))
        run = self
        if not same or len(parts) != len(self.cohorts) or any(home != cohort.home for home, cohort, _ in parts):
            # With the options that its state is of: those of today come with the step.
            run = Run(begun, [
                Cohort(home, part, cohort.options if cohort else options[home], cohort.steps if cohort else 0)
                for (home, cohort, _), part in parts.items()
            ])
            run._take(self)
        absent = {p for (_, _, absent), part in parts.items() if absent for p in part}
        for cohort in run.cohorts:
            cohort.set_frozen(run.handle, cohort.params[0] in absent)
        return run

    def _take(self, other):
        # Without PyTorch, whose own threads a forked child has not: it would wait for them.
        for name in set(self.names()).intersection(other.names()):
            numbers = ffi.new("float[]", self.len)
            for p in filter(other.ranges.__contains__, self.params):
                check(lib.lanestep_read_state(other.handle, name.encode(), *other.ranges[p], numbers + self.ranges[p][0]))
            check(lib.lanestep_set_state(self.handle, name.encode(), 0, self.len, numbers))
