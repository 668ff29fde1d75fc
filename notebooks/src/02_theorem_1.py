# %% [markdown]
# # 02 · Theorem 1: when the data fill the space
#
# | | |
# | --- | --- |
# | You will be able to | write down the best VAE for a known density without training, and say how fast it becomes exact |
# | You need | notebook 01, distribution functions, change of variables for densities |
# | Time | 75 minutes with its exercises; quick: 15 seconds to run, full: one minute |
# | Optional | the sections *A density that vanishes somewhere* and *A gap in the printed proof* |
# | Source | Dai & Wipf (2019), Theorem 1, footnote 1, Appendix E (Eqs. 11–36) |
#
# Can a VAE with a Gaussian encoder and decoder model *any* density? Theorem 1 says yes, if the data fill all
# dimensions of their space. Its proof builds the model. Here is such a decoder, which nobody trained:

# %%
# %matplotlib inline
import math

import matplotlib.pyplot as plt
import torch
from torch.distributions import Normal

from vaelab import claims, exercises, manifolds, notebooks, plots, theory, widgets

plots.use_style()
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)  # the constructions are exact; only rounding is left
colors = plots.COLORS

# %% alt="Left, circles and rays of the noise plane; right, the same lines, bent by f so that they crowd on two moons"
moons = manifolds.two_moons()
angles, radii = torch.linspace(0, 2 * math.pi, 241)[:, None], torch.linspace(0.4, 2.4, 6)
rings = torch.stack([angles.cos() * radii, angles.sin() * radii], -1)
bent = theory.from_noise(moons, rings.reshape(-1, 2)).reshape(rings.shape)
grid = torch.cartesian_prod(torch.linspace(-2.6, 2.6, 90), torch.linspace(-2.6, 2.6, 90))
across, up = grid.T.reshape(2, 90, 90)
fig, axes = plt.subplots(1, 2, figsize=(7, 3.5))
panels = ((manifolds.gaussian(2), rings, "noise z"), (moons, bent, "data x = f(z)"))
for ax, (density, lines, title) in zip(axes, panels, strict=True):
    ax.contourf(
        across, up, density.log_prob(grid).exp().reshape(90, 90), 6, cmap="Greys", alpha=0.6
    )
    ax.plot(lines[..., 0], lines[..., 1], color=colors["prior"], linewidth=1)
    ax.plot(lines[::20, :, 0].T, lines[::20, :, 1].T, color=colors["q"], linewidth=0.8)
    ax.set(title=title, xlabel="first coordinate", ylabel="second coordinate", aspect="equal")
plt.show()

# %% [markdown]
# Grey is the density. The decoder's mean $f$ carries the circles and rays of the noise, on the left, to the bent net on
# the right. The lines crowd where the data are dense, on the two moons, and spread out in the hole between them. A
# network would have to find this $f$; the proof writes it down.
#
# ## What the theorem says
#
# Write $r$ for the dimension of the set that the data fill. In this notebook $r = d$: the data have a density $p_{gt}$,
# positive on all of $\mathbb R^d$. The code has $\kappa \ge r$ numbers. Theorem 1 then promises models
# $\theta_t, \phi_t$, one for each $t > 0$, with
#
# $$\text{(i)}\;\; \lim_{t \to \infty} p_{\theta_t}(x) = p_{gt}(x), \qquad
#   \text{(ii)}\;\; \lim_{t \to \infty} \mathrm{KL}\big[q_{\phi_t}(z \mid x) \,\Vert\, p_{\theta_t}(z \mid x)\big] = 0 .$$
#
# In (i) the decoder becomes right, in (ii) the encoder becomes right for that decoder. By Eq. 1 of notebook 01 the cost
# then tends to the entropy of the data, and nothing can cost less.
#
# ## A map from noise to data
#
# The decoder's mean has to turn noise $z \sim N(0, 1)$ into data. In one dimension there is a classical way. Let $F$ be
# the distribution function of $p_{gt}$, and $G$ that of $N(0, 1)$. Then $G(z)$ is uniform on $(0, 1)$, and $F^{-1}$ of
# a uniform number has the density $p_{gt}$. So
#
# $$f = F^{-1} \circ G \;\text{ turns noise into data}, \qquad
#   h = f^{-1} = G^{-1} \circ F \;\text{ turns data into noise.}$$
#
# We take a skewed density, a mixture of three Gaussians, for which $F$ can be written down. The cell compares
# `vaelab`'s $h$ with that formula, and with the change of variables $h'(x)\, N(h(x); 0, 1) = p_{gt}(x)$.

