"""What a step does beside the formula."""

import copy
import inspect
import io
import os
import pickle

import pytest
import torch
from nets import bits, give, params, run

import lanestep
from lanestep._library import ffi, lib

EACH = pytest.mark.parametrize("rule", lanestep.RULES)


def of(rule, params, **options):
    return getattr(lanestep, rule)(params, **options)


@EACH
def test_bits_are_those_of_the_flat_step(rule):
    ours, plain = params(), params()
    optimizer = of(rule, ours)
    handle = ffi.new("LanestepOptimizer **")
    assert lib.lanestep_new(b'{"rule": "%s"}' % rule.encode(), sum(p.numel() for p in plain), handle) == 0
    for step in range(12):
        give(plain, step)
        tensors = ffi.new("LanestepTensor[]", len(plain))
        for tensor, p in zip(tensors, plain):
            tensor.params, tensor.grads = ffi.cast("void *", p.data_ptr()), ffi.cast("void *", p.grad.data_ptr())
            tensor.len = p.numel()
        assert lib.lanestep_step(handle[0], tensors, len(plain), ffi.NULL, ffi.NULL) == 0
        run(optimizer, ours, [step])
    lib.lanestep_free(handle[0])
    assert bits(ours) == bits(plain)


@EACH
def test_signature_and_words(rule):
    cls = getattr(lanestep, rule)
    signature = inspect.signature(cls)
    assert list(signature.parameters)[:2] == ["params", "lr"]
    assert set(lanestep.RULES[rule]) < set(signature.parameters)
    assert cls.__module__ == "lanestep" and rule in cls.__doc__
    optimizer = cls(params(), 0.02)
    assert optimizer.param_groups[0]["lr"] == 0.02 and isinstance(optimizer, torch.optim.Optimizer)
    assert optimizer.defaults == {**{k: v.default for k, v in signature.parameters.items() if k in lanestep.RULES[rule]}, "lr": 0.02} | {
        k: v for k, v in optimizer.defaults.items() if k == "differentiable"
    }


@EACH
@pytest.mark.parametrize("how", ["state_dict", "pickle", "torch.save", "deepcopy", "state"])
def test_a_copy_goes_on_with_the_same_bits(rule, how):
    missing = lambda step, place: (step + place) % 3 == 0 or place == 3 and step < 10
    ours = params()
    optimizer = of(rule, ours)
    run(optimizer, ours, range(8), missing)
    if how == "state_dict":
        theirs = copy.deepcopy(ours)
        second = of(rule, theirs, lr=0.5)
        file = io.BytesIO()
        torch.save(optimizer.state_dict(), file)
        file.seek(0)
        second.load_state_dict(torch.load(file, weights_only=True))
    elif how == "state":
        theirs = copy.deepcopy(ours)
        second = of(rule, theirs)
        second.state = {b: optimizer.state[a] for a, b in zip(ours, theirs)}
    else:
        if how == "torch.save":
            file = io.BytesIO()
            torch.save(optimizer, file)
            file.seek(0)
            second = torch.load(file, weights_only=False)
        else:
            second = copy.deepcopy(optimizer) if how == "deepcopy" else pickle.loads(pickle.dumps(optimizer))
        theirs = second.param_groups[0]["params"]
        assert type(second) is type(optimizer)
    before = bits(ours)
    run(second, theirs, range(8, 20), missing)
    assert bits(ours) == before
    run(optimizer, ours, range(8, 20), missing)
    assert bits(ours) == bits(theirs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("grads", [torch.float32, torch.bfloat16, torch.float16])
def test_types(dtype, grads):
    ours, truth = params(dtype=dtype), params()
    with torch.no_grad():
        for a, b in zip(ours, truth):
            b.copy_(a)
    optimizer, second = lanestep.AdamW(ours, 0.01), lanestep.AdamW(truth, 0.01)
    for p in ours:
        p.grad_dtype = None
    for step in range(3):
        give(truth, step)
        for a, b in zip(ours, truth):
            b.grad = b.grad.to(grads).float()
            a.grad = b.grad.to(grads)
            b.data = a.data.float()
        optimizer.step(), second.step()
    for a, b in zip(ours, truth):
        assert torch.equal(a, b.to(dtype))
        assert optimizer.state[a]["exp_avg"].dtype == torch.float32
        assert torch.equal(optimizer.state[a]["exp_avg_sq"], second.state[b]["exp_avg_sq"])
    again = lanestep.AdamW(ours)
    again.load_state_dict(optimizer.state_dict())
    assert all(torch.equal(again.state[p]["exp_avg"], optimizer.state[p]["exp_avg"]) for p in ours)


def test_closure_hooks_and_what_a_step_returns():
    ours, seen = params(), []
    optimizer = lanestep.SGD(ours, 0.1)
    optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
    optimizer.register_step_post_hook(lambda *_: seen.append("after"))

    def closure():
        seen.append("closure")
        optimizer.zero_grad()
        loss = sum((p * p).sum() for p in ours)
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(3)]
    assert losses == sorted(losses, reverse=True) and seen == ["before", "closure", "after"] * 3
    assert optimizer.step() is None
    hooked = []
    optimizer.register_state_dict_post_hook(lambda o, state: hooked.append(state))
    optimizer.register_load_state_dict_pre_hook(lambda o, state: {**state, "param_groups": [{**state["param_groups"][0], "lr": 0.7}]})
    optimizer.load_state_dict(optimizer.state_dict())
    assert hooked and optimizer.param_groups[0]["lr"] == 0.7


