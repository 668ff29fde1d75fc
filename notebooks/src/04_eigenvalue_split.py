# %% [markdown]
# # 04 · Theorem 4 and the eigenvalue split
#
# | | |
# | --- | --- |
# | You will be able to | predict the encoder's covariance from the decoder's slope, and read a dimension off it |
# | You need | notebook 01, Jacobians, eigenvalues; Theorem 2 (notebook 03) helps |
# | Time | 80 minutes with its exercises; quick: under a minute to run, full: five minutes |
# | Optional | the sections *Diagonal or full*, *Where the split blurs* and *One look at digits* |
# | Source | Dai & Wipf (2019), Section 3, Eqs. 8 and 9, Theorem 4, Appendix I, Eq. 83; Koehler et al. (2022) |
#
# Data of six numbers may lie on a surface. A VAE near its optimum writes the surface's dimension into the covariance of
# its encoder: some eigenvalues go to zero, the others to one. Watch it happen:

# %%
# %matplotlib inline
import math

import matplotlib.pyplot as plt
import torch
from IPython.display import Image

from vaelab import (
    claims,
    data,
    exercises,
    manifolds,
    models,
    networks,
    notebooks,
    plots,
    theory,
    toys,
    training,
    widgets,
)

plots.use_style()
torch.set_num_threads(1)  # networks as small as these are fastest on one core
colors = plots.COLORS

