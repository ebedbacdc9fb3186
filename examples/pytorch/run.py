"""Trains 50 steps in torch, 50 in lanestep and 50 in torch again, with each of torch's optimizers that lanestep has.

    python3 -m venv venv && venv/bin/pip install torch numpy safetensors xxhash
    venv/bin/python examples/pytorch/run.py

Prints a table, and fails if parameters are farther from a run in torch alone, in float64, than twice what torch's own run in
float32 is and 8 units in the last place. With `--keep`, writes the files of tests/pytorch anew, which `cargo test` needs.
"""

import json
import math
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # which would end up in the package
try:
    import lanestep
    import numpy
    import torch
    from safetensors import SafetensorError
    from safetensors.numpy import load_file
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict
except ImportError as missing:
    sys.exit(f"Skipped: {missing}. What to install stands at the head of this file.")

ROOT = pathlib.Path(__file__).parents[2]
CASES = {
    "AdamW": {"lr": 1e-2, "weight_decay": 0.1},
    "SGD": {"lr": 1e-2, "momentum": 0.9, "dampening": 0.25, "weight_decay": 1e-2},
    "RMSprop": {"lr": 1e-2, "momentum": 0.5, "centered": True},
    "Adam": {"lr": 1e-2, "amsgrad": True, "maximize": True, "weight_decay": 1e-2},
    "NAdam": {"lr": 1e-2, "betas": (0.99, 0.999), "momentum_decay": 10.0, "decoupled_weight_decay": True},
    "RAdam": {"lr": 1e-2},
    "Adagrad": {"lr": 0.1, "lr_decay": 1e-2, "initial_accumulator_value": 0.5},
    "Adadelta": {"lr": 1.0, "rho": 0.8},
    "Adamax": {"lr": 1e-2},
    "ASGD": {"lr": 0.1, "lambd": 1e-2, "t0": 20},
    "Rprop": {"lr": 1e-2, "etas": (0.6, 1.1)},
    # With less state.
    "SGD, plain": {"lr": 1e-2},
    "RMSprop, plain": {"lr": 1e-2},
    "Adam, plain": {"lr": 1e-2},
}
# The step from which on a parameter has gradients. The last waits until the run is back in torch.
FIRST = {"head.bias": 31, "scale": 51, "late": 101}
# State that torch keeps, and lanestep computes.
DERIVED = {"mu_product", "eta", "mu"}


class Model(torch.nn.Module):
    def __init__(self, dtype=torch.float32):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(0.5, dtype=dtype))
        self.encoder = torch.nn.Linear(7, 5, dtype=dtype)
        self.late = torch.nn.Parameter(torch.ones(2, dtype=dtype), requires_grad=False)
        self.head = torch.nn.Linear(5, 2, dtype=dtype)
        for i, param in enumerate(self.parameters()):
            param.data = ((torch.arange(param.numel(), dtype=dtype) * 3 + i) % 11 / 8 - 0.5).reshape(param.shape)

    def to_list(self):
        """All parameters, laid end to end."""
        return [x for param in self.parameters() for x in param.detach().flatten().tolist()]


def optimizer_of(case, model):
    """In two groups: what is not a matrix has half of the learning rate, and does not decay."""
    rule, options = case.split(",")[0], CASES[case]
    matrices = [p for p in model.parameters() if p.dim() == 2]
    others = {"params": [p for p in model.parameters() if p.dim() != 2], "lr": options["lr"] / 2}
    if "weight_decay" in options:
        others["weight_decay"] = 0.0
    return getattr(torch.optim, rule)([{"params": matrices}, others], **options)


def untrained(case):
    """What must not be left when all has been loaded."""
    model = Model()
    optimizer = optimizer_of(case, model)
    for param in model.parameters():
        param.data.fill_(math.nan)
        param.requires_grad_(not param.requires_grad)
    for group in optimizer.param_groups:
        options = optimizer.defaults.keys() - lanestep.SWITCHES
        group.update((key, math.nan) for key in options if not isinstance(group[key], tuple))
    return model, optimizer