def test_counts_are_each_parameter_s_own():
    ours = params()
    optimizer = lanestep.Adam(ours)
    run(optimizer, ours, range(9), lambda step, place: step % (place + 1) != 0)
    assert [int(optimizer.state[p]["step"]) for p in ours] == [9, 5, 3, 3]
    before, place = bits(ours), bits([optimizer.state[ours[0]]["exp_avg"]])
    optimizer.zero_grad()
    optimizer.step()
    assert bits(ours) == before and optimizer.report is None
    assert bits([optimizer.state[ours[0]]["exp_avg"]]) == place


def test_options_change_in_the_step_that_cuts_a_group():
    ours, theirs = params(), params()
    for make, of in ((lanestep, ours), (torch.optim, theirs)):
        optimizer = make.SGD([{"params": of[:2]}, {"params": of[2:]}], 0.1, momentum=0.9)
        run(optimizer, of, range(3))
        optimizer.param_groups[0]["momentum"] = 0.0
        run(optimizer, of, range(3, 6), lambda step, place: place == 1)
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b)


def test_whoever_never_has_a_gradient_has_no_state():
    ours = params()
    optimizer = lanestep.Adam(ours)
    run(optimizer, ours, range(3), lambda step, place: place == 0)
    assert optimizer._run.len == sum(p.numel() for p in ours[1:])
    assert ours[0] not in optimizer.state and optimizer.state[ours[0]] == {} and len(optimizer.state) == 3
    assert list(optimizer.state_dict()["state"]) == [1, 2, 3]


@EACH
def test_tensors_without_elements(rule):
    ours, plain = params(((0,), (3,), (2, 0), (5,))), params(((3,), (5,)))
    with torch.no_grad():
        for a, b in zip((ours[1], ours[3]), plain):
            b.copy_(a)
    optimizer, second = of(rule, [{"params": ours[:1]}, {"params": ours[1:]}]), of(rule, plain)
    for step in range(5):
        give(ours, step)
        plain[0].grad, plain[1].grad = ours[1].grad, ours[3].grad
        optimizer.step(), second.step()
    assert bits([ours[1], ours[3]]) == bits(plain)
    alone = of(rule, params(((0,),)))
    run(alone, alone.param_groups[0]["params"], range(2))
    alone.load_state_dict(alone.state_dict())


def test_autograd_sees_the_write():
    ours = params()
    optimizer = lanestep.SGD(ours, 0.1)
    run(optimizer, ours, range(1))
    give(ours, 1, lambda step, place: place == 1)
    versions = [p._version for p in ours]
    loss = sum((p * p).sum() for p in ours)
    optimizer.step()
    assert [p._version - version for p, version in zip(ours, versions)] == [1, 0, 1, 1]
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


GRADS = {
    "transposed": lambda grad: grad.t().contiguous().t(),
    "strided": lambda grad: torch.stack([grad, grad], -1)[..., 0],
    "expanded": lambda grad: grad[:1, :1].expand(grad.shape),
    # To be read negated, though it lies as any other: of one element, it has no strides that matter.
    "negated": lambda grad: torch.complex(torch.zeros(1, 1), -grad).conj().imag,
}


