"""PyTorch's optimizers in checkpoints of lanestep, and back.

    lanestep.save("run.safetensors", model, optimizer)
    steps = lanestep.load("run.safetensors", model, optimizer)

To be copied into a project. It takes torch, numpy, safetensors and xxhash, and parameters in float32.

State that is one number for all elements follows from the number of steps: `step`, NAdam's `mu_product`, ASGD's `eta` and
`mu`. Parameters of one group that have taken different numbers of steps, as some had no gradients, are several groups in the
file. What does not require gradients is frozen there. What the optimizer does not have is not in the file.
"""

import json
import math
import os

import torch
import xxhash
from safetensors import safe_open
from safetensors.numpy import save_file

SLOTS = {
    "Adadelta": ["square_avg", "acc_delta"],
    "Adagrad": ["sum"],
    "Adam": ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"],
    "AdamW": ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"],
    "Adamax": ["exp_avg", "exp_inf"],
    "ASGD": ["ax"],
    "NAdam": ["exp_avg", "exp_avg_sq"],
    "RAdam": ["exp_avg", "exp_avg_sq"],
    "RMSprop": ["square_avg", "momentum_buffer", "grad_avg"],
    "Rprop": ["prev", "step_size"],
    "SGD": ["momentum_buffer"],
}
# Slots that are there only with an option.
ONLY_WITH = {"max_exp_avg_sq": "amsgrad", "momentum_buffer": "momentum", "grad_avg": "centered"}
# How torch runs a step, not what it computes.
SWITCHES = {"foreach", "fused", "capturable", "differentiable"}
# Options of lanestep that torch's optimizers may lack, as long as they are off.
OFF = {"weight_decay": 0, "decoupled_weight_decay": False, "bias_correction": True, "l1_decay": 0, "clip_value": None}


