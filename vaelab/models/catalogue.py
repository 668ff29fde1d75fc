"""The catalogue: the models of the papers by name, each one line."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vaelab import likelihoods, posteriors, priors, terms
from vaelab._door import door, taken
from vaelab._inputs import check_callable, check_choice, check_options
from vaelab.grammar import Grammar, expressions
from vaelab.models.autoencoder import Autoencoder
from vaelab.models.second import SecondVAE
from vaelab.networks import Networks, fused, spectral

__all__ = [
    "ae",
    "ae_l2",
    "ce_vae",
    "character_rae",
    "cv_vae",
    "flow_prior_vae",
    "fused_vae",
    "gmmn_ae",
    "grammar_rae",
    "grammar_vae",
    "joint_vae",
    "prior_aae",
    "rae",
    "rae_gp",
    "rae_l2",
    "rae_sn",
    "vae",
    "vae_flow",
    "wae_gan",
    "wae_mmd",
]  # The models, which `vaelab.models`, the command line and the estimators find here.


@door
def vae(
    networks: Networks,
    gamma: float | str = "learned",
    beta: float = 1.0,
    full: bool = False,
    draws: int = 1,
) -> Autoencoder:
    """The Gaussian VAE (Dai & Wipf 2019): γ "learned", "optimal" or fixed; β ≠ 1 makes it a β-VAE.

    Args:
        networks: encoder and decoder.
        gamma: the decoder variance, or how it is found.
        beta: the weight of the KL, ≥ 0.
        full: whether Σ_z is a full matrix (Definition 1) instead of a diagonal one.
        draws: codes drawn for an image in each step.
    """
    head = posteriors.FullGaussian if full else posteriors.DiagonalGaussian
    likelihood = likelihoods.Gaussian(gamma)
    kl = terms.KL(beta)
    return Autoencoder(networks, head(networks), likelihood, latent_term=kl, draws=draws)


def vae_flow(
    networks: Networks,
    gamma: float | str = "learned",
    transforms: int = 4,
    hidden: Sequence[int] = (128, 128),
    n_context: int = 64,
) -> Autoencoder:
    """The VAE with a normalizing flow on its encoder, the "flow" row of Dai & Wipf (2019), Table 1.

    The paper does not say which flow; this one is of affine couplings. Its KL is estimated at one
    draw.

    Args:
        networks: encoder and decoder.
        gamma: as for `vae`.
        transforms, hidden, n_context: as for `posteriors.FlowGaussian`.
    """
    posterior = posteriors.FlowGaussian(networks, transforms, hidden, n_context)
    return Autoencoder(networks, posterior, likelihoods.Gaussian(gamma))


@door
def ce_vae(networks: Networks) -> Autoencoder:
    """The VAE with a cross-entropy decoder (Dai & Wipf 2019, Table 1); the networks must end in a
    sigmoid.

    Raises:
        ValueError: an mlp without `output="sigmoid"`.
    """
    if networks.unit is False:
        raise ValueError(
            'networks: cross-entropy needs outputs in [0, 1]; build the mlp with output="sigmoid"'
        )
    return Autoencoder(networks, likelihood=likelihoods.CrossEntropy())


def ae(networks: Networks) -> Autoencoder:
    """A plain autoencoder: point codes, squared error, no latent term."""
    return rae(networks, 0.0, gamma=1.0)


def rae(
    networks: Networks,
    beta: float = 0.01,
    gamma: float = 0.5,
    decoder_term: terms.Term | Sequence[terms.Term] = (),
) -> Autoencoder:
    """A regularised autoencoder (Ghosh et al. 2020, Eq. 11): point codes, ‖x − x_hat‖² + β ½‖z‖²,
    and what keeps the decoder smooth.

    With γ = ½ the data term is the sum of squared errors. The weights of the authors' code are of
    means over pixels and directions; `experiments.weights` converts them.

    Args:
        networks: encoder and decoder.
        beta: β ≥ 0, beside ‖x − x_hat‖² / 2γ; 0 makes it a plain autoencoder.
        gamma: the decoder variance.
        decoder_term: one or several.
    """
    point = posteriors.PointHead(networks)
    squares, norm = likelihoods.Gaussian(gamma), terms.SquaredNorm(beta)
    return Autoencoder(networks, point, squares, latent_term=norm, decoder_term=decoder_term)


def rae_l2(networks: Networks, beta: float = 0.01, weight: float = 1e-4) -> Autoencoder:
    """RAE-L2: λ ‖θ‖² of the decoder's weights beside `rae`; λ = `weight`."""
    return rae(networks, beta, decoder_term=terms.WeightNorm(weight))


