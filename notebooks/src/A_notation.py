# %% [markdown]
# # A · Notation: symbols, glossary, and who calls what by which name
#
# | | |
# | --- | --- |
# | You will be able to | look up any symbol or word of the course, and translate between three papers' notations |
# | You need | notebooks 00 and 01 |
# | Time | 45 minutes with its exercises; 10 seconds to run |
# | Source | Dai & Wipf (2019), Definition 1; Ghosh et al. (2020), Section 2.1, Eq. 11; learned priors, Section 3 |
#
# Nobody reads an appendix from its beginning. The tables of symbols and words are for looking things up. What follows
# them computes where three papers mean different things by one letter, since most errors in reimplementing them are
# errors of translation.
#
# ## Symbols
#
# | symbol | in code | what it is | first in |
# | --- | --- | --- | --- |
# | $x$, $\hat x$ | `x`, `x_hat` | a picture, as a row of pixels; what the decoder makes of a latent | 00 |
# | $z$ | `z` | a latent (or latent code) of $\kappa$ numbers | 00 |
# | $d$ | `d` | how many pixels a picture has, or numbers a data point | 00 |
# | $r$ | `r` | the dimension of the manifold that the data lie on, $r \le d$ | 02 |
# | $\hat r$ | `active_dims` | how many latent dimensions carry something: how many $\lambda_j$ lie below ½ | 04 |
# | $\kappa$ | `latent_dim` | how many numbers a latent has | 00 |
# | $\gamma$ | `gamma` | the *variance* of the decoder's noise, $p(x \mid z) = N(\hat x, \gamma I)$ | 00 |
# | $t$ | `t` | $1/\gamma$; from 09 on, a place on a road, 0 to 1 | 02 |
# | $q(z \mid x)$ | `q` | what the encoder says about $z$, the approximate posterior | 00 |
# | $\mu_z, \log \sigma_z^2$ | `mu`, `log_var` | its mean; the logarithm of its variances | 00 |
# | $S_z$ | `scale_tril` | a root of its covariance, $\Sigma_z = S_z S_z^\top$ | 01 |
# | $\Sigma_z$ | `covariance` | the covariance of $q(z \mid x)$, $\kappa \times \kappa$ | 01 |
# | $\lambda_j$ | `eigenvalues` | from 04 on, an eigenvalue of $\Sigma_z$: near 0 the direction carries data, near 1 it carries nothing; without index (09) a penalty's weight | 04 |
# | $\Lambda$, $\Lambda_j$ | `lam` | the eigenvalues of the *data's* covariance, their principal components | 01 |
# | $q(z)$ | `codes` | the aggregated posterior: the density of the latents of all pictures | 06 |
# | $u$ | `u` | a latent of the second stage: the second VAE's code of $z$; in 10, $f(z)$ of a flow $f$ | 06 |
# | $\ell$ | `loss` | the cost of a picture: $-\log p(x \mid z)$ plus the KL, in nats | 01 |
# | $\mu_{gt}$ | `truth` | the true distribution of the data, "ground truth" | 02 |
# | $\varepsilon$ | `eps` | standard normal noise | 00 |
# | $\beta$ | `beta` | the weight of the latent term, a KL or $\tfrac12 \lVert z \rVert^2$ | 09 |
# | $\theta, \phi$ | | the weights of the decoder and of the encoder; in 10 $\theta$ is the prior's | 01 |
#
# ## Glossary
#
# | word | meaning |
# | --- | --- |
# | active dimension | A latent direction that carries something of the picture: its $\lambda$ is near 0. |
# | aggregated posterior | $q(z)$, the mixture of $q(z \mid x)$ over all pictures. Sampling fails where it is not the prior. |
# | autoencoder | An encoder and a decoder trained to copy. |
# | collapse | All or some latent dimensions carry nothing, so $q(z \mid x)$ is the prior there. |
# | cross-entropy | A loss that treats a pixel in [0, 1] as the chance of white. It has no $\gamma$. |
# | decoder | The network that turns a latent into a picture. |
# | ELBO | The evidence lower bound on $\log p(x)$; its negative is the cost. |
# | encoder | The network that turns a picture into a distribution of latents. |
# | flow | An invertible network whose density is known by the change of variables. |
# | Fréchet distance | A distance between two sets of pictures: that of the Gaussians of their features. With Inception's features it is the FID. |
# | generator | A network that turns noise into a sample. |
# | Jensen's inequality | The logarithm of a mean is at least the mean of the logarithms. |
# | KL | $\mathrm{KL}[q \Vert p] = \mathbb E_q \log (q/p) \ge 0$, in nats: how far $q$ is from $p$. Zero only where they are equal. |
# | latent | The numbers that stand for a picture, $z$; also latent code. |
# | likelihood | What the decoder says about the pixels, $p(x \mid z)$. |
# | manifold | A curve or surface of dimension $r$ in a space of dimension $d$. |
# | MMD | Maximum mean discrepancy: a distance between two samples, from averages of a kernel. |
# | nat | The unit of information with natural logarithms; 1 nat is 1.44 bits. |
# | posterior | The distribution of $z$ given a picture: the true one by Bayes, the approximate one by the encoder. |
# | prior | The distribution $p(z)$ of latents before any picture is seen, here $N(0, I)$ unless a notebook says otherwise. |
# | probabilistic PCA | A VAE with a linear decoder; its optimum is known in closed form. |
# | reconstruction | A copy: the decoder's picture of a picture's mean latent. |
# | regularised autoencoder | A RAE: a plain autoencoder with a penalty on latents and on the decoder, sampled by a density fitted afterwards. |
# | reparameterisation trick | Writing a random draw as a function of noise, so that gradients pass. |
# | score function | The derivative of $\log q$; an estimator of gradients by it needs no derivative of $f$. |
# | second stage | A second VAE, trained on the latents of the first, that stands in for $q(z)$. |
# | spectral norm | The largest factor by which a linear layer can stretch a vector. |
# | two-sample test | A test whether two samples come from one distribution. |
# | VAE | Variational autoencoder: an autoencoder whose loss is the ELBO's negative. |

