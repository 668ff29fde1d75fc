# %% [markdown]
# # 01 · A Gaussian VAE and its γ
#
# | | |
# | --- | --- |
# | You will be able to | write down the cost of a VAE, predict in closed form what its $\gamma$ does, and recognise one that has learned nothing |
# | You need | notebook 00, eigenvalues of a covariance matrix |
# | Time | 75 minutes with its exercises; quick: half a minute to run, full: three minutes |
# | Optional | the sections *The exception: footnote 3* and *Learned or optimal* |
# | Source | Dai & Wipf (2019), Definition 1, Eqs. 1, 2, 8, Theorem 3, footnotes 3 and 4, Fig. 1a; Rybkin et al. (2021) |
#
# One number decides what a VAE learns: $\gamma$, the variance of its Gaussian decoder. Many programs set it to one and
# forget it. Look at what that makes of digits:

# %%
# %matplotlib inline
import math
from functools import partial

import matplotlib.pyplot as plt
import torch
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from vaelab import (
    claims,
    data,
    densities,
    exercises,
    likelihoods,
    metrics,
    models,
    networks,
    notebooks,
    plots,
    training,
    widgets,
)
from vaelab.theory import linear_optimum

plots.use_style()
torch.set_num_threads(1)  # networks as small as these are fastest on one core
colors = plots.COLORS
fit = partial(training.fit, lr=0.01, schedule=training.Cosine(), device="cpu", progress=False)

# %%
digits = data.load_images("digits")
pixels = digits.train.double().flatten(1)
mean = pixels.mean(0)
lam_digits, U = (
    part.flip(-1) for part in torch.linalg.eigh((pixels - mean).T @ (pixels - mean) / len(pixels))
)


def ppca_reconstruct(gamma, images=digits.test[:12]):
    """What the best VAE with a linear decoder makes of images; its formula comes below."""
    shrink = (1 - gamma / lam_digits).clamp(min=0)
    return (mean + (images.double().flatten(1) - mean) @ U @ (shrink[:, None] * U.T)).reshape(
        images.shape
    )


# %% alt="A row of twelve digits; below it twelve times the same grey mean; below that the twelve digits again, a little blurred"
rows = {
    "digits": digits.test[:12], "copies, γ = 1": ppca_reconstruct(1.0),
    "copies, γ = 0.03": ppca_reconstruct(0.03),
}
_, ax = plt.subplots(figsize=(6, 1.7))
plots.show_rows(ax, rows)
plt.show()

# %% [markdown]
# The copies are those of the best VAE with a linear decoder, at two values of $\gamma$. At $\gamma = 1$ it answers every
# digit with the mean of all. In this notebook you will see why, and what happens when training may choose $\gamma$.
#
# ## What a κ-simple VAE is
#
# *Not on the path of ninety minutes.*
#
# Definition 1 of Dai & Wipf names the plainest VAE there is. It has a latent code $z$ of $\kappa$ numbers, a
# prior $p(z) = N(0, I)$, and two Gaussians:
#
# $$q_\phi(z \mid x) = N\big(\mu_z(x),\; S_z(x) S_z(x)^\top\big), \qquad
#   p_\theta(x \mid z) = N\big(\mu_x(z),\; \gamma I\big).$$
#
# The encoder $\phi$ gives the first, the decoder $\theta$ the second. What 00 called $\mu$ and $\hat x$ is $\mu_z$ and
# $\mu_x$ here, after the paper. $S_z$ may be any $\kappa \times \kappa$ matrix; 00, as most programs, had a diagonal
# one, with $\sigma$ on it. $\mu_z, S_z, \mu_x$ may be any network. $\gamma > 0$ is a single number, shared by all
# pixels and images. The cell builds such a model for the digits, with a full $S_z$, and shows what comes in and goes
# out.

# %%
vae = models.vae(networks.mlp(digits.shape, latent_dim=8), gamma=1.0, full=True)
q = vae.encode(digits.train[:5])
nll, kl = vae.loss_terms(digits.train[:5]).values()
print(
    "μ_z", tuple(q.mean.shape), "  S_z", tuple(q.scale_tril.shape), "  μ_x",
    tuple(vae.decode(q.mean).shape),
)
print("−log p(x | z)", tuple(nll.shape), "  KL[q(z | x) ‖ p(z)]", tuple(kl.shape), "  γ", vae.gamma)

# %% [markdown]
# The two terms of the loss are one number an image, in nats. Their sum is the cost. 00 gave you both; now
# write them yourself. Exercise 01.1 is the KL, 01.2 below is the other term.
#
# **Exercise 01.1** (8 minutes). For a diagonal encoder with mean `mu` and log-variance `log_var`, both of shape
# (batch, κ), return $\mathrm{KL}[q(z \mid x) \,\Vert\, N(0, I)]$ of each row.
#
# <details><summary>Hint</summary>The dimensions are independent, so their KLs add up. In one dimension the KL is half
# of: mean squared, plus variance, minus one, minus the log of the variance.</details>

