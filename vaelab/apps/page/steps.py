"""A decoder as a list of plain steps, which the page's few lines of JavaScript can run.

A decoder is traced with torch.fx, so that any module made of known layers is understood, however it
is nested. One code is decoded at a time, so a flatten or a view is no step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.fx.proxy import TraceError
from torch.nn import functional as F

Step = dict[str, Any]
Shape = tuple[int, ...]
# Functions that change no value: the page keeps a value flat.
SAME_WHEN_FLAT = (
    "flatten",
    "unflatten",
    "view",
    "reshape",
    "contiguous",
    "squeeze",
    "unsqueeze",
    "dropout",
)
FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
UNKNOWN = (nn.RNNBase, nn.InstanceNorm1d, nn.InstanceNorm2d)
# Arguments of functions by position, as far as they are read.
PARAMETERS = {
    "leaky_relu": ("input", "negative_slope"),
    "interpolate": ("input", "size", "scale_factor", "mode"),
    "pad": ("input", "pad", "mode", "value"),
}
KNOWN = (
    "dense, conv, transposed conv, batch norm, relu, leaky relu, silu, tanh, sigmoid, zero "
    "padding, nearest upsampling, cat, +"
)


class UnknownLayerError(ValueError):
    """A decoder holds a layer that the page cannot run."""


@dataclass(frozen=True)
class Plan:
    """What the page runs: value 0 is the code, and step i makes value i + 1.

    Args:
        steps: each with "op", "in" (numbers of values), "shape" (of its own value) and what the
            operation needs; "weight" and "bias" are float32.
        out: the number of the value that is the result.
        shape: of the result.
    """

    steps: list[Step]
    out: int
    shape: Shape


def _column(values: Tensor, weight: Tensor) -> Tensor:
    """One value for each row of a weight, shaped to be multiplied with it."""
    return values.view(-1, *[1] * (weight.ndim - 1))


class _Tracer(fx.Tracer):
    """Goes into all layers but those with weights: the others are the functions that they call.

    One that the page cannot run, and that no tracer can follow, is named by being left whole.
    """

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (nn.Linear, *CONVOLUTIONS, *NORMS, *UNKNOWN))


@torch.no_grad()
def plan(module: nn.Module, n_in: int) -> Plan:
    """Read a module that maps (batch, n_in) to (batch, ...) as a list of steps.

    Args:
        module: in evaluation mode.
        n_in: length of a code.

    Raises:
        UnknownLayerError: a layer the page cannot run, named; or a forward that torch.fx cannot
            follow.

    >>> layers = nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Unflatten(1, (1, 1, 3))
    >>> [step["op"] for step in plan(nn.Sequential(*layers).eval(), 2).steps]
    ['dense', 'affine', 'relu']
    """
    try:
        graph = fx.GraphModule(module, _Tracer().trace(module))
    except (TraceError, TypeError) as error:
        raise UnknownLayerError(
            f"{type(module).__name__}: its forward cannot be followed ({error})"
        ) from error
    code = next(module.parameters()).new_zeros(1, n_in)
    ShapeProp(graph).propagate(code)
    return _Reader(graph).read()


class _Reader:
    """Goes through a traced graph once, and collects steps."""

    def __init__(self, graph: fx.GraphModule) -> None:
        self.graph = graph
        self.steps: list[Step] = []
        self.values: dict[fx.Node, int] = {}
        self.node: Any = None  # The node that is read.

    def read(self) -> Plan:
        *nodes, output = self.graph.graph.nodes
        for node in nodes:
            if node.op == "placeholder":
                self.values[node] = 0
            elif "tensor_meta" in node.meta:  # The others compute shapes, which are known.
                self.values[node] = self._value(node)
        last = output.args[0]
        return Plan(self.steps, self.values[last], _shape(last))

    def _value(self, node: fx.Node) -> int:
        self.node = node
        if node.op == "call_module":
            return self._layer(self.graph.get_submodule(str(node.target)))
        name = getattr(node.target, "__name__", str(node.target)).removesuffix("_")
        by_position = zip(PARAMETERS.get(name, ()), node.args, strict=False)
        return self._function(name, dict(by_position) | node.kwargs)

    def _layer(self, layer: nn.Module) -> int:
        if isinstance(layer, NORMS):
            return self._batch_norm(layer)
        if isinstance(layer, nn.Linear) and len(_shape(self.node)) == 1:
            return self._add("dense", **self._weights(layer.weight, layer.bias))
        if isinstance(layer, CONVOLUTIONS):
            return self._conv(layer)
        raise self._unknown()

    def _function(self, name: str, options: dict[str, Any]) -> int:
        if name in SAME_WHEN_FLAT:
            return self._input()
        if name in FUNCTIONS:
            return self._add(name)
        if name == "leaky_relu":
            return self._add(name, slope=options.get("negative_slope", 0.01))
        if name == "interpolate" and options.get("mode", "nearest") == "nearest":
            return self._upsample()
        is_constant = options.get("mode", "constant") == "constant"
        if name == "pad" and is_constant and not options.get("value"):
            left, _, top, _ = options["pad"]
            return self._add("window", top=-top, left=-left)
        if name in ("cat", "concat") and self._is_along_channels():
            return self._add("cat", [self.values[node] for node in self.node.args[0]])
        if name in ("add", "iadd") and self._adds_values_of_one_shape():
            return self._add("add", [self.values[node] for node in self.node.args])
        raise self._unknown()

    def _is_along_channels(self) -> bool:
        args = self.node.args
        dim = args[1] if len(args) > 1 else self.node.kwargs.get("dim", 0)
        return dim % (1 + len(_shape(self.node))) == 1

    def _adds_values_of_one_shape(self) -> bool:
        shapes = [_shape(node) for node in self.node.args if node in self.values]
        return len(shapes) == 2 and shapes[0] == shapes[1] and not self.node.kwargs

    def _unknown(self, detail: str = "") -> UnknownLayerError:
        place, name = self.node.name, getattr(self.node.target, "__name__", self.node.target)
        for path, kind in self.node.meta.get("nn_module_stack", {}).values():
            if kind.__module__.startswith("torch."):
                place, name = path, kind.__name__
        return UnknownLayerError(
            f"the page cannot run the decoder's layer {place} ({name}){detail}; expected layers "
            f"of: {KNOWN}"
        )

    def _input(self) -> int:
        return self.values[self.node.args[0]]

    def _add(self, op: str, inputs: list[int] | None = None, **more: Any) -> int:
        """Append a step, of the node's first argument if no inputs are given, and number its
        value.
        """
        if inputs is None:
            inputs = [self._input()]
            more["before"] = list(_shape(self.node.args[0]))
        step = {"op": op, "in": inputs, "shape": list(_shape(self.node))}
        self.steps.append(step | more)
        return len(self.steps)

    def _upsample(self) -> int:
        before = _shape(self.node.args[0])[-2:]
        after = _shape(self.node)[-2:]
        by = after[0] // before[0]
        if after != (by * before[0], by * before[1]):
            raise self._unknown(f", upsampling of {before} to {after}, no whole factor")
        return self._add("upsample", by=by)

    def _weights(self, weight: Tensor, bias: Tensor | None) -> Step:
        if bias is None:
            bias = weight.new_zeros(_shape(self.node)[0])
        weights = {"weight": weight, "bias": bias}
        return {name: each.detach().float().cpu().clone() for name, each in weights.items()}

    def _conv(self, layer: nn.Conv2d | nn.ConvTranspose2d) -> int:
        if layer.groups != 1 or set(layer.dilation) != {1} or layer.padding_mode != "zeros":
            raise self._unknown(" with groups, dilation or a padding that is not zeros")
        pad = layer.padding
        if pad == "valid":
            pad = (0, 0)
        elif pad == "same":  # Of an even kernel, the odd row goes to the end.
            pad = [(k - 1) // 2 for k in layer.kernel_size]
        return self._add(
            "deconv" if isinstance(layer, nn.ConvTranspose2d) else "conv",
            kernel=list(layer.kernel_size),
            stride=list(layer.stride),
            pad=list(pad),
            **self._weights(layer.weight, layer.bias),
        )

    def _batch_norm(self, layer: nn.BatchNorm1d | nn.BatchNorm2d) -> int:
        """y = scale · x + shift by channel."""
        if layer.running_mean is None:
            raise self._unknown(" without running statistics")
        numbers = (layer.running_mean, layer.running_var, layer.weight, layer.bias)
        mean, var, weight, bias = (n if n is None else n.double().cpu() for n in numbers)
        rows = torch.eye(2, dtype=torch.float64)[:, 1:].expand(2, layer.num_features)
        shift, above = F.batch_norm(rows, mean, var, weight, bias, eps=layer.eps)
        return self._add("affine", **self._weights(above - shift, shift))


def _shape(node: fx.Node) -> Shape:
    """The shape of a node's value, without the batch."""
    return tuple(node.meta["tensor_meta"].shape[1:])