# %%
skewed, prior = manifolds.skewed(), Normal(0.0, 1.0)
pi, m, C = skewed.weights, skewed.means[:, 0], skewed.covariances()[:, 0, 0]


def h(x):
    return theory.to_noise(skewed, x[:, None])[:, 0]


def f(z):
    return theory.from_noise(skewed, z.flatten()[:, None]).reshape(z.shape)


# %%
x = torch.linspace(-3, 5, 81)
F = (pi * prior.cdf((x[:, None] - m) / C.sqrt())).sum(1)
p_gt = (pi * Normal(m, C.sqrt()).log_prob(x[:, None]).exp()).sum(1)
h_slope = theory.to_noise_jacobian(skewed, x[:, None])[:, 0, 0]

errors = (prior.cdf(h(x)) - F, f(h(x)) - x, h_slope * prior.log_prob(h(x)).exp() - p_gt)
worst = max(error.abs().max() for error in errors)
assert worst < 1e-12
says = "G(h(x)) = F(x),  f(h(x)) = x,  h'(x) N(h(x); 0, 1) = p_gt(x)"
print(f"ok  {says} (found a difference of {worst:.1g}, expected below 1e-12)")

# %% alt="A rising curve f; below it the bell of the noise, left of it the skewed density; ten bands of equal mass are carried from one to the other"
z = torch.linspace(-3, 3, 301)
deciles = prior.icdf(torch.arange(1, 10) / 10)
fig, axes = plt.subplots(
    2, 2, figsize=(6, 4), width_ratios=[1, 3], height_ratios=[3, 1], sharex="col", sharey="row"
)
(left, curve), (corner, below) = axes
curve.plot(z, f(z), color=colors["exact"])
curve.set(title="f = F⁻¹ ∘ G", xlim=(-3, 3))
left.fill_betweenx(x, -p_gt, color=colors["data"], alpha=0.3)
left.set(ylabel="data x", ylim=(-3, 5), xlim=(-0.5, 0), xticks=[])
below.fill_between(z, prior.log_prob(z).exp(), color=colors["prior"], alpha=0.3)
below.set(xlabel="noise z", yticks=[], ylim=(0, None))
corner.set_axis_off()
for a, b in zip(deciles, f(deciles), strict=True):
    curve.plot([a, a, -3], [-3, b, b], color="0.7", linewidth=0.7)
    below.axvline(a, color="0.7", linewidth=0.7)
    left.axhline(b, color="0.7", linewidth=0.7)
plt.show()

# %% [markdown]
# The thin lines cut the noise into ten parts of equal mass. The curve carries each part to a part of the data with the
# same mass. Where the data are dense the curve is flat: much noise goes to a short stretch. In the long upper tail it
# is steep.
#
# In $d$ dimensions $F$ takes one coordinate at a time, each *given the ones before it* (Eq. 11–12). This is the
# Rosenblatt or Knothe map. It is triangular, so it inverts coordinate by coordinate as well. The net on the two moons
# above is its picture.
#
# ## The decoder becomes exact
#
# **Claim D3.** With the decoder $\mu_x(z) = f(z)$ and $\gamma = 1/t$, the model's density tends to $p_{gt}$.
#
# *Assumption*: $p_{gt} > 0$ everywhere, so that $f$ exists and is smooth. *Prediction*: we will see $p_{gt}$ blurred,
# less and less as $\gamma$ falls. The derivation takes two lines (Eq. 19–21). Put $u = f(z)$, which has density
# $p_{gt}$:
#
# $$p_{\theta_t}(x) = \int N(x; f(z), \gamma I)\, N(z; 0, I)\, dz = \int N(x; u, \gamma I)\, p_{gt}(u)\, du .$$
#
# So $p_{\theta_t}$ is $p_{gt}$ convolved with $N(0, \gamma I)$: a model draw is a data draw plus decoder noise. For a
# Gaussian mixture this integral is known.
#
# **Exercise 02.1** (5 minutes). Return $p_{\theta_t}$ at the points `x`, shape (n,), for a mixture with weights `pi`,
# means `m` and variances `C`, each of shape (k,), and a tensor `gamma` of one number.
#
# <details><summary>Hint</summary>A draw of component k plus independent noise: which Gaussian is that?</details>