# %% tags=["stub"]
def kl_of_rows(mu, log_var):
    return ...


# %% tags=["solution"]
def kl_of_rows(mu, log_var):
    return 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(1)


# %%
exercises.check("01.1", kl_of_rows)

# %% [markdown]
# ## One cost, two forms
#
# *Not on the path of ninety minutes.*
#
# **Claim D2.** The cost can be read in two ways, and they are equal for every $q$:
#
# $$\underbrace{-\log p_\theta(x) + \mathrm{KL}[q \,\Vert\, p_\theta(z \mid x)]}_{\text{Eq. 1}} \;=\;
#   \underbrace{-\mathbb E_q \log p_\theta(x \mid z) + \mathrm{KL}[q \,\Vert\, p(z)]}_{\text{Eq. 2}} .$$
#
# Eq. 1 says what the cost is for: it lies above $-\log p_\theta(x)$, and touches it when $q$ is the true posterior.
# Eq. 2 says how to compute it, since nothing in it needs an integral over $z$. Why they agree: replace
# $p_\theta(z \mid x)$ in Eq. 1 by $p_\theta(x \mid z)\, p(z) / p_\theta(x)$. The term $\log p_\theta(x)$ cancels, and
# Eq. 2 is left.
#
# To see it in numbers we want a decoder whose marginal and posterior are exact. A linear one has them. With
# $\mu_x(z) = W z + b$,
#
# $$p_\theta(x) = N(b,\, W W^\top + \gamma I), \qquad
#   p_\theta(z \mid x) = N\big(\tfrac1\gamma \Sigma W^\top (x - b),\, \Sigma\big), \quad
#   \Sigma = \big(I + \tfrac1\gamma W^\top W\big)^{-1}.$$