# %%
# %matplotlib inline
import math

import matplotlib.pyplot as plt
import torch

from vaelab import claims, data, exercises, likelihoods, plots, widgets

plots.use_style()

# %% [markdown]
# ## One autoencoder, five choices, one density
#
# The papers name some twenty models. All of them are one autoencoder with other parts, and a way to draw samples is a
# trained decoder with a density for its latents. This table is the design of the course and of its helper package
# `vaelab`.
#
# | choice | what it settles | among others |
# | --- | --- | --- |
# | posterior | what the encoder says about $z$ | a point; a Gaussian, diagonal or full |
# | likelihood | what the decoder says about $x$ | a Gaussian with $\gamma$ fixed, learned or optimal; cross-entropy |
# | prior | where latents come from | $N(0, I)$; a flow or a generator, trained beside |
# | latent term | what pulls the latents into shape | a KL to the prior; half the squared norm; nothing |
# | decoder term | what keeps the decoder smooth | nothing; a gradient penalty; a spectral norm |
# | density | what stands in for the latents when we sample | $N(0, I)$; a mixture; a second VAE; a flow |
#
# The Two-Stage VAE of Dai & Wipf is one line of it: a Gaussian posterior, a Gaussian likelihood with learned $\gamma$,
# a KL, no decoder term, and a second VAE for the density.

# %% [markdown]
# ## How a check reads
#
# What the papers claim stands in a ledger, each claim with an identifier. D is Dai & Wipf, R is Ghosh et al., L is the
# paper on learned priors, E is an erratum, and N is what later work found. A cell that settles a claim computes its
# quantity, compares it with what the paper says, and prints `ok` with the identifier. If the comparison fails, the cell
# raises an error. Where the evidence is against a claim it prints `refuted`. Here is one row, and this notebook will settle
# it.

