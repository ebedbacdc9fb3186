"""The eleven optimizers that PyTorch has too: the same values, with its float64 as the truth."""

import pytest
import torch
from nets import CASES, assert_close, give, params, run

import lanestep

# Those that begin late, those that pause together and alone, and one that never begins.
PATTERNS = {
    "all": lambda step, place: False,
    "late": lambda step, place: step < 3 * place,
    "mixed": lambda step, place: (step + place) % 3 == 0 or place == 2 and step % 2 == 0,
    "never": lambda step, place: place == 1,
    "random": lambda step, place: hash((step * 7919 + place * 104729) % 1013) % 5 < 2,
}


def three(rule, options, groups=lambda params: params):
    """Ours, and PyTorch's in float32 and float64."""
    for make, dtype in ((lanestep, torch.float32), (torch.optim, torch.float32), (torch.optim, torch.float64)):
        of = params(dtype=dtype)
        yield of, getattr(make, rule)(groups(of), **{"lr": 0.01, **options})


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("rule, options", CASES)
def test_trajectory(rule, options, pattern):
    alike = []
    for of, optimizer in three(rule, options):
        run(optimizer, of, range(60), PATTERNS[pattern])
        alike.append(of)
    assert_close(*alike)


@pytest.mark.parametrize("rule, options", CASES)
def test_groups_that_change_between_steps(rule, options):
    alike, decay = [], 0 if rule == "Rprop" else 0.2  # Which PyTorch's does not have.
    for of, optimizer in three(rule, options, lambda of: [{"params": of[:2]}, {"params": of[2:3], "lr": 0.02, "weight_decay": decay}]):
        run(optimizer, of, range(10))
        optimizer.param_groups[0]["weight_decay"] = decay / 4
        optimizer.add_param_group({"params": of[3:], "maximize": True})
        run(optimizer, of, range(10, 25))
        optimizer.param_groups[1]["maximize"] = True
        run(optimizer, of, range(25, 40))
        alike.append(of)
    assert_close(*alike)


SCHEDULERS = {
    "StepLR": lambda o: torch.optim.lr_scheduler.StepLR(o, 3, 0.5),
    "OneCycleLR": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.05, total_steps=40, cycle_momentum=True),
    "CyclicLR": lambda o: torch.optim.lr_scheduler.CyclicLR(o, 0.001, 0.02, step_size_up=5, cycle_momentum=True),
    "LambdaLR": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda step: 0.0 if step == 0 else 1 / step),
    "ReduceLROnPlateau": lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=2),
}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("rule, options", [("AdamW", {}), ("SGD", {"momentum": 0.9}), ("Adam", {"amsgrad": True}), ("RMSprop", {"momentum": 0.5})])
def test_schedulers(rule, options, scheduler):
    alike = []
    for of, optimizer in three(rule, options):
        schedule = SCHEDULERS[scheduler](optimizer)
        for step in range(30):
            run(optimizer, of, [step])
            schedule.step(*([1.0] if scheduler == "ReduceLROnPlateau" else []))
        alike.append(of)
    assert_close(*alike)


@pytest.mark.parametrize("to_ours", [True, False])
@pytest.mark.parametrize("pattern", ["all", "mixed", "never"])
@pytest.mark.parametrize("rule, options", CASES)
def test_runs_go_on_in_the_other(rule, options, pattern, to_ours):
    """Both ways, through a file's bytes, with the counts that parameters have."""
    (ours, first), (theirs, second), (truth, third) = three(rule, options)
    if to_ours:
        (ours, first), (theirs, second) = (theirs, second), (ours, first)
    run(first, ours, range(20), PATTERNS[pattern])
    run(third, truth, range(20), PATTERNS[pattern])
    with torch.no_grad():
        for a, b in zip(ours, theirs):
            b.copy_(a)
    second.load_state_dict(first.state_dict())
    run(second, theirs, range(20, 50), PATTERNS[pattern])
    run(third, truth, range(20, 50), PATTERNS[pattern])
    whole = params()
    run(getattr(torch.optim, rule)(whole, **{"lr": 0.01, **options}), whole, range(50), PATTERNS[pattern])
    assert_close(theirs, whole, truth)


@pytest.mark.parametrize("rule, options", CASES)
def test_state_has_pytorch_s_names_and_values(rule, options):
    (ours, first), (theirs, second), _ = three(rule, options)
    for optimizer, of in ((first, ours), (second, theirs)):
        run(optimizer, of, range(5), lambda step, place: place == 1 and step > 2)
    ours, theirs = first.state_dict()["state"], second.state_dict()["state"]
    assert ours.keys() == theirs.keys()
    for index in theirs:
        found = {name: value for name, value in theirs[index].items() if value is not None}
        assert ours[index].keys() == found.keys()
        for name, value in found.items():
            torch.testing.assert_close(ours[index][name], torch.as_tensor(value), rtol=1e-4, atol=1e-6)


def test_before_the_first_step_adagrad_s_state_is_there_for_pytorch():
    (ours, first), (theirs, second), _ = three("Adagrad", {"initial_accumulator_value": 0.5})
    # Older ones cannot step without.
    assert all(torch.equal(of["sum"], torch.full_like(ours[index], 0.5)) for index, of in first.state_dict()["state"].items())
    assert first.state_dict()["state"].keys() == set(range(len(ours)))
    second.load_state_dict(first.state_dict())
    run(first, ours, range(3))
    run(second, theirs, range(3))
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b)


def test_clip_grad_norm_and_max_norm():
    (ours, first), (theirs, second), _ = three("SGD", {})
    first.max_norm = 0.5
    for step in range(5):
        give(ours, step), give(theirs, step)
        norm = torch.nn.utils.clip_grad_norm_(theirs, 0.5)
        first.step(), second.step()
        assert abs(first.report.norm - norm) < 1e-4 and first.report.clip_factor < 1
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b)
    assert ours[0].grad.norm() > 0.5


def test_grad_scaler():
    (ours, first), (theirs, second), _ = three("AdamW", {})
    scalers = [torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2) for _ in range(2)]
    for step in range(6):
        for scaler, of, optimizer in zip(scalers, (ours, theirs), (first, second)):
            optimizer.zero_grad()
            loss = sum((p * p).sum() for p in of) * (float("inf") if step == 3 else 1)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    assert scalers[0].get_scale() == scalers[1].get_scale()
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b)
    assert first.state[ours[0]]["step"] == 5
