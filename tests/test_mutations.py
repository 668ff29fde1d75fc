"""The checks can fail: each slip that a person makes, put into the code, turns the check that
guards it red.
"""

import ast
import math
from dataclasses import replace
from functools import partial

import pytest
import test_densities
import test_flows
import test_grammar
import test_likelihoods
import test_lines
import test_metrics
import test_models
import test_networks
import test_posteriors
import test_priors
import test_terms
import test_training
import torch
from mutating import (
    greater_for_less,
    minus_for_plus,
    plus_for_minus,
    red,
    rewritten,
    without_factor,
    without_method,
    wrapped,
)

from vaelab import (
    densities,
    flows,
    grammar,
    likelihoods,
    lines,
    metrics,
    models,
    networks,
    posteriors,
    priors,
    terms,
    training,
)
from vaelab.posteriors import LOG_2_PI, DiagonalNormal, FlowNormal, FullNormal
from vaelab.training.state import State

# ---- the posterior

KL_DIAGONAL = partial(wrapped, DiagonalNormal, "kl_to_standard_normal")
KL_FULL = partial(wrapped, FullNormal, "kl_to_standard_normal")
RSAMPLE = partial(wrapped, DiagonalNormal, "rsample")
HEAD = partial(wrapped, posteriors.DiagonalGaussian, "forward")


def torchs_kl(kind):
    return lambda: test_posteriors.test_kl_is_that_of_torch(kind)


def torchs_log_prob():
    test_posteriors.test_log_prob_is_that_of_torch("diagonal")


def moments(kind="diagonal"):
    test_posteriors.test_draws_have_the_mean_and_covariance_that_q_says(kind)


def spectrum():
    test_posteriors.test_eigenvalues_are_those_of_the_covariance_in_ascending_order("diagonal")


def log_det(tril):
    return tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def drawn_with(scale):
    """A slip of the draw that takes `scale(q)` for σ."""
    return RSAMPLE(lambda right, q, *given: right(replace(q, sigma=scale(q)), *given))


def read_as(scale):
    """A slip of the head that takes `scale(q)` for σ."""

    def wrong(right, *given):
        q = right(*given)
        return replace(q, sigma=scale(q))

    return HEAD(wrong)


def unscaled(right, flow, z, context):
    u, log_det = right(flow, z, context)
    return u, log_det + flow.log_scale.sum()


def without_minus(node):
    """`-a` becomes `a`."""
    match node:
        case ast.UnaryOp(ast.USub(), ast.Name() as operand):
            return operand
    return None


