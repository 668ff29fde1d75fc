"""Interactive views: sliders that drive a picture. Each is one line in a notebook, and plain
objects in a test.

    from vaelab import widgets

    view = widgets.LatentTraversal(model, digits.test)
    view                                                   # as the last line of a cell: shows it
    view.sliders[0].value = 1.0                            # what a hand on the slider does
    view.image.value                                       # the PNG that the front end shows
    view.close()                                           # frees it

Pictures are PNG bytes drawn in the kernel. Images need no matplotlib, and figures redraw only what
moves, so that both follow a slider as it is dragged. The front end sends the next value of a slider
only when the kernel has drawn the last one, and always the newest: no frame waits in a queue.

- `latent_explorer`, `gamma_explorer`, `figure_explorer`: sliders for a function of your own.
- `LatentTraversal`: one image's code, moved along the directions that carry the most.
- `Interpolator`: the ways between two images' codes.
- `LineInterpolator`: two expressions, typed, and what lies between their codes.
- `PosteriorComparison`: q(z), what stands in for it, and N(0, I), for several models, brushed
  together.
- `gamma_path` and `GammaPath`: models trained at falling γ, and what falls with it.
- `ModelComparison`: two or more models, copying one picture and decoding one draw.
- `Quiz`: a question of a few choices that says why each is right or wrong.
- `TheoremOneView`, `TheoremTwoView`: the optima of the theorems under a slider for t = 1/γ.

An error while a control is moved stands in a line at the view's foot, and in `view.error`; the view
goes on.

Everything under a mouse is under the keyboard too: tab to a slider or a picture, then the arrow
keys. Views follow a dark theme and fit a telephone (`views.css`).
"""

from __future__ import annotations

from vaelab.interpolation import lerp, slerp
from vaelab.widgets._view import View
from vaelab.widgets.comparison import PosteriorComparison, PosteriorRow
from vaelab.widgets.explorers import figure_explorer, gamma_explorer, latent_explorer
from vaelab.widgets.gamma import GammaPath, gamma_path
from vaelab.widgets.latent import Interpolator, LatentTraversal
from vaelab.widgets.lines import LineInterpolator
from vaelab.widgets.models import ModelComparison
from vaelab.widgets.quiz import Quiz
from vaelab.widgets.theorems import TheoremOneView, TheoremTwoView

__all__ = [
    "GammaPath",
    "Interpolator",
    "LatentTraversal",
    "LineInterpolator",
    "ModelComparison",
    "PosteriorComparison",
    "PosteriorRow",
    "Quiz",
    "TheoremOneView",
    "TheoremTwoView",
    "View",
    "figure_explorer",
    "gamma_explorer",
    "gamma_path",
    "latent_explorer",
    "lerp",
    "slerp",
]
