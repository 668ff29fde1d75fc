"""Adam as torch steps it, without what torch asks anew at every step."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

_KERNELS: Any = torch  # Whose stubs leave the two kernels out.


class Adam(torch.optim.Adam):
    """torch's Adam. Where it is fused, on a CPU, its kernel is called on the tensors of the last
    step, which torch would gather and sort again: a tenth of a small model's step, and the same
    bytes.
    """

    _gathered: list[list[list[Tensor]]] | None = None  # A group's weights and moments, and steps.

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(dict(state_dict))
        self._gathered = None

    @torch.no_grad()
    def advance(self) -> None:
        """Take a step, as `step` does."""
        if not self._is_plain:
            self.step()
            return
        grads = [[p.grad for p in group["params"]] for group in self.param_groups]
        whole = all(grad is not None for some in grads for grad in some)
        if self._gathered is None or not whole:
            self.step()
            self._gathered = self._gather() if whole else None
            return
        _KERNELS._foreach_add_([step for *_, steps in self._gathered for step in steps], 1)
        for group, some, tensors in zip(self.param_groups, grads, self._gathered, strict=True):
            weights, means, squares, steps = tensors
            beta1, beta2 = group["betas"]
            options = {name: group[name] for name in ("lr", "weight_decay", "eps")}
            options |= {"beta1": beta1, "beta2": beta2, "amsgrad": False, "maximize": False}
            _KERNELS._fused_adam_(weights, some, means, squares, [], steps, **options)

    @cached_property
    def _is_plain(self) -> bool:
        """Whether the kernel takes all of it as it is, on a CPU, where torch would have to sort."""
        weights = [p for group in self.param_groups for p in group["params"]]
        kinds = {(p.device.type, p.dtype) for p in weights}
        return self.defaults["fused"] and len(kinds) == 1 and weights[0].device.type == "cpu"

    def _gather(self) -> list[list[list[Tensor]]]:
        """What the kernel takes beside the gradients."""
        names = ("exp_avg", "exp_avg_sq", "step")
        return [
            [group["params"], *([self.state[p][name] for p in group["params"]] for name in names)]
            for group in self.param_groups
        ]
