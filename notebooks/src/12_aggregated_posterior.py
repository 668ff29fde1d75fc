# %% [markdown]
# # 12 · Where the codes are
#
# | | |
# | --- | --- |
# | You will be able to | say how far the codes of your data are from what you sample, by how much that can be known, and choose what to sample instead |
# | You need | notebook 06 (two stages); what a quantile is |
# | Time | 45 minutes to read; quick: half a minute to run, full: some minutes on a GPU |
# | Source | Dai & Wipf (2019), Section 4, Eq. 10, Table 3, Fig. 2; Ghosh et al. (2020), Section 4; Hoffman & Johnson (2016) |
#
# To sample from a VAE one decodes draws from $N(0, I)$. The decoder has learned to decode draws from $q(z)$, the codes of
# all the data together. Notebook 06 showed that the two differ and that a second VAE helps. Here we look closely at
# $q(z)$ itself: its covariance, its distance from several stand-ins, and how well any distance can be known from some
# thousand images or so.

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import torch
from torch.distributions import Normal

from vaelab import (
    claims,
    data,
    densities,
    exercises,
    features,
    metrics,
    models,
    networks,
    notebooks,
    plots,
    training,
    widgets,
)

plots.use_style()
torch.set_num_threads(1)  # networks this small are slower on two
colors = plots.COLORS

# %% [markdown]
# ## What the encoder makes of all images together
#
# The *aggregated posterior* is the mixture of the encoder's Gaussians over the data,
# $$q(z) = \frac1n \sum_{i=1}^n N\big(z;\, \mu(x_i),\, \operatorname{diag} \sigma^2(x_i)\big).$$
# A draw is easy: pick an image, encode it, add its noise. The model is the one of notebook 06, digits with $\kappa = 16$
# and $\gamma$ at its optimum.

# %%
digits = data.load_images(notebooks.choose(quick="digits", full="mnist"))
x = digits.train[:5000]
with networks.seeded(0):
    vae = models.vae(networks.mlp(digits.shape, 16, notebooks.choose(quick=(128, 128), full=(512, 512))), "optimal")
rates = {"schedule": training.Cosine(), "batch_size": len(digits.train) // 10}
training.fit(vae, digits.train, epochs=75, lr=3e-3, **rates, progress=False)
q, q_test = vae.codes(x), vae.codes(digits.test)
z, z_test = densities.draw(q, seed=0), densities.draw(q_test, seed=1)
n = len(z)

# %% [markdown]
# Its first two moments need no sampling. The mean is the mean of the $\mu(x_i)$. The covariance has two parts, how far
# the means spread and how much noise the encoder adds:
#
# $$\operatorname{Cov}_q(z) = \operatorname{Cov}_i\big(\mu(x_i)\big) + \operatorname{diag} \tfrac1n \sum_i \sigma^2(x_i).$$
#
# **Exercise 12.1** (4 minutes). Return $\operatorname{Cov}_q(z)$ from the means and variances of the encoder, both (n,
# κ).
#
# <details><summary>Hint</summary>q(z) is the mixture of exactly these n parts: divide by n, not by n − 1.</details>

# %% tags=["stub"]
def covariance_of_codes(mu, var):
    return ...


# %% tags=["solution"]
def covariance_of_codes(mu, var):
    return torch.cov(mu.T, correction=0) + torch.diag(var.mean(0))


# %%
exercises.check("12.1", covariance_of_codes)

# %% [markdown]
# **Prediction.** For a linear VAE at its optimum the two parts add up to the identity, in every direction (notebook
# 04: $\lambda$ in noise and $1 - \lambda$ in means). For a network, the *diagonal* should be near one too: the KL pulls
# each dimension to variance one, and nothing else cares for its scale.

# %%
between, within = torch.cov(q.mean.T.double(), correction=0), q.sigma.square().double().mean(0)
C = between + within.diag()
sampled = torch.cat([densities.draw(q, seed) for seed in range(20)]).double()
error = (C.diagonal().outer(C.diagonal()) + C.square()) / len(sampled)  # variance of a sample covariance, Gaussian
assert ((torch.cov(sampled.T) - C).abs() < 5 * error.sqrt()).all()
print("ok  draws have the covariance of the formula")

# %% alt="Left: sixteen bars, noise stacked on spread of the means, each near one. Right: eigenvalues of the covariance, from above one to well below it"
order = within.argsort()
fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 2.8))
left.bar(range(1, 17), between.diagonal()[order], color=colors["q"], label="spread of the means")
left.bar(range(1, 17), within[order], bottom=between.diagonal()[order], color=colors["other"], label="encoder's noise")
left.set(xlabel="latent dimension, by noise", ylabel="variance", ylim=(0, 1.9), xticks=range(1, 17, 3))
right.plot(range(1, 17), torch.linalg.eigvalsh(C).flip(0), ".-", color=colors["q"], label="eigenvalues of Cov(z)")
right.set(xlabel="principal component", ylim=(0, 1.9), xticks=range(1, 17, 3))
for ax in (left, right):
    ax.axhline(1, color=colors["prior"], linestyle="--", label="N(0, I)")
    ax.legend(ncols=2, fontsize=8)