# %% tags=["stub"]
def model_density(x, pi, m, C, gamma):
    return ...


# %% tags=["solution"]
def model_density(x, pi, m, C, gamma):
    return (pi * Normal(m, (C + gamma).sqrt()).log_prob(x[:, None]).exp()).sum(1)


# %%
exercises.check("02.1", model_density)

# %% [markdown]
# Next we forget the closed form and do what the model does: send the noise through $f$, add Gaussian noise, and
# integrate over $z$.

# %%
def density_through_decoder(x, gamma):
    z = torch.linspace(-9, 9, 4001)
    weight = prior.log_prob(z).exp() * (z[1] - z[0])
    return Normal(f(z), math.sqrt(gamma)).log_prob(x[:, None]).exp() @ weight


def blurred(x, gamma):
    return skewed.convolve(gamma).log_prob(x[:, None]).exp()


for gamma in (0.1, 0.01, 0.001):
    p_theta = density_through_decoder(x, gamma)
    claims.check_close(
        "D3", p_theta, blurred(x, gamma), atol=1e-12,
        says=f"p_theta is p_gt blurred, gamma = {gamma}",
    )

# %% [markdown]
# How fast does the blur vanish? Blurring with variance $\gamma$ is what heat does in the time $\gamma / 2$, so by the
# heat equation $p_{\theta_t} = p_{gt} + \frac\gamma2 \Delta p_{gt} + O(\gamma^2)$. Integrate the absolute value
# (claim N5):
#
# $$\frac1\gamma \int \lvert p_{\theta_t} - p_{gt} \rvert\, dx \;\to\; \frac12 \int \lvert \Delta p_{gt} \rvert\, dx .$$
#
# The paper proves the limit; this line adds the rate. It is easy to test, in one dimension and in two.

# %%
ts = (1e1, 1e2, 1e3, 1e4, 1e5, 1e6)
n_nodes = notebooks.choose(quick=2**13, full=2**16)
distance, l1_rate = {}, {}
for name, density in {"skewed, d = 1": skewed, "two moons, d = 2": moons}.items():
    distance[name] = torch.tensor([theory.l1_distance(density, t, n_nodes) for t in ts])
    l1_rate[name] = theory.l1_rate_exact(density, n_nodes)

for name, L1 in distance.items():
    claims.check_below("D3", L1[1:], L1[:-1], f"{name}: the L1 distance falls at every step of t")
    claims.check_close(
        "N5", L1[-1] * ts[-1], l1_rate[name], rtol=1e-3,
        says=f"{name}: L1 falls at the rate of the Laplacian",
    )

# %% alt="Left, three blurred copies approach the skewed density; right, L1 distances as points on two straight lines over five decades"
fig, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3))
axis = torch.linspace(-3, 5, 300)
left.plot(axis, skewed.log_prob(axis[:, None]).exp(), color=colors["data"], label="p_gt")
for t, style in ((1, ":"), (10, "--"), (100, "-.")):
    left.plot(axis, blurred(axis, 1 / t), color=colors["other"], linestyle=style, label=f"t = {t}")
left.set(xlabel="x", ylabel="density")
left.legend()
gammas = 1 / torch.tensor(ts)
for (name, points), color in zip(distance.items(), ("data", "second"), strict=True):
    right.loglog(gammas, l1_rate[name] * gammas, color=colors["exact"])
    right.plot(gammas, points, "o", color=colors[color], label=name)
