"""PyTorch's memory, as the library takes it."""

from array import array
from operator import attrgetter

import torch

from ._call import ffi, lib

FORMATS = {
    torch.float32: lib.LANESTEP_FORMAT_F32,
    torch.bfloat16: lib.LANESTEP_FORMAT_BF16,
    torch.float16: lib.LANESTEP_FORMAT_F16,
}
_ADDRESS = "Q" if ffi.sizeof("void *") == 8 else "I"
# Of the class, so that a step over many tensors looks them up once.
_address, _is_contiguous, _is_neg, _numel = (
    torch.Tensor.data_ptr,
    torch.Tensor.is_contiguous,
    torch.Tensor.is_neg,
    torch.Tensor.numel,
)
_dtype, _is_cpu = attrgetter("dtype"), attrgetter("is_cpu")


def fault(tensor):
    """Why a step cannot take a tensor; None if it can."""
    if tensor.layout != torch.strided:
        return f"is {tensor.layout}, and must be torch.strided"
    if not tensor.is_cpu:
        return f"is on {tensor.device}, and must be on cpu"
    if tensor.dtype not in FORMATS:
        return f"is {tensor.dtype}, and must be one of {', '.join(map(str, FORMATS))}"
    if not tensor.is_contiguous():
        return f"has strides {tuple(tensor.stride())}, and must be contiguous"
    return None


def fault_of_parameter(tensor):
    """The same of what is written. A gradient may be negated, as it can be copied."""
    return fault(tensor) or ("is a negated view, and must be what lies in memory" if tensor.is_neg() else None)


class Tensors:
    """The array of a step over parameters. Where they and their gradients are, and in what format, is read at each step, as PyTorch
    lets anyone change it between two."""

    def __init__(self, params):
        self.params, self.lens = params, [p.numel() for p in params]
        self.array = ffi.new("LanestepTensor[]", len(params))
        for tensor, size in zip(self.array, self.lens):
            tensor.len = size
        self._dtypes = {}

    def _field(self, name, code):
        """A field of all tensors, as a view that takes an array."""
        numbers = memoryview(ffi.buffer(self.array)).cast("B").cast(code)
        return numbers[ffi.offsetof("LanestepTensor", name) // numbers.itemsize :: ffi.sizeof("LanestepTensor") // numbers.itemsize]

    def point(self, grads, absent, named):
        """Points to what is there now; `grads` is None at the places in `absent`. Returns what must live as long as the call."""
        params = self.params
        if absent:
            grads = [p if grad is None else grad for p, grad in zip(params, grads)]
        if not all(map(_is_contiguous, grads)) or any(map(_is_neg, grads)):
            self._refuse(params, grads, named, contiguous=False)
            grads = [grad.resolve_neg().contiguous() for grad in grads]
        fine = all(map(_is_cpu, params)) and all(map(_is_cpu, grads)) and all(map(_is_contiguous, params))
        fine = fine and not any(map(_is_neg, params))
        fine = fine and list(map(_numel, params)) == self.lens == list(map(_numel, grads))
        dtypes = {"params_format": list(map(_dtype, params)), "grads_format": list(map(_dtype, grads))}
        if not fine or dtypes != self._dtypes:
            self._refuse(params, grads, named)
            for name, found in dtypes.items():
                self._field(name, "i")[:] = array("i", [FORMATS[dtype] for dtype in found])
            self._dtypes = dtypes
        addresses = list(map(_address, grads))
        if 0 in addresses:
            for p, grad, address in zip(params, grads, addresses):
                if not address and grad.numel():
                    raise TypeError(f"the gradient of {named(p)} has no memory")
        for place in absent:
            addresses[place] = 0
        self._field("params", _ADDRESS)[:] = array(_ADDRESS, list(map(_address, params)))
        self._field("grads", _ADDRESS)[:] = array(_ADDRESS, addresses)
        return grads

    def _refuse(self, params, grads, named, contiguous=True):
        """Names the first tensor that a step cannot take."""
        for p, grad, size in zip(params, grads, self.lens):
            why = fault_of_parameter(p)
            if why is None and p.numel() != size:
                why = f"has {p.numel()} elements, and had {size} before"
            if why is not None:
                raise TypeError(f"{named(p)} {why}")
            # A gradient may lie anyhow, as it can be copied.
            why = fault(grad if contiguous or grad.layout != torch.strided else grad.contiguous())
            if why is None and grad.numel() != size:
                why = f"has {grad.numel()} elements, and must have {size}"
            if why is not None:
                raise TypeError(f"the gradient of {named(p)} {why}")