plt.show()

# %% [markdown]
# On the left every bar comes near the dashed line: seen along any one axis, the scale is about right. On the right the
# same matrix in its own directions: some components have clearly more variance than one, some clearly less. Nothing
# forces the axes to be uncorrelated. In the formula no product of two axes appears; correlations cost only through
# $\text{KL}[q(z) \Vert p(z)]$, a share of the cost (last section).
#
# ## How far, and how well can it be known
#
# **Claim D19.** A gap between $q(z)$ and $N(0, I)$ remains. We measure it twice. MMD² with several bandwidths is that of
# notebook 06. The *sliced Wasserstein distance* looks at one direction $v$ at a time. On a line the best way to move one
# sample onto another is in order, so
#
# $$W_2^2 = \frac1n \sum_i \big( a_{(i)} - b_{(i)} \big)^2, \qquad a = Z v,\; b = Z' v,\; \text{both sorted},$$
#
# and the root of its mean over random directions $v$ is the distance.
#
# Either number is positive by chance alone. How large by chance? Here we need no shuffling: for two samples of $N(0, I)$
# we can draw the answer. **Prediction.** The gap lies beyond all of 39 such pairs, by both measures.

# %%
def normal(seed, size=n):
    return torch.randn(size, 16, generator=torch.Generator().manual_seed(1000 + seed))


measures = {"MMD²": metrics.mmd2, "sliced Wasserstein": metrics.sliced_wasserstein}
few = 1200  # codes in each sample of a test
chance = {name: torch.tensor([f(normal(s, few), normal(s + 99, few)) for s in range(39)]) for name, f in measures.items()}
found = {name: sum(f(densities.draw(q, s)[:few], normal(500 + s, few)) for s in range(3)) / 3 for name, f in measures.items()}
for name in measures:
    claims.check_above("D19", found[name], chance[name].max(), f"digits: {name} to N(0, I) is beyond 39 pairs of normal samples")

# %% alt="Two histograms of distances between normal samples; in each the distance of the codes lies to the right of all bars"
fig, axes = plt.subplots(1, 2, figsize=(8, 2.4))
for ax, name in zip(axes, measures, strict=True):
    ax.hist(chance[name], bins=12, color="0.7", label="two samples of N(0, I)")
    ax.axvline(found[name], color=colors["q"], label="codes and N(0, I)")
    ax.set(title=name, yticks=[])
axes[0].legend(fontsize=8, loc="upper right", bbox_to_anchor=(0.93, 1))  # beside the line
plt.show()