def rae_gp(networks: Networks, beta: float = 0.01, weight: float = 1e-3) -> Autoencoder:
    """RAE-GP: λ ‖∂D/∂z‖² of the decoder beside `rae`, by one probe; λ = `weight`."""
    return rae(networks, beta, decoder_term=terms.GradientPenalty(weight))


def rae_sn(networks: Networks, beta: float = 0.01, last: bool = False) -> Autoencoder:
    """RAE-SN: `rae` with a spectrally normalised decoder; `last` as for `networks.spectral`."""
    return rae(spectral(networks, last), beta)


def ae_l2(networks: Networks, weight: float = 1e-4) -> Autoencoder:
    """AE-L2: λ ‖θ‖² of the decoder's weights beside a plain autoencoder; λ = `weight`."""
    return rae_l2(networks, 0.0, weight)


def cv_vae(networks: Networks, gamma: float | str = 0.02, sigma: float = 0.7) -> Autoencoder:
    """CV-VAE: a VAE whose q(z given x) has one variance σ² for all images and directions, so that
    the KL is ½‖μ‖² up to a constant (Ghosh et al. 2020, Eq. 10).

    Args:
        networks: encoder and decoder.
        gamma: the decoder variance, as for `vae`.
        sigma: σ > 0, a standard deviation as in the authors' code.
    """
    constant = posteriors.ConstantGaussian(networks, sigma)
    return Autoencoder(networks, constant, likelihoods.Gaussian(gamma))


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
    point = posteriors.PointHead(networks)
    likelihood = likelihoods.Gaussian(gamma)
    return Autoencoder(networks, point, likelihood, latent_term=terms.MMD(weight))


@door
def wae_gan(
    networks: Networks,
    weight: float = 10.0,
    gamma: float = 0.5,
    hidden: Sequence[int] = (512, 512, 512, 512),
    rate: float = 4.0,
) -> Autoencoder:
    """WAE-GAN (Tolstikhin et al. 2018), which with N(0, I) is the adversarial autoencoder, AAE, of
    Makhzani et al. (2016): point codes, ‖x − x_hat‖² − λ log D(z).

    Args:
        networks: encoder and decoder.
        weight: λ ≥ 0, beside ‖x − x_hat‖² / 2γ, which grows with the image: 10 suits 28×28, 1 suits
            8×8.
        gamma: the decoder variance.
        hidden, rate: of the discriminator, as for `terms.Adversary`.
    """
    adversary = terms.Adversary(networks.latent_dim, weight, hidden, rate)
    point = posteriors.PointHead(networks)
    return Autoencoder(networks, point, likelihoods.Gaussian(gamma), latent_term=adversary)


@door
def flow_prior_vae(
    networks: Networks,
    gamma: float | str = "learned",
    beta: float = 1.0,
    transforms: int = 6,
    hidden: Sequence[int] = (64, 64),
) -> Autoencoder:
    """A VAE whose prior is a flow, trained beside it ("Empirical observations pertaining to learned
    priors", Section 2.1).

    At β = 0 the encoder and the decoder learn as if the flow were not there: it is then a density
    fitted to the codes, as `densities.Flow` is afterwards.

    Args:
        networks: encoder and decoder.
        gamma: as for `vae`.
        beta: the weight of the KL for encoder and decoder, ≥ 0; the flow learns at full weight.
        transforms, hidden: of the flow, as for `flows.Couplings`.
    """
    prior = priors.FlowPrior(networks.latent_dim, transforms, hidden)
    likelihood = likelihoods.Gaussian(gamma)
    return Autoencoder(networks, likelihood=likelihood, prior=prior, latent_term=terms.KL(beta))


def prior_aae(
    networks: Networks,
    beta: float = 1.0,
    gamma: float = 0.05,
    hidden: Sequence[int] = (128, 128),
    penalty: float = 1.0,
) -> Autoencoder:
    """Prior-AAE: an adversarial autoencoder whose prior is a generator, trained beside it
    ("Empirical observations pertaining to learned priors", Section 2.1).

    Args:
        networks: encoder and decoder.
        beta: the weight of the adversary for the encoder, ≥ 0; the generator learns at full weight.
        gamma: the decoder variance.
        hidden: widths of the ReLU layers of generator and discriminator.
        penalty: R1 on the codes, as for `terms.Adversary`; without it the models differ by seed.
    """
    point, likelihood = posteriors.PointHead(networks), likelihoods.Gaussian(gamma)
    prior = priors.Generated(networks.latent_dim, hidden)
    adversary = terms.Adversary(networks.latent_dim, beta, hidden, rate=1.0, penalty=penalty)
    return Autoencoder(networks, point, likelihood, prior, adversary)


