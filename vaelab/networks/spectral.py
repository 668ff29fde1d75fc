"""A pair whose decoder is held smooth by its weights: spectral normalisation."""

from __future__ import annotations

import copy

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from vaelab._door import door
from vaelab.networks.layers import Networks
from vaelab.parts import recorded


@recorded
@door
def spectral(networks: Networks, last: bool = False) -> Networks:
    """The pair with its decoder's layers divided by their largest singular values, which become 1
    as far as power iteration has found them: fifteen steps at first, and one a step of training.

    Of a transposed convolution it is the singular value of the kernel as a matrix. Batch
    normalisation after a layer sets its scale anew, so that with it the decoder's slope is not
    bounded by 1.

    Source: Ghosh et al. (2020), Section 3.1, RAE-SN, who take all layers; Miyato et al. (2018).

    Args:
        networks: the pair, whose encoder is shared and whose decoder is copied.
        last: whether the last layer is divided too, as in the paper. Before a sigmoid it then
            cannot reach black and white, which is ruinous.

    >>> import torch
    >>> from vaelab.networks import mlp
    >>> _ = torch.manual_seed(0)
    >>> layer = spectral(mlp(6, latent_dim=2, hidden=(8, 8))).decoder.eval()[0].body[0]
    >>> round(torch.linalg.svdvals(layer.weight)[0].item(), 2)
    1.0
    """
    decoder = copy.deepcopy(networks.decoder)
    kinds = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
    layers = [layer for layer in decoder.modules() if isinstance(layer, kinds)]
    for layer in layers if last else layers[:-1]:
        spectral_norm(layer)
    return networks.changed(decoder=decoder)