# %%
print(claims.render(ids=["E9"]))

# %% [markdown]
# ## Who calls what by which name
#
# Most errors in reimplementing these papers are errors of translation: a standard deviation is read as a variance, or a
# mean as a sum. The table is for looking things up. The sections below compute each row that has bitten somebody.
#
# | quantity | Dai & Wipf, text | their code | Ghosh et al. | learned priors | `vaelab` |
# | --- | --- | --- | --- | --- | --- |
# | decoder variance | $\gamma$ | `gamma_x` squared | fixed by the weight of the KL | fixed | `gamma` |
# | its logarithm | $\log\gamma$ | `2 * loggamma_x` | | | `log_gamma` |
# | log of the encoder variance | $\log\mathrm{diag}\,\Sigma_z$ | `2 * logsd_z` | $\log\sigma$ | | `log_var` |
# | squared error of one image | a sum | a sum | a mean, in code | a sum | a sum |
# | weight of the latent term | 1 | 1 | $\beta$, two scales | $\beta$ | `beta` |
# | size of the latent | $\kappa$ | `latent_dim` | $d$ | | `latent_dim` |
# | size of the image | $d$ | | $D$ | | `d` |
# | flow | | | | $f: Z_T \to Z_0$ | |

# %% [markdown]
# ## Variance or standard deviation
#
# **Claim.** The loss in Dai & Wipf's code equals the one in their text, with $\gamma = g^2$. The text calls the decoder
# *variance* $\gamma$ (Definition 1). The code has a variable of nearly the same name, here $g$, and it is the standard
# deviation. For one image of $d$ pixels,
#
# $$-\log p(x \mid z) = \tfrac12 \Big( \frac{\lVert x - \hat x \rVert^2}{\gamma} + d \log 2\pi\gamma \Big)
#   = \sum_{i=1}^{d} \Big( \tfrac12 \Big(\frac{x_i - \hat x_i}{g}\Big)^2 + \log g + \tfrac12 \log 2\pi \Big).$$
#
# The step from left to right uses $\log\gamma = 2 \log g$ and nothing else. We take the digits, and the simplest
# decoder there is: it answers every latent with the mean image.

# %%
x = data.load_images("digits").train.double().flatten(1)
d = x.shape[1]
x_hat = x.mean(0).expand_as(x)
squared_error = (x - x_hat).square().sum(1)
gamma = 0.05
g = math.sqrt(gamma)

# %%
nll_text = 0.5 * (squared_error / gamma + d * math.log(2 * math.pi * gamma))
nll_code = (0.5 * ((x - x_hat) / g).square() + math.log(g) + 0.5 * math.log(2 * math.pi)).sum(1)
nll_here = likelihoods.Gaussian(gamma).nll(x, x_hat)

code, here = ((nll - nll_text).abs().max() for nll in (nll_code, nll_here))
assert code < 1e-10 and here < 1e-4  # vaelab keeps log γ in single precision
says = "text, code and vaelab agree on the loss of every digit, in nats"
print(f"ok  {says} (found {code:.1g} and {here:.1g} between them, expected below 1e-10 and 1e-4)")

# %% [markdown]
# What if the two are confused? Theory makes a prediction. As a function of $\gamma$ the mean loss has one minimum, at
# the mean squared error of a pixel. Whoever takes the number for a standard deviation finds the minimum at its root.
# Below, the lines are the formula, and the points are losses averaged over the digits.

# %%
numbers = torch.logspace(-2, 0, 60, dtype=torch.float64)
mse = squared_error.mean() / d


def mean_nll_at(gamma):
    return 0.5 * d * (mse / gamma + (2 * math.pi * gamma).log())


def mean_nll_measured(gamma):
    return torch.stack([likelihoods.Gaussian(value.item()).nll(x, x_hat).mean() for value in gamma])