def gmmn_ae(
    networks: Networks,
    beta: float = 0.0,
    gamma: float = 0.05,
    hidden: Sequence[int] = (128, 128),
    scales: Sequence[float] = (0.05, 0.2, 1.0, 4.0),
) -> Autoencoder:
    """An autoencoder whose prior is a generative moment-matching network (Li et al. 2015), trained
    beside it by MMD² of Gaussian kernels.

    Args:
        networks: encoder and decoder.
        beta: the weight of MMD² for the encoder, ≥ 0; the generator learns at full weight.
        gamma: the decoder variance.
        hidden: widths of the generator's ReLU layers.
        scales: σ² / κ of the kernels, on standardised codes.
    """
    point, likelihood = posteriors.PointHead(networks), likelihoods.Gaussian(gamma)
    prior = priors.Generated(networks.latent_dim, hidden, "uniform")
    return Autoencoder(networks, point, likelihood, prior, terms.MMD(beta, scales, "gaussian"))


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


@door
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
        hidden, init: of the second stage, as for `SecondVAE`.
    """
    second = SecondVAE(networks.latent_dim, hidden, init=init)
    likelihood = likelihoods.Gaussian(gamma)
    return Autoencoder(networks, likelihood=likelihood, latent_term=[terms.KL(), second])


def grammar_rae(
    networks: Networks, grammar: Grammar | None = None, beta: float = 0.01
) -> Autoencoder:
    """GrammarRAE (Ghosh et al. 2020, Section 6.2): point codes, rules of a grammar, β ½‖z‖².

    The paper does not say which regulariser and which β it used.

    Args:
        networks: a pair for lines, `networks.sequence`, with as many rules as the grammar.
        grammar: arithmetic expressions unless given.
        beta: the weight of ½‖z‖², ≥ 0.
    """
    point = posteriors.PointHead(networks)
    rules = likelihoods.Rules(grammar or expressions())
    return Autoencoder(networks, point, rules, latent_term=terms.SquaredNorm(beta))


def grammar_vae(
    networks: Networks, grammar: Grammar | None = None, beta: float = 0.04
) -> Autoencoder:
    """The Grammar VAE (Kusner, Paige & Hernández-Lobato 2017).

    With β = 1 it collapses on expressions: a grammar and the frequency of its rules already give
    nearly the data's entropy, and z has nothing to pay for. The authors' code averages the KL over
    the dimensions of z, which is a β of 1/κ, 0.04 with κ = 25.

    Args:
        networks, grammar: as for `grammar_rae`.
        beta: the weight of the KL, ≥ 0.
    """
    rules = likelihoods.Rules(grammar or expressions())
    return Autoencoder(networks, likelihood=rules, latent_term=terms.KL(beta))


def character_rae(
    networks: Networks, grammar: Grammar | None = None, beta: float = 0.01
) -> Autoencoder:
    """The same on the bare terminals of a grammar, without its rules: the character-level baseline.

    Its lines are those of `grammar.characters()`, and nothing makes them valid.

    Args:
        networks: with `n_rules` of that grammar.
        grammar, beta: as for `grammar_rae`.
    """
    return grammar_rae(networks, (grammar or expressions()).characters(), beta)


CATALOGUE: dict[str, Callable[..., Autoencoder]] = {name: globals()[name] for name in __all__}


def build(
    model: str | Callable[..., Autoencoder], networks: Networks, options: Mapping[str, Any]
) -> Autoencoder:
    """A model by its name in the catalogue, or by its function.

    Args:
        model: such as "wae_mmd" or "wae-mmd", or a function of networks that gives an autoencoder.
        networks: encoder and decoder.
        options: what else it is called with.

    Raises:
        ValueError: an unknown name. TypeError: options that it does not take.

    >>> from vaelab import networks
    >>> build("wae-mmd", networks.mlp(3, latent_dim=2), {"weight": 5.0}).terms["mmd"].weight
    5.0
    """
    options = taken("options", options, Mapping[str, Any])
    if isinstance(model, str):
        name = check_choice("model", model.replace("-", "_"), CATALOGUE)
        make: Any = CATALOGUE[name]
    else:
        make = check_callable("model", model)
    check_options(make, options, list(inspect.signature(make).parameters)[1:])
    return make(networks, **options)
