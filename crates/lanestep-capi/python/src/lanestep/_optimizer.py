"""PyTorch's optimizer, whose step is one call into the library."""

import re
from operator import is_
from typing import NamedTuple, Optional

import torch

from ._call import RULES, check, ffi, lib
from ._run import options_of, slots
from ._state import State, laid
from ._tensors import fault_of_parameter

_NON_FINITE = {
    "propagate": lib.LANESTEP_NON_FINITE_PROPAGATE,
    "skip": lib.LANESTEP_NON_FINITE_SKIP,
    "error": lib.LANESTEP_NON_FINITE_ERROR,
}


class Report(NamedTuple):
    """What a step has found and done. What was not measured is None."""

    norm: Optional[float]
    """The norm of all gradients, before they were clipped."""
    max_abs: Optional[float]
    """The largest magnitude of one."""
    non_finite: Optional[int]
    """How many are not finite."""
    first_non_finite: Optional[str]
    """Where the first of them is."""
    clip_factor: float
    """What `max_norm` has multiplied them by."""
    update_norm: Optional[float]
    """How far the parameters have moved."""
    params_norm: Optional[float]
    """The norm of the parameters after the step."""
    skipped: bool
    """Whether nothing was updated, because of gradients that are not finite."""


class Optimizer(torch.optim.Optimizer):
    """Any rule by its name: `Optimizer(params, "AdamW", lr=1e-3)`.

    Parameters are dense, contiguous tensors of float32, bfloat16 or float16 on the CPU, and computed with in float32, which their
    state is kept in. Gradients may be of another of these types. What cannot be stepped over is a `TypeError` that names it, and a
    hyperparameter out of its range a `ValueError`; nothing has been written then.

    Args:
        params: tensors, `(name, tensor)` pairs or groups, as for all of `torch.optim`.
        rule: a name in `lanestep.RULES`.
        max_norm: brings the norm of all gradients down to this, as `clip_grad_norm_` does, but in the call, and the gradients
            stay as they are.
        non_finite: what to do about NaN and infinity in gradients: "propagate" them, "skip" the step, or raise an "error".
        measure: whether `report` has the norms of gradients, update and parameters.
        options: the rule's own, by PyTorch's names. `lanestep.RULES[rule]` has the defaults.

    The last three are attributes, which can be changed at any time.
    """

    def __init__(self, params, rule, *, max_norm=None, non_finite="propagate", measure=False, **options):
        if rule not in RULES:
            raise ValueError(f"there is no rule {rule!r}; there are {', '.join(RULES)}")
        _check_differentiable(options)
        # Ways to compute the same in PyTorch.
        options = {name: value for name, value in options.items() if name not in ("foreach", "fused", "capturable", "differentiable")}
        unknown = [name for name in options if name not in RULES[rule]]
        if unknown:
            raise TypeError(f"{rule} has no option {unknown[0]!r}; it has {', '.join(RULES[rule])}")
        self.rule, self.max_norm, self.non_finite, self.measure = rule, max_norm, non_finite, measure
        self.report: Optional[Report] = None
        defaults = {**RULES[rule], **options}
        super().__init__(params, {name: tuple(value) if isinstance(value, list) else value for name, value in defaults.items()})

    def add_param_group(self, param_group):
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            slots(options_of(self.rule, group))
            _check_differentiable(group)
            for p in group["params"]:
                why = fault_of_parameter(p)
                if why is not None:
                    raise TypeError(f"{self._named(p)} {why}")
        except Exception:
            self.param_groups.pop()
            raise

    @torch.no_grad()
    def step(self, closure=None):
        """Updates all parameters that have gradients, in one call. `report` tells of it.

        Returns what `closure` does, if there is one; it computes the loss and its gradients anew.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        params = [p for group in self.param_groups for p in group["params"]]
        grads = [p.grad for p in params]
        absent = [place for place, grad in enumerate(grads) if grad is None]
        self.report = None
        if len(absent) < len(params):
            self._step(params, grads, absent)
        return loss

    def _step(self, params, grads, absent):
        options = [options_of(self.rule, group) for group in self.param_groups]
        sizes = [len(group["params"]) for group in self.param_groups]
        (seen, seen_sizes, seen_absent), run = self._seen, self._run
        if absent != seen_absent or sizes != seen_sizes or not all(map(is_, params, seen)):
            homes = [home for home, size in enumerate(sizes) for _ in range(size)]
            run = self._run = self._run.settled(params, homes, grads, options, self._named)
            self._seen = (params, sizes, absent)
        if absent:
            grads = [p.grad for p in run.params]
            absent = [place for place, grad in enumerate(grads) if grad is None]
        pipeline, report = self._pipeline(), ffi.new("LanestepReport *", {"clip_factor": 1.0})
        if run.len:
            # Gradients that were copied live until the call is over.
            alive = run.tensors.point(grads, absent, self._named)
            changed = [c for c in run.cohorts if not c.frozen and c.options != options[c.home]]
            # All are checked before the first is set. What an option is switched off for drops its state, which a step that
            # fails must not.
            drops = [c for c in changed if slots(options[c.home]) != slots(c.options)]
            kept = drops and (run.copied(), [(c, c.options, c.steps) for c in changed])
            try:
                for cohort in changed:
                    cohort.set_options(run.handle, options[cohort.home])
                check(lib.lanestep_set_threads(run.handle, torch.get_num_threads()))
                check(lib.lanestep_step(run.handle, run.tensors.array, len(grads), pipeline, report))
            except Exception as error:
                if kept:
                    run.handle, before = kept
                    for cohort, was, steps in before:
                        cohort.options, cohort.steps = was, steps
                raise type(error)(self._with_names(str(error))) from None
            del alive
        self.report = self._reported(report)
        if not report.skipped:
            stepped = [p for p, grad in zip(run.params, grads) if grad is not None] if absent else run.params
            torch.autograd.graph.increment_version(stepped)
            for cohort in run.cohorts:
                cohort.steps += not cohort.frozen

    def _pipeline(self):
        if self.non_finite not in _NON_FINITE:
            raise ValueError(f"non_finite is {self.non_finite!r}, and must be one of {', '.join(_NON_FINITE)}")
        pipeline = ffi.new("LanestepPipeline *", lib.lanestep_pipeline())
        pipeline.non_finite = _NON_FINITE[self.non_finite]
        pipeline.measure_grads = pipeline.measure_update = bool(self.measure)
        if self.max_norm is not None:
            pipeline.has_max_norm, pipeline.max_norm = True, float(self.max_norm)
        return pipeline

    def _reported(self, found):
        grads, update = found.has_grads, found.has_update
        return Report(
            norm=found.norm if grads else None,
            max_abs=found.max_abs if grads else None,
            non_finite=found.non_finite if grads else None,
            first_non_finite=self._place(found.first_non_finite) if found.has_first_non_finite else None,
            clip_factor=found.clip_factor,
            update_norm=found.update_norm if update else None,
            params_norm=found.params_norm if update else None,
            skipped=bool(found.skipped),
        )

    def _place(self, place):
        p, start = next((p, start) for p, (start, end) in self._run.ranges.items() if start <= place < end)
        return f"element {place - start} of {self._named(p)}"

    def _with_names(self, message):
        """The library knows tensors by their places."""
        message = re.sub(r"(?<=the first at )\d+", lambda found: self._place(int(found[0])), message)
        return re.sub(r"(?:the parameters of )?tensor (\d+)", lambda found: self._named(self._run.params[int(found[1])]), message)

    def _named(self, p):
        return _named(self.param_groups, p)

    @property
    def state(self):
        """A dictionary for every parameter that has begun, by PyTorch's names: of copies, as the library has the state. It can be
        assigned to, whole or for a parameter."""
        return State(self)

    @state.setter
    def state(self, state):
        # PyTorch's constructor sets it before there are groups.
        self._run, self._seen = laid(self.rule, self.__dict__.get("param_groups", []), state, self._named), ([], [], [])

    def load_state_dict(self, state_dict):
        """Goes on from what `state_dict` of this or of PyTorch's own optimizer has told."""
        # Before it hands over state, PyTorch converts it to the parameters' type, and bfloat16 would lose bits of it.
        last = self.register_load_state_dict_pre_hook(_keep)
        try:
            super().load_state_dict(state_dict)
        finally:
            last.remove()

    def __getstate__(self):
        keys = ("defaults", "param_groups", "rule", "max_norm", "non_finite", "measure", "report")
        return {**{key: self.__dict__[key] for key in keys}, "state": dict(self.state)}

    def __setstate__(self, state):
        state = dict(state)
        rule, groups, of = state.get("rule") or self.rule, state["param_groups"], state.pop("state")
        for group in groups:
            for name, value in RULES[rule].items():
                group.setdefault(name, tuple(value) if isinstance(value, list) else value)
        of = {p: _Kept.opened(one) for p, one in of.items()}
        run = laid(rule, groups, of, lambda p: _named(groups, p))
        super().__setstate__(state)
        self._run, self._seen = run, ([], [], [])


def _named(groups, p):
    for index, group in enumerate(groups):
        for place, other in enumerate(group["params"]):
            if other is p:
                name = f" ({group['param_names'][place]})" if "param_names" in group else ""
                return f"parameter {place} of group {index}{name}"
    return "what is no parameter"


class _Kept:
    """What PyTorch shall not convert."""

    def __init__(self, value):
        self.value = value

    @staticmethod
    def opened(value):
        return value.value if isinstance(value, _Kept) else value


def _check_differentiable(group):
    if group.get("differentiable"):
        raise ValueError("differentiable is True, and no step here is")


def _keep(optimizer, state_dict):
    for group in state_dict["param_groups"]:
        _check_differentiable(group)
    return {**state_dict, "state": {index: _Kept(state) for index, state in state_dict["state"].items()}}