# %% [markdown]
# Both lines, each the mean of three draws, lie right of all the bars. But look at the scales. The sliced Wasserstein
# distance of two samples from the *same* distribution is most of what is found: with so few codes in 16 dimensions, its
# zero is far from zero. The MMD² is unbiased, so its bars stand around zero and some are negative. A distance without its
# chance level says little.
#
# **Exercise 12.2** (3 minutes). Write the sum above: the squared 2-Wasserstein distance of two samples on a line, of
# the same size.
#
# <details><summary>Hint</summary>In order means: the smallest goes to the smallest.</details>

# %% tags=["stub"]
def wasserstein_on_a_line(a, b):
    return ...


# %% tags=["solution"]
def wasserstein_on_a_line(a, b):
    return (a.sort().values - b.sort().values).square().mean()


# %%
exercises.check("12.2", wasserstein_on_a_line)

# %% [markdown]
# ## What stands in for it
#
# Nothing obliges us to sample $N(0, I)$. Anything that can be fitted to the codes after training can stand in:
# a Gaussian with the covariance $C$; a mixture of ten Gaussians, as Ghosh et al. propose; the second stage. **Claim
# D20.** The second stage closes the gap. **Prediction.** In both distances all three come nearer than $N(0, I)$. By
# *log density of held-out codes* they can be told apart better: it is an average over codes, without a kernel or a
# projection that might look past the difference. (For the second stage it is a Monte-Carlo bound, slightly too low.)

# %%
second = densities.SecondStage((64, 64), "silu", epochs=90, lr=2e-2, **rates, gamma="optimal", gamma_schedule=training.Hold(0.8, 0.5))
stand_ins = {"Gaussian": densities.Gaussian(), "mixture of 10": densities.GaussianMixture(10), "second stage": second}
for each in stand_ins.values():
    each.fit(vae, digits.train, seed=0)
rivals = {"N(0, I)": densities.StandardNormal().fit(vae, x), **stand_ins}
space = features.features_for(digits)
real = space(digits.test)

# %%
def against_codes(density):
    draws = [(density.sample(n, seed), densities.draw(q, seed)) for seed in (10, 11, 12)]
    means = [sum(f(a, b) for a, b in draws) / 3 for f in measures.values()]
    frechet = metrics.frechet_distance(space(vae.images(density.sample(5000, 0))), real)
    return *means, density.log_prob(z_test).mean().item(), frechet


table = {name: against_codes(density) for name, density in rivals.items()}
mmd, sliced, log_q, frechet = (dict(zip(table, column, strict=True)) for column in zip(*table.values(), strict=True))
claims.check_below("D20", mmd["second stage"], mmd["N(0, I)"] / 2, "digits: the MMD² to q(z) is less than half, three draws")
claims.check_below("D20", sliced["second stage"], sliced["N(0, I)"], "digits: the sliced Wasserstein distance is smaller, too")
assert log_q["mixture of 10"] > log_q["second stage"] + 0.3 > log_q["N(0, I)"] + 0.3
assert frechet["mixture of 10"] < frechet["second stage"] < frechet["N(0, I)"]
print("ok  digits: held-out density and Fréchet distance agree: mixture, then second stage, then N(0, I)")

# %% alt="Four panels for four stand-ins, bars in three and dots for the log density: by MMD² and sliced Wasserstein the second stage is first and all are near the level of chance; by held-out density and Fréchet distance the mixture is first"
fig, axes = plt.subplots(1, 4, figsize=(10, 2.8), sharey=True)
shades = [colors[name] for name in ("prior", "other", "fixed", "second")]
for ax, (name, values) in zip(axes, {**dict.fromkeys(measures), "log density of held-out codes": log_q, "Fréchet distance of images": frechet}.items(), strict=True):
    values = values or {"MMD²": mmd, "sliced Wasserstein": sliced}[name]
    if values is log_q:  # no zero to start from: dots
        ax.scatter(list(values.values()), list(values), color=shades, s=60, zorder=3)
    else:
        ax.barh(list(values), list(values.values()), color=shades)
    ax.set_title(name, fontsize=9)
