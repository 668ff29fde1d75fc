"""Pages without code: the views of `vaelab.widgets` in a browser, served by Voilà from this
machine.

    vaelab dashboards                        # a small model that comes with the package
    vaelab dashboards runs/mnist-infogan     # a model that `vaelab train` wrote

Three pages: a latent traversal, q(z) beside its stand-ins, and what falling γ does (a small model
of digits, which comes with the package). Each visitor has a Python process of their own, which ends
with the visit. Visitors move sliders and choose from lists; nothing they send is run. The server
answers on 127.0.0.1 alone, and asks for a token unless told not to.
"""

from __future__ import annotations

from vaelab.apps.dashboards.pages import PAGES, gamma_path, posteriors, traversal, write_pages
from vaelab.apps.dashboards.preparing import Opened, open_model

__all__ = [
    "PAGES",
    "Opened",
    "gamma_path",
    "open_model",
    "posteriors",
    "traversal",
    "write_pages",
]
