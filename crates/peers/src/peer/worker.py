"""One optimizer of PyTorch or DeepSpeed: each line on standard input is something to do, and is answered by a line."""

import json
import os
import random
import sys
import time

WHICH, THREADS = sys.argv[1], int(sys.argv[2])
# DeepSpeed builds its kernel now and prints as it does: only answers go where they are read.
ANSWERS = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)


def answer(**line):
    print(json.dumps(line), file=ANSWERS, flush=True)


try:
    import numpy
    import torch

    torch.set_num_threads(THREADS)
    version = "PyTorch " + torch.__version__
    options = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 1e-2}
    if WHICH == "deepspeed":
        import deepspeed
        from deepspeed.ops.adam import DeepSpeedCPUAdam

        version = f"DeepSpeed {deepspeed.__version__}, {version}"
        DeepSpeedCPUAdam([torch.nn.Parameter(torch.zeros(16))], adamw_mode=True, **options)  # compiles
    answer(ok=version)
except BaseException as error:
    answer(error=f"{type(error).__name__}: {error}".splitlines()[0])
    sys.exit()


def optimizer_of(params):
    if WHICH == "deepspeed":
        return DeepSpeedCPUAdam(params, adamw_mode=True, **options)
    return torch.optim.AdamW(params, **options, **({} if WHICH == "default" else {WHICH: True}))


def tensors(file, lens, dtype):
    """On memory of their own, each from a random cache line of a page on."""
    numbers, found, start = torch.from_numpy(numpy.fromfile(file, dtype=numpy.float32)), [], 0
    for n in lens:
        memory = torch.empty(n + 2048, dtype=dtype)
        size = memory.element_size()
        first = ((random.randrange(64) * 64 - memory.data_ptr()) % 4096) // size
        tensor = memory[first : first + n]
        tensor.copy_(numbers[start : start + n])
        found.append(tensor)
        start += n
    return found


class Run:
    def __init__(self, lens, params, grads, max_norm, bf16):
        dtype = torch.bfloat16 if bf16 else torch.float32
        self.params = [torch.nn.Parameter(p) for p in tensors(params, lens, dtype)]
        for p, g in zip(self.params, tensors(grads, lens, dtype)):
            p.grad = g
        self.optimizer, self.max_norm = optimizer_of(self.params), max_norm

    def steps(self, count):
        start = time.perf_counter()
        for _ in range(count):
            if self.max_norm is not None:
                torch.nn.utils.clip_grad_norm_(self.params, self.max_norm)
            self.optimizer.step()
        return time.perf_counter() - start

    def scale(self, factor):
        for p in self.params:
            p.grad.mul_(factor)

    def write(self, file):
        numpy.concatenate([p.detach().float().numpy() for p in self.params]).tofile(file)


run = None
for line in sys.stdin:
    asked = json.loads(line)
    what, result = asked.pop("do"), None
    try:
        if what == "make":
            run = Run(**asked)
        elif what == "drop":
            run = None
        else:
            result = {"steps": Run.steps, "scale": Run.scale, "params": Run.write}[what](run, **asked)
        answer(ok=result)
    except Exception as error:
        answer(error=f"{type(error).__name__}: {error}")
