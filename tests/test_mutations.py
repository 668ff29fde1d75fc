"""The checks can fail: each slip that a person makes, put into the code, turns the check that
guards it red.
"""

import inspect
import sys
import textwrap

import pytest
import test_densities
import test_likelihoods
import test_metrics
import test_models
import test_networks
import test_posteriors
import test_regularizers
import test_training

from vaelab import (
    densities,
    likelihoods,
    metrics,
    models,
    networks,
    posteriors,
    regularizers,
    training,
)


def put(monkeypatch, owner, name, old, new):
    """Replace a function by one whose source has `new` for `old`."""
    function = inspect.getattr_static(owner, name)
    function = getattr(function, "fget", function)
    source, home = textwrap.dedent(inspect.getsource(function)), sys.modules[function.__module__]
    assert old in source, f"{name} no longer contains {old!r}"
    scope = dict(vars(home))
    exec(compile(source.replace(old, new), f"<{name} with a slip>", "exec"), scope)
    for place in (
        (owner,) if inspect.isclass(owner) else (owner, home)
    ):  # a package shows what a module of it holds
        monkeypatch.setattr(place, name, scope[name])


KL_DIAGONAL = (posteriors.DiagonalNormal, "kl_to_standard_normal")
KL_FULL = (posteriors.FullNormal, "kl_to_standard_normal")
NLL = (likelihoods.Gaussian, "nll")


def kl(kind):
    return lambda: test_posteriors.test_kl_is_that_of_torch(kind)


def frechet():
    test_metrics.test_frechet_distance_is_that_of_scipys_root(3, 0)


def mmd():
    with pytest.MonkeyPatch.context() as patch:
        test_metrics.test_mmd_is_the_double_loop(7, patch)


def moments(kind="diagonal"):
    test_posteriors.test_draws_have_the_mean_and_covariance_that_q_says(kind)


def bare_loop():
    test_training.test_fit_is_the_bare_loop(0.0)


def second_stage_noise():
    second = test_densities.small_stage(epochs=2).fit_codes(test_densities.clusters())
    test_densities.test_noise_is_on_for_z_and_off_for_x({"second stage": second})


