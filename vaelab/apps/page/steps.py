"""A decoder as a list of plain steps, which the page's few lines of JavaScript can run.

A decoder is traced with torch.fx, so that any module made of known layers is understood, however it
is nested; batch normalisation is folded into the layer before it. One code is decoded at a time, so
a flatten or a view is no step.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn import functional as F

Step = dict[str, Any]
SAME_WHEN_FLAT = {
    "flatten",
    "unflatten",
    "view",
    "reshape",
    "contiguous",
    "squeeze",
    "unsqueeze",
    "dropout",
}
IDENTITIES = (nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout)
FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "leaky_relu": F.leaky_relu,
}
ACTIVATIONS = {
    nn.ReLU: "relu",
    nn.SiLU: "silu",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
    nn.LeakyReLU: "leaky_relu",
}
KNOWN = (
    "dense, conv, transposed conv, batch norm, relu, leaky relu, silu, tanh, sigmoid, zero "
    "padding, nearest "
    "upsampling, cat, +"
)


class UnknownLayerError(ValueError):
    """A decoder holds a layer that the page cannot run."""


@dataclass(frozen=True)
class Plan:
    """What the page runs: value 0 is the code, and step i makes value i + 1.

    Args:
        steps: each with "op", "in" (numbers of values), "shape" (of its own value) and what the
            operation needs; "weight" and "bias" are numbers of tensors.
        tensors: the weights, float32.
        out: the number of the value that is the result.
        shape: of the result.
    """

    steps: list[Step]
    tensors: list[Tensor]
    out: int
    shape: tuple[int, ...]

    def rounded(self) -> Plan:
        """The same with every matrix and kernel rounded to int16 (see `to_int16`); biases stay
        float32.
        """
        short = [
            (q.float() * scales.view(-1, *[1] * (q.ndim - 1))) if q is not None else t
            for t, (q, scales) in zip(self.tensors, map(to_int16, self.tensors), strict=True)
        ]
        return replace(self, tensors=short)


def to_int16(weight: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """A matrix or kernel as whole numbers up to ±32767, and a factor for each row; None twice for a
    vector.

    As small as float16, with an eighth of its error or less: a row's numbers share one exponent,
    and keep 15 bits.

    >>> q, scales = to_int16(torch.tensor([[0.5, -1.0], [0.0, 0.0]]))
    >>> q.tolist(), (q * scales[:, None])[0, 1].item()
    ([[16384, -32767], [0, 0]], -1.0)
    """
    if weight.ndim < 2:
        return None, None
    scales = weight.flatten(1).abs().amax(1) / 32767
    rows = scales.where(scales > 0, 1).view(-1, *[1] * (weight.ndim - 1))
    return (weight / rows).round().to(torch.int16), scales


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        known = (
            *IDENTITIES,
            *ACTIVATIONS,
            nn.Linear,
            nn.Conv2d,
            nn.ConvTranspose2d,
            nn.Upsample,
            nn.ZeroPad2d,
        )
        return isinstance(m, known) or super().is_leaf_module(m, module_qualified_name)


@torch.no_grad()
def plan(module: nn.Module, n_in: int) -> Plan:
    """Read a module that maps (batch, n_in) to (batch, ...) as a list of steps.

    Args:
        module: in evaluation mode.
        n_in: length of a code.

    Raises:
        UnknownLayerError: a layer the page cannot run, named; or a forward that torch.fx cannot
            follow.

    >>> decoder = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Unflatten(1, (1, 1, 3))).eval()
    >>> [step["op"] for step in plan(decoder, 2).steps]
    ['dense', 'relu']
    """
    try:
        graph = fx.GraphModule(module, _Tracer().trace(module))
    except (fx.proxy.TraceError, TypeError) as error:
        raise UnknownLayerError(
            f"{type(module).__name__}: its forward cannot be followed ({error})"
        ) from error
    ShapeProp(graph).propagate(next(module.parameters()).new_zeros(1, n_in))
    return _Reader(graph).read()


class _Reader:
    """Goes through a traced graph once, and collects steps and tensors."""

    def __init__(self, graph: fx.GraphModule) -> None:
        self.graph, self.steps, self.tensors = graph, [], []
        self.values: dict[fx.Node, int] = {}

    def read(self) -> Plan:
        for node in self.graph.graph.nodes:
            if node.op == "placeholder":
                self.values[node] = 0
            elif (
                node.op != "output" and "tensor_meta" in node.meta
            ):  # others compute shapes, which are known here
                self.values[node] = self._value(node)
        (last,) = next(n for n in self.graph.graph.nodes if n.op == "output").args
        return Plan(self.steps, self.tensors, self.values[last], _shape(last))

    def _value(self, node: fx.Node) -> int:
        self.node = node
        if node.op == "call_module":
            layer = self.graph.get_submodule(str(node.target))
            return self._layer(layer, f"{node.target} ({type(layer).__name__})")
        name = (
            node.target
            if isinstance(node.target, str)
            else getattr(node.target, "__name__", str(node.target))
        )
        return self._function(name.removesuffix("_"), f"{node.name} ({name})")

    def _layer(self, layer: nn.Module, called: str) -> int:
        if isinstance(layer, IDENTITIES):
            return self._input()
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            return self._batch_norm(layer)
        if isinstance(layer, nn.Linear) and len(_shape(self.node)) == 1:
            return self._add("dense", **self._weights(layer.weight, layer.bias))
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            return self._conv(layer, called)
        if isinstance(layer, nn.Upsample) and layer.mode == "nearest":
            return self._add("upsample")
        if isinstance(layer, nn.ZeroPad2d):
            left, _, top, _ = layer.padding
            return self._add("window", top=-top, left=-left)
        for kind, op in ACTIVATIONS.items():
            if isinstance(layer, kind):
                return self._add(
                    op, **({"slope": layer.negative_slope} if op == "leaky_relu" else {})
                )
        raise self._unknown(called)

    def _function(self, name: str, called: str) -> int:
        args, kwargs = self.node.args, self.node.kwargs
        if name in SAME_WHEN_FLAT:
            return self._input()
        if name in ("cat", "concat"):
            along = args[1] if len(args) > 1 else kwargs.get("dim", 0)
            if along % (1 + len(_shape(self.node))) == 1:
                return self._add("cat", [self.values[n] for n in args[0]])
        if (
            name in ("add", "iadd")
            and not kwargs
            and len({_shape(a) if a in self.values else None for a in args}) == 1
        ):
            return self._add("add", [self.values[a] for a in args])
        if name == "leaky_relu":
            return self._add(
                name, slope=args[1] if len(args) > 1 else kwargs.get("negative_slope", 0.01)
            )
        if name in FUNCTIONS:
            return self._add(name)
        if name == "interpolate" and kwargs.get("mode", "nearest") == "nearest":
            return self._add("upsample")
        if (
            name == "pad"
            and kwargs.get("mode", "constant") == "constant"
            and not kwargs.get("value")
        ):
            left, _, top, _ = args[1] if len(args) > 1 else kwargs["pad"]
            return self._add("window", top=-top, left=-left)
        if self.node.target is operator.getitem and _is_crop(args[1]):
            top, left = ([s.start or 0 for s in args[1] if s is not Ellipsis])[-2:]
            return self._add("window", top=top, left=left)
        raise self._unknown(called)

    def _unknown(self, called: str) -> UnknownLayerError:
        return UnknownLayerError(
            f"the page cannot run the decoder's layer {called}; expected layers of: {KNOWN}"
        )

    def _input(self) -> int:
        return self.values[self.node.args[0]]

    def _add(self, op: str, inputs: list[int] | None = None, **more: Any) -> int:
        shape = list(_shape(self.node))
        if inputs is None:
            inputs, more["before"] = [self._input()], list(_shape(self.node.args[0]))
        if op == "upsample":
            before, after = more["before"][-2:], shape[-2:]
            more["by"] = after[0] // before[0]
            if [more["by"] * size for size in before] != after:
                raise self._unknown(
                    f"{self.node.name} (upsampling of {before} to {after}, no whole factor)"
                )
        self.steps.append({"op": op, "in": inputs, "shape": shape, **more})
        return len(self.steps)

    def _weights(self, weight: Tensor, bias: Tensor | None, axis: int = 0) -> dict[str, int]:
        bias = weight.new_zeros(weight.shape[axis]) if bias is None else bias
        self.tensors += [weight.detach().float().cpu().clone(), bias.detach().float().cpu().clone()]
        return {"weight": len(self.tensors) - 2, "bias": len(self.tensors) - 1}

    def _conv(self, layer: nn.Conv2d | nn.ConvTranspose2d, called: str) -> int:
        kernel, stride = layer.kernel_size, layer.stride
        if layer.groups != 1 or set(layer.dilation) != {1} or layer.padding_mode != "zeros":
            raise self._unknown(f"{called} with groups, dilation or a padding that is not zeros")
        if layer.padding == "valid":
            pad = [0, 0]
        else:  # "same" puts the odd one at the end
            pad = [(k - 1) // 2 for k in kernel] if layer.padding == "same" else list(layer.padding)
        transposed = isinstance(layer, nn.ConvTranspose2d)
        told = {"kernel": list(kernel), "stride": list(stride), "pad": pad}
        told |= self._weights(layer.weight, layer.bias, 1 if transposed else 0)
        return self._add("deconv" if transposed else "conv", **told)

    def _batch_norm(self, layer: nn.BatchNorm1d | nn.BatchNorm2d) -> int:
        """y = scale · x + shift by channel: into the weights of the layer before, if nothing else
        reads that layer.
        """
        scale = (layer.running_var.double() + layer.eps).rsqrt()
        if layer.weight is not None:
            scale = scale * layer.weight.double()
        shift = -layer.running_mean.double() * scale + (
            0 if layer.bias is None else layer.bias.double()
        )
        number = self._input()
        step = self.steps[number - 1] if number else {}
        shared = any(len(n.users) > 1 for n, value in self.values.items() if value == number)
        linear = step.get("op") in ("dense", "conv", "deconv")
        if shared or not linear or step["shape"][0] != len(scale):
            return self._add("affine", **self._weights(scale, shift))
        weight, bias = self.tensors[step["weight"]].double(), self.tensors[step["bias"]].double()
        along = [1, -1] if step["op"] == "deconv" else [-1]
        by_channel = scale.view(*along, *[1] * (weight.ndim - len(along)))
        self.tensors[step["weight"]] = (weight * by_channel).float()
        self.tensors[step["bias"]] = (bias * scale + shift).float()
        return number


def _shape(node: fx.Node) -> tuple[int, ...]:
    """The shape of a node's value, without the batch."""
    return tuple(node.meta["tensor_meta"].shape[1:])


