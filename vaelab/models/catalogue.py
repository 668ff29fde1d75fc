"""The catalogue: the models of the papers by name, each one line."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from vaelab import likelihoods, posteriors, regularizers
from vaelab.models.autoencoder import Autoencoder, Joint
from vaelab.networks import Networks, fused


def vae(
    networks: Networks, gamma: float | str = "learned", beta: float = 1.0, full: bool = False
) -> Autoencoder:
    """The Gaussian VAE (Dai & Wipf 2019): γ "learned", "optimal" or fixed; β ≠ 1 makes it a β-VAE.

    Args:
        networks: encoder and decoder.
        gamma: the decoder variance, or how it is found.
        beta: the weight of the KL, ≥ 0.
        full: whether Σ_z is a full matrix (Definition 1) instead of a diagonal one.
    """
    head = posteriors.FullGaussian if full else posteriors.DiagonalGaussian
    return Autoencoder(networks, head, likelihoods.Gaussian(gamma), regularizers.KL(beta))


def vae_flow(
    networks: Networks,
    gamma: float | str = "learned",
    transforms: int = 4,
    hidden: Sequence[int] = (128, 128),
    n_context: int = 64,
) -> Autoencoder:
    """The VAE with a normalizing flow on its encoder, the "flow" row of Dai & Wipf (2019), Table 1;
    needs zuko.

    The paper does not say which flow; this one is of affine couplings. Its KL is estimated at one
    draw.

    Args:
        networks: encoder and decoder.
        gamma: as for `vae`.
        transforms, hidden, n_context: as for `posteriors.FlowGaussian`.

    Raises:
        ModuleNotFoundError: zuko is not installed.
    """
    head = partial(
        posteriors.FlowGaussian, transforms=transforms, hidden=hidden, n_context=n_context
    )
    return Autoencoder(networks, head, likelihoods.Gaussian(gamma), regularizers.KL())


def ce_vae(networks: Networks) -> Autoencoder:
    """The VAE with a cross-entropy decoder (Dai & Wipf 2019, Table 1); the networks must end in a
    sigmoid.

    Raises:
        ValueError: an mlp without `output="sigmoid"`.
    """
    if networks.spec.get("output") == "identity":
        raise ValueError(
            'networks: cross-entropy needs outputs in [0, 1]; build the mlp with output="sigmoid"'
        )
    return Autoencoder(
        networks, posteriors.DiagonalGaussian, likelihoods.CrossEntropy(), regularizers.KL()
    )


def ae(networks: Networks) -> Autoencoder:
    """A plain autoencoder: point codes, squared error, no latent term."""
    return Autoencoder(
        networks, posteriors.PointHead, likelihoods.Gaussian(1.0), regularizers.SquaredNorm(0.0)
    )


def wae_mmd(networks: Networks, weight: float = 30.0, gamma: float = 0.5) -> Autoencoder:
    """WAE-MMD (Tolstikhin et al. 2018): point codes, ‖x − x_hat‖² + λ MMD²(q(z), N(0, I)).

    With γ = ½ the data term is the sum of squared errors, and on that scale λ is 30.7 for MNIST,
    18.4 for CIFAR-10 and 2000 for CelebA in the code of Ghosh et al. (2020); what Dai & Wipf
    (2019), Table 1, used they do not say.

    Args:
        networks: encoder and decoder.
        weight: λ ≥ 0, beside ‖x − x_hat‖² / 2γ.
        gamma: the decoder variance.
    """
    return Autoencoder(
        networks, posteriors.PointHead, likelihoods.Gaussian(gamma), regularizers.MMD(weight)
    )


def wae_gan(
    networks: Networks,
    weight: float = 10.0,
    gamma: float = 0.5,
    hidden: Sequence[int] = (512, 512, 512, 512),
    rate: float = 4.0,
) -> Autoencoder:
    """WAE-GAN (Tolstikhin et al. 2018), an adversarial autoencoder: point codes, ‖x − x_hat‖² − λ
    log D(z).

    Args:
        networks: encoder and decoder.
        weight: λ ≥ 0, beside ‖x − x_hat‖² / 2γ, which grows with the image: 10 suits 28×28, 1 suits
            8×8.
        gamma: the decoder variance.
        hidden, rate: of the discriminator, as for `regularizers.Adversary`.
    """
    adversary = regularizers.Adversary(networks.latent_dim, weight, hidden, rate)
    return Autoencoder(networks, posteriors.PointHead, likelihoods.Gaussian(gamma), adversary)


def fused_vae(
    networks: Networks, gamma: float | str = "learned", hidden: Sequence[int] = (1024, 1024, 1024)
) -> Autoencoder:
    """Both stages' networks as one VAE, with one objective: the ablation "fused" (Dai & Wipf 2019,
    Section 4).

    Args:
        networks: the first stage's.
        gamma: as for `vae`.
        hidden: widths of the second stage's layers.
    """
    return vae(fused(networks, hidden), gamma)


def joint_vae(
    networks: Networks,
    gamma: float | str = "learned",
    hidden: Sequence[int] = (1024, 1024, 1024),
    init: float = 0.1,
) -> Autoencoder:
    """Both stages trained together on the sum of their objectives: the ablation "joint" (Dai & Wipf
    2019, Section 4).

    Args:
        networks: the first stage's.
        gamma: of the first stage, as for `vae`.
        hidden, init: of the second stage, as for `Joint`.
    """
    second = Joint(networks.latent_dim, hidden, init=init)
    return Autoencoder(networks, posteriors.DiagonalGaussian, likelihoods.Gaussian(gamma), second)
