"""Jacobians and Hessians of maps that act row by row, by automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vaelab._door import door


@door
def row_jacobian(f: Callable[[Tensor], Tensor], x: Tensor, keep_graph: bool = False) -> Tensor:
    """∂f_i / ∂x_j of every row, for f from (n, r) to (n, d) acting row by row; shape (n, d, r).

    >>> row_jacobian(lambda x: x.square(), torch.tensor([[1.0, 3.0]])).tolist()
    [[[2.0, 0.0], [0.0, 6.0]]]
    """
    with torch.enable_grad():
        if not (keep_graph and x.requires_grad):
            x = x.detach().requires_grad_()
        columns = f(x).sum(0)
        rows = [_gradient(column, x, keep_graph) for column in columns]
    return torch.stack(rows, 1)


def _gradient(column: Tensor, x: Tensor, keep_graph: bool) -> Tensor:
    if not column.requires_grad:
        return torch.zeros_like(x)
    (g,) = torch.autograd.grad(
        column,
        x,
        create_graph=keep_graph,
        retain_graph=True,
        materialize_grads=True,
    )
    return g


@door
def row_hessian(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """∂²f_i / ∂x_j ∂x_k of every row; shape (n, d, r, r).

    >>> row_hessian(lambda x: x.square(), torch.tensor([[1.0]])).tolist()
    [[[[2.0]]]]
    """
    n, r = x.shape

    def slopes(y: Tensor) -> Tensor:
        return row_jacobian(f, y, keep_graph=True).reshape(n, -1)

    return row_jacobian(slopes, x).reshape(n, -1, r, r)