def warm_up(optimizer):
    """To half of the learning rate, where it stays."""
    return torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, 0.5, 10)


def train(model, optimizer, steps, schedule=None):
    """Gradients are the same in Rust, to the bit: thousandths by powers of two."""
    for step in steps:
        model.late.requires_grad_(step >= FIRST["late"])
        start = 0
        for name, param in model.named_parameters():
            i = torch.arange(start, start + param.numel())
            start += param.numel()
            gradient = ((7919 * i + 104729 * (step - 1)) % 2001 - 1000) / (1024 << i % 4).to(torch.float64)
            param.grad = gradient.to(param.dtype).reshape(param.shape) if step >= FIRST.get(name, 1) else None
        optimizer.step()
        if schedule:
            schedule.step()


def alone(case, dtype):
    """The parameters after 100 and 150 steps of torch."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)  # that of `step` and `mu_product`
    model = Model(dtype)
    optimizer = optimizer_of(case, model)
    schedule, found = warm_up(optimizer), []
    for steps in range(1, 101), range(101, 151):
        train(model, optimizer, steps, schedule)
        found.append(model.to_list())
    torch.set_default_dtype(default)
    return found


def together(case, folder):
    """The same, of both."""
    ours, theirs = folder / f"{case}.lanestep.safetensors", folder / f"{case}.torch.safetensors"
    model = Model()
    optimizer = optimizer_of(case, model)
    train(model, optimizer, range(1, 51), warm_up(optimizer))
    lanestep.save(theirs, model, optimizer, steps=50)
    check_file(theirs, model, optimizer)
    check_loaded(theirs, model, optimizer, *untrained(case))

    command = ["cargo", "run", "--quiet", "--release", "--example", "pytorch", "--features", "checkpoint", "--"]
    subprocess.run([*command, theirs, ours], check=True, cwd=ROOT)

    model, optimizer = untrained(case)
    assert lanestep.load(ours, model, optimizer) == 100
    check_file(ours, model, optimizer)
    found = [model.to_list()]
    train(model, optimizer, range(101, 151))
    return [*found, model.to_list()]


def check_loaded(path, model, optimizer, other_model, other):
    """What torch has written comes back. What follows from the number of steps is that before torch rounds it in float32."""
    assert lanestep.load(path, other_model, other) == 50
    for param, found in zip(model.parameters(), other_model.parameters()):
        assert torch.equal(param, found) and param.requires_grad == found.requires_grad
    expected, found = optimizer.state_dict(), other.state_dict()
    assert expected["param_groups"] == found["param_groups"], (expected["param_groups"], found["param_groups"])
    assert expected["state"].keys() == found["state"].keys()
    for place, slots in expected["state"].items():
        assert slots.keys() == found["state"][place].keys()
        for slot, numbers in slots.items():
            rtol = 1e-5 if slot in DERIVED else 0
            torch.testing.assert_close(found["state"][place][slot], numbers, rtol=rtol, atol=0, msg=f"{place}: {slot}")


def check_file(path, model, optimizer):
    """What any reader of safetensors sees: torch's names and shapes, as torch.distributed.checkpoint has them."""
    tensors = load_file(path)
    with lanestep.safe_open(path, "numpy") as file:
        (record,) = file.metadata().values()
    assert json.loads(record)["version"] == 1
    checksum = tensors.pop("checksum")
    assert checksum.dtype == numpy.uint8 and checksum.shape == (8,)
    not_begun = tuple(name.removesuffix("step") for name in tensors if name.endswith(".step") and not tensors[name])
    params = {f"model.{name}": param for name, param in model.named_parameters()}
    state = get_optimizer_state_dict(model, optimizer, options=StateDictOptions(flatten_optimizer_state_dict=True))
    for name, value in {**state, **params}.items():
        kind, slot = name.split(".")[0], name.split(".")[-1]
        # Of torch's, those are not there that follow from `step`; and `param_groups.*` are in the metadata, as torch would
        # not take tensors for options.
        if kind == "param_groups" or kind == "state" and slot in DERIVED:
            continue
        found = tensors.pop(name)
        assert found.dtype == numpy.float32 and found.shape == tuple(value.shape), name
        # Before the first step, only torch's Adagrad has state.
        expected = numpy.zeros_like(found) if name.startswith(not_begun) else value.detach().numpy()
        assert numpy.array_equal(found, expected), name
    # And what torch has not: SGD has no `step`, and most have no state before the first.
    for name, numbers in tensors.items():
        assert name.startswith("state.") and numbers.dtype == numpy.float32, name
        assert name.endswith(".step") and numbers.shape == () or not numbers.any(), name