right.set(xlabel="γ = 1/t", ylabel="L1 distance")
right.legend()
plt.show()

# %% [markdown]
# On the left the blurred copies close in on $p_{gt}$: peaks are lowest and valleys highest where $t$ is small. On the
# right the points lie on the lines, which were computed from $p_{gt}$ alone. At the right end they fall a little below:
# there $\gamma$ is large, and the next order counts.
#
# ## The encoder becomes exact
#
# **Claim D4.** With $\mu_z(x) = h(x)$ and $S_z(x) = \sqrt\gamma\, h'(x)$ (Eq. 23, 24), the Gaussian encoder tends to the
# true posterior.
#
# *Assumptions*: near the code $f$ is close to its tangent, and the tails of $q$ do not count (the last section breaks
# this one). *Prediction*: the posterior looks skewed for large $\gamma$
# and like a narrow Gaussian for small. Write $z = \mu_z + S_z w$. For $r = 1$, with $a = f'$ and $b = f''$ at the code,
#
# $$\frac{x - f(z)}{\sqrt\gamma} = -w - \frac{\sqrt\gamma\, b}{2 a^2} w^2 + O(\gamma), \qquad
#   \log \frac{p(x \mid z)\, p(z)}{q(z \mid x)} = c - \sqrt\gamma\, \delta_1(w) + O(\gamma), $$
# $$\delta_1(w) = \frac{\mu_z}{a}\, w + \frac{b}{2 a^2}\, w^3 .$$
#
# The $w^2$ cancels against $q$: that is what the choice of $S_z$ is for. The KL of two densities whose log ratio is
# small is half the variance of that ratio, so
#
# $$\frac1\gamma\, \mathrm{KL}[q \,\Vert\, p_{\theta_t}(z \mid x)] \to \tfrac12 \mathrm{Var}\, \delta_1
#   = \tfrac12 \Big( \frac{\mu_z^2}{a^2} + \frac{3 \mu_z b}{a^3} + \frac{15\, b^2}{4\, a^4} \Big) \qquad \text{(N5)}.$$
#
# <details><summary>The three steps: w² cancels, half the variance, and the moments</summary>
#
# *It cancels.* Half the squared error over $\gamma$ gives $\log p(x \mid z) = -\frac12 w^2 - \sqrt\gamma\, \frac{b}{2a^2}
# w^3 + \dots$. The prior gives $-\frac12 (\mu_z + \sqrt\gamma\, w / a)^2 = c - \sqrt\gamma\, \frac{\mu_z}{a} w + \dots$.
# And $-\log q$ gives $+\frac12 w^2$, since $w$ is standard normal under $q$.
#
# *Half the variance.* Divide the ratio by $p_{\theta_t}(x)$, which changes only $c$. Now its mean under $q$ is one,
# $\mathbb E\, e^{c - \sqrt\gamma\, \delta_1} = 1$, so $c = \sqrt\gamma\, \mathbb E \delta_1 - \frac\gamma2
# \mathrm{Var}\, \delta_1 + \dots$. The KL is minus the mean of the log ratio, $\sqrt\gamma\, \mathbb E \delta_1 - c =
# \frac\gamma2 \mathrm{Var}\, \delta_1$. (The $O(\gamma)$ term of the log ratio shifts $c$ by minus its mean, and
# cancels here.)
#
# *The moments.* $\delta_1$ is odd, so its mean is zero, and with $\mathbb E w^2 = 1$, $\mathbb E w^4 = 3$, $\mathbb E w^6
# = 15$ the mean of its square is $\frac{\mu_z^2}{a^2} + 2 \cdot 3\, \frac{\mu_z}{a} \frac{b}{2a^2} + 15\,
# \frac{b^2}{4a^4}$.
#
# </details>
#
# **Exercise 02.2** (4 minutes). Return $S_z$ for $r = 1$, given the decoder's slope $f'(z)$ at the codes, shape (n,),
# and a tensor `gamma` of one number.
#
# <details><summary>Hint</summary>h is the inverse of f. What is the slope of an inverse function?</details>

# %% tags=["stub"]
def encoder_scale(slope, gamma):
    return ...