# %%
d, kappa, gamma = 5, 3, torch.tensor(0.4, dtype=torch.float64)
eye = partial(torch.eye, dtype=torch.float64)
randn = partial(torch.randn, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
W, b, x = randn(d, kappa), randn(d), randn(d)

sigma_z = torch.linalg.inv(eye(kappa) + W.T @ W / gamma)
p_x = MultivariateNormal(b, W @ W.T + gamma * eye(d))
posterior = MultivariateNormal(sigma_z @ W.T @ (x - b) / gamma, sigma_z)
prior = MultivariateNormal(torch.zeros_like(posterior.mean), eye(kappa))


def cost_eq_1(q):
    return -p_x.log_prob(x) + kl_divergence(q, posterior)


def cost_eq_2(q):
    mu, sigma = q.mean, q.covariance_matrix
    squared_error = (x - b - mu @ W.T).square().sum(-1) + (sigma * (W.T @ W)).sum((-2, -1))
    return 0.5 * (squared_error / gamma + d * (2 * math.pi * gamma).log()) + kl_divergence(q, prior)


S_z = randn(200, kappa, kappa)
q = MultivariateNormal(randn(200, kappa), S_z @ S_z.mT + 0.01 * eye(kappa))
gap = (cost_eq_1(q) - cost_eq_2(q)).abs().max()
claims.check_below("D2", gap, 1e-9, "Eq. 1 = Eq. 2 for a linear decoder and 200 random encoders")

# %% [markdown]
# In the figure $q$ has the right mean, and its covariance is the right one times a factor. The line is Eq. 1, and the
# points are Eq. 2. Before you look: where will the cost be lowest, and how low?

# %% alt="A valley: the points of Eq. 2 lie on the line of Eq. 1 and touch the marginal at the factor one"
factors = torch.logspace(-2, 1, 61, dtype=torch.float64)
q = MultivariateNormal(posterior.mean, factors[:, None, None] * sigma_z)
fig, ax = plt.subplots(figsize=(6, 3))
ax.semilogx(factors, cost_eq_1(q), color=colors["exact"], label="Eq. 1")
ax.plot(factors[::5], cost_eq_2(q)[::5], "o", color=colors["q"], label="Eq. 2")
ax.axhline(-p_x.log_prob(x), color=colors["data"], linestyle="--", label="−log p(x)")
ax.set(xlabel="covariance of q, as a multiple of the true posterior's", ylabel="cost in nats")
ax.legend()
plt.show()

# %% [markdown]
# The points lie on the line, and the valley touches the dashed $-\log p_\theta(x)$ where the factor is one. What stands
# above the dashed line is the KL of Eq. 1: the price of a wrong encoder. For fixed $\theta$, training the encoder pays
# off this price and nothing else.
#
# > **Reading note (E1).** Eq. 8 of the paper prints $-2 \log p_\theta(x \mid z)$ with a factor 2 before the quadratic
# > term. A density of $d$ independent Gaussians has none:
# > $-2 \log p_\theta(x \mid z) = \lVert x - \mu_x \rVert^2 / \gamma + d \log 2\pi\gamma$. It matters, since the factor
# > would move the best $\gamma$. The cell after the exercise tries both.
#
# **Exercise 01.2** (5 minutes). Return $-\log N(x;\, \hat x,\, \gamma I)$ of each row, for `x` and `x_hat` of shape
# (batch, d) and one number `gamma`.
#
# <details><summary>Hint</summary>Halve the reading note. What is d in the code?</details>

# %% tags=["stub"]
def nll_of_rows(x, x_hat, gamma):
    return ...


# %% tags=["solution"]
def nll_of_rows(x, x_hat, gamma):
    d = x.shape[1]
    return 0.5 * ((x - x_hat).square().sum(1) / gamma + d * math.log(2 * math.pi * gamma))


# %%
exercises.check("01.2", nll_of_rows)

x, mu_x = randn(5), randn(5)
exact = -2 * Normal(mu_x, gamma.sqrt()).log_prob(x).sum()
quadratic, logs = (x - mu_x).square().sum() / gamma, 5 * (2 * math.pi * gamma).log()
right, printed = quadratic + logs, 2 * quadratic + logs
holds = abs(right - exact) < 1e-12 and abs(printed - exact) > 0.1
claims.check(
    "E1", holds, "Eq. 8 holds without its factor 2, not with it", found=[right, printed, exact]
)

# %% [markdown]
# ## The best γ is the mean squared error
#
# **Claim N2** (Rybkin et al.). For given encoder and decoder the best $\gamma$ has a closed form. The cost is
# $-\mathbb E \log p(x \mid z)$ plus a KL (00), and only the first term contains $\gamma$. Write $d$ for the number of
# pixels, here 64, and $C$ for the mean squared error of a pixel, over images and draws of $z$. Then
#
# $$-\mathbb E \log p(x \mid z) = \frac d2 \Big( \frac C\gamma + \log\gamma + \log 2\pi \Big), \qquad
#   \frac{\partial\, [-\mathbb E \log p(x \mid z)]}{\partial \log\gamma} = \frac d2 \Big( 1 - \frac C\gamma \Big).$$
#
# The derivative is zero at $\gamma = C$ and nowhere else. The minimum is $\frac d2 (1 + \log 2\pi C)$.
#
# > **Reading note (E2).** Footnote 4 says that the infimum of $C/\gamma + \log\gamma$ over $\gamma > 0$ is infinite.
# > By the line above it is $1 + \log C$, at $\gamma = C$. What is infinite is the limit $\gamma \to 0$.
#
# We take three decoders that need no training: the mean image and 0, 2 or 8 *components*, the eigenvectors of the pixels'
# covariance with the largest eigenvalues (PCA, principal component analysis). Each has its own error $C$. Prediction:
# three valleys, with their lowest points on one curve.

# %%
x, d = pixels, pixels.shape[1]
pca = {k: mean + (x - mean) @ U[:, :k] @ U[:, :k].T for k in (0, 2, 8)}
C = torch.tensor([metrics.mean_squared_error(x, x_hat) for x_hat in pca.values()])[:, None]

gammas = torch.logspace(-3, 1, 161, dtype=torch.float64)
values = C / gammas + gammas.log()
nll = [
    [likelihoods.Gaussian(g.item()).nll(x, x_hat).mean() for g in gammas] for x_hat in pca.values()
]
lowest = gammas[torch.tensor(nll).argmin(1)]
claims.check_close(
    "E2", values.min(1).values, 1 + C[:, 0].log(), atol=1e-3, says="the infimum is 1 + log C"
)
claims.check_close(
    "N2", lowest, C[:, 0], rtol=0.03, says="the best gamma is the mean squared error"
)

# %% alt="Three valleys, one for each decoder; the smaller the error, the deeper and the further left the lowest point"
fig, ax = plt.subplots(figsize=(6, 3.2))
ax.plot(
    gammas, 0.5 * d * (1 + math.log(2 * math.pi) + gammas.log()), color=colors["exact"],
    label="d/2 (1 + log 2πγ)",
)
for k, value, measured, color in zip(pca, values, nll, ("0.7", "0.45", "0"), strict=True):
    ax.semilogx(gammas, 0.5 * d * (value + math.log(2 * math.pi)), color=color)
    ax.plot(gammas[::8], measured[::8], "o", color=color, label=f"{k} components")
ax.set(xlabel="γ", ylabel="mean −log p(x | z) in nats", ylim=(-110, 130))
ax.legend()
plt.show()

# %% [markdown]
# The straight line meets each valley at its lowest point, the cost at $\gamma = C$. That line has no floor: it falls
# with $\log\gamma$. A better decoder reaches a deeper valley further left. At $\gamma = 1$ the three decoders cost almost
# the same: there is little to gain from a better one.
#
# **Exercise 01.3** (3 minutes). For images `x` and what a decoder makes of them, `x_hat`, both of shape (batch, d), return
# the $\gamma$ that minimises the mean of $-\log N(x; \hat x, \gamma I)$ over the rows. Your rule will train a VAE below.
# Under its check stands a quiz on what the minimum of the cost says.
#
# <details><summary>Hint</summary>One number for the whole batch. Is it a sum or a mean over the pixels?</details>

# %% tags=["stub"]
def best_gamma(x, x_hat):
    return ...


# %% tags=["solution"]
def best_gamma(x, x_hat):
    return (x - x_hat).square().mean()


# %%
exercises.check("01.3", best_gamma)

# %% tags=["widget", "nbval-ignore-output"]
exercises.quiz("01.4")

# %% [markdown]
# ## Why γ falls: Theorem 3 on linear data
#
# *Not on the path of ninety minutes.*
#
# So a smaller $\gamma$ needs a smaller error. Is there always one to be had? Theorem 3 says so if the data fill $r < d$
# dimensions and $\kappa \ge r$.
#
# **Claim D10.** For every $\gamma$ there is a $\gamma' < \gamma$ with a lower optimal cost.
#
# *Assumptions here*: Gaussian data with covariance eigenvalues $\Lambda_1 \ge \dots \ge \Lambda_r > 0$, the other
# $d - r$ zero, and a linear decoder. Then the model is probabilistic PCA, and every step is exact:
#
# 1. The best $q$ is the posterior, so the cost is $-\mathbb E \log N(x; b, WW^\top + \gamma I)$.
# 2. The best $W$ points along the eigenvectors (Tipping & Bishop). In direction $j$ the model then has a variance
#    $v_j \ge \gamma$, and pays $\frac12 (\log 2\pi v_j + \Lambda_j / v_j)$.
# 3. By the reading note this is least at $v_j = \Lambda_j$. If $\Lambda_j \le \gamma$, that is out of reach, and
#    $v_j = \gamma$. So **a direction is active exactly if its eigenvalue exceeds $\gamma$** (N6).
# 4. Only the inactive directions contain $\gamma$. The slope of the optimal cost in $\log\gamma$ is
#
# $$\tfrac12 \sum_{j\ \text{inactive}} \Big( 1 - \frac{\Lambda_j}{\gamma} \Big) \;\ge\; \frac{d - r}{2} \;>\; 0 .$$
#
# <details><summary>Step 2: why eigenvectors</summary>
#
# Let the data have covariance $K$ and the model $M = WW^\top + \gamma I$. The cost is $\frac12 (\log\det 2\pi M +
# \operatorname{tr} K M^{-1})$. Turn $M$ by a small rotation, $e^{tA} M e^{-tA}$ with $A$ antisymmetric: its
# eigenvalues stay, and the slope of the cost at $t = 0$ is $\frac12 \operatorname{tr} K (A M^{-1} - M^{-1} A) =
# \frac12 \operatorname{tr} A (M^{-1} K - K M^{-1})$. At the best $M$ it vanishes for every $A$. The bracket is
# antisymmetric too, so it must be zero: $K$ and $M$ commute, and share their eigenvectors. Then $\operatorname{tr} K
# M^{-1} = \sum_j \Lambda_j / v_j$, and this is least if the largest $v_j$ goes with the largest $\Lambda_j$.
#
# </details>
#
# Each term is at least zero, and each of the $d - r$ empty directions gives one half. That is the theorem, for linear
# data. The encoder's covariance has the eigenvalue $\lambda_j = \gamma / \Lambda_j$ in an active direction, one in the others.

# %%
def optimal_cost(gamma, lam, kappa):
    gamma = torch.as_tensor(gamma, dtype=torch.float64)[..., None]
    active = (lam > gamma) & (torch.arange(len(lam)) < kappa)  # lam descends
    v = torch.where(active, lam, gamma)
    return 0.5 * ((2 * math.pi * v).log() + lam / v).sum(-1)


lam, d, r, kappa = torch.tensor([4, 0.5, 0, 0, 0], dtype=torch.float64), 5, 2, 4
assert all(
    abs(optimal_cost(g, lam, kappa) - linear_optimum(lam.diag(), kappa, g).cost) < 1e-9
    for g in (9.0, 2.0, 0.1)
)

log_gamma = torch.linspace(3, -12, 301, dtype=torch.float64, requires_grad=True)
(slope,) = torch.autograd.grad(optimal_cost(log_gamma.exp(), lam, kappa).sum(), log_gamma)
says = "linear data, r < d: the slope is (d - r)/2 or more at every gamma"
claims.check_above("D10", slope.min(), (d - r) / 2 - 1e-12, says)

# %% [markdown]
# Do networks find this optimum, which know nothing of PCA? We train two. The first has a fixed $\gamma$, lowered in five
# steps from above $\Lambda_1$. The second learns $\gamma$. Prediction: the first ends each step on the line of the optimum,
# with 0, 1, 2, 2, 2 active dimensions, and the second slides down along it.

# %%
def gaussian_sample(lam, n=1024):
    """n points whose covariance has exactly the eigenvalues lam, in directions drawn at random."""
    points = randn(n, len(lam))
    white = torch.linalg.qr(points - points.mean(0))[0] * math.sqrt(n)
    return (white * lam.sqrt() @ torch.linalg.qr(randn(len(lam), len(lam)))[0]).float()


x = gaussian_sample(lam)
hidden, epochs = notebooks.choose(quick=((32, 32), 20), full=((128, 128), 200))
fit_toy = partial(fit, batch_size=128)
with networks.seeded(0):
    vae, free = (models.vae(networks.mlp(d, kappa, hidden), gamma) for gamma in (10.0, "learned"))

grid, costs, active = (10.0, 1.4, 0.1, 0.01, 0.003), [], []
for gamma in grid:
    vae.likelihood.gamma = gamma
    costs.append(fit_toy(vae, x, epochs=epochs).history["loss"][-1])
    active.append(metrics.active_dims(vae.codes(x).eigenvalues()))
free.likelihood.gamma = grid[0]
history = fit_toy(free, x, epochs=2 * epochs, gamma_lr=8).history

claims.check_close(
    "D10", costs, optimal_cost(grid, lam, kappa), atol=0.8,
    says="trained at a fixed gamma, the cost is on the line",
)
falls = free.gamma < 0.01 and history["loss"][-1] < costs[2]
found = [free.gamma, history["loss"][-1], costs[2]]
claims.check("D10", falls, "learned, gamma falls a thousandfold, and the cost with it", found=found)
above = [(lam > gamma).sum() for gamma in grid]
claims.check(
    "N6", active == above, "as many active dimensions as eigenvalues above gamma", found=active
)

# %% alt="The optimal cost falls without end as gamma falls; trained models at five fixed gammas lie on it, the learned one slides along it"
fig, ax = plt.subplots(figsize=(6, 3.4))
gammas = torch.logspace(1.1, -3.6, 200, dtype=torch.float64)
ax.semilogx(
    gammas, optimal_cost(gammas, lam, kappa), color=colors["exact"], label="optimum, in closed form"
)
ax.plot(
    history["gamma"], history["loss"], ".-", color=colors["q"], linewidth=0.8,
    label="γ learned, epoch by epoch",
)
ax.plot(grid, costs, "o", color=colors["fixed"], markersize=8, label="γ fixed, after training")
ax.vlines(lam[:r], -6, 12, color="0.6", linestyle=":", label="eigenvalues of the data")
ax.set(xlabel="γ", ylabel="cost in nats")
ax.invert_xaxis()
ax.legend()
plt.show()

# %% [markdown]
# Read it from left to right, as training does. At each dotted line an eigenvalue of the data is passed and one more
# dimension becomes active. After the last one the line is straight: its slope is $(d - r)/2$, and there is no floor.
# The fixed models lie on the line. The learned one arrives from above, partly since a dot's cost is its epoch's mean.
# It ends where training ends. What would stop a longer one is the error: with $\gamma = C$, only a better network goes
# further.
#
# ## The exception: footnote 3
#
# *Not on the path of ninety minutes.*
#
# **Claim D11.** Gaussian data that fill all dimensions, $r = d$, are an exception. With $\kappa = d$ and
# $\gamma < \Lambda_d$ no direction is inactive, so the slope is a sum over nothing: zero. The cost stays at the entropy
# of the data. With $\kappa < d$ the inactive directions are the last $d - \kappa$
# for small $\gamma$. Their slope changes sign at their mean: the best $\gamma$ is
# $\frac{1}{d - \kappa} \sum_{j > \kappa} \Lambda_j$, and it is unique.

# %%
noisy = torch.tensor([4, 0.5, 0.05, 0.03, 0.01], dtype=torch.float64)
fine = torch.logspace(1, -6, 7001, dtype=torch.float64)
entropy = MultivariateNormal(torch.zeros_like(noisy), noisy.diag()).entropy()
below, gamma_star = fine[fine <= noisy[-1]], noisy[2:].mean()

says = "r = d = kappa: from the last eigenvalue down the cost is the entropy, never lower"
claims.check_close("D11", optimal_cost(below, noisy, 5), entropy, atol=1e-9, says=says)
lowest = fine[optimal_cost(fine, noisy, 2).argmin()]
claims.check_close(
    "D11", lowest, gamma_star, rtol=3e-3,
    says="r = d > kappa: one best gamma > 0, the mean of the eigenvalues left out",
)

# %% alt="Three curves of optimal cost against gamma: one falls for ever, one turns flat, one has a valley"
fig, ax = plt.subplots(figsize=(6, 3.2))
for eigenvalues, k, label, color in (
    (lam, 4, "r = 2 < d: falls for ever", "exact"), (noisy, 5, "r = d = κ: turns flat", "data"),
    (noisy, 2, "r = d, κ = 2: a valley", "other"),
):
    ax.semilogx(gammas, optimal_cost(gammas, eigenvalues, k), color=colors[color], label=label)
ax.axvline(gamma_star, color="0.6", linestyle=":")
ax.set(xlabel="γ", ylabel="optimal cost in nats", ylim=(-6, 16))
ax.invert_xaxis()
ax.legend()
plt.show()

# %% [markdown]
# A little noise in the empty directions, and the fall comes to an end. Real data are noisy, so which curve are they on?
# On that of the first kind down to the size of the noise. In the valley the best $\gamma$ is known, at the dotted line:
# a good place for a race.
#
# ## Learned or optimal
#
# *Not on the path of ninety minutes.*
#
# `gamma="optimal"` sets $\gamma$ to a running mean of the error, by N2. `gamma="learned"` leaves $\log\gamma$ to Adam.
# Both have one optimum. *Prediction*: Adam moves a parameter by about its step size, whatever the gradient. After some
# steps $\log\gamma$ has come about as far as the sum of the step sizes, and hardly further. That is the dashed line
# below, for the step size of the networks. If $\log\gamma$ gets ten times that, the limit is not felt.

# %%
x = gaussian_sample(noisy)
rules = {
    "learned": (likelihoods.Gaussian("learned"), 1),
    "learned, ten times the step": (likelihoods.Gaussian("learned"), 10),
    "optimal": (likelihoods.Gaussian("optimal", decay=0.9), 1),
}
curves, end = {}, {}
for name, (likelihood, gamma_lr) in rules.items():
    with networks.seeded(0):
        vae = models.Autoencoder(networks.mlp(5, 2, hidden), likelihood=likelihood)
    curves[name] = fit_toy(vae, x, epochs=40, gamma_lr=gamma_lr).history
    end[name] = vae.gamma

both = [end["optimal"], end["learned, ten times the step"]]
claims.check_close(
    "N2", both, gamma_star, rtol=0.2,
    says="optimal and tenfold end at one gamma, known in closed form",
)
claims.check_above(
    "N2", end["learned"], 2 * gamma_star,
    "learned at the networks' own step size is still on its way",
)

# %% alt="γ against epochs: optimal and the ten-fold step reach the dotted optimum, the plain learned one follows its travel limit"
fig, ax = plt.subplots(figsize=(6, 3.2))
palette = dict(zip(curves, (colors["q"], colors["other"], colors["exact"]), strict=True))
plots.gamma_curve(ax, {name: history["gamma"] for name, history in curves.items()}, palette)
travelled = 8 * torch.tensor(curves["learned"]["lr"]).cumsum(0)  # 8 steps an epoch
ax.plot(
    range(1, 41), (-travelled).exp(), "--", color="0.5",
    label="as far as its step size lets γ travel",
)
ax.axhline(gamma_star, color=colors["data"], linestyle=":", label="best γ, in closed form")
ax.legend(loc="upper right", bbox_to_anchor=(1, 1.25))
plt.show()

# %% [markdown]
# The plain learned $\gamma$ follows its travel limit and is not there at the end. The optimal rule needs no step size;
# the ten-fold step arrives first, and swings before it rests.
#
# ## What γ = 1 does to digits
#
# **Claim N6.** A linear decoder uses a direction of the data, it is *active*, exactly if its variance, an eigenvalue
# $\Lambda_j$ of their covariance, exceeds $\gamma$. What varies less is left to the decoder's noise (*Why γ falls* proves
# it). So the best linear VAE, called probabilistic PCA, shrinks component $j$ by the factor $1 - \gamma / \Lambda_j$ and
# drops it if $\Lambda_j \le \gamma$.
#
# *Prediction* for $\gamma = 1$: the largest eigenvalue of the digits is below one, so nothing is active, and every image
# is answered with the mean image. In 00 $\gamma = 1$ did learn something: clothes of 28 × 28 pixels have some eigenvalues
# above one, these digits of 8 × 8 pixels none.
#
# The first check compares the largest eigenvalue with one. The second searches two hundred times for a decoder of any
# kind, linear or not, that does better than the mean image, and finds none.
#
# <details><summary>Why this holds for every decoder, and how the cell searches</summary>
#
# The density of any decoder is a mixture of Gaussians N(μ, γI). Going from one mixture to another, $p_s = (1 - s)\, p_0 +
# s\, p_1$ is linear in $s$, and −log is convex, so the mean of $-\log p_s$ is convex in $s$: if it does not fall at
# $s = 0$, it never does. Start with all mass at the mean image m. The slope towards $p_1 = N(m + u, \gamma I)$ is
# $1 - \mathbb E_x\, p_1(x) / p_0(x)$, and towards a mixture it is a mean of such slopes. So nothing beats the mean image
# if the data satisfy, for all u, the inequality that the next cell tests:
#
# $$\mathbb E_x \exp\big( \langle x - m, u \rangle / \gamma - \lVert u \rVert^2 / 2\gamma \big) \le 1 .$$
#
# Each search climbs this function from a digit, by steps to a weighted mean of the data. All end at u = 0.
#
# </details>

# %%
centred = digits.train.double().flatten(1) - mean
u = centred[:200]
for _ in range(60):
    weights = torch.softmax(u @ centred.T, 1)
    u = weights @ centred
gain = torch.logsumexp(u @ centred.T, 1) - 0.5 * u.square().sum(1) - math.log(len(centred))
claims.check_below("N6", lam_digits[0], 1, "digits: gamma = 1 is above every PCA eigenvalue")
claims.check_below(
    "N6", gain, 1e-6,
    "digits: no search finds a decoder, linear or not, that gains by leaving the mean image",
)

# %% alt="Six rows of the same twelve digits, from γ = 1, all equal to the mean, to γ = 0.003, sharp"
fig, axes = plt.subplots(6, 1, figsize=(6, 2.9))
for ax, gamma in zip(axes, (1, 0.5, 0.2, 0.1, 0.03, 0.003), strict=True):
    plots.show_images(ax, ppca_reconstruct(gamma), columns=12)
    ax.text(-2, 4, f"γ = {gamma:g},  {(lam_digits > gamma).sum()} active", ha="right", va="center")
plt.show()

# %% [markdown]
# These are copies by the best linear VAE. The top row is one image twelve times. Below it each component wakes when
# $\gamma$ passes its eigenvalue. Next the top row again, with a slider for $\gamma$. Move it to the left:

# %% tags=["widget", "nbval-ignore-output"]
widgets.gamma_explorer(ppca_reconstruct)

# %% [markdown]
# **Question.** N6 wakes the first direction at the eigenvalue that the first check printed. At which $\gamma$ do you first
# *see* any difference between the digits?
#
# <details><summary>Ours</summary>Later: at γ = 0.5 hardly any, at 0.2 clearly. A direction is faint when it wakes, since
# its factor 1 − γ/Λ is near 0.</details>
#
# ## Learning γ on digits
#
# **Claim D26** (Fig. 1a). Learned, $\gamma$ falls in training, and images are reconstructed better than with
# $\gamma = 1$. By N2 the learned $\gamma$ should meet the error, which the figure shows as points. A latent dimension of a
# network counts as active if the encoder's variance in it is below ½. One that carries nothing keeps the prior's, 1.
#
# A third VAE follows *your* rule of exercise 01.3 (or ours): after every two epochs its $\gamma$ becomes what
# `best_gamma` says.
#
# > **Reading note (E4).** The caption of Fig. 1a says that $\log\gamma$ converges close to 0. It is $\gamma$ that does.
# > Its logarithm goes far below 0, and $\log\gamma = 0$ is the model with $\gamma = 1$, which learns nothing here.

# %%
hidden, epochs = notebooks.choose(quick=((64, 64), 40), full=((256, 256), 300))
vaes, runs = {}, {}
for gamma in (1.0, "learned"):
    with networks.seeded(0):
        vaes[gamma] = models.vae(networks.mlp(digits.shape, 8, hidden), gamma)
    runs[gamma] = fit(vaes[gamma], digits.train, epochs=epochs, lr=0.005).history
pictures = {gamma: vae.reconstruct(digits.test) for gamma, vae in vaes.items()}
error = {
    gamma: metrics.mean_squared_error(digits.test, picture) for gamma, picture in pictures.items()
}
active = {
    gamma: metrics.active_dims(vae.codes(digits.test).eigenvalues()) for gamma, vae in vaes.items()
}

rule = exercises.given("01.3", best_gamma)  # yours if it is right


def train_by_rule(vae, rounds):
    """Two epochs, then γ by the rule; and again. The γ of all rounds."""
    gammas = []
    for k in range(rounds):
        training.fit(vae, digits.train, epochs=2, lr=0.005, seed=k, device="cpu", progress=False)
        z = densities.draw(vae.codes(digits.train), seed=k)
        gammas.append(float(rule(digits.train.flatten(1), vae.images(z).flatten(1))))
        vae.likelihood.gamma = gammas[-1]
    return gammas


with networks.seeded(0):
    by_rule = models.vae(networks.mlp(digits.shape, 8, hidden), 1.0)
ruled = train_by_rule(by_rule, epochs // 2)

# %%
history, d = runs["learned"], 64
mid = (history["gamma"] * [1, *history["gamma"][:-1]]) ** 0.5  # γ in the middle of an epoch
C = mid * (2 * history["nll"] / d - [math.log(2 * math.pi * gamma) for gamma in mid])
variance = (digits.test.flatten(1) - mean).square().mean()

splits = active[1.0] == 0 and active["learned"] > 4
claims.check(
    "N6", splits, "trained: gamma = 1 has no active dimension, learned has",
    found=[*active.values()],
)
claims.check_close(
    "N6", error[1.0], variance, rtol=0.05, says="with gamma = 1 the answer is the mean image"
)
claims.check_below(
    "D26", history["gamma"][-1], 0.05, "learned, gamma falls from 1 to below a twentieth"
)
claims.check_below(
    "E4", math.log(history["gamma"][-1]), -3,
    "so log gamma is far below 0; it is gamma that comes close to 0",
)
claims.check_below(
    "D26", error["learned"], error[1.0] / 2,
    "and the error is less than half of that with gamma = 1",
)
claims.check_close(
    "N2", C[-1], history["gamma"][-1], rtol=0.2,
    says="where it ends, gamma is the mean squared error",
)
claims.check_close(
    "N2", ruled[-1], history["gamma"][-1], rtol=0.3,
    says="gamma by the rule of 01.3 ends near it too",
)

# %% alt="Left, γ falls and meets the error; right, rows of digits, their reconstructions with γ learned, and with γ = 1 one grey blob"
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), width_ratios=(1, 1.25))
palette = {"γ learned": colors["q"], "γ = 1": colors["fixed"]}
plots.gamma_curve(left, {"γ learned": history["gamma"], "γ = 1": runs[1.0]["gamma"]}, palette)
left.plot(range(1, epochs + 1), C, ".", color=colors["q"], label="error, γ learned")
left.plot(range(2, epochs + 1, 2), ruled, "x", color=colors["exact"], label="γ by your rule")
left.axhline(variance, color=colors["data"], linestyle=":", label="error of the mean image")
left.set(ylabel="γ, or mean squared error of a pixel")
left.legend(loc=(0.35, 0.42), fontsize=8)
ours = by_rule.reconstruct(digits.test)
rows = {
    "test digits": digits.test, "γ learned": pictures["learned"], "γ by your rule": ours,
    "γ = 1": pictures[1.0],
}
plots.show_rows(right, {name: images[:8] for name, images in rows.items()})
plt.show()