POSTERIOR = {
    "KL without the ½": (
        KL_DIAGONAL(lambda right, q: 2 * right(q)),
        torchs_kl("diagonal"),
    ),
    "KL as a mean over the latent dimensions": (
        KL_DIAGONAL(lambda right, q: right(q) / q.mean.shape[1]),
        torchs_kl("diagonal"),
    ),
    "KL with the sign of log σ² flipped": (
        KL_DIAGONAL(lambda right, q: right(q) + q.log_var.sum(-1)),
        torchs_kl("diagonal"),
    ),
    "KL with σ for σ²": (
        KL_DIAGONAL(lambda right, q: right(q) + 0.5 * (q.sigma - q.sigma.square()).sum(-1)),
        torchs_kl("diagonal"),
    ),
    "KL with log σ for log σ²": (
        KL_DIAGONAL(lambda right, q: right(q) + 0.25 * q.log_var.sum(-1)),
        torchs_kl("diagonal"),
    ),
    "KL without the −κ": (
        KL_DIAGONAL(lambda right, q: right(q) + 0.5 * q.mean.shape[1]),
        torchs_kl("diagonal"),
    ),
    "full KL without the ½": (
        KL_FULL(lambda right, q: 2 * right(q)),
        torchs_kl("full"),
    ),
    "full KL with log det S for log det Σ": (
        KL_FULL(lambda right, q: right(q) + 0.5 * log_det(q.scale_tril)),
        torchs_kl("full"),
    ),
    "full KL with tr S for tr S Sᵀ": (
        KL_FULL(
            lambda right, q: right(q) + 0.5 * (q.scale_tril - q.scale_tril.square()).sum((-2, -1))
        ),
        torchs_kl("full"),
    ),
    "σ² for σ in the draw": (drawn_with(lambda q: q.sigma.square()), moments),
    "log σ² for σ in the draw": (drawn_with(lambda q: q.log_var), moments),
    "log σ read for log σ²": (
        read_as(lambda q: q.log_var.exp()),
        test_posteriors.test_diagonal_head_reads_log_sigma_squared,
    ),
    "softplus read as σ²": (
        read_as(lambda q: q.sigma.sqrt()),
        test_posteriors.test_infogan_head_reads_sigma_through_a_softplus,
    ),
    "log q without the normalisation": (
        wrapped(
            DiagonalNormal,
            "log_prob",
            lambda right, q, z: right(q, z) + 0.5 * z.shape[1] * LOG_2_PI,
        ),
        torchs_log_prob,
    ),
    "S for S Sᵀ": (
        wrapped(FullNormal, "covariance", lambda right, q: q.scale_tril),
        lambda: moments("full"),
    ),
    "eigenvalues that are standard deviations": (
        wrapped(DiagonalNormal, "eigenvalues", lambda right, q: right(q).sqrt()),
        spectrum,
    ),
    "a sign of the flow's log-density flipped": (
        rewritten(FlowNormal, "log_prob", minus_for_plus),
        test_posteriors.test_log_prob_of_a_flow_is_the_change_of_variables,
    ),
    "log q + log p for the KL": (
        wrapped(priors.Prior, "kl", lambda right, p, q, z: 2 * q.log_prob(z) - right(p, q, z)),
        test_posteriors.test_a_flow_is_a_density_and_kl_is_unbiased,
    ),
}

FLOW = {
    "the flow's log-determinant without its shift-and-scale": (
        wrapped(flows.Couplings, "forward", lambda right, f, z, c=None: unscaled(right, f, z, c)),
        lambda: test_flows.test_log_det_is_that_of_the_jacobian((4, 3, 0)),
    ),
    "a coupling's scale not undone": (
        rewritten(flows.Couplings, "inverse", without_minus),
        lambda: test_flows.test_a_flow_is_undone_by_its_inverse((4, 3, 0)),
    ),
    "log p(f(z)) with the log-determinant subtracted": (
        wrapped(
            flows.Couplings,
            "log_prob",
            lambda right, f, z, c=None: right(f, z, c) - 2 * f(z, c)[1],
        ),
        test_flows.test_a_flow_is_a_density,
    ),
}

PRIOR = {
    "the prior weighted by β too": (
        wrapped(
            priors.Prior,
            "split_kl",
            lambda right, p, q, z, beta: beta * (q.log_prob(z) - p.log_prob(z)),
        ),
        lambda: test_priors.test_one_pass_gives_the_gradients_of_two(0.3),
    ),
    "the encoder at full weight": (
        wrapped(
            priors.Prior,
            "split_kl",
            lambda right, p, q, z, beta: right(p, q, z, 1.0),
        ),
        lambda: test_priors.test_one_pass_gives_the_gradients_of_two(0.3),
    ),
    "log q forgotten in Eq. 7": (
        wrapped(
            priors.Prior,
            "split_kl",
            lambda right, p, q, z, beta: right(p, q, z, beta) - beta * q.log_prob(z),
        ),
        lambda: test_priors.test_the_value_is_that_of_the_encoders_objective(0.3),
    ),
    "R1 without its ½": (
        rewritten(terms.Adversary, "own_loss", without_factor(0.5)),
        test_terms.test_r1_is_the_squared_slope_of_the_discriminator_at_the_codes,
    ),
    "free bits that cut from above": (
        wrapped(
            DiagonalNormal,
            "kls_to_standard_normal",
            lambda right, q: -right(q),
        ),
        test_terms.test_free_bits_are_free_below_lambda,
    ),
}

# ---- the likelihood

NLL = partial(wrapped, likelihoods.Gaussian, "nll")


def gradient_of_gamma():
    test_likelihoods.test_gradient_of_log_gamma_vanishes_at_the_mean_squared_error(1.0)