def check_refusals(folder):
    """What cannot be is said, and changes nothing."""

    def refused(what, save_or_load, *args, **options):
        try:
            save_or_load(*args, **options)
        except (TypeError, ValueError, SafetensorError) as error:
            assert what in str(error), error
        else:
            raise AssertionError(f"not refused: {what}")

    path, model = folder / "AdamW.lanestep.safetensors", Model()
    optimizer = optimizer_of("AdamW", model)
    before = model.to_list()
    refused("the file's is AdamW", lanestep.load, path, model, optimizer_of("Adam", model))
    other = torch.nn.Linear(7, 5)
    refused("that the model does not have", lanestep.load, path, other, optimizer)
    refused("where the model has", lanestep.load, path, other, torch.optim.AdamW(other.parameters()))
    model.encoder.weight.data = model.encoder.weight.data.T
    refused("'encoder.weight' [5, 7] where the model has", lanestep.load, path, model, optimizer)
    model.encoder.weight.data = model.encoder.weight.data.T
    broken = folder / "broken"
    for at, what in (300, "the header has"), (-4, "has the checksum"):
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        broken.write_bytes(data)
        refused(what, lanestep.load, broken, model, optimizer)
    broken.write_text("the file of another program")
    refused("header", lanestep.load, broken, model, optimizer)
    groups = "param_groups"
    for what, change in {
        "has no bias_correction": lambda record: record[groups][0]["options"].update(bias_correction=False),
        "always decouples": lambda record: record[groups][0]["options"].update(decoupled_weight_decay=False),
        "'scale' is divided": lambda record: [group.update(ranges=[]) for group in record[groups]],
        "has other options": lambda record: record[groups][-1]["options"].update(eps=0.5),
        "have no names": lambda record: record.update(parameters=55),
        "version 2": lambda record: record.update(version=2),
    }.items():
        rewrite(path, broken, change)
        refused(what, lanestep.load, broken, model, optimizer)
    refused("no twin", lanestep.save, broken, model, torch.optim.LBFGS(model.parameters()))
    refused("tell how many", lanestep.save, broken, model, torch.optim.SGD(model.parameters()))
    for steps in -1, 3.0:
        refused("a whole number", lanestep.save, broken, model, optimizer, steps=steps)
    half = Model(torch.bfloat16)
    refused("bfloat16", lanestep.save, broken, half, optimizer_of("AdamW", half))
    assert model.to_list() == before and not optimizer.state


def shortest(numbers):
    """With as few digits as tell them apart, which are fewer in float32."""
    return [float(str(numpy.float32(x))) if x == numpy.float32(x) else x for x in numbers]


def rewrite(path, to, change):
    """As others may write a file: without checksums."""
    tensors = {name: numbers for name, numbers in load_file(path).items() if name != "checksum"}
    with lanestep.safe_open(path, "numpy") as file:
        record = json.loads(file.metadata()["lanestep"])
    record["checksums"] = None
    change(record)
    lanestep.save_file(tensors, to, {"lanestep": json.dumps(record)})