# %% tags=["solution"]
def encoder_scale(slope, gamma):
    return gamma.sqrt() / slope


# %%
exercises.check("02.2", encoder_scale)

# %% [markdown]
# The posterior is Bayes' rule, $p_{\theta_t}(z \mid x) = p(x \mid z)\, p(z) / p_{\theta_t}(x)$, with all three known. We
# look at $x = 0$, where $f$ bends upwards.

# %%
def draw_posterior(ax, t):
    x = torch.zeros(1)
    mu_z, S_z = h(x), theory.to_noise_jacobian(skewed, x[:, None])[0, 0] / math.sqrt(t)
    z = mu_z + torch.linspace(-4, 4, 200) * S_z
    log_joint = Normal(f(z), t**-0.5).log_prob(x) + prior.log_prob(z)
    ax.plot(z, log_joint.exp() / blurred(x, 1 / t), color=colors["exact"], label="true posterior")
    ax.plot(
        z[::8], Normal(mu_z, S_z).log_prob(z).exp()[::8], ".", color=colors["q"], label="encoder q"
    )
    ax.set(title=f"t = {t:,.0f}", xlabel="z", yticks=[])

# %% alt="Three panels, t = 3, 30 and 3000: the posterior is skewed and off the encoder's bell at first, and the same bell at last"
fig, axes = plt.subplots(1, 3, figsize=(7.6, 2.4))
for ax, t in zip(axes, (3, 30, 3000), strict=True):
    draw_posterior(ax, t)
axes[0].legend(loc="upper left", fontsize=7, handlelength=1)
plt.show()

# %% [markdown]
# Mind the axes: the window shrinks with $\sqrt\gamma$. At $t = 3$ the posterior has a long tail to the left. There $f$
# is flat, and many codes decode to about the same $x$. At $t = 3000$ the curve $f$ looks straight within the window, and
# the encoder's points lie on the posterior.

# %% tags=["widget", "nbval-ignore-output"]
widgets.figure_explorer(draw_posterior, low=1, high=1e5, name="t")

# %% [markdown]
# **Question.** From which $t$ on can your eye no longer tell the two apart? The KL falls like $1/t$. Does that agree with
# a shift of the mean in units of $S_z$ that falls like $1/\sqrt t$?
#
# Now the KL itself: the mean over $q$ of $\log q - \log p(x, z)$, plus $\log p_{\theta_t}(x)$. The integral over $w$ is
# a Gauss–Hermite sum.

# %%
def kl_of_encoder(x, t):
    w, weights = theory.hermite(1, 120)
    S_z = theory.to_noise_jacobian(skewed, x[:, None])[:, 0] / math.sqrt(t)
    z = h(x)[:, None] + S_z * w.T
    log_q = Normal(h(x)[:, None], S_z).log_prob(z)
    log_joint = Normal(f(z), t**-0.5).log_prob(x[:, None]) + prior.log_prob(z)
    return blurred(x, 1 / t).log() + (log_q - log_joint) @ weights


vae = theory.optimal_vae(manifolds.manifold("flat", "skewed", r=1))
kl = theory.kl_q_to_posterior(vae, x[:, None], 1e3, 120)
claims.check_close(
    "D4", kl_of_encoder(x, 1e3), kl, atol=1e-11, says="the KL of this notebook is that of vaelab"
)

# %% [markdown]
# `vaelab` has the same construction for any $d$, with the Jacobian $J$ of $f$ in the place of $f'$:
# $S_z = \sqrt\gamma\, (J^\top J)^{-1/2}$. We draw points from three densities, and measure the KL of every point at
# every $t$.

# %%
def kl_and_rate(name, r, n, ts=ts):
    """KL at each t and of n points, (len(ts), n), and its predicted ratio to γ, (n,)."""
    vae = theory.optimal_vae(manifolds.manifold("flat", name, r=r))
    x = vae.truth.sample(n, seed=1)
    kl = [theory.kl_q_to_posterior(vae, x, t, {1: 120, 2: 24}[r]) for t in ts]
    return torch.stack(kl), theory.kl_rate_exact(vae, x)