def _is_crop(index: Any) -> bool:
    """Whether an index cuts a rectangle out of images: slices of step 1, and the whole of the first
    two axes.
    """
    if not isinstance(index, tuple) or not all(
        s is Ellipsis or isinstance(s, slice) for s in index
    ):
        return False
    whole = index[:-2] in ((Ellipsis,), (slice(None), slice(None)))
    return whole and all(
        isinstance(s.start, int | None) and (s.start or 0) >= 0 and s.step in (1, None)
        for s in index[-2:]
    )


@torch.no_grad()
def run(plan: Plan, z: Tensor) -> Tensor:
    """What the page computes, here: codes (n, n_in) to values (n, *shape). The twin of decoder.js,
    for whole batches.

    >>> decoder = nn.Sequential(nn.Linear(2, 3), nn.SiLU())
    >>> z = torch.ones(1, 2)
    >>> torch.allclose(run(plan(decoder, 2), z), decoder(z))
    True
    """
    values = [z.float()]
    for step in plan.steps:
        shape = (len(z), *step["shape"])
        x = [values[number] for number in step["in"]]
        if "before" in step:
            x[0] = x[0].reshape(len(z), *step["before"])
        if step["op"] == "cat":
            y = torch.cat([v.reshape(len(z), -1) for v in x], 1)
        elif step["op"] == "add":
            y = x[0] + x[1].reshape(x[0].shape)
        else:
            y = _compute(step, x[0], plan.tensors, shape)
        values.append(y.reshape(shape))
    return values[plan.out].reshape(len(z), *plan.shape)