axes[2].set_xlim(min(log_q.values()) - 0.3, max(log_q.values()) + 0.3)
axes[2].grid(axis="x", color="0.9")
for ax, name in zip(axes[:2], measures, strict=True):
    ax.axvspan(chance[name].min(), chance[name].max(), color="0.85", zorder=0)
axes[0].invert_yaxis()
plt.show()

# %% [markdown]
# The grey band is what pairs of normal samples show, from the figure before (a bar is the mean of three draws). By MMD²
# the prediction holds: the mixture and the second stage lie in the band, the Gaussian clearly outside, yet nearer than
# $N(0, I)$. By sliced Wasserstein it fails: the Gaussian and $N(0, I)$ tie, at the edge of the band. Whatever separates
# them is below the noise. Mixture and second stage lie inside. By these two panels one would take the second stage, or be
# content with either. The third panel tells them apart, and the fourth, which looks at decoded images and knows nothing
# of codes, agrees with the third. The Gaussian has every mean, variance and correlation right and still samples worse
# than the mixture. What it lacks is shape, and shape in 16 dimensions is what both distances see badly.
#
# ## Table 3 and Fig. 2
#
# **Claim D31.** The paper's Table 3 compares MMDs to $N(0, I)$: of the codes $z$, and of the second stage's codes $u$.
# Its Fig. 2 draws the singular values of both. Kernel and bandwidth are not published, so only the ratio of the two can
# be held against ours. **Prediction.** $u$ comes nearer to $N(0, I)$ by both. And a question of our own: is this the
# merit of the *second VAE*? A linear map that whitens $z$ has a flat spectrum by construction. What is its MMD²?

# %%
def to_normal(codes_of):
    return sum(metrics.mmd2(codes_of(densities.draw(q, s)), normal(600 + s)) for s in range(3)) / 3


whiten = torch.linalg.inv(torch.linalg.cholesky(C)).float()
ways = {"z": lambda z: z, "u": lambda z: second.codes(z, seed=5), "z whitened": lambda z: (z - q.mean.mean(0)) @ whiten.T}
gap = {name: to_normal(way) for name, way in ways.items()}
spread = {name: (metrics.singular_values(way(z)) - 1).abs().mean() for name, way in ways.items()}
claims.check_below("D31", gap["u"], gap["z"] / 2, "digits: from z to u the MMD² to N(0, I) falls to less than half")
claims.check_below("D31", spread["u"], spread["z"] / 1.3, "digits: and the singular values come nearer to 1")
claims.refute("D31", gap["z whitened"] < gap["z"] / 2 and bool(spread["z whitened"] < spread["u"]), "digits: but a linear map does as much by both figures, and no second VAE")

# %% alt="Left: singular values of z fall from above the band of chance to below it, those of u and of whitened codes stay inside. Right: MMD² of z far from zero, the two others near it"
fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3))
shades = {"z": colors["q"], "u": colors["second"], "z whitened": colors["other"]}
plots.spectra(left, {name: metrics.singular_values(way(z)) for name, way in ways.items()}, shades, n=n)
left.legend(fontsize=8, loc="lower left")
right.barh(list(gap), list(gap.values()), color=list(shades.values()))
right.axvline(0, color="0.3", linewidth=0.8)
right.set(title="MMD² to N(0, I)")
right.invert_yaxis()
plt.show()