def squared_error(x, x_hat):
    return (x - x_hat).flatten(1).square().sum(1)


def wrong_error_term(factor):
    """A slip of the NLL in which ½ ‖x − x_hat‖² / γ stands `factor(likelihood, d)` times."""

    def wrong(right, likelihood, x, x_hat):
        data_term = 0.5 * squared_error(x, x_hat) * torch.exp(-likelihood.log_gamma)
        return right(likelihood, x, x_hat) + (factor(likelihood, x[0].numel()) - 1) * data_term

    return NLL(wrong)


def wrong_log_gamma(count):
    """A slip of the NLL in which ½ log γ stands `count(d)` times, for d."""

    def wrong(right, likelihood, x, x_hat):
        d = x[0].numel()
        return right(likelihood, x, x_hat) + 0.5 * (count(d) - d) * likelihood.log_gamma

    return NLL(wrong)


def follow_the_sum(right, likelihood, x, x_hat):
    larger = x[0].numel() ** 0.5 * (x - x_hat)
    return right(likelihood, x_hat + larger, x_hat)


def follow_the_root(right, likelihood, x, x_hat):
    value = right(likelihood, x, x_hat)
    likelihood.gamma = likelihood.gamma**0.5
    return value


LIKELIHOOD = {
    "NLL without the ½": (
        NLL(lambda right, *given: 2 * right(*given)),
        test_likelihoods.test_nll_is_that_of_torch_with_gamma_as_variance,
    ),
    "γ as a standard deviation": (
        wrong_error_term(lambda likelihood, d: torch.exp(-likelihood.log_gamma)),
        test_likelihoods.test_nll_is_that_of_torch_with_gamma_as_variance,
    ),
    "NLL as a mean over the pixels": (
        wrong_error_term(lambda likelihood, d: 1 / d),
        test_likelihoods.test_nll_is_the_data_term_of_equation_8_pixel_by_pixel,
    ),
    "log γ counted once an image": (
        wrong_log_gamma(lambda d: 1),
        test_likelihoods.test_nll_is_the_data_term_of_equation_8_pixel_by_pixel,
    ),
    "the sign of log γ flipped": (wrong_log_gamma(lambda d: -d), gradient_of_gamma),
    "the factor 2 of Equation 8 as printed": (
        wrong_error_term(lambda likelihood, d: 2),
        gradient_of_gamma,
    ),
    "optimal γ from the summed error": (
        NLL(follow_the_sum),
        test_likelihoods.test_optimal_gamma_ends_at_the_mean_squared_error,
    ),
    "optimal γ as a root": (
        NLL(follow_the_root),
        test_likelihoods.test_optimal_gamma_ends_at_the_mean_squared_error,
    ),
    "γ reported as √γ": (
        wrapped(likelihoods.Gaussian, "gamma", lambda right, likelihood: right(likelihood) ** 0.5),
        test_likelihoods.test_nll_is_the_data_term_of_equation_8_pixel_by_pixel,
    ),
    "cross-entropy as a mean": (
        wrapped(
            likelihoods.CrossEntropy,
            "nll",
            lambda right, likelihood, x, x_hat: right(likelihood, x, x_hat) / x[0].numel(),
        ),
        test_likelihoods.test_cross_entropy_is_bernoulli_for_bits,
    ),
}

# ---- the latent term


def mmd_by_hand():
    test_terms.test_mmd_is_the_mean_over_pairs(1.0)


def with_the_diagonal(right, term, *given):
    rows = right(term, *given)
    return rows + 2 * term.weight * len(term.scales) / (len(rows) - 1)


def adversary():
    test_terms.test_adversary_is_minus_log_d()
    test_terms.test_each_player_gets_the_gradient_of_its_own_loss_and_no_other()
    test_terms.test_the_discriminator_does_not_move_a_learned_prior()