def _compute(step: Step, x: Tensor, tensors: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    op = step["op"]
    weight, bias = (tensors[step[name]] if name in step else None for name in ("weight", "bias"))
    if op == "dense":
        return F.linear(x, weight, bias)
    if op == "affine":
        return x.flatten(2) * weight[:, None] + bias[:, None] if x.ndim > 2 else x * weight + bias
    if op == "conv":
        (top, left), (high, wide) = step["pad"], step["kernel"]
        x = F.pad(x, (left, wide, top, high))
        return F.conv2d(x, weight, bias, tuple(step["stride"]))[..., : shape[-2], : shape[-1]]
    if op == "deconv":
        full = F.conv_transpose2d(x, weight, None, tuple(step["stride"]))
        return _window(full, *step["pad"], shape) + bias[:, None, None]
    if op == "upsample":
        return x.repeat_interleave(step["by"], -2).repeat_interleave(step["by"], -1)
    if op == "window":
        return _window(x, step["top"], step["left"], shape)
    return F.leaky_relu(x, step["slope"]) if op == "leaky_relu" else FUNCTIONS[op](x)


def _window(x: Tensor, top: int, left: int, shape: tuple[int, ...]) -> Tensor:
    """The rectangle of `shape` whose first pixel is (top, left) of x; zeros where it leaves x."""
    high, wide = shape[-2:]
    return F.pad(x, (-left, left + wide - x.shape[-1], -top, top + high - x.shape[-2]))


def n_weights(plan: Plan) -> int:
    """How many numbers the plan holds."""
    return sum(math.prod(t.shape) for t in plan.tensors)


def n_products(plan: Plan) -> int:
    """How many multiplications one code costs: every weight once a pixel it meets."""
    total = 0
    for step in plan.steps:
        pixels = {"conv": step["shape"][1:], "deconv": step.get("before", [])[1:]}.get(
            step["op"], []
        )
        total += plan.tensors[step["weight"]].numel() * math.prod(pixels) if "weight" in step else 0
    return total