@pytest.mark.parametrize("how", GRADS)
def test_gradients_anyhow_they_lie(how):
    shapes = ((1, 1) if how == "negated" else (4, 5), (3,))
    ours, plain = params(shapes), params(shapes)
    optimizer, second = lanestep.SGD(ours, 0.1), lanestep.SGD(plain, 0.1)
    give(ours, 0), give(plain, 0)
    ours[0].grad = GRADS[how](plain[0].grad)
    plain[0].grad = ours[0].grad.clone().resolve_neg().contiguous()
    assert ours[0].grad.is_neg() if how == "negated" else not ours[0].grad.is_contiguous()
    optimizer.step(), second.step()
    assert bits(ours) == bits(plain)


BAD_PARAMS = {
    "float64": torch.zeros(3, dtype=torch.float64),
    "complex64": torch.zeros(3, dtype=torch.complex64),
    "meta": torch.zeros(3, device="meta"),
    "strides": torch.zeros(3, 4).t(),
    "sparse": torch.zeros(3).to_sparse(),
}


@pytest.mark.parametrize("what", BAD_PARAMS)
def test_what_is_no_parameter_here(what):
    ours, bad = params(), torch.nn.Parameter(BAD_PARAMS[what])
    with pytest.raises(TypeError, match=f"parameter 1 of group 1 \\(bad\\).*{what}"):
        lanestep.AdamW([{"params": [("a", ours[0])]}, {"params": [("b", ours[1]), ("bad", bad)]}])
    optimizer = lanestep.AdamW(ours)
    with pytest.raises(TypeError, match=f"parameter 0 of group 1 .*{what}"):
        optimizer.add_param_group({"params": [bad]})
    assert len(optimizer.param_groups) == 1
    run(optimizer, ours, range(2))


@pytest.mark.parametrize("what", ["float64", "strides", "elements", "sparse", "other"])
def test_what_becomes_wrong_later(what):
    ours = params()
    optimizer = lanestep.AdamW(ours)
    run(optimizer, ours, range(2))
    good, grad = ours[1].data, ours[1].grad
    before, state = bits(ours), optimizer.state_dict()["state"]
    if what == "sparse":
        ours[1].grad = ours[1].grad.to_sparse()
    elif what == "other":
        ours[1].grad_dtype = None
        ours[1].grad = ours[1].grad.double()
        what = "float64"
    else:
        ours[1].grad = None
        ours[1].data = {
            "float64": good.double(),
            "strides": torch.stack([good, good], 1)[:, 0],
            "elements": torch.zeros(5),
        }[what]
        ours[1].grad = torch.zeros_like(ours[1].data)
    with pytest.raises(TypeError, match=f"parameter 1 of group 0 .*{what}"):
        optimizer.step()
    ours[1].grad = None
    ours[1].data, ours[1].grad = good, grad
    assert bits(ours) == before
    for index, of in optimizer.state_dict()["state"].items():
        assert all(torch.equal(value, state[index][name]) for name, value in of.items())
    run(optimizer, ours, range(2, 4))
    whole = params()
    run(lanestep.AdamW(whole), whole, range(4))
    assert bits(ours) == bits(whole)


def test_memory_that_is_shared():
    memory = torch.zeros(6)
    ours = [torch.nn.Parameter(memory[:4]), torch.nn.Parameter(memory[3:])]
    optimizer = lanestep.SGD(ours)
    give(ours, 0)
    with pytest.raises(RuntimeError, match="parameter 0 of group 0 and parameter 1 of group 0 overlap"):
        optimizer.step()
    assert not memory.any()
    with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
        lanestep.SGD([{"params": ours[:1]}, {"params": ours}])
    with pytest.warns(UserWarning, match="duplicate parameters"):
        twice = lanestep.SGD([ours[0], ours[0]])
    with pytest.raises(ValueError, match="twice"):
        twice.step()
    assert ours[0].grad.any() and not memory.any()


def test_hyperparameters_out_of_range():
    for options, word in (({"lr": -1}, "lr"), ({"betas": (1.0, 0.9)}, "beta"), ({"eps": float("nan")}, "finite"), ({"lr": "x"}, "lr|string")):
        with pytest.raises((ValueError, RuntimeError), match=word):
            lanestep.AdamW(params(), **options)
    with pytest.raises(TypeError, match="momentum"):
        lanestep.AdamW(params(), momentum=0.9)
    with pytest.raises(ValueError, match="there is no rule"):
        lanestep.Optimizer(params(), "Nonsense")
    ours = params()
    optimizer = lanestep.AdamW(ours)
    run(optimizer, ours, range(2))
    before = bits(ours)
    optimizer.param_groups[0]["lr"] = -1.0
    with pytest.raises(ValueError, match="lr"):
        optimizer.step()
    assert bits(ours) == before and optimizer.state[ours[0]]["step"] == 2
    optimizer.param_groups[0]["lr"] = torch.tensor(0.5)
    optimizer.step()
    assert bits(ours) != before