SLIPS = {
    "KL without the ½": (*KL_DIAGONAL, "0.5 * (terms", "(terms", kl("diagonal")),
    "KL as a mean over the latent dimensions": (
        *KL_DIAGONAL,
        "terms.sum(-1)",
        "terms.mean(-1)",
        kl("diagonal"),
    ),
    "KL with the sign of log σ² flipped": (
        *KL_DIAGONAL,
        "- self.log_var",
        "+ self.log_var",
        kl("diagonal"),
    ),
    "KL with σ for σ²": (*KL_DIAGONAL, "self.sigma.square()", "self.sigma", kl("diagonal")),
    "KL with log σ for log σ²": (
        *KL_DIAGONAL,
        "- self.log_var",
        "- 0.5 * self.log_var",
        kl("diagonal"),
    ),
    "KL without the −κ": (*KL_DIAGONAL, " - self.mean.shape[-1]", "", kl("diagonal")),
    "full KL without the ½": (*KL_FULL, "0.5 * (quadratic", "(quadratic", kl("full")),
    "full KL with log det S for log det Σ": (
        posteriors.FullNormal,
        "_log_det",
        "2 * ",
        "",
        kl("full"),
    ),
    "full KL with tr S for tr S Sᵀ": (
        *KL_FULL,
        "self.scale_tril.square()",
        "self.scale_tril",
        kl("full"),
    ),
    "σ² for σ in the draw": (
        posteriors.DiagonalNormal,
        "rsample",
        "self.sigma, eps",
        "self.sigma.square(), eps",
        moments,
    ),
    "log σ² for σ in the draw": (
        posteriors.DiagonalNormal,
        "rsample",
        "self.sigma, eps",
        "self.log_var, eps",
        moments,
    ),
    "log σ read for log σ²": (
        posteriors.DiagonalGaussian,
        "forward",
        "(0.5 * raw).exp(), raw",
        "raw.exp(), raw",
        test_posteriors.test_diagonal_head_reads_log_sigma_squared,
    ),
    "softplus read as σ²": (
        posteriors.DiagonalGaussian,
        "forward",
        "F.softplus(raw)",
        "F.softplus(raw).sqrt()",
        test_posteriors.test_infogan_head_reads_sigma_through_a_softplus,
    ),
    "log q without the normalisation": (
        posteriors.DiagonalNormal,
        "log_prob",
        " + self.mean.shape[-1] * LOG_2_PI",
        "",
        lambda: test_posteriors.test_log_prob_is_that_of_torch("diagonal"),
    ),
    "S for S Sᵀ": (
        posteriors.FullNormal,
        "covariance",
        "self.scale_tril @ self.scale_tril.mT",
        "self.scale_tril",
        lambda: moments("full"),
    ),
    "eigenvalues that are standard deviations": (
        posteriors.DiagonalNormal,
        "eigenvalues",
        "self.sigma.square()",
        "self.sigma",
        lambda: test_posteriors.test_eigenvalues_are_those_of_the_covariance_in_ascending_order(
            "diagonal"
        ),
    ),
    "NLL without the ½": (
        *NLL,
        "return 0.5 * ",
        "return ",
        test_likelihoods.test_nll_is_that_of_torch_with_gamma_as_variance,
    ),
    "γ as a standard deviation": (
        *NLL,
        "torch.exp(-self.log_gamma)",
        "torch.exp(-2 * self.log_gamma)",
        test_likelihoods.test_nll_is_that_of_torch_with_gamma_as_variance,
    ),
    "NLL as a mean over the pixels": (
        *NLL,
        ".square().sum(1)",
        ".square().mean(1)",
        test_likelihoods.test_nll_is_the_data_term_of_equation_8_pixel_by_pixel,
    ),
    "log γ counted once an image": (
        *NLL,
        "d * (self.log_gamma + math.log(2 * math.pi))",
        "self.log_gamma + d * math.log(2 * math.pi)",
        test_likelihoods.test_nll_is_the_data_term_of_equation_8_pixel_by_pixel,
    ),
    "the sign of log γ flipped": (
        *NLL,
        "d * (self.log_gamma",
        "d * (-self.log_gamma",
        lambda: test_likelihoods.test_gradient_of_log_gamma_vanishes_at_the_mean_squared_error(1.0),
    ),
    "the factor 2 of Equation 8 as printed": (
        *NLL,
        "(squared_error * torch",
        "(2 * squared_error * torch",
        lambda: test_likelihoods.test_gradient_of_log_gamma_vanishes_at_the_mean_squared_error(1.0),
    ),
    "optimal γ from the summed error": (
        *NLL,
        ".mean()) / d)",
        ".mean()))",
        test_likelihoods.test_optimal_gamma_ends_at_the_mean_squared_error,
    ),
    "optimal γ as a root": (
        likelihoods.Gaussian,
        "_follow",
        "self.log_gamma.copy_(gamma.log())",
        "self.log_gamma.copy_(0.5 * gamma.log())",
        test_likelihoods.test_optimal_gamma_ends_at_the_mean_squared_error,
    ),
    "γ reported as √γ": (
        likelihoods.Gaussian,
        "gamma",
        "math.exp(self.log_gamma.item())",
        "math.exp(0.5 * self.log_gamma.item())",
        test_likelihoods.test_nll_is_the_data_term_of_equation_8_pixel_by_pixel,
    ),
    "cross-entropy as a mean": (
        likelihoods.CrossEntropy,
        "nll",
        ".sum(1)",
        ".mean(1)",
        test_likelihoods.test_cross_entropy_is_bernoulli_for_bits,
    ),
    "β left out": (
        regularizers.KL,
        "__call__",
        "self.beta * kl",
        "kl",
        lambda: test_regularizers.test_kl_carries_its_weight(0.5),
    ),
    "‖z‖² without the ½": (
        regularizers.SquaredNorm,
        "__call__",
        "0.5 * self.beta",
        "self.beta",
        lambda: test_regularizers.test_squared_norm_is_half_the_squared_length(1),
    ),
    "WAE's MMD with the diagonal in": (
        regularizers.MMD,
        "__call__",
        "(others * (imq",
        "(1 * (imq",
        lambda: test_regularizers.test_mmd_is_the_mean_over_pairs(1.0),
    ),
    "WAE's MMD with the cross term once": (
        regularizers.MMD,
        "__call__",
        "within - 2 * imq",
        "within - imq",
        lambda: test_regularizers.test_mmd_is_the_mean_over_pairs(1.0),
    ),
    "the discriminator's loss in the encoder's": (
        regularizers.Adversary,
        "forward",
        "(own - own.detach())",
        "own",
        test_regularizers.test_adversary_is_minus_log_d,
    ),
    "a discriminator that helps the encoder": (
        regularizers.Adversary,
        "forward",
        "name: p.detach()",
        "name: p",
        test_regularizers.test_each_player_gets_the_gradient_of_its_own_loss_and_no_other,
    ),
    "an encoder that helps the discriminator": (
        regularizers.Adversary,
        "forward",
        "self.own_loss(z.detach()",
        "self.own_loss(z",
        test_regularizers.test_each_player_gets_the_gradient_of_its_own_loss_and_no_other,
    ),
    "the sign of the flow's log-determinant flipped": (
        posteriors.FlowNormal,
        "log_prob",
        "- log_det",
        "+ log_det",
        test_posteriors.test_log_prob_of_a_flow_is_the_change_of_variables,
    ),
    "log q + log p for the KL": (
        posteriors.FlowNormal,
        "kl_at",
        "self.log_prob(z) + 0.5",
        "self.log_prob(z) - 0.5",
        test_posteriors.test_a_flow_is_a_density_and_kl_at_is_unbiased,
    ),
    "joint training without the first KL": (
        models.Joint,
        "forward",
        "q.kl_at(z) + sum(",
        "sum(",
        test_models.test_joint_training_minimises_both_objectives_in_one_sum,
    ),
    "SAME padding with its odd zero before": (
        networks.parts,
        "same_padding",
        "total // 2, total - total // 2",
        "total - total // 2, total // 2",
        lambda: test_networks.test_convolutions_are_tensorflows(8, 3, 2),
    ),
    "every image mirrored": (
        training.feed.Feed,
        "batch",
        "< 0.5",
        "< 1.5",
        test_training.test_half_of_the_images_are_mirrored_each_time,
    ),
    "the mean code decoded in training": (
        models.Autoencoder,
        "loss_terms",
        "q.rsample(generator)",
        "q.mean",
        test_models.test_the_objective_is_the_negative_elbo,
    ),
    "the loss summed over the batch": (training.loop, "_step", ".mean(-1)", ".sum(-1)", bare_loop),
    "gradients that pile up": (
        training.loop,
        "_step",
        "state.optimizer.zero_grad()",
        "pass",
        bare_loop,
    ),
    "γ's step size lost": (
        training.state._State,
        "__init__",
        '["lr"] * settings["gamma_lr"]',
        '["lr"]',
        lambda: test_training.test_log_gamma_has_a_step_size_of_its_own(7.0),
    ),
    "weight decay on γ": (
        training.state._State,
        "__init__",
        '"weight_decay": 0.0',
        '"weight_decay": 1e6',
        test_training.test_weight_decay_does_not_touch_gamma,
    ),
    "one frozen draw of the codes": (
        training.feed.Feed,
        "batch",
        "rows.rsample(generator)",
        "rows.mean",
        test_training.test_posteriors_are_drawn_afresh_at_every_step,
    ),
    "second stage without its noise": (
        densities.SecondStage,
        "sample",
        " + math.sqrt(self.vae.gamma) * noise",
        "",
        second_stage_noise,
    ),
    "second stage with γ as a standard deviation": (
        densities.SecondStage,
        "sample",
        "math.sqrt(self.vae.gamma)",
        "self.vae.gamma ** 2",
        second_stage_noise,
    ),
    "importance weights without q": (
        densities,
        "log_prob_mc",
        " - q.log_prob(z)",
        "",
        test_densities.test_one_draw_is_exact_where_the_posterior_is,
    ),
    "mean of logs for log of mean": (
        densities,
        "log_prob_mc",
        ".logsumexp(0) - math.log(n_samples)",
        ".mean(0)",
        test_densities.test_many_draws_come_near_where_it_is_not,
    ),
    "MMD with the cross term once": (metrics, "mmd2", "- 2 * _mean", "- _mean", mmd),
    "MMD with the diagonal in": (
        metrics.distances,
        "_mean_within",
        "square.sum() - square.trace()",
        "square.sum()",
        mmd,
    ),
    "a kernel of distances for one of squares": (
        metrics.distances,
        "_squared_distances",
        "(min=0)",
        "(min=0).sqrt_()",
        mmd,
    ),
    "Fréchet with the cross term once": (
        metrics,
        "frechet_distance",
        "- 2 * cross",
        "- cross",
        frechet,
    ),
    "Fréchet without the root": (
        metrics,
        "frechet_distance",
        "clamp(min=0).sqrt()",
        "clamp(min=0)",
        frechet,
    ),
    "λ above the threshold counted": (
        metrics,
        "active_dims",
        ") < threshold",
        ") > threshold",
        test_metrics.test_active_dims_count_small_eigenvalues,
    ),
    "singular values not over √n": (
        metrics,
        "singular_values",
        " / len(z) ** 0.5",
        "",
        test_metrics.test_singular_values_are_those_of_the_second_moment,
    ),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_the_slip_is_noticed(slip, monkeypatch):
    owner, name, old, new, check = SLIPS[slip]
    check()
    put(monkeypatch, owner, name, old, new)
    with pytest.raises(AssertionError):
        check()