# %% alt="Two valleys: the loss read as variance has its minimum left of the loss read as standard deviation"
fig, ax = plt.subplots(figsize=(6, 3.2))
for power, label, color in (
    (1, "read as variance", "fixed"), (2, "read as standard deviation", "other"),
):
    ax.semilogx(numbers, mean_nll_at(numbers**power), color=plots.COLORS[color], label=label)
    ax.plot(numbers[::6], mean_nll_measured(numbers[::6] ** power), "o", color=plots.COLORS[color])
    ax.axvline(mse.item() ** (1 / power), color=plots.COLORS["exact"], linestyle=":")
ax.set(xlabel="the number in the code", ylabel="mean loss in nats", ylim=(-10, 120))
ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
plt.show()

# %% [markdown]
# The points lie on the lines, and each valley has its lowest point at the dotted line that theory drew. The valleys
# are equally deep: it is one model under two labels. But at one and the same number the two losses lie far apart
# nearly everywhere. They must meet at one, which is its own square, and they cross once more, between the valleys. A
# paper's $\gamma$ typed into a program that wants a standard deviation is a different model. In this course `gamma` is
# the variance, always.

# %% [markdown]
# **Exercise A.1** (3 minutes). A checkpoint of the authors' code holds `loggamma`, the logarithm of the decoder's
# *standard deviation*, as a tensor. Return the paper's $\gamma$.
#
# <details><summary>Hint</summary>Write down log γ first. What is the logarithm of a square?</details>
#
# The check below prints `todo` until you return something else than three dots. If your answer is wrong it tries to say
# what slipped. It stops nothing, and no later cell needs your answer.

# %% tags=["stub"]
def gamma_from_code(loggamma):
    return ...


# %% tags=["solution"]
def gamma_from_code(loggamma):
    return torch.exp(2 * loggamma)


# %%
exercises.check("A.1", gamma_from_code)

# %% [markdown]
# ## Sum or mean
#
# **Claim.** The $\beta$ of the regularised autoencoder (RAE) in its authors' code and the $\beta$ of its paper differ
# by the factor $2D/d$, where the image has $D$ pixels and the latent has $d$ numbers. The paper adds up squares (Eq. 11);
# the code averages them, over pixels for the image and over dimensions for the code:
#
# $$\lVert x - \hat x \rVert^2 + \beta_\text{paper} \tfrac12 \lVert z \rVert^2
#   \quad\text{and}\quad \frac1D \lVert x - \hat x \rVert^2 + \beta_\text{code} \frac1d \lVert z \rVert^2 .$$
#
# Multiply the second by $D$ and compare: $\beta_\text{paper} = 2 \beta_\text{code} D / d$. We need latents to verify it.
# The linear autoencoder, which is principal component analysis (PCA), needs no training: its latents are projections. In
# the cells, as everywhere in `vaelab`, `d` counts the pixels.

# %%
mean, latent_dim = x.mean(0), 4
_, s, v = torch.linalg.svd(x - mean, full_matrices=False)
directions = v[:latent_dim] * s[:latent_dim, None] / math.sqrt(len(x))
z = (x - mean) @ torch.linalg.pinv(directions)


def pca_decode(z):
    return mean.to(z) + z @ directions.to(z)


residual = (x - pca_decode(z)).square()

# %%
beta_code = 1e-4
beta_paper = 2 * beta_code * d / latent_dim
loss_code = residual.mean(1) + beta_code * z.square().mean(1)
loss_paper = residual.sum(1) + beta_paper * 0.5 * z.square().sum(1)

worst = (d * loss_code / loss_paper - 1).abs().max()
assert worst < 1e-12
says = "d times the loss of RAE's code is the loss of RAE's paper, for every digit"
print(f"ok  {says} (found a relative difference of {worst:.1g}, expected below 1e-12)")