LATENT_TERM = {
    "β left out": (
        wrapped(terms.KL, "forward", lambda right, term, *given: right(terms.KL(), *given)),
        lambda: test_terms.test_kl_carries_its_weight(0.5),
    ),
    "‖z‖² without the ½": (
        wrapped(terms.SquaredNorm, "forward", lambda right, *given: 2 * right(*given)),
        lambda: test_terms.test_squared_norm_is_half_the_squared_length(1),
    ),
    "WAE's MMD with the diagonal in": (
        wrapped(terms.MMD, "forward", with_the_diagonal),
        mmd_by_hand,
    ),
    "WAE's MMD with the cross term once": (
        rewritten(terms.MMD, "_squared", without_factor(2)),
        mmd_by_hand,
    ),
    "the discriminator's loss in the encoder's": (
        rewritten(terms.Adversary, "forward", plus_for_minus),
        adversary,
    ),
    "a player that helps the other": (
        rewritten(terms.Adversary, "forward", without_method("detach")),
        adversary,
    ),
    "joint training without the second KL": (
        wrapped(models.SecondVAE, "forward", lambda right, term, p: right(term, p) - p.kl),
        test_models.test_joint_training_minimises_both_objectives_in_one_sum,
    ),
}

# ---- the decoder term


def weight_norm():
    test_terms.test_weight_norm_sums_the_squares_of_the_decoders_matrices(networks.rae)


def gradient_penalty():
    test_terms.test_gradient_penalty_is_the_jacobians_norm_in_the_mean(0, 4)


def with_biases(right, term, p):
    others = sum(w.square().sum() for w in p.decoder.parameters() if w.ndim == 1)
    return right(term, p) + term.weight * others


DECODER_TERM = {
    "the biases among the weights": (
        wrapped(terms.WeightNorm, "forward", with_biases),
        weight_norm,
    ),
    "λ left out of the gradient penalty": (
        wrapped(
            terms.GradientPenalty,
            "forward",
            lambda right, term, p: right(term, p) / term.weight,
        ),
        gradient_penalty,
    ),
    "the gradient penalty as a mean over the directions": (
        wrapped(
            terms.GradientPenalty,
            "forward",
            lambda right, term, p: right(term, p) / p.z.shape[1],
        ),
        gradient_penalty,
    ),
    "probes summed": (
        wrapped(
            terms.GradientPenalty,
            "forward",
            lambda right, term, p: term.probes * right(term, p),
        ),
        gradient_penalty,
    ),
    "the slope of ‖x_hat‖² without the 2": (
        rewritten(terms.SquaredNormPenalty, "forward", without_factor(2)),
        test_terms.test_squared_norm_penalty_is_the_slope_of_the_squared_length,
    ),
    "batch statistics that move with a penalty": (
        wrapped(
            terms.Pass,
            "pull_back",
            lambda right, p, v: (p.decode(p.z), right(p, v))[1],
        ),
        test_terms.test_batch_statistics_move_once_a_step,
    ),
    "the sum over several draws": (
        wrapped(
            models.Autoencoder,
            "loss_terms",
            lambda right, model, *given: {
                name: model.draws * nats for name, nats in right(model, *given).items()
            },
        ),
        test_models.test_the_terms_of_several_draws_are_means_over_them,
    ),
}

# ---- training


def bare_loop():
    test_training.test_fit_is_the_bare_loop(0.0)


def step_size_of_gamma():
    test_training.test_log_gamma_has_a_step_size_of_its_own(7.0)


def the_mean_code(right, q, *given):
    return q.mean


def summed(right, model, x, *given):
    return {name: len(x) * nats for name, nats in right(model, x, *given).items()}


def without_zero_grad(right, state, *given):
    right(state, *given)
    state.parameters = []  # Whose gradients a step takes away.


def alike(setting):
    """A slip of Adam that gives all groups of parameters the first one's `setting`."""

    def wrong(right, adam, groups, **settings):
        same = [{**group, setting: groups[0][setting]} for group in groups]
        right(adam, same, **settings)

    return wrapped(torch.optim.Adam, "__init__", wrong)


def undivided(right, layer, x):
    return torch.nn.functional.linear(x, layer.parametrizations.weight.original, layer.bias)