# %% [markdown]
# The dotted line is the error of a model that knows the mean image and nothing else. The error of the one with
# $\gamma = 1$, printed above, ends there, with the grey bottom row. The learned one passes it: $\gamma$ falls, directions
# become active, the error falls too, and $\gamma$ follows it down until the two meet. Your rule falls faster at first, and
# both end together.
#
# ## Takeaways
#
# - The cost is $-\log p(x)$ plus the price of a wrong encoder (*One cost, two forms*). You compute data term plus KL.
# - The best $\gamma$ is the mean squared error. With it, an error cut in half takes $\frac d2 \log 2$ nats off the data term.
# - A direction of the data is active exactly if its variance $\Lambda_j$ exceeds $\gamma$ (linear case).
# - If data fill fewer dimensions than there are pixels, networks trained on at a smaller $\gamma$ cost less (*Why γ falls*).
# - A $\gamma$ that is not learned has a unit: that of the pixels, squared. One is large for pixels in $[0, 1]$.
#
# ## Where it breaks
#
# The closed forms are for Gaussian data and linear decoders. On curved data the count of active dimensions differs from
# the count of large PCA eigenvalues. A cost without floor never ends training: what stops $\gamma$ is the network, the
# step size, or the noise in the data, and then overfitting. And a low cost says that the reconstructions are good. Are
# *samples* good too?
#
# ## Next
#
# Notebook 02 asks when the VAE finds the distribution of the data, and not only where it lies. Notebook 06 draws
# samples. Guess before you go: will the model with the lowest cost have the best samples?
#
# ## References
#
# - B. Dai and D. Wipf. Diagnosing and Enhancing VAE Models. ICLR 2019.
# - O. Rybkin, K. Daniilidis and S. Levine. Simple and Effective VAE Training with Calibrated Decoders. ICML 2021.
# - M. Tipping and C. Bishop. Probabilistic Principal Component Analysis. Journal of the Royal Statistical Society B, 1999.
