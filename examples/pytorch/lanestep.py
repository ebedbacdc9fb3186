"""PyTorch's optimizers in checkpoints of lanestep, and back.

    lanestep.save("run.safetensors", model, optimizer)
    steps = lanestep.load("run.safetensors", model, optimizer)

To be copied into a project. It takes torch, numpy, safetensors and xxhash, and parameters in float32.

State that is one number for all elements follows from the number of steps: Adam's `step`, NAdam's `mu_product`, ASGD's `eta`
and `mu`. Parameters of one group that have taken different numbers of steps, as some had no gradients, are several groups in
the file. What does not require gradients is frozen there. What the optimizer does not have is not in the file.
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
    """Writes the optimizer and its parameters. `steps` is how many the run has taken, for schedules: the most that a parameter
    has, if it is left out. SGD does not count, so there it must be told."""
    rule, tensors, groups, start = _rule(optimizer), {}, {}, 0
    if rule == "SGD" and steps is None:
        raise ValueError("SGD does not count its steps: tell how many there were, save(..., steps=n)")
    for name, param, index in _parameters(model, optimizer):
        if not param.numel():
            continue
        group, state = optimizer.param_groups[index], optimizer.state.get(param, {})
        options = {key: _plain(group[key]) for key in optimizer.defaults if key not in SWITCHES}
        taken = _taken(group, state, steps)
        for slot in _slots(rule, options):
            # Before the first step lanestep's state is zero, whatever torch's may be: what that adds, the first step does.
            tensors[f"state.{name}.{slot}"] = _numbers(state[slot] if taken else torch.zeros_like(param))
        tensors[f"state.{name}.step"] = _numbers(torch.tensor(float(taken)))
        tensors[f"model.{name}"] = _numbers(param)
        # Schedules are in proportion to what a group was given, which torch's keep.
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
    save_file(tensors, beside, {"lanestep": json.dumps(record, allow_nan=False)})
    with open(beside, "r+b") as file:
        header = _header(file)
        file.seek(json.loads(header[8:])["checksum"]["data_offsets"][0], os.SEEK_CUR)
        file.write(xxhash.xxh3_64_intdigest(header).to_bytes(8, "little"))
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def load(path, model, optimizer):
    """Puts what a file holds into an optimizer that was made as for `load_state_dict`, and its parameters into the model.
    Returns how many steps the run has taken. An average of the weights and what a trainer added stay in the file: they are its
    tensors `ema.*` and `extra`."""
    record, tensors = _read(path)
    rule, parameters = _rule(optimizer), _parameters(model, optimizer)
    _check_parameters(record["parameters"], parameters)
    state_dict = optimizer.state_dict()
    places = {p: i for i, p in enumerate(p for group in optimizer.param_groups for p in group["params"])}
    state, chosen, frozen, start = {}, {}, {}, 0
    groups = [(group, _options(rule, optimizer, group)) for group in record["param_groups"]]
    numbers = [_of_the_step(rule, group["steps"], options) for group, options in groups]
    for name, param, index in parameters:
        if not param.numel():
            continue
        end = start + param.numel()
        holds = (i for i, (group, _) in enumerate(groups) if any(a <= start and end <= b for a, b in group["ranges"]))
        found = next(holds, None)
        if found is None:
            raise ValueError(f"{name!r} is divided among groups in the file")
        (group, options), start = groups[found], end
        if chosen.setdefault(index, options) != options:
            raise ValueError(f"{name!r} has other options in the file than what is before it in group {index}")
        if group["steps"]:
            slots = {slot: torch.from_numpy(tensors[f"state.{name}.{slot}"]) for slot in _slots(rule, options)}
            state[places[param]] = {slot: t.reshape(param.shape) for slot, t in slots.items()}
            state[places[param]].update((key, torch.tensor(number)) for key, number in numbers[found].items())
        elif rule == "Adagrad":  # Others make their first state in the first step.
            fresh = torch.full_like(param, options["initial_accumulator_value"])
            state[places[param]] = {"step": torch.tensor(0.0), "sum": fresh}
        frozen[param] = group["frozen"]
    has_params = any(name.startswith("model.") for name in tensors)
    params = {p: tensors[f"model.{name}"] for name, p, _ in parameters if has_params and p.numel()}
    for index, options in chosen.items():
        group = state_dict["param_groups"][index]
        if "initial_lr" not in group and options["initial_lr"] == options["lr"]:
            options = {key: options[key] for key in options if key != "initial_lr"}
        group.update((key, _like(group.get(key), option)) for key, option in options.items())

    optimizer.load_state_dict({"state": state, "param_groups": state_dict["param_groups"]})
    with torch.no_grad():
        for param, values in params.items():
            param.copy_(torch.from_numpy(values).reshape(param.shape))
    for param, still in frozen.items():
        param.requires_grad_(not still)
    return record["steps"]


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


def _options(rule, optimizer, group):
    """The options of a group in the file, as torch names them."""
    options, scale = dict(group["options"]), group["lr_scale"]
    if options.pop("rule") != rule:
        raise ValueError(f"the optimizer is {rule}, and the file's is {group['options']['rule']}")
    for key in [key for key in options if key not in optimizer.defaults]:
        if options[key] != OFF.get(key):
            raise ValueError(f"torch's {rule} has no {key}, which is {options[key]} in the file")
        del options[key]
    if rule == "AdamW" and not options["decoupled_weight_decay"]:
        raise ValueError("torch's AdamW always decouples its decay, and in the file it does not")
    return {**options, "lr": group["lr"] * scale, "initial_lr": options["lr"] * scale}


def _check_parameters(found, parameters):
    if isinstance(found, int):
        raise ValueError("the file's parameters have no names: give lanestep a Layout")
    expected = [(name, list(param.shape)) for name, param, _ in parameters]
    for (name, shape), (of, expected_shape) in zip(found, expected):
        if name != of or shape not in (expected_shape, [math.prod(expected_shape)]):
            raise ValueError(f"the file has {name!r} {shape} where the model has {of!r} {expected_shape}")
    if len(found) != len(expected):
        raise ValueError(f"the file has {len(found)} parameters, and the optimizer {len(expected)}")


def _read(path):
    with open(path, "rb") as file:
        header = _header(file)
    with safe_open(path, "numpy") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}
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
    """Without tensors, which torch takes as learning rates and betas."""
    if isinstance(option, (tuple, list)):
        return [_plain(part) for part in option]
    return option.item() if isinstance(option, torch.Tensor) else option


def _like(old, new):
    """With tensors where there were."""
    if isinstance(old, (tuple, list)):
        return type(old)(map(_like, old, new))
    return torch.full_like(old, new) if isinstance(old, torch.Tensor) else new