def check_scaled(folder):
    """Torch's groups have one learning rate, and a schedule's."""
    path, scaled = folder / "AdamW.lanestep.safetensors", folder / "scaled"
    rewrite(path, scaled, lambda record: [group.update(lr_scale=0.5) for group in record["param_groups"]])
    (_, plain), (_, half) = loaded = untrained("AdamW"), untrained("AdamW")
    for file, (model, optimizer) in zip((path, scaled), loaded):
        lanestep.load(file, model, optimizer)
    for one, other in zip(plain.param_groups, half.param_groups):
        assert all(one[lr] == 2 * other[lr] for lr in ("lr", "initial_lr"))


def check_ranges(folder):
    """A group's ranges may be in any order, and meet within a parameter."""
    path, cut = folder / "AdamW.lanestep.safetensors", folder / "cut"

    def change(record):
        for group in record["param_groups"]:
            single = [[place, place + 1] for start, end in group["ranges"] for place in range(start, end)]
            group["ranges"] = single[::-1]

    rewrite(path, cut, change)
    loaded = untrained("AdamW")
    assert lanestep.load(cut, *loaded) == 100
    check_file(path, *loaded)


def check_tensors(folder):
    """Options may be tensors in torch, and parameters lie otherwise in memory."""
    path, numbers = folder / "tensors", torch.arange(24.0).reshape(1, 2, 3, 4)
    expected, found = (torch.nn.Conv2d(2, 1, (3, 4)).to(memory_format=torch.channels_last) for _ in range(2))
    expected.weight.data.copy_(numbers)
    optimizer = torch.optim.Adam(expected.parameters(), lr=torch.tensor(0.5), eps=numpy.float32(1e-8))
    other = torch.optim.Adam(found.parameters(), lr=torch.tensor(1.0))
    expected.weight.grad = expected.weight.detach().clone()
    optimizer.step()
    lanestep.save(path, expected, optimizer)
    assert numpy.array_equal(load_file(path)["state.weight.exp_avg"], optimizer.state[expected.weight]["exp_avg"])
    assert lanestep.load(path, found, other) == 1
    assert torch.equal(expected.weight, found.weight) and torch.equal(other.param_groups[0]["lr"], torch.tensor(0.5))
    assert torch.equal(other.state[found.weight]["exp_avg"], optimizer.state[expected.weight]["exp_avg"])


def main():
    folder, failed, kept = pathlib.Path(tempfile.mkdtemp()), [], {}
    print(f"torch {torch.__version__}. Distance to torch in float64, in units in the last place of the largest number")
    print("rule            steps   together   float32 alone   allowed")
    for case in CASES:
        runs = {"f64": alone(case, torch.float64), "f32": alone(case, torch.float32)}
        runs["together"] = together(case, folder)
        kept[case] = {name: dict(zip((100, 150), map(shortest, run))) for name, run in runs.items()}
        for steps, truth, theirs, ours in zip((100, 150), *runs.values()):
            ulp = float(numpy.spacing(numpy.float32(max(map(abs, truth)))))
            far = [max(abs(a - b) for a, b in zip(found, truth)) / ulp for found in (ours, theirs)]
            allowed = 2 * far[1] + 8
            print(f"{case:14} {steps:6} {far[0]:10.2f} {far[1]:15.2f} {allowed:9.2f}")
            if not far[0] <= allowed:
                failed.append(f"{case} after {steps} steps")
    check_scaled(folder)
    check_ranges(folder)
    check_tensors(folder)
    check_refusals(folder)
    if failed:
        sys.exit(f"too far away: {', '.join(failed)}")
    if "--keep" in sys.argv[1:]:
        kept = {rule: kept[rule] for rule in lanestep.SLOTS}
        lines = ",\n".join(f'"{rule}": {json.dumps(runs)}' for rule, runs in kept.items())
        (ROOT / "tests/pytorch/trajectories.json").write_text(f"{{\n{lines}\n}}\n")
        for name in (f"{rule}.{of}.safetensors" for rule in kept for of in ("torch", "lanestep")):
            shutil.copyfile(folder / name, ROOT / "tests/pytorch" / name)
    shutil.rmtree(folder)


main()
