"""Curves along the ways between two pictures, with one line at the place where the reader is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from vaelab.widgets.drawing import LEGIBLE, Drawing, Plot, dress

STYLES = ("-", "--")  # Straight and arc, which take turns.


class Curves(Drawing):
    """A panel for each measure, a curve in it for each way, a line at t.

    Args:
        ways: their names; of each two, the straight one and the arc, which share a colour.
    """

    def __init__(self, ways: Sequence[str]) -> None:
        super().__init__("what is known along the ways", 420)
        self.ways = ways

    def lay(self, measures: Mapping[str, Tensor]) -> None:
        """Draw measures by name, shape (ways, T) each, at T even steps from 0 to 1."""
        width = 4.2 * len(measures)
        self.layout.min_width = f"{100 * LEGIBLE * width:.0f}px"
        figure = Figure(figsize=(width, 2.5), dpi=100, layout="constrained")
        axes = figure.subplots(1, len(measures), squeeze=False)[0]
        self._cursors = []
        for ax, (name, values) in zip(axes, measures.items(), strict=True):
            t = np.linspace(0, 1, values.shape[1])
            for k, (way, curve) in enumerate(zip(self.ways, values, strict=True)):
                style = {"color": f"C{k // 2}", "linestyle": STYLES[k % 2]}
                ax.plot(t, curve.cpu(), label=way, **style)
            ax.set(xlabel="t", xlim=(0, 1))
            dress(ax, name)
            self._cursors.append(ax.axvline(0.5, color="0.3", linewidth=1))
        figure.legend(
            *axes[0].get_legend_handles_labels(),
            loc="outside lower center",
            fontsize=7,
            frameon=False,
            ncols=2 * len(measures),
        )
        self._plot = Plot(figure, self._cursors)

    def mark(self, t: float) -> None:
        """Move the line to t and send the picture."""
        for cursor in self._cursors:
            cursor.set_xdata([t, t])
        self.value = self._plot.png()