n = notebooks.choose(quick=20, full=200)
names = {"skewed": 1, "bimodal": 1, "two_moons": 2}
runs = {name: kl_and_rate(name, r, n) for name, r in names.items()}

# %%
for name, (kl, rate) in runs.items():
    slope, _ = theory.slope_in_log_gamma(1 / torch.tensor(ts[3:]), kl[3:].mean(1).log())
    claims.check_below(
        "D4", kl[2:], kl[1:-1], f"{name}: from t = 100 on the KL falls at every point"
    )
    claims.check_close(
        "D4", slope, 1, atol=1e-3, says=f"{name}: the mean KL falls in proportion to gamma"
    )
    kl_rate = kl[-1].mean() * ts[-1]
    claims.check_close(
        "N5", kl_rate, rate.mean(), rtol=1e-3,
        says=f"{name}: KL / gamma is half the variance of delta_1",
    )

# %% alt="Mean KL of three densities as points, falling with gamma on three straight lines down to a millionth"
fig, ax = plt.subplots(figsize=(6, 3.2))
for (name, (kl, rate)), color in zip(runs.items(), ("data", "fixed", "second"), strict=True):
    ax.loglog(gammas, rate.mean() * gammas, color=colors["exact"])
    ax.plot(
        gammas, kl.mean(1), "o", color=colors[color],
        label=f"{name.replace('_', ' ')}, d = {names[name]}",
    )
ax.set(xlabel="γ = 1/t", ylabel="mean KL in nats")
ax.legend()
plt.show()

# %% [markdown]
# Every line is ½ Var δ₁ times $\gamma$, averaged over the same points. The measured KLs lie on the lines for small
# $\gamma$ and leave them at the right, where $\sqrt\gamma$ is as wide as the features of the density: there the tangent
# is a poor stand-in for $f$.
#
# ## More latent dimensions than needed
#
# **Claim D5.** All this remains true for $\kappa > r$. Choose $r$ orthogonal directions $U$ of the code space. The
# decoder looks at $U^\top z$ and ignores the rest. The encoder has its mean in $U$ (Eq. 31–32). It puts the narrow Gaussian along $U$ and noise of
# variance one, which is the prior, along the $\kappa - r$ others (Eq. 33).
#
# *Prediction*: the same KL to the last digit, and exactly $\kappa - r$ eigenvalues of $\Sigma_z = S_z S_z^\top$ equal
# to one, since an ignored direction adds $\mathrm{KL}[N(0,1) \Vert N(0,1)] = 0$.
#
# > **Reading note.** Eq. 24 gives an $r \times r$ matrix where Eq. 33 expects one with more columns. What is to be
# > filled in are the ignored directions themselves, with scale one.

# %%
# Four codes for one dimension, in a random basis.
wide = theory.optimal_vae(vae.truth, latent_dim=4, seed=7)
x = vae.truth.sample(3, seed=0)
lam = torch.stack([torch.linalg.eigvalsh(wide.covariance(x, t)) for t in ts])
kl_4, kl_1 = (
    torch.stack([theory.kl_q_to_posterior(v, x, t, 10) for t in (1e2, 1e4)]) for v in (wide, vae)
)
narrow = wide.jacobian(x)[:, 0, 0].pow(-2) / torch.tensor(ts)[:, None]  # γ / f'²
idle = wide.decode(wide.encode(x) + wide.scale(x, 1.0)[:, :, -1]) - x

claims.check_close(
    "D5", kl_4, kl_1, atol=1e-12, says="kappa = 4, r = 1: the KL of four codes is that of one"
)
claims.check_close(
    "D5", lam[..., 1:], 1, atol=1e-12, says="kappa - r = 3 eigenvalues are 1 at every gamma"
)
claims.check_close(
    "D5", lam[..., 0], narrow, rtol=1e-9, says="the other is gamma over the squared slope of f"
)
claims.check_close(
    "D5", idle, 0, atol=1e-12, says="noise along an ignored direction leaves the output as it is"
)