@torch.no_grad()
def run(plan: Plan, z: Tensor) -> Tensor:
    """What the page computes, in PyTorch: codes (n, n_in) to values (n, *shape). The twin of
    decoder.js, for whole batches.

    >>> decoder = nn.Sequential(nn.Linear(2, 3), nn.SiLU())
    >>> z = torch.ones(1, 2)
    >>> torch.allclose(run(plan(decoder, 2), z), decoder(z))
    True
    """
    values = [z.float()]
    for step in plan.steps:
        shape = (len(z), *step["shape"])
        inputs = [values[number].flatten(1) for number in step["in"]]
        if step["op"] == "cat":
            y = torch.cat(inputs, 1)
        elif step["op"] == "add":
            y = inputs[0] + inputs[1]
        else:
            x = inputs[0].reshape(len(z), *step["before"])
            y = _compute(step, x, shape)
        values.append(y.reshape(shape))
    return values[plan.out].reshape(len(z), *plan.shape)


def _compute(step: Step, x: Tensor, shape: Shape) -> Tensor:
    op = step["op"]
    if op in FUNCTIONS:
        return FUNCTIONS[op](x)
    if op == "leaky_relu":
        return F.leaky_relu(x, step["slope"])
    if op == "upsample":
        return x.repeat_interleave(step["by"], -2).repeat_interleave(step["by"], -1)
    if op == "window":
        return _window(x, step["top"], step["left"], shape)
    weight, bias = step["weight"], step["bias"]
    if op == "dense":
        return F.linear(x, weight, bias)
    if op == "affine":
        by_channel = x[0]
        return x * _column(weight, by_channel) + _column(bias, by_channel)
    top, left = step["pad"]
    if op == "conv":
        high, wide = step["kernel"]
        padded = F.pad(x, (left, wide, top, high))
        return _window(F.conv2d(padded, weight, bias, step["stride"]), 0, 0, shape)
    full = F.conv_transpose2d(x, weight, None, step["stride"])
    return _window(full, top, left, shape) + bias[:, None, None]


def _window(
    x: Tensor,
    top: int,
    left: int,
    shape: Shape,
) -> Tensor:
    """The rectangle of `shape` whose first pixel is (top, left) of x; zeros where it leaves x."""
    right = left + shape[-1] - x.shape[-1]
    bottom = top + shape[-2] - x.shape[-2]
    return F.pad(x, (-left, right, -top, bottom))