# %% [markdown]
# The factor is large. It is 128 for the MNIST networks of that paper, so a $\beta$ copied from one convention into the
# other is wrong by two orders of magnitude, and nothing warns you: both losses train.
#
# A weight on the KL also hides a decoder variance. Ghosh et al. train their VAE on the squared error, a mean over $C$
# colour channels and a sum over positions, plus $w$ times the KL. Divide by $w$: the squared error stands beside a full
# KL with the factor $1/(wC)$, where a Gaussian likelihood has $1/(2\gamma)$. So $\gamma = wC/2$. In words: **a small KL
# weight is a small decoder variance**. The next cell holds the two beside each other.

# %%
w, C = 0.024, 3
kl = 0.5 * z.square().sum(1)  # the latent term of a constant encoder variance, constants dropped
weighted = residual.sum(1) / C + w * kl
gaussian = likelihoods.Gaussian(w * C / 2).nll(x, pca_decode(z)) + kl
constant = 0.5 * d * math.log(2 * math.pi * w * C / 2)

worst = (weighted / w - (gaussian - constant)).abs().max()
assert worst < 1e-4
says = "a weight w on the KL is a decoder variance of w C / 2"
print(f"ok  {says} (found {worst:.1g} nats between the two, expected below 0.0001)")

# %% [markdown]
# The same four directions make the first picture of latents. Each row walks along one of them, from −3 to 3 standard
# deviations of the latents, with the others at zero.

# %%
steps = torch.linspace(-3, 3, 9)
walks = torch.cat([torch.outer(steps, torch.eye(latent_dim)[j]) for j in range(latent_dim)])
pictures = pca_decode(walks).reshape(-1, 1, 8, 8)

# %% alt="Four rows of blurred digits; along each row one digit shape turns into another"
fig, ax = plt.subplots(figsize=(6, 2.8))
plots.show_images(ax, pictures, "one latent direction a row", columns=len(steps))
plt.show()

# %% [markdown]
# The middle column is the mean image in every row, since its latent is zero. To the left and the right a row passes from
# one shape to another, through ghosts that are no digit. A linear decoder can do no better: it adds a fixed pattern,
# more of it with each step. Notebook 01 replaces it by a network. The sliders below mix the four directions as you
# like.

# %% tags=["widget", "nbval-ignore-output"]
widgets.latent_explorer(lambda z: pca_decode(z).reshape(-1, 1, 8, 8), latent_dim)

# %% [markdown]
# **Question.** Find settings that look like a 0, and like a 3. Then move all four sliders to 3. Does the picture still
# look like a digit? How likely is such a latent under $N(0, I)$, compared with the one at zero?

# %% [markdown]
# ## An erratum: plus d or minus d
#
# **Claim E9.** Section 2.1 of Ghosh et al. prints the KL from $N(\mu, \Sigma)$, with $\Sigma$ diagonal, to $N(0, I)$ as
#
# $$2\,\mathcal L_\text{KL} = \lVert \mu \rVert^2 + d + \sum_{i=1}^{d} \big( \sigma_i - \log \sigma_i \big).$$
#
# Two things can be asked of it. Is the sign of $d$ right? And is $\sigma$ a variance, as in this sum, or a standard
# deviation, as in $z = \mu + \sigma \odot \varepsilon$? A quick test: at $\mu = 0$ and $\sigma = 1$ both distributions
# are the same, so the KL must be zero. The printed sum gives $2d$. We do not rely on one point. The cell integrates
# $\int q \log (q / p)$ on a fine grid, with $\sigma^2$ for the variance, and compares all four readings.

# %%
mu, sigma = torch.tensor([0.3, -1.2, 0.8]).double(), torch.tensor([0.5, 1.4, 0.9]).double()
grid = torch.linspace(-20, 20, 20_001, dtype=torch.float64)[:, None]
log_q = torch.distributions.Normal(mu, sigma).log_prob(grid)
log_p = torch.distributions.Normal(0.0, 1.0).log_prob(grid)
two_kl = 2 * torch.trapezoid(log_q.exp() * (log_q - log_p), grid, dim=0).sum()

# %%
def printed_sum(sign, s):
    return mu.square().sum() + sign * 3 + (s - s.log()).sum()