def save(path, model, optimizer, steps=None):
    """Writes an optimizer and its parameters. `steps` is how many the run has taken, for schedules: if it is left out, the
    most that a parameter has. SGD does not count them, so there it must be told."""
    rule, tensors, groups, start = _rule(optimizer), {}, {}, 0
    if rule == "SGD" and steps is None:
        raise ValueError("SGD does not count its steps: tell how many there were, save(..., steps=n)")
    if steps is not None and not (isinstance(steps, int) and steps >= 0):
        raise ValueError(f"steps is {steps!r}, but must be a whole number from 0 on")
    for name, param, index in _parameters(model, optimizer):
        if not param.numel():
            continue
        group, state = optimizer.param_groups[index], optimizer.state.get(param, {})
        options = {key: _plain(group[key]) for key in optimizer.defaults if key not in SWITCHES}
        taken = _taken(group, state, steps)
        for slot in _slots(rule, options):
            # Before the first step, state is zero in lanestep: what Adagrad's begins with, the first step adds.
            tensors[f"state.{name}.{slot}"] = _numbers(state[slot] if taken else torch.zeros_like(param))
        tensors[f"state.{name}.step"] = _numbers(torch.tensor(float(taken)))
        tensors[f"model.{name}"] = _numbers(param)
        # What a group was given is what schedules are in proportion to; torch's keep it.
        given = {"rule": rule, **options, "lr": _plain(group.get("initial_lr", group["lr"]))}
        frozen, end = not param.requires_grad, start + param.numel()
        record = {"options": given, "lr": options["lr"], "lr_scale": 1, "frozen": frozen, "steps": taken, "ranges": []}
        groups.setdefault((index, taken, frozen), record)["ranges"].append([start, end])
        start = end
    groups = [groups[key] for key in sorted(groups)]
    record = {
        "version": 1,
        "steps": max((group["steps"] for group in groups), default=0) if steps is None else steps,
        "parameters": [[name, list(param.shape)] for name, param, _ in _parameters(model, optimizer)],
        "param_groups": groups,
        "ema": None,
        "checksums": {name: xxhash.xxh3_64_hexdigest(numbers) for name, numbers in tensors.items()},
    }
    tensors["checksum"] = torch.zeros(8, dtype=torch.uint8).numpy()
    beside = f"{path}.new"
    try:
        save_file(tensors, beside, {"lanestep": json.dumps(record, allow_nan=False)})
        with open(beside, "r+b") as file:
            header = _header(file)
            file.seek(json.loads(header[8:])["checksum"]["data_offsets"][0], os.SEEK_CUR)
            file.write(xxhash.xxh3_64_intdigest(header).to_bytes(8, "little"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        if os.path.exists(beside):
            os.remove(beside)
        raise


def load(path, model, optimizer):
    """Puts what a file holds into an optimizer that was made as for `load_state_dict`, and its parameters into the model.
    Returns how many steps the run has taken. An average of the weights, and what a trainer added, are left to who reads the
    file's tensors `ema.*` and `extra`."""
    rule, parameters, (record, tensors) = _rule(optimizer), _parameters(model, optimizer), _read(path)
    _check_parameters(record["parameters"], parameters)
    groups = [_Group(rule, optimizer, group) for group in record["param_groups"]]
    has_params = any(name.startswith("model.") for name in tensors)
    of_torch, state, params, frozen, end = {}, {}, {}, {}, 0
    for name, param, index in parameters:
        if not param.numel():
            continue
        start, end = end, end + param.numel()
        group = next((group for group in groups if group.has(start, end)), None)
        if group is None:
            raise ValueError(f"{name!r} is divided among groups in the file")
        if of_torch.setdefault(index, group).options != group.options:
            raise ValueError(f"{name!r} has other options in the file than what is before it in group {index}")
        slots = {slot: tensors[f"state.{name}.{slot}"] for slot in _slots(rule, group.options)}
        slots = {slot: torch.from_numpy(numbers).reshape(param.shape) for slot, numbers in slots.items()}
        slots.update((key, torch.tensor(number)) for key, number in group.numbers.items())
        if group.steps and slots:
            state[name] = slots
        elif rule == "Adagrad":  # Others make their state in the first step.
            begin = torch.full_like(param, group.options["initial_accumulator_value"])
            state[name] = {"step": torch.tensor(0.0), "sum": begin}
        if has_params:
            params[param] = torch.from_numpy(tensors[f"model.{name}"]).reshape(param.shape)
        frozen[param] = group.frozen

    # A dictionary as torch's, but with names in the place of numbers.
    names, param_groups = {param: name for name, param, _ in parameters}, []
    for index, group in enumerate(optimizer.param_groups):
        options = of_torch[index].options if index in of_torch else {}
        options = {key: _like(group.get(key), option) for key, option in options.items()}
        param_groups.append({**group, **options, "params": [names[param] for param in group["params"]]})
    optimizer.load_state_dict({"state": state, "param_groups": param_groups})
    with torch.no_grad():
        for param, numbers in params.items():
            param.copy_(numbers)
    for param, is_frozen in frozen.items():
        param.requires_grad_(not is_frozen)
    return record["steps"]


class _Group:
    """A group in a file, as torch needs it."""

    def __init__(self, rule, optimizer, record):
        options, scale = dict(record["options"]), record["lr_scale"]
        if options.pop("rule") != rule:
            raise ValueError(f"the optimizer is {rule}, and the file's is {record['options']['rule']}")
        for key in [key for key in options if key not in optimizer.defaults]:
            if options[key] != OFF.get(key):
                raise ValueError(f"torch's {rule} has no {key}, which is {options[key]} in the file")
            del options[key]
        if rule == "AdamW" and not options["decoupled_weight_decay"]:
            raise ValueError("torch's AdamW always decouples its decay, and in the file it does not")
        self.options = {**options, "lr": record["lr"] * scale, "initial_lr": options["lr"] * scale}
        self.ranges, self.steps, self.frozen = record["ranges"], record["steps"], record["frozen"]
        self.numbers = _of_the_step(rule, self.steps, self.options)

    def has(self, start, end):
        return sum(max(0, min(end, last) - max(start, first)) for first, last in self.ranges) == end - start


def _rule(optimizer):
    rule = type(optimizer).__name__
    if rule not in SLOTS or type(optimizer) is not getattr(torch.optim, rule):
        raise TypeError(f"{type(optimizer)} has no twin in lanestep; these of torch.optim have: {', '.join(SLOTS)}")
    return rule


def _parameters(model, optimizer):
    """Name, parameter and group of all that the optimizer has, in the order of the model."""
    groups = {p: index for index, group in enumerate(optimizer.param_groups) for p in group["params"]}
    parameters = [(name, p, groups.pop(p)) for name, p in model.named_parameters() if p in groups]
    if groups:
        raise ValueError(f"the optimizer has {len(groups)} parameters that the model does not have")
    for name, param, _ in parameters:
        if param.dtype != torch.float32:
            raise TypeError(f"{name!r} is {param.dtype}, and lanestep's parameters are torch.float32")
    return parameters


def _slots(rule, options):
    return [slot for slot in SLOTS[rule] if slot not in ONLY_WITH or options[ONLY_WITH[slot]]]


def _taken(group, state, steps):
    if "step" in state:
        return int(state["step"])
    if "dampening" not in group:
        return 0
    # SGD's buffer takes the first gradient whole: all that it asks of the number of steps is whether there were any.
    if state.get("momentum_buffer") is not None:
        return max(steps, 1)
    return 0 if group["momentum"] else steps


def _of_the_step(rule, steps, options):
    """What torch keeps as state beside the number of steps, and lanestep computes from it."""
    if rule == "SGD":
        return {}
    numbers = {"step": float(steps)}
    if rule == "NAdam":
        by = 0.96 ** options["momentum_decay"]
        numbers["mu_product"] = math.prod(options["betas"][0] * (1 - 0.5 * by**t) for t in range(1, steps + 1))
    if rule == "ASGD":
        lr = options["lr"]
        numbers["eta"] = lr / (1 + options["lambd"] * lr * steps) ** options["alpha"]
        numbers["mu"] = 1 / max(1, steps - options["t0"])
    return numbers


def _check_parameters(found, parameters):
    if isinstance(found, int):
        raise ValueError("the file's parameters have no names: make lanestep's optimizer from a Layout")
    expected = [(name, list(param.shape)) for name, param, _ in parameters]
    for (name, shape), (of, expected_shape) in zip(found, expected):
        if name != of or shape not in (expected_shape, [math.prod(expected_shape)]):
            raise ValueError(f"the file has {name!r} {shape} where the model has {of!r} {expected_shape}")
    if len(found) != len(expected):
        raise ValueError(f"the file has {len(found)} parameters, and the optimizer {len(expected)}")


def _read(path):
    with safe_open(path, "numpy") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    with open(path, "rb") as file:
        header = _header(file)
    if "lanestep" not in metadata:
        raise ValueError(f"{path} is no checkpoint of lanestep")
    if "checksum" in tensors:
        # Of the header, which cannot tell its own.
        _check_sum(path, "the header", xxhash.xxh3_64_digest(header)[::-1].hex(), tensors["checksum"].tobytes().hex())
    record = json.loads(metadata["lanestep"])
    if record["version"] != 1:
        raise ValueError(f"{path} is a checkpoint of version {record['version']}, and only 1 can be read")
    for name, expected in (record["checksums"] or {}).items():
        _check_sum(path, name, xxhash.xxh3_64_hexdigest(tensors[name]), expected)
    return record, tensors


def _check_sum(path, what, found, expected):
    if found != expected:
        raise ValueError(f"{path}: {what} has the checksum {found}, but must have {expected}")


def _header(file):
    length = file.read(8)
    return length + file.read(int.from_bytes(length, "little"))


def _numbers(tensor):
    return tensor.detach().to("cpu", torch.float32).contiguous().numpy()


def _plain(option):
    """Without tensors and numpy's numbers, which torch takes as learning rates and betas."""
    if isinstance(option, (tuple, list)):
        return [_plain(part) for part in option]
    return option.item() if hasattr(option, "item") else option


def _like(old, new):
    """With tensors where there were."""
    if isinstance(old, (tuple, list)):
        return type(old)(map(_like, old, new))
    return torch.full_like(old, new) if isinstance(old, torch.Tensor) else new
