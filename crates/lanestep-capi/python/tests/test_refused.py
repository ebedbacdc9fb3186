"""A step that fails has changed nothing, and says what is wrong where."""

import os
import signal

import pytest
import torch

import lanestep


def pair(*shapes):
    params = [torch.nn.Parameter(torch.ones(shape)) for shape in shapes]
    for p in params:
        p.grad = torch.ones_like(p)
    return params


def with_momentum(**options):
    params = pair(3, 2)
    groups = [{"params": [p], "momentum": 0.9} for p in params]
    optimizer = lanestep.SGD(groups, lr=0.1, **options)
    optimizer.step()
    return params, optimizer


def buffers(optimizer, params):
    return [optimizer.state[p]["momentum_buffer"].tolist() for p in params]


def test_an_option_out_of_range_costs_no_other_group_its_state():
    params, optimizer = with_momentum()
    before, values = buffers(optimizer, params), [p.tolist() for p in params]
    optimizer.param_groups[0]["momentum"], optimizer.param_groups[1]["lr"] = 0.0, -1.0
    with pytest.raises(ValueError, match="lr is -1"):
        optimizer.step()
    optimizer.param_groups[0]["momentum"], optimizer.param_groups[1]["lr"] = 0.9, 0.1
    assert buffers(optimizer, params) == before and [p.tolist() for p in params] == values


def test_a_gradient_that_is_refused_costs_no_state():
    params, optimizer = with_momentum(non_finite="error")
    before = buffers(optimizer, params)
    optimizer.param_groups[0]["momentum"] = 0.0
    params[1].grad[1] = torch.inf
    with pytest.raises(RuntimeError, match="the first at element 1 of parameter 0 of group 1"):
        optimizer.step()
    optimizer.param_groups[0]["momentum"] = 0.9
    assert buffers(optimizer, params) == before
    params[1].grad[1] = 1.0
    optimizer.step()
    assert buffers(optimizer, params)[0][0] == pytest.approx(1.9)


def test_a_momentum_that_was_off_begins_anew():
    params, optimizer = with_momentum()
    for momentum in (0.0, 0.9):
        optimizer.param_groups[0]["momentum"] = momentum
        optimizer.step()
    assert buffers(optimizer, params)[0] == [1.0] * 3


def test_another_length_is_named_also_when_gradients_come_and_go():
    a, b = pair(1, 2)
    optimizer = lanestep.Adam([a, b])
    optimizer.step()
    a.data, a.grad, b.grad = torch.zeros(5), torch.ones(5), None
    with pytest.raises(TypeError, match="parameter 0 of group 0 has 5 elements, and had 1 before"):
        optimizer.step()
    assert a.tolist() == [0.0] * 5


def test_state_can_be_cleared_and_taken_away():
    for rule in ("Adagrad", "AdamW"):
        params = pair(3, 2)
        optimizer = lanestep.Optimizer(params, rule, lr=0.1)
        optimizer.step()
        del optimizer.state[params[0]]
        with pytest.raises(KeyError):
            del optimizer.state[params[0]]
        assert optimizer.state[params[1]]["step"] == 1
        optimizer.state.clear()
        assert all(optimizer.state[p].get("step", 0) == 0 for p in params)


def test_pytorchs_ways_to_compute_are_taken():
    params = pair(3)
    lanestep.AdamW(params, fused=True, foreach=None, capturable=False, differentiable=False).step()
    with pytest.raises(ValueError, match="differentiable"):
        lanestep.AdamW(params, differentiable=True)
    with pytest.raises(ValueError, match="differentiable"):
        lanestep.AdamW([{"params": params, "differentiable": True}])


def test_memory_that_is_gone_and_views_that_are_negated_are_refused():
    (p,) = pair(3)
    optimizer = lanestep.AdamW([p])
    p.grad.untyped_storage().resize_(0)
    with pytest.raises(TypeError, match="the gradient of parameter 0 of group 0 has no memory"):
        optimizer.step()
    assert not optimizer.state[p]
    negated = torch.complex(torch.zeros(1), torch.ones(1)).conj().imag
    with pytest.raises(TypeError, match="negated"):
        lanestep.AdamW([negated.requires_grad_()])
    (p,) = pair(1)
    optimizer = lanestep.AdamW([p])
    p.data = negated.detach()
    with pytest.raises(TypeError, match="parameter 0 of group 0 is a negated view"):
        optimizer.step()


def test_nothing_is_clipped_where_there_is_nothing():
    (p,) = pair(0)
    optimizer = lanestep.AdamW([p], max_norm=1.0)
    optimizer.step()
    assert optimizer.report.clip_factor == 1.0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_a_forked_child_cuts_a_group():
    params = pair((300, 300), 7)
    optimizer = lanestep.AdamW(params)
    optimizer.step()
    torch.zeros(1_000_000).add_(1.0).sum()  # PyTorch's threads are there.
    params[1].grad = None
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        optimizer.step()
        os._exit(optimizer.report is None)
    assert os.waitpid(child, 0)[1] == 0