# %%
truth = toys.standardised(manifolds.manifold("smooth_graph", r=2, d=6, bend=0.7))
d, r, kappa = 6, 2, 4
ladder = (3.0, 1.5, 0.7, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
n_seeds = notebooks.choose(quick=3, full=5)
steps = [60, 80, 100, 150, 200, 250, 300, 300, 400]
rungs = toys.train(truth, kappa, ladder, steps, n_seeds)
found = [toys.measure(models_here, truth, n=512) for models_here in rungs]

# %% alt="Three histograms of eigenvalues: all near one at a large γ, half of them further left at a smaller one, half at zero at the smallest"
fig, axes = plt.subplots(1, 3, figsize=(9, 2.6), sharey=True)
for ax, k in zip(axes, (0, 3, 8), strict=True):
    plots.eigenvalue_histogram(ax, found[k].eigenvalues.flatten())
    ax.set_title(f"γ = {ladder[k]:g}")
plt.show()

# %% [markdown]
# The data lie on a surface of dimension $r = 2$, and the VAE has $\kappa = 4$ latent dimensions. So its encoder has four
# eigenvalues at each point, and a panel counts those of all points. While the decoder variance $\gamma$ is large all are
# near one. Then half of them move to the left, and in the end half are at zero and half near one: two and two. In this
# notebook you will see why, and find out when it does not happen.
#
# ## What one eigenvalue costs
#
# Take one code dimension. Near the code $\mu_z$ the decoder is nearly linear, and moves $x$ by $s$ for each unit of
# $z$. The encoder may choose the variance $\lambda$ of its noise. Two terms of the cost see the choice:
#
# $$\underbrace{\frac{s^2 \lambda}{2\gamma}}_{\text{noise in the picture}} \;+\;
#   \underbrace{\tfrac12 \big(\lambda - \log\lambda - 1\big)}_{\text{KL to the prior}},
#   \qquad \text{least at} \quad \lambda = \frac{\gamma}{\gamma + s^2} .$$
#
# Set the derivative to zero and solve; that is all. Two cases matter. If $s = 0$ the decoder ignores the dimension, and
# $\lambda = 1$: noise is free, and the prior likes it. If $s > 0$ and $\gamma \to 0$, then $\lambda \approx \gamma / s^2$:
# noise is expensive, and $\lambda$ goes to zero in proportion to $\gamma$. Nothing stays in between.
#
# In $\kappa$ dimensions the slope is the Jacobian $J$ of the decoder, $d \times \kappa$, and the same step gives
# **Eq. 83**:
#
# $$\Sigma_z = \Big[ I + \tfrac1\gamma J^\top J \Big]^{-1} .$$
#
# **Claim D17**, first half: for a linear decoder this is exact. The cell asks autograd for the gradient of the cost in
# $S_z$ at this point, for a random decoder; `theory.optimal_covariance` computes Eq. 83, from singular values. It also
# takes two mistaken readings, which should fail.
#
# > **Reading note (E5).** Appendix I takes the singular values of $J$. Its case 1, in which all of $\Sigma_z$ goes to
# > zero as $\gamma$ does, has "no nonzero diagonal elements". It must be "no zero". With no nonzero one the decoder is
# > constant, and $\Sigma_z = I$ for ever. The last two checks take both readings.

# %%
randn = torch.Generator().manual_seed(0)
J, V = (torch.randn(*shape, generator=randn, dtype=torch.float64) for shape in ((6, 4), (4, 6)))
gamma, eye = 0.1, torch.eye(4, dtype=torch.float64)


def gradient_at(sigma_z):
    S = torch.linalg.cholesky(sigma_z).requires_grad_()
    cost = sum(theory.linear_cost(torch.eye(6, dtype=torch.float64), J, V, S, gamma))
    return torch.autograd.grad(cost, S)[0].tril().abs().max().item()


right, with_root = (theory.optimal_covariance(J[None], g)[0] for g in (gamma, math.sqrt(gamma)))
wrong = [with_root, torch.linalg.inv(torch.linalg.inv(right) - eye)]
claims.check_below(
    "D17", gradient_at(right), 1e-9, "linear decoder: the cost is stationary at Eq. 83"
)
claims.check_above(
    "D17", [gradient_at(sigma_z) for sigma_z in wrong], 0.1,
    "and neither with the root of gamma nor without the identity",
)

falling = (1e-4, 1e-6, 1e-8)
rates = [
    torch.stack([theory.optimal_eigenvalues(M[None], g)[0].amax() / g for g in falling])
    for M in (J, 0 * J)
]
claims.check_close(
    "E5", rates[0] * torch.linalg.svdvals(J)[-1] ** 2, 1.0, rtol=1e-3,
    says="no zero singular value: all eigenvalues fall as gamma",
)
claims.check_close(
    "E5", rates[1] * torch.tensor(falling, dtype=torch.float64), 1.0, rtol=1e-12,
    says="no nonzero one, as printed: all stay at one",
)

# %% [markdown]
# **Exercise 04.1** (4 minutes). Return $\Sigma_z$ of Eq. 83 for one Jacobian `J` of shape (d, κ) and a number `gamma`.
#
# <details><summary>Hint</summary>What size must the result have? Check the side on which J is transposed.</details>

# %% tags=["stub"]
def sigma_of_eq_83(J, gamma):
    return ...


# %% tags=["solution"]
def sigma_of_eq_83(J, gamma):
    return torch.linalg.inv(torch.eye(J.shape[1], dtype=J.dtype) + J.T @ J / gamma)


# %%
exercises.check("04.1", sigma_of_eq_83)

# %% [markdown]
# ## Linear data: the split in closed form
#
# *Assumptions*: Gaussian data on a plane, $r = 2$ in $d = 6$, turned against the axes; $\kappa = 4$; a linear encoder
# and decoder. Notebook 01 solved this case. A direction with variance $\ell$ is active exactly if $\ell > \gamma$, and
# then $s^2 = \ell - \gamma$, so $\lambda = \gamma / \ell$. For $\gamma$ below both variances all else follows:
#
# - the data term $-2\, \mathbb E \log p_\theta(x \mid z)$ is $d \log \gamma$ plus a constant (**D13**, Eq. 8);
# - twice the KL is $-r \log\gamma$ plus a constant (**D14**, Eq. 9);
# - $r$ eigenvalues are proportional to $\gamma$ (**D16**), and $\kappa - r$ are one (**D15**).
#
# A formula can be trusted blindly, or tested. We minimise the cost numerically, from random weights, and know of no
# eigenvector.

# %%
ell = torch.tensor([4, 0.5, 0, 0, 0, 0], dtype=torch.float64)
Q = torch.linalg.qr(torch.randn(6, 6, generator=randn, dtype=torch.float64)).Q
C = Q @ ell.diag() @ Q.T


def fit_linear(gamma):
    shapes = (d, kappa), (kappa, d)
    W, V = (torch.randn(*s, generator=randn, dtype=torch.float64).requires_grad_() for s in shapes)
    S = torch.eye(kappa, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [W, V, S], max_iter=400, tolerance_change=1e-13, line_search_fn="strong_wolfe"
    )

    def cost():
        optimizer.zero_grad()
        terms = theory.linear_cost(C, W, V, S, gamma)
        sum(terms).backward()
        return sum(terms)

    optimizer.step(cost)
    terms = [term.item() for term in theory.linear_cost(C, W, V, S, gamma)]
    return torch.linalg.eigvalsh(S.detach() @ S.detach().T), terms

# %%
grid = (10.0, 2.0, 1.0, 0.3, 0.1, 0.03, 0.01)
lam, terms = zip(*(fit_linear(gamma) for gamma in grid), strict=True)
lam, (data_term, kl_term) = torch.stack(lam), zip(*terms, strict=True)
small = slice(3, None)  # the rungs below both variances
slopes = [
    theory.slope_in_log_gamma(grid[small], t[small])[0]
    for t in (data_term, kl_term, lam[:, 0].log(), lam[:, 1].log())
]

claims.check_close(
    "D13", slopes[0], d, atol=1e-3, says="linear: the data term falls as d log gamma"
)
claims.check_close(
    "D14", slopes[1], -r, atol=1e-3, says="linear: twice the KL grows as -r log gamma"
)
claims.check_close(
    "D15", lam[small, r:], 1.0, atol=1e-3, says="linear: kappa - r eigenvalues are one"
)
claims.check_close(
    "D16", slopes[2:], [1.0, 1.0], atol=1e-3, says="linear: the others are proportional to gamma"
)

# %% alt="Four eigenvalues against γ: two leave one when γ passes their variance and fall to zero, two stay at one; points on lines"
fig, ax = plt.subplots(figsize=(6, 3.2))
gammas = torch.logspace(1.2, -3.1, 200, dtype=torch.float64)
for j, variance in enumerate((*ell[:2], torch.tensor(0.0))):
    ax.semilogx(
        gammas, (gammas / variance).clamp(max=1), color=colors["exact"],
        label=None if j else "γ / ℓ, or 1",
    )
ax.plot(grid, lam[:, :3], "o", color=colors["q"])
ax.set(xlabel="decoder variance γ", ylabel="eigenvalue λ of Σ_z", xlim=(15, 6e-3))
ax.legend()
plt.show()

# %% [markdown]
# Read it from left to right, as $\gamma$ falls. At first all noise is free, and all eigenvalues are one. When $\gamma$
# passes a variance of the data, one eigenvalue leaves. In the end two are near zero and two at one (they lie on each
# other). The gap between them is the split. **Count the eigenvalues below one half and you have $\hat r$.** One half is
# no arbitrary place: there $s^2 = \gamma$, and the decoder's signal equals its noise.
#
# ## A curved surface
#
# **Claim D15.** The same holds on a curved manifold with one chart: at the optimum $r$ dimensions are clean, and the
# others are filled with noise of variance one.
#
# *Assumptions*: $\gamma$ is small against the bends of the surface, and the error of the network is small against
# $\gamma$. The second is the strict one. A trained network has some error $e$ at every $x$, and with
# $\gamma \approx e$ the derivation above is void. So we do not let $\gamma$ go where it likes. It starts above the top
# PCA eigenvalue, where nothing is active, goes down a ladder, and is held at each rung until the weights have settled.
#
# The toy was trained for the first picture: a smooth graph over a plane, $r = 2$, $d = 6$, with four clumps of data on
# it, and $\kappa = 4$; three seeds, side by side. *Prediction*: two eigenvalues fall, each in proportion to $\gamma$, two
# stay.

# %%
for gamma, m in zip(ladder, found, strict=True):
    if gamma in (0.01, 0.001):
        idle = m.eigenvalues[:, :, r:].amin(2).median(1).values
        says = f"curved, gamma = {gamma:g}: the share of the points with r_hat = r, in every seed"
        claims.check_above("D15", m.share(r), 0.99, says)
        claims.check_above(
            "D15", idle, 0.95, "and at the typical point the other eigenvalues are above 0.95"
        )

falls = (found[4].eigenvalues / found[7].eigenvalues)[:, :, :r].log().flatten(0, 1).median(0).values
claims.check_close(
    "D16", falls / math.log(ladder[4] / ladder[7]), 1.0, rtol=0.1,
    says="curved: both fall in proportion to gamma",
)

# %% alt="The eigenvalues of a trained encoder against γ; two fall to zero one after the other, two stay near one"
fig, ax = plt.subplots(figsize=(6, 3.2))
variances = theory.spectrum(toys.covariance(truth))[0]
for j in range(r):
    ax.plot(
        gammas, (gammas / variances[j]).clamp(max=1), color=colors["exact"],
        label=None if j else "γ / PCA variance, or 1",
    )
plots.eigenvalue_split(ax, ladder, torch.stack([m.eigenvalues.flatten(0, 1) for m in found]))
ax.set_xlim(15, 7e-4)
ax.legend(loc="center right")
plt.show()

# %% [markdown]
# The points are medians over the surface and the seeds; the bars hold nine tenths of both. The lines are the
# linear theory for two directions. The surface is not a plane, so a bar has a length: each $x$ has its own slope $s$.
# The outcome is that of the plane: two eigenvalues near zero, two at one, and nothing between. The third and fourth
# PCA variances of these data are not zero. They come from the bending, and the decoder has learned it: it needs no
# dimension for them.
#
# The film shows every point for itself.

# %% tags=["nbval-ignore-output"] alt="Film: one curve of points for each eigenvalue over the data; as γ falls two curves sink from one to zero, two stay"
Image(plots.split_gif(ladder, torch.stack([m.eigenvalues[0, ::4] for m in found]), r))

# %% [markdown]
# ## Eq. 83 on a trained network
#
# **Claim D17**, second half. The encoder was never told about the decoder's Jacobian. Is its covariance the one of
# Eq. 83? We compute $J$ by automatic differentiation at the codes and compare. Two measures: the relative Frobenius
# error, and the KL between the two Gaussians in nats. The first is kind, since the ones dominate it. The second counts
# a factor of two in a small eigenvalue as much as in a large one. This encoder is diagonal, and the matrix of Eq. 83 is
# not. So a part of the KL, computed from $J$, is out of its reach. *Prediction*: hardly anything else is left.

# %%
at = [ladder.index(0.01), ladder.index(0.001)]
frobenius, kl, penalty = (
    torch.stack([getattr(found[k], name) for k in at])
    for name in ("frobenius", "kl_eq83", "penalty")
)

claims.check_below(
    "D17", frobenius, 0.03, "trained: Eq. 83 holds to a few per cent in the Frobenius norm"
)
claims.check_below("D17", kl, 0.15, "and to a fraction of a nat in KL")
claims.check_below(
    "D17", kl - penalty, 0.03,
    "of which all but a few hundredths is what no diagonal encoder can avoid",
)

# %% alt="Eigenvalues of the trained encoder against those that Eq. 83 predicts from the decoder, on the diagonal over three decades"
x = truth.sample(150, seed=5).float()
fig, ax = plt.subplots(figsize=(4.2, 3.6))
for k, name in ((4, "other"), (6, "q"), (8, "second")):
    vae = rungs[k][0]
    q = vae.codes(x)
    predicted = theory.optimal_eigenvalues(
        theory.decoder_jacobian(vae.decode, q.mean).detach(), ladder[k]
    )
    ax.loglog(
        predicted, q.eigenvalues(), ".", markersize=3, color=colors[name],
        label=[f"γ = {ladder[k]:g}", *["_"] * (kappa - 1)],
    )
ax.plot([1e-4, 1], [1e-4, 1], color=colors["exact"])
ax.set(xlabel="λ by Eq. 83", ylabel="λ of the encoder")
ax.legend()
plt.show()

# %% [markdown]
# The points follow the diagonal over three decades. What a diagonal encoder cannot avoid has a formula, which you will
# meet below.
#
# ## Theorem 4: noise that nobody sees
#
# **Claim D12.** As $\gamma \to 0$, *every* $z$ drawn from $q(z \mid x)$ decodes to $x$, whatever its noise. That
# sounds wrong, since $\kappa - r$ dimensions are filled with noise of variance one. It is right because the decoder
# does not look at those.
#
# *Prediction.* Of the clean dimensions each contributes $s^2 \lambda \approx \gamma$. So $\mathbb E\, \lVert x - \hat
# x(z) \rVert^2 \approx r\,\gamma$ with noise. Without noise the error is smaller still.
#
# > **Reading note (E6).** Eqs. 74 to 77 print $f_{\mu_x}(x)$ for $f_{\mu_x}[f_{\mu_z}(x)]$, and add the noise outside. It
# > belongs inside, $f_{\mu_x}[f_{\mu_z}(x) + S_z \varepsilon]$. For the linear data above, with $\kappa = d$ so that all
# > three readings can be formed, the first cell below gives their errors in closed form.

# %%
vae, gamma = rungs[6][0], ladder[6]
q, eps = vae.codes(x), torch.randn(40, len(x), kappa, generator=torch.Generator().manual_seed(1))
is_clean = (q.covariance().diagonal(dim1=1, dim2=2) < 0.5).float()


def moved(mask):
    return torch.stack(
        [(vae.images(q.at(e * mask)) - vae.images(q.mean)).square().sum(1) for e in eps]
    ).mean()


noisy, plain = (
    d * torch.stack([getattr(m, name).mean() for m in found]) for name in ("error", "error_at_mean")
)
claims.check_close(
    "D12", noisy[5:], r * torch.tensor(ladder[5:]), rtol=0.35,
    says="with noise the squared error is about r gamma, so it goes to 0",
)
claims.check_below("D12", plain[5:] / noisy[5:], 0.5, "without noise it is less than half of that")
claims.check_below(
    "D12", moved(1 - is_clean), 0.05 * moved(is_clean),
    "noise of variance one in the other dimensions changes x by far less",
)

best = theory.linear_optimum(C, d, 1e-4)
W, miss = best.weights, torch.eye(d, dtype=torch.float64) - best.weights @ best.encoder
missed = (miss @ C @ miss.T).trace()
claims.check_close(
    "E6", (missed + (W @ best.sigma_z @ W.T).trace()) / (r * 1e-4), 1.0, rtol=1e-3,
    says="linear, noise inside the decoder: the error is r gamma",
)
claims.check_close(
    "E6", missed + best.sigma_z.trace(), d - r, rtol=1e-3,
    says="noise outside: the error stays at d - r",
)
claims.check_above(
    "E6", ((W - torch.eye(d, dtype=torch.float64)) @ C).norm(), 0.1,
    "decoding x itself does not give x back",
)

# %% alt="Squared error with and without noise against γ; with noise it lies on the line r γ, without noise below"
fig, ax = plt.subplots(figsize=(6, 3.2))
ax.loglog(ladder, [r * g for g in ladder], color=colors["exact"], label="r γ")
ax.plot(ladder, noisy, "o", color=colors["q"], label="z drawn from q")
ax.plot(ladder, plain, "o", color=colors["data"], markerfacecolor="none", label="z = μ, no noise")
ax.set(xlabel="decoder variance γ", ylabel="squared error of x")
ax.invert_xaxis()
ax.legend()
plt.show()

# %% [markdown]
# For large $\gamma$ the error is that of a model that knows little. Below the second PCA variance it settles on the
# line $r\gamma$. The open circles, without noise, are for small $\gamma$ what the network gets wrong. Where they rise
# to the line again the theory ends; from $\gamma = 0.03$ down they stay below a tenth of it. Next, all eigenvalues at
# this $\gamma$, by Eq. 83.

# %% alt="Histogram of the eigenvalues at one γ: half of them near zero, half at one, nothing between"
J = theory.decoder_jacobian(vae.decode, q.mean).detach()


def draw_split(ax, gamma):
    plots.eigenvalue_histogram(ax, theory.optimal_eigenvalues(J, gamma))


fig, ax = plt.subplots(figsize=(6, 2.4))
draw_split(ax, gamma)
plt.show()

# %% [markdown]
# This is the split as the paper draws it in its Fig. 11: two peaks of equal height, since half of the dimensions are
# clean. The dotted line is the threshold, one half. Now move $\gamma$.

# %% tags=["widget", "nbval-ignore-output"]
widgets.figure_explorer(draw_split, 1e-4, 10.0)

# %% [markdown]
# **Question.** Raise $\gamma$ from the left. Which bar leaves its place first, and to which side? At which $\gamma$
# does it pass the dotted line, and what does that say about the slopes $s$?
#
# ## Who pays, and how much
#
# **Claims D13, D14** on the curved surface. Each clean dimension saves and costs at once. The data term, $-2\,\mathbb E
# \log p$, falls as $d \log\gamma$. Twice the KL grows as $-\hat r \log\gamma$: a sharper code is dearer. Their
# sum falls as $(d - r) \log\gamma$. There is more: the constant is known too. Up to terms of order $\gamma$ no VAE costs less
# than $\frac{d-r}{2} \log 2\pi\gamma + H(\mu_\text{gt})$, with the entropy $H$ of the data on their surface (notebook
# 03).

# %%
small = slice(4, 8)
for name, claim, expected in (("data_term", "D13", d), ("kl_term", "D14", -r)):
    slope = [
        theory.slope_in_log_gamma(ladder[small], [getattr(m, name)[s] for m in found[small]])[0]
        for s in range(n_seeds)
    ]
    claims.check_close(
        claim, slope, expected, rtol=0.05,
        says=f"curved, trained: the slope is {expected}, in every seed",
    )
gaps = torch.stack([m.gap for m in found[small]])
claims.check(
    "D13", bool((gaps > 0).all() and (gaps < 0.5).all()),
    "the cost is above the certified optimum, by less than half a nat",
    found=[gaps.min(), gaps.max()],
)

# %% alt="Data term, KL term and their sum against γ: points of trained models beside lines of slope d, minus r and d minus r"
fig, ax = plt.subplots(figsize=(6, 3.4))
log_gamma = torch.tensor(ladder).log()
rows = {
    "data term": ("data_term", d, "q"), "twice the KL": ("kl_term", -r, "prior"),
    "sum": ("cost", d - r, "data"),
}
for label, (name, slope, color) in rows.items():
    values = torch.stack([getattr(m, name).mean() * (2 if name == "cost" else 1) for m in found])
    ax.plot(ladder, values, "o", color=colors[color], label=label)
    ax.semilogx(
        ladder, values[6] + slope * (log_gamma - log_gamma[6]), color=colors["exact"], linewidth=1
    )
ax.set(xlabel="decoder variance γ", ylabel="nats")
ax.invert_xaxis()
ax.legend()
plt.show()

# %% [markdown]
# The lines have the slopes of the theory and go through the point at $\gamma = 0.01$; nothing else was fitted. They hold
# from the place on where both dimensions are awake. So a dimension can be measured without looking at any eigenvalue.
#
# **Exercise 04.2** (6 minutes). You know $d$ and the optimal cost, in nats an example, at two small values of $\gamma$.
# Return $r$.
#
# <details><summary>Hint</summary>The cost is half of the sum in the figure. What is its slope in log γ?</details>

# %% tags=["stub"]
def dimension_from_costs(d, cost_high, cost_low, gamma_high, gamma_low):
    return ...


# %% tags=["solution"]
def dimension_from_costs(d, cost_high, cost_low, gamma_high, gamma_low):
    return d - 2 * (cost_high - cost_low) / torch.log(gamma_high / gamma_low)


# %%
exercises.check("04.2", dimension_from_costs)

# %% [markdown]
# ## Diagonal or full
#
# **Claim D1.** Definition 1 allows any matrix $S_z$. On a plane the diagonal one loses nothing: it turns the code until
# its axes are those of the data, as in the linear case. On a curved surface $J^\top J$ turns from place to place,
# and no choice of axes makes it diagonal everywhere. *Prediction*: a diagonal encoder pays, at each $x$, Hadamard's
# gap $\frac12 \big( \sum_j \log P_{jj} - \log\det P \big)$ with $P = \Sigma_z^{-1}$ of Eq. 83. A full one does not. To see it
# we take $\kappa = r$, so that no ones blur the comparison.
#
# <details><summary>Where the gap comes from</summary>
#
# For $\Sigma = \operatorname{diag} \lambda$ the price is $\mathrm{KL}[N(0, \Sigma) \,\Vert\, N(0, P^{-1})] = \frac12
# \big( \sum_j \lambda_j P_{jj} - r - \sum_j \log \lambda_j - \log\det P \big)$. Each $\lambda_j$ stands alone, and
# $\lambda_j = 1 / P_{jj}$ is best. What is left is the gap. It is never negative, for $\det P \le \prod_j P_{jj}$
# (Hadamard), and zero only if $P$ is diagonal.
#
# </details>

# %%
plane = theory.linear_optimum(C, r, 0.05)
claims.check_close(
    "D1", theory.diagonal_penalty(plane.sigma_z[None]), 0.0, atol=1e-12,
    says="on a turned plane the diagonal encoder pays nothing",
)
kl, hadamard = {}, {}
for kind, full in (("diagonal", False), ("full", True)):
    pair = toys.train(truth, r, (0.3, 0.05), [150, 450], 2, full=full)[-1]
    jacobians = [
        theory.decoder_jacobian(vae.decode, vae.codes(x).mean).detach().double() for vae in pair
    ]
    expected = [theory.optimal_covariance(J, 0.05) for J in jacobians]
    sigma = [vae.codes(x).covariance().double() for vae in pair]
    kl[kind] = sum(map(theory.kl_between_covariances, sigma, expected)) / 2
    hadamard[kind] = sum(map(theory.diagonal_penalty, expected)) / 2

claims.check_above(
    "D1", kl["diagonal"], hadamard["diagonal"] - 1e-6,
    "curved: at every point the diagonal encoder pays Hadamard's gap or more",
)
claims.check_below(
    "D1", kl["diagonal"].mean(), 2 * hadamard["diagonal"].mean(), "but on average not twice as much"
)
claims.check_below(
    "D1", kl["full"].mean(), 0.6 * hadamard["full"].mean(),
    "the full one pays clearly less than the best diagonal one would",
)

# %% alt="Price in nats at each point against Hadamard's gap: diagonal encoders on the line or above, full ones low at every gap"
fig, ax = plt.subplots(figsize=(4.6, 3.4))
for kind, color in (("diagonal", "q"), ("full", "second")):
    ax.plot(hadamard[kind], kl[kind], ".", markersize=4, color=colors[color], label=kind)
ax.plot([0, 0.5], [0, 0.5], color=colors["exact"], label="the best diagonal Σ")
ax.set(
    xlabel="Hadamard's gap at x, nats", ylabel="KL from q to Eq. 83, nats", xlim=(0, 0.5),
    ylim=(0, 0.5),
)
ax.legend()
plt.show()

# %% [markdown]
# Each point is a place on the surface. The diagonal encoder lies along the line of what it must pay, or above; the full
# one stays below about 0.1 nats, far below the line where the gap is large. Some of what it still pays is plain lack of
# training. In sum the diagonal encoder loses a fraction of a nat. As $\gamma \to 0$, $P \to J^\top J / \gamma$, and
# $\gamma$ cancels in the gap: on one chart the loss stays bounded, so neither the count nor the rate of the small
# eigenvalues depends on the choice. A closed surface has no such code; there the diagonal encoder pays more and more
# (notebook 05).
#
# ## Where the split blurs
#
# The theorem speaks of the optimum. Two things keep a trained network from it.
#
# **First**, let $\gamma$ be learned. It falls until it meets the error of the network (notebook 01). There the assumption
# $e \ll \gamma$ is broken: what the decoder leaks through an idle dimension counts. *Prediction*: the idle eigenvalues
# leave one, some by little, some altogether.
#
# **Second, claim N1** (Koehler et al.). For linear networks the dimension is recovered. Non-linear ones can settle on a
# set of higher dimension that contains the data. We take a helix: $r = 1$, one chart. Its two large PCA variances are
# alike, so two dimensions wake up nearly together. *Prediction*: the second is never given back, although the optimum has one.

# %%
points = truth.sample(120 * 256, seed=0)
free = toys.members(truth, kappa, n_seeds, gamma="learned")
plan = training.Plan(epochs=4, batch_size=256, lr=0.01, schedule=training.Cosine())
training.fit_together(free, points, plan, toys.QUIET, seeds=range(n_seeds))
learned = toys.measure(free, truth, n=512)

helix = toys.standardised(manifolds.manifold("helix"))
(last,) = toys.train(helix, 3, steps=500, n_seeds=n_seeds)
wound = toys.measure(last, helix, n=512)

# %%
starts = torch.stack([fit_linear(0.01)[0] for _ in range(4)])
idle = [m.eigenvalues[:, :, r:].mean() for m in (found[8], learned)]
claims.check_below(
    "D15", idle[1], idle[0] - 0.03, "gamma learned to the floor: the idle eigenvalues leave one"
)
claims.check_above(
    "D15", learned.share(r), 0.99, "but not altogether: the share of the points with r_hat = r"
)
counts = (starts < 0.5).sum(1)
claims.check(
    "N1", bool((counts == r).all()), "linear networks: r_hat = r = 2 from every random start",
    found=counts,
)
claims.check_above(
    "N1", [a.mean for a in wound.active], 1.2,
    "a helix, trained: the mean of r_hat is far above r = 1, in every seed",
)
claims.check_above("N1", wound.gap, 0.1, "and the cost stays above the certified optimum")
claims.refute(
    "D15", all(a.modal == 2 for a in wound.active),
    "so on this helix training ends with r_hat = 2, not r = 1, at most points, every seed",
    found=[a.modal for a in wound.active],
)

# %% alt="Three histograms of eigenvalues: two clean peaks when γ is held, a smear when it is learned, a smear for the helix"
fig, axes = plt.subplots(1, 3, figsize=(9, 2.6), sharey=True)
for ax, m, title in zip(
    axes, (found[8], learned, wound),
    ("γ held at 0.001", "γ learned to the floor", "helix, r = 1 of κ = 3"), strict=True,
):
    plots.eigenvalue_histogram(ax, m.eigenvalues.flatten())
    ax.set_title(title)
plt.show()

# %% [markdown]
# Left, the split as the theorem has it: half and half. In the middle the same data and networks, with $\gamma$ free:
# the right peak is broader and lower, and some of it has moved to the left. This half of the prediction came true. The
# other half failed: no idle eigenvalue has left one altogether. They stay far from the dotted line, and the count is
# still $r$.
#
# On the right a third of the eigenvalues should lie near zero and two thirds at one. More than that are small, and some
# lie between. The cost of this solution is higher than the optimum, so the theorem is not refuted. What is refuted is
# D15 read as a promise about training. That holds in part: on graphs over a plane, with $\gamma$ falling from above.
# Notebook 05 shows what a curve that winds needs.
#
# ## One look at digits
#
# Digits have noise, no known $r$, and only some hundred examples each. *Prediction*: no clean split, but the same
# picture in soft. And fewer active dimensions than a linear VAE with the same $\kappa$ and $\gamma$ has, whose
# eigenvalues are $\gamma / \ell$: a decoder that bends needs no dimension for the bends.

# %%
digits = data.load_images("digits")
with networks.seeded(0):
    vae = models.vae(
        networks.mlp(digits.shape, 24, notebooks.choose(quick=(64, 64), full=(256, 256)))
    )
training.fit(vae, digits.train, epochs=30, batch_size=128, lr=5e-3, schedule=training.Cosine(),
             gamma_schedule=training.Anneal(0.9, 0.01), device="cpu", progress=False)
lam = vae.codes(digits.test).eigenvalues()
flat = digits.train.double().flatten(1)
ell = theory.spectrum(torch.cov(flat.T))[0]
trained, linear = (lam < 0.5).sum(1).double().mean(), (0.01 / ell[:24] < 0.5).sum()
assert trained < linear - 2
says = "digits: fewer active dimensions than those of a linear VAE, by more than two"
print(f"ok  {says} (found {trained:.1f}, expected below {linear - 2})")

# %% alt="Eigenvalues of the digits' encoder by index: a rise with no clean step, past one half near the end; the linear VAE's rise less and stay below"
fig, ax = plt.subplots(figsize=(6, 3))
index = torch.arange(1, 25)
low, middle, high = lam.quantile(torch.tensor([0.05, 0.5, 0.95]), dim=0)
ax.fill_between(index, low, high, color=colors["q"], alpha=0.25, linewidth=0)
ax.plot(
    index, middle, "o-", color=colors["q"],
    label=f"VAE, median and 5 to 95 % of the digits: {trained:.1f} active",
)
ax.plot(
    index, (0.01 / ell[:24]).clamp(max=1), color=colors["exact"],
    label=f"linear VAE, γ / PCA variance: {linear} active",
)
ax.axhline(0.5, color="0.6", linestyle=":")
ax.set(xlabel="index j", ylabel="eigenvalue λ of Σ_z")
ax.legend()
plt.show()

# %% [markdown]
# There is a rise and no clean step: noisy data do not end after $r$ directions. It comes earlier than for the linear
# model, whose line is still below one half at the last index: all of its $\kappa$ dimensions are active. Where the
# points cross the dotted line you read off how many directions the digits vary in *at this $\gamma$*. At another
# $\gamma$ it is another number: real data have no single $r$.
#
# ## Takeaways
#
# - The encoder's noise is what the decoder's slope makes cheap: $\lambda = \gamma / (\gamma + s^2)$.
# - At the optimum and for small $\gamma$, $r$ eigenvalues fall as $\gamma$ and $\kappa - r$ are one.
# - The data term falls as $d \log\gamma$, twice the KL grows as $-r \log\gamma$. So the cost tells $r$ as well.
# - All of the noise in $z$ is in directions that the decoder ignores. That is why $\kappa > r$ does no harm to
#   reconstructions. It also means that $z$ is mostly noise: a second model of $z$ has a full-dimensional density to
#   learn (notebook 06).
# - Anneal $\gamma$ from above the top PCA eigenvalue, and hold it well above the error of the network.
#
# ## Where it breaks
#
# With $\gamma$ at the floor, the split blurs. Where two PCA variances are alike and the manifold winds, training keeps
# a dimension too many, and only its cost shows it. A manifold without a global chart, like a circle, has no $r$-dimensional code at
# all. And surfaces that bend within a distance of $\sqrt\gamma$ have no sharp dimension at that $\gamma$.
#
# ## Next
#
# Notebook 05 shows which surfaces a VAE recovers, and which not. Guess now: how many active dimensions for a circle?
# And is the *distribution* on the surface recovered as well?
#
# ## References
#
# - B. Dai and D. Wipf. Diagnosing and Enhancing VAE Models. ICLR 2019.
# - F. Koehler, V. Mehta, C. Zhou and A. Risteski. Variational Autoencoders in the Presence of Low-dimensional Data:
#   Landscape and Implicit Bias. ICLR 2022.
# - M. Tipping and C. Bishop. Probabilistic Principal Component Analysis. Journal of the Royal Statistical Society B, 1999.