# %% [markdown]
# Left: the codes leave the band in which the singular values of this many normal draws lie; $u$ stays inside. So far the
# paper's figure. The whitened codes are flat by construction. Right: whitening alone removes nearly all of the MMD². The
# two figures are right, then, and prove less than they seem to. They show that second moments are mended. For what comes
# beyond, look at held-out density and at samples, as above. This is claim N8 of notebook 06 in a milder form.
#
# ## A density that remembers
#
# One stand-in was not in the race: $q(z)$ itself, the mixture of $n$ Gaussians that we can write down. What is its
# density at the codes? With it the average KL of the training cost splits in two (Hoffman & Johnson):
#
# $$\frac1n \sum_i \text{KL}\big[q(z \mid x_i) \,\Vert\, p(z)\big] = I(x; z) + \text{KL}\big[q(z) \,\Vert\, p(z)\big].$$
#
# The second term is the gap of D19 in nats. The first is how much a code tells about *which* image it came from.
#
# **Exercise 12.3** (5 minutes). From the log densities of $m$ codes under $n$ parts, (m, n), return $\log q(z)$ of the
# mixture with equal weights, (m,). One test input has log densities near $-900$.
#
# <details><summary>Hint</summary>exp(−900) is 0 in float64. torch.logsumexp takes out the largest first.</details>

# %% tags=["stub"]
def log_q_of_z(log_parts):
    return ...


# %% tags=["solution"]
def log_q_of_z(log_parts):
    return torch.logsumexp(log_parts, 1) - torch.log(torch.tensor(log_parts.shape[1]))


# %%
exercises.check("12.3", log_q_of_z)

# %% [markdown]
# **Prediction.** Codes are sharp and few, so nearly each draw betrays its image: $I$ comes near its limit $\log n$. What
# is left over for the gap is then an artefact of $n$, and codes of *new* images will not find this density high.

# %%
encoder = Normal(q.mean.double(), q.sigma.double())  # n Gaussians


def log_mixture(z):
    parts = [encoder.log_prob(rows[:, None].double()).sum(2) for rows in z.split(100)]
    return torch.logsumexp(torch.cat(parts), 1) - torch.log(torch.tensor(n))


log_p = [Normal(0, 1).log_prob(codes).sum(1).double() for codes in (z, z_test)]
log_n, own = [log_mixture(codes) for codes in (z, z_test)], encoder.log_prob(z.double()).sum(1)
information, gap_in_nats = own - log_n[0], log_n[0] - log_p[0]
kl = (0.5 * (q.mean.square() + q.sigma.square() - 1) - q.sigma.log()).sum(1).double()
split = information + gap_in_nats - kl
assert abs(split.mean()) < 5 * split.std() / n**0.5 and information.max() <= torch.log(torch.tensor(n)) + 1e-6
assert information.mean() > 0.8 * torch.log(torch.tensor(n))
assert (log_n[1] - log_p[1]).mean() < gap_in_nats.mean() / 2 and log_n[1].mean() < log_q["mixture of 10"]
print("ok  digits: the KL splits; the information is above four fifths of its limit; held-out codes prefer the mixture of ten")

# %% alt="Two histograms of the gain in log density over N(0, I): codes of training images gain several nats, held-out codes less than one on average, with a long tail of codes that lose"
fig, ax = plt.subplots(figsize=(6, 2.6))
for k, (name, color) in enumerate({"training images": "q", "held-out images": "data"}.items()):
    ax.hist(log_n[k] - log_p[k], bins=40, range=(-24, 18), density=True, histtype="step", color=colors[color], label=name)
ax.axvline(0, color=colors["prior"], linestyle="--", label="N(0, I)")
ax.set(xlabel="log q(z) − log p(z), nats", yticks=[])
ax.legend(fontsize=8)
plt.show()

# %% [markdown]
# The mean of the orange histogram is $\text{KL}[q(z) \Vert p(z)]$ as the formula gives it. The black one says how much of
# it new images see: far less, and for many codes the mixture is worse than $N(0, I)$, for a few by more than ten nats. So
# the exact $q(z)$ of the training images is a *memory* of them. Drawing from it decodes to reconstructions of training
# images, with excellent Fréchet distance, and generates nothing. A stand-in must smooth. How much is a matter of held-out
# codes.
#
# ## Look at it
#
# Last, the plane in which the means of the ten classes differ most, for the codes and the stand-ins. A code is marked by
# its class; a draw by the class of the code nearest to it, in all dimensions.

