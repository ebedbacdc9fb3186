"""Step times of torch.optim.AdamW and of lanestep's, in turns, as medians:

    python bench.py
"""

import statistics
import sys
import time

import torch

import lanestep

WIDTH, VOCABULARY, POSITIONS, LAYERS = 768, 50257, 1024, 12
LAYER = [
    (WIDTH,), (WIDTH,), (3 * WIDTH, WIDTH), (3 * WIDTH,), (WIDTH, WIDTH), (WIDTH,),
    (WIDTH,), (WIDTH,), (4 * WIDTH, WIDTH), (4 * WIDTH,), (WIDTH, 4 * WIDTH), (WIDTH,),
]  # fmt: skip
MODELS = {
    "GPT-2 small: 148 tensors, 124 million": [(VOCABULARY, WIDTH), (POSITIONS, WIDTH), *LAYERS * LAYER, (WIDTH,), (WIDTH,)],
    "10,000 tensors of 16": [(16,)] * 10_000,
    "one tensor of 2^24": [(1 << 24,)],
}
OURS = "lanestep.AdamW"
OPTIMIZERS = {
    "torch.optim.AdamW": torch.optim.AdamW,
    "foreach=True": lambda params: torch.optim.AdamW(params, foreach=True),
    "fused=True": lambda params: torch.optim.AdamW(params, fused=True),
    OURS: lanestep.AdamW,
}


def parameters(shapes):
    generator = torch.Generator().manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    for p in params:
        p.grad = torch.randn(p.shape, generator=generator)
    return params


def check(shapes):
    """All of them do the same."""
    found = []
    for make in OPTIMIZERS.values():
        params = parameters(shapes)
        optimizer = make(params)
        for _ in range(3):
            optimizer.step()
        found.append([p.detach().clone() for p in params])
    for other in found[:-1]:
        for a, b in zip(found[-1], other):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def times(shapes, turns):
    """Seconds of each optimizer's steps. They share parameters and gradients: each has state of its own."""
    params = parameters(shapes)
    optimizers = {name: make(params) for name, make in OPTIMIZERS.items()}
    found = {name: [] for name in optimizers}
    for turn in range(turns + 1):
        for name, optimizer in optimizers.items():
            start = time.perf_counter()
            optimizer.step()
            if turn:  # The first step makes the state.
                found[name].append(time.perf_counter() - start)
    return found


def main():
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, medians of {turns} turns in ms (ratio to {OURS})\n")
    print("| parameters |", " | ".join(OPTIMIZERS), "|\n|---|", "---|" * len(OPTIMIZERS), sep="")
    for model, shapes in MODELS.items():
        check(shapes[-12:])
        medians = {name: statistics.median(found) for name, found in times(shapes, turns).items()}
        cells = (f"{1e3 * median:.3g} ({median / medians[OURS]:.2f})" for median in medians.values())
        print(f"| {model} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