TRAINING = {
    "a dense layer's outputs not divided by σ": (
        wrapped(networks.scaling, "_forward", undivided),
        lambda: test_networks.test_dividing_outputs_by_sigma_has_the_gradients_of_dividing_weights(
            torch.float64, 1e-11
        ),
    ),
    "SAME padding with its odd zero before": (
        wrapped(networks.layers, "same_padding", lambda right, *given: right(*given)[::-1]),
        lambda: test_networks.test_convolutions_are_tensorflows(8, 3, 2),
    ),
    "every image mirrored": (
        wrapped(
            training.batches.Feed,
            "batch",
            lambda right, rows, *given: right(replace(rows, flip=False), *given).flip(-1),
        ),
        test_training.test_half_of_the_images_are_mirrored_each_time,
    ),
    "the mean code decoded in training": (
        RSAMPLE(the_mean_code),
        test_models.test_the_objective_is_the_negative_elbo,
    ),
    "the loss summed over the batch": (
        wrapped(models.Autoencoder, "loss_terms", summed),
        bare_loop,
    ),
    "gradients that pile up": (wrapped(State, "__init__", without_zero_grad), bare_loop),
    "γ's step size lost": (alike("lr"), step_size_of_gamma),
    "weight decay on γ": (
        alike("weight_decay"),
        test_training.test_weight_decay_does_not_touch_gamma,
    ),
    "one frozen draw of the codes": (
        RSAMPLE(the_mean_code),
        test_training.test_posteriors_are_drawn_afresh_at_every_step,
    ),
}

# ---- the density


def second_stage_noise():
    second = test_densities.small_stage(epochs=2).fit_codes(test_densities.clusters())
    test_densities.test_noise_is_on_for_z_and_off_for_x({"second stage": second})


def sampled_with(variance):
    """A slip of the second stage that samples with `variance(γ)` for γ."""

    def wrong(right, stage, n, seed):
        gamma = stage.vae.gamma
        stage.vae.likelihood.gamma = variance(gamma)
        z = right(stage, n, seed)
        stage.vae.likelihood.gamma = gamma
        return z

    return wrapped(densities.SecondStage, "sample", wrong)


def without_q(right, *given, **settings):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FullNormal, "log_prob", lambda q, z: torch.zeros_like(z[:, 0]))
        return right(*given, **settings)


def mean_of_logs(right, *given, n_samples, seed=0):
    logs = [right(*given, n_samples=1, seed=seed + i) for i in range(n_samples)]
    return torch.stack(logs).mean(0)


DENSITY = {
    "second stage without its noise": (sampled_with(lambda gamma: 1e-30), second_stage_noise),
    "second stage with γ as a standard deviation": (
        sampled_with(lambda gamma: gamma**2),
        second_stage_noise,
    ),
    "importance weights without q": (
        wrapped(densities, "log_prob_mc", without_q),
        test_densities.test_one_draw_is_exact_where_the_posterior_is,
    ),
    "mean of logs for log of mean": (
        wrapped(densities, "log_prob_mc", mean_of_logs),
        test_densities.test_many_draws_come_near_where_it_is_not,
    ),
}

# ---- the metrics


def mmd():
    with pytest.MonkeyPatch.context() as patch:
        test_metrics.test_mmd_is_the_double_loop(7, patch)


def frechet():
    test_metrics.test_frechet_distance_is_that_of_scipys_root(3, 0)


def kernel_of(x, y):
    return metrics.imq()(torch.cdist(x, y).square(), x.shape[1])


def diagonal(right, x, y):
    extra = [kernel_of(s, s).trace().item() / len(s) / (len(s) - 1) for s in (x, y)]
    return right(x, y) + sum(extra)


def kernel_of_distances(right, *given):
    return lambda squared, dimension: right(*given)(squared.sqrt(), dimension)


def cross_term_once(right, x, y):
    means = (x.mean(0) - y.mean(0)).square().sum()
    return 0.5 * (right(x, y) + (means + x.var(0).sum() + y.var(0).sum()).item())