wrong = torch.stack([printed_sum(1, sigma**2), printed_sum(1, sigma), printed_sum(-1, sigma)])
claims.check_close(
    "E9", printed_sum(-1, sigma**2), two_kl, atol=1e-9, says="-d, with sigma a variance: the KL"
)
claims.check_above("E9", (wrong - two_kl).abs(), 0.1, "each other reading misses it")

# %% [markdown]
# One reading of four survives: minus $d$, with a variance in place of $\sigma$. A constant does not change a gradient,
# so the sign harms nobody's training; it harms whoever compares losses in nats. The letter does harm training: with the
# standard deviation in the sum, the term no longer is a KL. `vaelab` works with `log_var`, the logarithm of the
# variance.
#
# **Exercise A.2** (2 minutes). A decoder from elsewhere wants `log_var`, and you have `log_sigma`, the logarithm of
# the standard deviation. Convert it.
#
# <details><summary>Hint</summary>It is the same rule as in exercise A.1, and it stays in the logarithm.</details>

# %% tags=["stub"]
def log_var_from_log_sigma(log_sigma):
    return ...


# %% tags=["solution"]
def log_var_from_log_sigma(log_sigma):
    return 2 * log_sigma


# %%
exercises.check("A.2", log_var_from_log_sigma)

# %% [markdown]
# ## Which way the flow flows
#
# **Claim.** In the paper on learned priors the flow $f$ maps a latent to a normal variable, $f: Z_T \to Z_0$, and the
# density of a latent is
#
# $$\log p(z) = \log N\big(f(z); 0, I\big) + \log \Big| \det \frac{\partial f}{\partial z} \Big|.$$
#
# Others define $f$ the other way round, from noise to latent. Then the sign before the determinant flips. A density must
# integrate to one, and that decides. Our flow is $f(z) = \sinh z$, whose derivative is $\cosh z$.

# %%
z = torch.linspace(-6, 6, 20_001, dtype=torch.float64)
log_normal_of_f = -0.5 * torch.sinh(z).square() - 0.5 * math.log(2 * math.pi)
mass_plus, mass_minus = (
    torch.trapezoid((log_normal_of_f + sign * torch.cosh(z).log()).exp(), z) for sign in (1, -1)
)

assert abs(mass_plus - 1) < 1e-9 and abs(mass_minus - 1) > 0.1
says = "the density of a latent integrates to one with +log|det|, and with -log|det| it does not"
print(f"ok  {says} (found {mass_plus:.6f} and {mass_minus:.3f}, expected 1 and another number)")

# %% [markdown]
# ## Takeaways
#
# - `gamma` is a variance. A code that speaks of a scale or of `loggamma` may mean the standard deviation: square it.
# - Losses here are summed over pixels, averaged over images, and in nats. Convert a foreign $\beta$ before you copy it.
# - A KL weight $w$ is a decoder variance in disguise.
# - A check that prints `ok` has compared two numbers. Read what it compared.
#
# ## Where it breaks
#
# All of this was algebra, and algebra needs no assumption about data. Two limits remain. Cross-entropy losses have no
# $\gamma$, so they have no row in the table; their nats cannot be compared with those of a Gaussian. And the conversion
# of $\beta$ holds for the loss, not for the training: an optimiser that sees a loss $D$ times as large takes other
# steps, unless, like Adam, it rescales them.
#
# ## Next
#
# Go back to where you came from, or on to [01](01_gaussian_vae.ipynb), which asks what $\gamma$ does.
#
# ## References
#
# - B. Dai and D. Wipf. Diagnosing and Enhancing VAE Models. ICLR 2019.
# - P. Ghosh, M. Sajjadi, A. Vergari, M. Black, B. Schölkopf. From Variational to Deterministic Autoencoders. ICLR 2020.
# - Empirical observations pertaining to learned priors. The paper on flow and adversarial priors for autoencoders.
# - O. Rybkin, K. Daniilidis and S. Levine. Simple and Effective VAE Training with Calibrated Decoders. ICML 2021.