def test_state_that_does_not_fit_changes_nothing():
    ours = params()
    optimizer = lanestep.AdamW(ours)
    run(optimizer, ours, range(2))
    good = optimizer.state_dict()
    for change, word in (
        ({"exp_avg": torch.zeros(3)}, "exp_avg of parameter 0 of group 0 has the shape"),
        ({"step": torch.tensor(0.5)}, "no number of steps"),
        ({"step": None}, "no number of steps"),
    ):
        bad = copy.deepcopy(good)
        bad["state"][0].update(change)
        bad["param_groups"][0]["lr"] = 9.0
        with pytest.raises((ValueError, TypeError), match=word):
            optimizer.load_state_dict(bad)
        assert optimizer.param_groups[0]["lr"] == 0.001
    with pytest.raises(ValueError, match="differentiable"):
        optimizer.load_state_dict({**good, "param_groups": [{**good["param_groups"][0], "differentiable": True}]})
    second = params()
    with pytest.raises(ValueError, match="none of momentum_buffer|has step"):
        lanestep.Signum(second).load_state_dict(good)
    run(optimizer, ours, range(2, 4))
    run(other := lanestep.AdamW(second), second, range(4))
    assert bits(ours) == bits(second)


def test_a_parameter_takes_another_s_place():
    ours = params()
    optimizer = lanestep.Adam(ours)
    run(optimizer, ours, range(3))
    old, new = ours[1], torch.nn.Parameter(ours[1].detach().clone())
    optimizer.param_groups[0]["params"][1] = new
    state = optimizer._run.state(old)
    run(optimizer, [ours[0], new, *ours[2:]], range(3, 4))
    assert int(optimizer.state[new]["step"]) == 1 and int(optimizer.state[ours[0]]["step"]) == 4
    optimizer.state[new] = {"step": torch.tensor(7.0), **state}
    assert int(optimizer.state[new]["step"]) == 7 and torch.equal(optimizer.state[new]["exp_avg"], state["exp_avg"])
    assert int(optimizer.state[ours[0]]["step"]) == 4
    del optimizer.state[new]
    assert new not in optimizer.state


def test_gradients_that_are_not_finite():
    ours = params()
    optimizer = lanestep.AdamW([("w", ours[0]), ("b", ours[1]), ("c", ours[2]), ("d", ours[3])], non_finite="skip", measure=True)
    run(optimizer, ours, range(1))
    assert optimizer.report.norm > 0 and optimizer.report.update_norm > 0 and not optimizer.report.skipped
    before = bits(ours)
    give(ours, 1)
    ours[1].grad[2] = float("nan")
    optimizer.step()
    assert optimizer.report.skipped and optimizer.report.first_non_finite == "element 2 of parameter 1 of group 0 (b)"
    assert bits(ours) == before and optimizer.state[ours[1]]["step"] == 1
    optimizer.non_finite = "error"
    with pytest.raises(RuntimeError, match="finite"):
        optimizer.step()
    assert bits(ours) == before
    optimizer.non_finite = "nonsense"
    with pytest.raises(ValueError, match="nonsense"):
        optimizer.step()


def test_a_forked_child_steps_to_the_same_bits():
    ours = params(((300, 300), (7,)))  # Beyond what one thread steps over alone.
    optimizer = lanestep.AdamW(ours)
    run(optimizer, ours, range(2))
    second = copy.deepcopy(optimizer)
    theirs = second.param_groups[0]["params"]
    for p in ours:
        p.data.share_memory_()
    give(ours, 2), give(theirs, 2)
    child = os.fork()
    if child == 0:
        # Nothing but the step: PyTorch's own threads do not outlive a fork.
        optimizer.step()
        os._exit(optimizer.report is None)
    assert os.waitpid(child, 0)[1] == 0
    second.step()
    assert bits(ours) == bits(theirs)


def test_threads_are_pytorch_s_and_no_bit_depends_on_them():
    before, alike = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            ours = params(((300, 300),))
            optimizer = lanestep.AdamW(ours, max_norm=1.0)
            run(optimizer, ours, range(3))
            found = ffi.new("size_t *")
            assert lib.lanestep_threads(optimizer._run.handle, found) == 0 and found[0] == threads
            alike.append(bits(ours))
    finally:
        torch.set_num_threads(before)
    assert alike[0] == alike[1] == alike[2]