METRICS = {
    "MMD with the cross term once": (
        wrapped(metrics, "mmd2", lambda right, x, y: right(x, y) + kernel_of(x, y).mean().item()),
        mmd,
    ),
    "H(actual | predicted) with natural logarithms": (
        wrapped(
            metrics,
            "conditional_entropy",
            lambda right, *given: right(*given) * math.log(2),
        ),
        test_metrics.test_conditional_entropy_is_the_joint_one_less_that_of_the_prediction,
    ),
    "steps' variance for their deviation": (
        wrapped(metrics, "step_variation", lambda right, paths: right(paths).square()),
        test_metrics.test_step_variation_is_that_of_the_steps_lengths,
    ),
    "diversity with each sample beside itself": (
        wrapped(metrics, "diversity", lambda right, x: right(x) * (x.shape[1] - 1) / x.shape[1]),
        test_metrics.test_diversity_is_the_mean_over_pairs,
    ),
    "MMD with the diagonal in": (wrapped(metrics, "mmd2", diagonal), mmd),
    "a kernel of distances for one of squares": (
        wrapped(metrics, "imq", kernel_of_distances),
        mmd,
    ),
    "Fréchet with the cross term once": (
        wrapped(metrics, "frechet_distance", cross_term_once),
        frechet,
    ),
    "Fréchet without the root": (
        rewritten(metrics, "frechet_distance", without_method("sqrt")),
        frechet,
    ),
    "λ above the threshold counted": (
        rewritten(metrics, "active_dims", greater_for_less),
        test_metrics.test_active_dims_count_small_eigenvalues,
    ),
    "precision and recall with data and samples exchanged": (
        wrapped(
            metrics,
            "precision_recall",
            lambda right, x, y, *given, **more: right(y, x, *given, **more),
        ),
        test_metrics.test_precision_and_recall_are_those_of_histograms,
    ),
    "β for β² in F": (
        wrapped(metrics, "f_score", lambda right, p, r, beta=1.0: right(p, r, beta**0.5)),
        test_metrics.test_f_score_finds_precision_and_recall,
    ),
    "singular values not over √n": (
        wrapped(metrics, "singular_values", lambda right, z: right(z) * math.sqrt(len(z))),
        test_metrics.test_singular_values_are_those_of_the_second_moment,
    ),
}

LINES = {
    "every rule allowed at every step": (
        wrapped(grammar, "allowed", lambda right, rules, t: torch.ones_like(right(rules, t))),
        test_likelihoods.test_log_p_is_the_product_of_masked_softmaxes_along_the_stack,
    ),
    "log p as a mean over the rules": (
        wrapped(
            likelihoods.Rules,
            "nll",
            lambda right, rules, x, x_hat: right(rules, x, x_hat) / x.shape[1],
        ),
        test_likelihoods.test_log_p_is_the_product_of_masked_softmaxes_along_the_stack,
    ),
    "a derivation counted without its first rule": (
        wrapped(
            grammar,
            "derivations",
            lambda right, g: lambda stack, n: right(g)(stack, n + 1),
        ),
        test_grammar.test_derivations_are_counted_as_brute_force_counts_them,
    ),
    "improvement of the mean alone": (
        wrapped(
            lines,
            "expected_improvement",
            lambda right, mean, std, best: (best - mean).clip(min=0),
        ),
        test_lines.test_expected_improvement_is_the_integral,
    ),
    "improvement above the best": (
        wrapped(
            lines,
            "expected_improvement",
            lambda right, mean, std, best: right(-mean, std, -best),
        ),
        test_lines.test_expected_improvement_is_the_integral,
    ),
}

SLIPS = {
    **POSTERIOR,
    **FLOW,
    **PRIOR,
    **LIKELIHOOD,
    **LATENT_TERM,
    **DECODER_TERM,
    **TRAINING,
    **DENSITY,
    **METRICS,
    **LINES,
}


@pytest.mark.parametrize("name", SLIPS)
def test_the_slip_is_noticed(name):
    slip, check = SLIPS[name]
    check()
    for wrong in slip.versions():
        with slip.in_place(wrong):
            assert red(check), wrong


def test_a_slip_that_changes_nothing_is_an_error():
    slip = rewritten(metrics, "active_dims", without_factor(0.5))
    with pytest.raises(LookupError, match="active_dims has nothing that this slip could change"):
        list(slip.versions())
