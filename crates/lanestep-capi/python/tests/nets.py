"""Random parameters and gradients, the same for two optimizers."""

import torch

TWINS = {
    "SGD": [{}, {"momentum": 0.9}, {"momentum": 0.9, "dampening": 0.5}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}],
    "RMSprop": [{}, {"momentum": 0.9, "centered": True}, {"alpha": 0.9, "weight_decay": 0.1}],
    "Adam": [{}, {"amsgrad": True, "weight_decay": 0.1}, {"decoupled_weight_decay": True, "weight_decay": 0.1}],
    "AdamW": [{}, {"betas": (0.8, 0.99), "eps": 1e-6}, {"amsgrad": True, "maximize": True}],
    "Adagrad": [{}, {"initial_accumulator_value": 0.1, "lr_decay": 0.01}],
    "Adadelta": [{}, {"rho": 0.8, "weight_decay": 0.1}],
    "Adamax": [{}, {"weight_decay": 0.1, "maximize": True}],
    "RAdam": [{}, {"decoupled_weight_decay": True, "weight_decay": 0.1}],
    "NAdam": [{}, {"momentum_decay": 0.01}],
    "Rprop": [{}, {"etas": (0.4, 1.3)}],
    "ASGD": [{}, {"t0": 10, "lambd": 0.01}],
}
CASES = [(rule, options) for rule, cases in TWINS.items() for options in cases]


def params(shapes=((4, 5), (7,), (3, 2, 2), ()), dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in shapes]


def give(params, step, missing=lambda step, place: False):
    """Gradients of a step, the same whatever the type; None where they are missing."""
    for place, p in enumerate(params):
        generator = torch.Generator().manual_seed(1000 * step + place)
        grad = torch.randn(p.shape, generator=generator) * (1 + place)
        p.grad = None if missing(step, place) else grad.to(p.dtype)


def run(optimizer, params, steps, missing=lambda step, place: False):
    for step in steps:
        give(params, step, missing)
        optimizer.step()


def bits(tensors):
    return [t.detach().clone().view(torch.int32).flatten().tolist() for t in tensors]


def distance(ours, truth):
    return max((a.detach().double() - b.detach()).abs().max().item() for a, b in zip(ours, truth) if a.numel())


def assert_close(ours, theirs, truth):
    """At most twice as far from the trajectory in float64 as PyTorch's own in float32, and a few units in the last place."""
    scale = max(t.detach().abs().max().item() for t in truth if t.numel())
    assert distance(ours, truth) <= 2 * distance(theirs, truth) + 1e-6 * scale