# %% alt="Four clouds of small digits in a plane: codes with 0, 1, 4 and 6 at the rim and the other classes on top of one another; draws of the mixture keep that order, those of the Gaussian and N(0, I) blend it"
labels = digits.train_labels[:n]
class_means = torch.stack([z[labels == k].mean(0) for k in range(10)])
plane = torch.linalg.svd(class_means - class_means.mean(0)).Vh[:2].T
clouds = {"q(z)": z, "N(0, I)": normal(0), "Gaussian": stand_ins["Gaussian"].sample(n, 3), "mixture of 10": stand_ins["mixture of 10"].sample(n, 3)}
ten = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7B2FBE", "#9A6324", "#8FD14F")
fig, axes = plt.subplots(1, 4, figsize=(10, 3.4), sharex=True, sharey=True)
for ax, (name, codes) in zip(axes, clouds.items(), strict=True):
    nearest = labels[torch.cdist(codes, z).argmin(1)]
    for k, color in enumerate(ten):
        ax.plot(*(codes[nearest == k][::4] @ plane).T, linestyle="", marker=f"${k}$", markersize=5, markeredgewidth=0.2, color=color, label=f"class {k}")
    ax.set(title=name, aspect="equal", xlim=(-4, 4), ylim=(-4, 4), xlabel="first axis of the plane")
axes[0].set(ylabel="second axis of the plane")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=10, fontsize=8, handletextpad=0)
plt.show()

# %% [markdown]
# A fourth of the codes is drawn. In the first panel a few classes stand apart at the rim, 0, 1, 4 and 6; the others
# overlap in this plane. In the second and third all classes run into one another: a Gaussian can have the right
# covariance and no clusters. The fourth keeps the order of the first, with softer borders. No single plane shows it
# fully; in the view below choose others, and brush.

# %% tags=["widget", "nbval-ignore-output"]
widgets.PosteriorComparison({"VAE": (vae, stand_ins)}, x, labels)

# %% [markdown]
# **Question.** Choose one class, then go through the densities. Where do draws whose nearest code is in that class lie,
# and where no code is? Move the cursor from a cluster into the empty space between two: at which point does the decoded
# picture stop being a digit? And along which component do the means differ most between classes?
#
# ## Takeaways
#
# - $\operatorname{Cov}(z)$ is spread of the means plus noise. Its diagonal is near one; its eigenvalues are not.
# - Every distance has a level of chance. Draw it before you read the distance.
# - On digits, MMD and sliced Wasserstein order the stand-ins otherwise than held-out density and samples, which agree.
# - Table 3 and Fig. 2 come out as in the paper, and whitening does as well by them.
# - The exact $q(z)$ of the training images remembers. A stand-in must be judged on codes that it has not seen.
#
# ## Where it breaks
#
# Some hundred held-out codes bound all that was said: a difference of a tenth of a nat is not to be trusted. Ten
# components suit ten classes. With images as rich as faces nobody knows the number, and a Gaussian per component in a
# hundred dimensions needs more data than a small network does. The Fréchet distance looks through a classifier of digits,
# which may not see what you do.
#
# ## Next
#
# Back to notebook 06 with new eyes: which of its figures would have looked the same for a whitening map? Then take data
# of your own, `vaelab train`, and look at the codes before you look at samples.
#
# ## References
#
# - B. Dai and D. Wipf. Diagnosing and Enhancing VAE Models. ICLR 2019.
# - P. Ghosh, M. S. M. Sajjadi, A. Vergari, M. Black and B. Schölkopf. From Variational to Deterministic Autoencoders.
#   ICLR 2020.
# - M. Hoffman and M. Johnson. ELBO surgery: yet another way to carve up the variational evidence lower bound. NIPS
#   workshop, 2016.
# - N. Bonneel, J. Rabin, G. Peyré and H. Pfister. Sliced and Radon Wasserstein Barycenters of Measures. JMIV, 2015.