# %% alt="Eigenvalues against gamma: one falls in proportion to gamma, the other three stay at one"
fig, ax = plt.subplots(figsize=(5.5, 2.9))
ax.loglog(gammas, narrow[:, 0], color=colors["exact"], label="γ / f'²")
ax.axhline(1, color=colors["prior"], linestyle="--", label="the prior's variance")
ax.plot(gammas, lam[:, 0], "o", color=colors["q"], alpha=0.6)
ax.set(xlabel="γ = 1/t", ylabel="eigenvalues of Σ_z at one x")
ax.legend()
plt.show()

# %% [markdown]
# One eigenvalue goes to zero with $\gamma$, and three stay at one, on top of each other. This split is how a VAE shows
# how many dimensions the data have. Notebook 04 asks whether training finds it.

# %% tags=["widget", "nbval-ignore-output"]
widgets.TheoremOneView()

# %% [markdown]
# **Question.** Set κ to 4 and move $t$ from 1 up. Which of the four eigenvalues moves, and by which factor for each
# factor of ten in $t$? From which $t$ on do all nine KLs lie on the prediction of N5? The view computes them with one
# code, whatever κ you set. Which of the four checks of D5 permits that?
#
# ## A density that vanishes somewhere
#
# **Claim D6** (footnote 1). The density may be zero outside a set, if that set is diffeomorphic to $\mathbb R^d$: a half
# line, an open square. *Prediction*: $f$ maps all of $\mathbb R^d$ onto the set, and nothing else changes. Only the
# decoder's noise leaks out of the set, less and less.

# %%
runs = {name: kl_and_rate(name, r, n) for name, r in {"half_line": 1, "open_square": 2}.items()}
half = theory.optimal_vae(manifolds.manifold("flat", "half_line", r=1))
leak = torch.tensor([theory.mass_of_set(half, manifolds.HalfSpace([1.0], 0.0), t) for t in ts[:4]])

for name, (kl, rate) in runs.items():
    claims.check_below(
        "D6", kl[2:], kl[1:-1], f"{name}: from t = 100 on the KL falls at every point"
    )
    claims.check_close(
        "D6", kl[-1].mean() * ts[-1], rate.mean(), rtol=2e-3, says=f"{name}: at the rate of N5"
    )
claims.check_below(
    "D6", leak, torch.tensor([1e-1, 1e-2, 1e-5, 1e-10]), "half_line: the mass outside vanishes"
)

# %% alt="A density that starts at zero, and three model densities that leak below zero, the last one hardly at all"
fig, ax = plt.subplots(figsize=(5.5, 2.9))
axis = torch.linspace(-0.6, 2, 200)
positive = axis[axis > 0]
ax.plot(
    positive, half.truth.density.log_prob(positive[:, None]).exp(), color=colors["data"],
    label="p_gt",
)
for t, style in ((10, ":"), (100, "--"), (1000, "-.")):
    p_theta = theory.log_p_theta_lattice(half, axis[:, None], t).exp()
    ax.plot(axis, p_theta, color=colors["other"], linestyle=style, label=f"t = {t}")
ax.axvline(0, color="0.5", linewidth=0.8)
ax.set(xlabel="x", ylabel="density")
ax.legend()
plt.show()

# %% [markdown]
# Left of zero there are no data, yet the model with $t = 10$ has mass there. With $t = 1000$ the eye finds none.
# The steep rise beside zero is blurred longest: where $p_{gt}$ bends hard, its Laplacian is large.
#
# ## A gap in the printed proof
#
# **Claim N4.** The proof of (ii) shows that $q / p_{\theta_t}(z \mid x)$ tends to one *at each* $z$, and concludes that
# the KL, an integral over all $z$, tends to zero. That step needs control of the tails. For very heavy tails it fails.
#
# Take $f(z) = z \exp(e^{z^2} - 1)$. It is smooth and increasing, so it is $F^{-1} \circ G$ of some positive density.
# Let $x = f(0) = 0$. There $f' = 1$, and $q = N(0, \gamma)$. The KL contains
# $\frac{1}{2\gamma} \mathbb E_q f(z)^2$, and the log of its integrand at position $z$ is, up to constants,
#
# $$\log\big( z^2 e^{2 (e^{z^2} - 1)} \big) - \frac{z^2}{2\gamma} .$$
#
# However small $\gamma$ is, $e^{z^2}$ beats $z^2 / 2\gamma$ in the end: the integral is infinite for *every* $t$.
# *Prediction*: the integrand falls like a Gaussian, turns, and explodes. The turn moves out slowly, like
# $\sqrt{\log t}$.

