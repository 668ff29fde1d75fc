"""What z is before any image is seen: p(z), which the latent term holds q(z given x) against.

N(0, I) is fixed; a flow and a generator are learned beside the autoencoder.
"""

from vaelab.posteriors import LOG_2_PI
from vaelab.priors.flow import FlowPrior
from vaelab.priors.generated import Generated
from vaelab.priors.prior import Prior, StandardNormal

__all__ = ["LOG_2_PI", "FlowPrior", "Generated", "Prior", "StandardNormal"]