# %%
for t in (1e4, 1e8, 1e16):
    turn = theory.tails.divergence_starts(t)
    before, after = (theory.tails.truncated_error(t, cutoff) for cutoff in (0.8 * turn, turn + 0.5))
    claims.check_close(
        "N4", before, math.log(0.5), atol=1e-3,
        says=f"t = {t:.0e}: cut off early, the integral looks like 1/2",
    )
    claims.check_above(
        "N4", after, 1e3,
        f"t = {t:.0e}: cut off half a unit past the thin line, it exceeds e to the 1000",
    )

for name in ("student_t", "cauchy"):
    kl, rate = kl_and_rate(name, 1, n)
    claims.check_close(
        "N4", kl[-1].mean() * ts[-1], rate.mean(), rtol=1e-3,
        says=f"{name}: heavy tails, yet KL = O(gamma)",
    )

# %% alt="Three curves of the log integrand: each falls like a parabola, turns, and shoots up; the turn lies further out for larger t"
fig, ax = plt.subplots(figsize=(5.5, 3))
z = torch.linspace(0.005, 5, 1000)
for t, style in ((1e4, "-"), (1e6, "--"), (1e8, ":")):
    log_integrand = theory.tails.log_integrand(z * math.sqrt(t), t)
    ax.plot(z, log_integrand / t, color=colors["q"], linestyle=style, label=f"t = {t:.0e}")
    ax.axvline(theory.tails.divergence_starts(t), color=colors["exact"], linewidth=0.8)
ax.plot(z, -z.square() / 2, color=colors["exact"], label="−z²/2")
ax.axhline(0, color="0.5", linewidth=0.8)
ax.set(xlabel="position z", ylabel="γ × log of the integrand", ylim=(-12, 7))
ax.legend()
plt.show()

# %% [markdown]
# Each curve follows $-z^2/2$, then leaves it and crosses zero at the thin line. From there on the integrand exceeds one
# and grows. A quadrature that stops before the line sees nothing: it answers ½, as for a harmless density. This is why
# a check needs an argument beside its numbers.
#
# What is lost? Not the theorem, which asks for *some* sequence of models: a decoder that equals $f$ on $[-R_t, R_t]$
# only, with $R_t$ growing slowly, would do. It is this construction that has its limits. They are wide: for Cauchy data
# $f$ grows like $z\, e^{z^2/2}$, which the narrower $q$ beats as soon as $\gamma < f'^2 / 2$.
#
# ## Takeaways
#
# - If the data fill the space, a Gaussian VAE can have the right density. The decoder is $F^{-1} \circ G$.
# - At finite $\gamma$ the model is the data density blurred by $N(0, \gamma I)$.
# - Both errors vanish in proportion to $\gamma$, with constants that can be computed from the data's density.
# - Unneeded code dimensions cost nothing: the encoder fills them with the prior.
#
# ## Where it breaks
#
# The theorem says that good models exist, not that training finds them. The map $f$ may be steep: two modes with next to
# nothing between them need a jump in the code, and then $t$ must be enormous before the limit shows. A set that is no
# copy of $\mathbb R^d$, such as two separate intervals, has no smooth $f$ at all. And everything assumed $r = d$. Images
# do not fill their space.
#
# ## Next
#
# Notebook 03 takes $r < d$. The cost will fall without end, and yet something will be missing. Guess what: the set on
# which the data lie, or how they are spread over it?
#
# ## References
#
# - B. Dai and D. Wipf. Diagnosing and Enhancing VAE Models. ICLR 2019; Appendix E.
# - M. Rosenblatt. Remarks on a Multivariate Transformation. Annals of Mathematical Statistics, 1952.
