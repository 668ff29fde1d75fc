# %% [markdown]
# # 12 · Where the codes are
#
# | | |
# | --- | --- |
# | You will be able to | say how far the codes of your data are from what you sample, by how much that can be known, and choose what to sample instead |
# | You need | notebook 06 (two stages); what a quantile is |
# | Time | 65 minutes with its exercises; quick: under a minute to run, full: some minutes on a GPU |
# | Optional | the section *Table 3 and Fig. 2* |
# | Source | Dai & Wipf (2019), Section 4, Eq. 10, Table 3, Fig. 2; Ghosh et al. (2020), Section 4; Hoffman & Johnson (2016) |
#
# One VAE, trained on pictures of clothes, and two clouds of codes to decode. Where does the second one go wrong?

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

# %%
clothes = data.load_images(notebooks.choose(quick="fashion-small", full="fashion"))
hidden, epochs = notebooks.choose(quick=((256,), 15), full=((512, 512), 15))
schedule = {"schedule": training.Cosine(), "progress": False}


def autoencoder(make):
    with networks.seeded(0):
        model = make(networks.mlp(clothes.shape, 16, hidden))
    rates = {"epochs": epochs, "batch_size": 100, "lr": 2e-3}
    training.fit(model, clothes.train, **rates, **schedule)
    return model


vae = autoencoder(lambda nets: models.vae(nets, "optimal"))
x = clothes.train[:2000]
q, q_test = vae.codes(x), vae.codes(clothes.test)
z, z_test = densities.draw(q, seed=0), densities.draw(q_test, seed=1)
n = len(z)

# %% alt="Three rows of clothes: photographs, the same garments decoded from their codes and softer, and decoded draws of N(0, I), many of them ghosts of two garments at once"
generator = torch.Generator().manual_seed(4)
rows = {"test images": clothes.test[:10], "decoded codes": vae.images(z_test[:10])}
rows["decoded N(0, I)"] = vae.images(torch.randn(10, 16, generator=generator))
fig, ax = plt.subplots(figsize=(6, 1.7))
plots.show_rows(ax, rows)
plt.show()

# %% [markdown]
# To sample from a VAE one decodes draws from $N(0, I)$, the lowest row. The decoder has learned to decode draws from $q(z)$,
# the codes of all the data together, the row above. Notebook 06 showed that the two differ and that a second VAE helps. Here
# we look closely at $q(z)$ itself: its covariance, its distance from several stand-ins, and how well any distance can be
# known from a few thousand images.
#
# ## What the encoder makes of all images together
#
# The *aggregated posterior* is the mixture of the encoder's Gaussians over the data,
# $$q(z) = \frac1n \sum_{i=1}^n N\big(z;\, \mu(x_i),\, \operatorname{diag} \sigma^2(x_i)\big).$$
# A draw is easy: pick an image, encode it, add its noise. The model is the one of notebook 06, with $\kappa = 16$ and
# $\gamma$ at its optimum.
#
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
# each dimension's mean square to one, and nothing else cares for its scale.

# %%
between, within = torch.cov(q.mean.T.double(), correction=0), q.sigma.square().double().mean(0)
C = between + within.diag()
sampled = torch.cat([densities.draw(q, seed) for seed in range(20)]).double()
error = (C.diagonal().outer(C.diagonal()) + C.square()) / len(sampled)  # of a Gaussian's
off = ((torch.cov(sampled.T) - C).abs() / error.sqrt()).max()
assert off < 5
print(f"ok  draws have the covariance of the formula (found {off:.1f} standard errors, below 5)")

# %% alt="Left: sixteen bars, noise stacked on spread of the means, those with more noise near one and the first two near two. Right: eigenvalues of the covariance, from nearly three to below one"
order = within.argsort()
fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 2.8))
j, spread = range(1, 17), between.diagonal()[order]
left.bar(j, spread, color=colors["q"], label="spread of the means")
left.bar(j, within[order], bottom=spread, color=colors["other"], label="encoder's noise")
left.set(xlabel="latent dimension, by noise", ylabel="variance")
eigenvalues = torch.linalg.eigvalsh(C).flip(0)
right.plot(j, eigenvalues, ".-", color=colors["q"], label="eigenvalues of Cov(z)")
right.set(xlabel="principal component")
for ax in (left, right):
    ax.axhline(1, color=colors["prior"], linestyle="--", label="N(0, I)")
    ax.set(ylim=(0, 3.6), xticks=range(1, 17, 3))
    ax.legend(fontsize=8)
plt.show()

# %% [markdown]
# On the left the bars with the most noise stand near the dashed line, the others mostly above it, up to 2.2: there
# the prediction fails. The noise on top is thin, so the spread of the means is all that counts, and fifteen epochs
# have not brought it to its scale: a scale costs few nats, a sharp picture earns many. On the right the same matrix
# in its own directions: some components have clearly more variance than one, some clearly less. Nothing forces the
# axes to be uncorrelated. In the KL of one image no product of two axes appears; correlations cost only through
# $\text{KL}[q(z) \Vert p(z)]$, a share of the cost (last section).
#
# ## How far, and how well can it be known
#
# **Claim D19.** A gap between $q(z)$ and $N(0, I)$ remains. We measure it twice. MMD² with several bandwidths is that
# of notebook 06. The *sliced Wasserstein distance* looks at one direction $v$ at a time. On a line the best way to move
# $m$ points onto $m$ others is in order, so
#
# $$W_2^2 = \frac1m \sum_i \big( a_{(i)} - b_{(i)} \big)^2, \qquad a = Z v,\; b = Z' v,\; \text{both sorted},$$
#
# with the samples in the rows of $Z$ and $Z'$; the root of its mean over random directions $v$ is the distance.
#
# Either number is positive by chance alone. How large by chance? Here we need no shuffling: for two samples of $N(0, I)$
# we can draw the answer. **Prediction.** The gap lies beyond all of 39 such pairs, by both measures.

# %%
few = 1200  # codes in each sample of a test
measures = {"MMD²": metrics.mmd2, "sliced Wasserstein": metrics.sliced_wasserstein}


def normal(seed, size=n):
    return torch.randn(size, 16, generator=torch.Generator().manual_seed(1000 + seed))


def codes(seed):
    return densities.draw(q, seed)[:few]


# %%
chance, found, pairs = {}, {}, [(normal(s, few), normal(s + 99, few)) for s in range(39)]
for name, f in measures.items():
    chance[name] = torch.tensor([f(a, b) for a, b in pairs])
    found[name] = sum(f(codes(s), normal(500 + s, few)) for s in range(3)) / 3
    beyond = f"clothes: {name} to N(0, I) is beyond 39 pairs of normal samples"
    claims.check_above("D19", found[name], chance[name].max(), beyond)

# %% alt="Two histograms of distances between normal samples; in each the distance of the codes lies far to the right of all bars"
fig, axes = plt.subplots(1, 2, figsize=(8, 2.4))
for ax, name in zip(axes, measures, strict=True):
    ax.hist(chance[name], bins=12, color="0.7", label="two samples of N(0, I)")
    ax.axvline(found[name], color=colors["q"], label="codes and N(0, I)")
    ax.set(title=name, yticks=[])
axes[0].legend(fontsize=8, loc="upper center")
plt.show()

# %% [markdown]
# Both lines, each the mean of three draws, lie right of all the bars. But look at the scales. The sliced Wasserstein
# distance of two samples from the *same* distribution is a good part of what is found: with so few codes its zero is
# far from zero. The MMD² is unbiased, so its bars stand around zero and some are negative. A distance without its
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
# a Gaussian with the covariance $C$; a mixture of ten Gaussians, as Ghosh et al. propose; the second stage; a
# flow, that of notebook 10, fitted afterwards. **Claim D20.** The second stage closes the gap. **Prediction.** In both
# distances all four come nearer than $N(0, I)$. By
# *log density of held-out codes* they can be told apart better: it is an average over codes, without a kernel or a
# projection that might look past the difference. (For the second stage it is a Monte-Carlo bound, slightly too low.)

# %%
def stand_ins_of(model):
    hold = training.Hold(0.8, 0.5)
    rates = {"epochs": 60, "batch_size": 256, "lr": 2e-2, "schedule": training.Cosine()}
    rules = {"gamma": "optimal", "gamma_schedule": hold}
    second = densities.SecondStage((64, 64), "silu", **rates, **rules)
    ten = densities.GaussianMixture(10)
    kinds = (densities.StandardNormal(), densities.Gaussian(), ten, second)
    return [each.fit(model, clothes.train, seed=0) for each in kinds]


names = ("N(0, I)", "Gaussian", "mixture of 10", "second stage")

# %% [markdown]
# Besides the codes we judge decoded images, as in notebook 06: by the Fréchet distance of 5,000 of them to test images.

# %%
space = features.features_for(clothes)
real = space(clothes.test[:1000])


def frechet_of(model, density):
    return metrics.frechet_distance(space(model.images(density.sample(5000, 0))), real)


def distance_to_codes(measure, density):
    return sum(measure(density.sample(few, s), codes(s)) for s in (10, 11, 12)) / 3


rivals = dict(zip(names, stand_ins_of(vae), strict=True))
rivals["flow"] = densities.Flow(epochs=60).fit(vae, clothes.train, seed=0)
mmd, sliced = (
    {name: distance_to_codes(f, each) for name, each in rivals.items()} for f in measures.values()
)
log_q = {name: each.log_prob(z_test).mean().item() for name, each in rivals.items()}
frechet = {name: frechet_of(vae, each) for name, each in rivals.items()}

# %%
third = "clothes: the MMD² to q(z) falls by a third or more, three draws"
claims.check_below("D20", mmd["second stage"], mmd["N(0, I)"] / 1.5, third)
too = "clothes: the sliced Wasserstein distance is smaller, too"
claims.check_below("D20", sliced["second stage"], sliced["N(0, I)"] / 1.2, too)
assert log_q["mixture of 10"] > log_q["second stage"] + 1 > log_q["Gaussian"] + 3
assert log_q["Gaussian"] > log_q["N(0, I)"]
assert frechet["mixture of 10"] < frechet["second stage"] < frechet["Gaussian"] < frechet["N(0, I)"]
says = "clothes: held-out density and Fréchet distance agree on the order of these four"
both = [f"{log_q[name]:.1f} nats and {frechet[name]:.0f}" for name in names]
print(f"ok  {says} (found {', '.join(both)})")
lead, ratio = log_q["flow"] - log_q["mixture of 10"], frechet["flow"] / frechet["mixture of 10"]
assert lead > -0.5 and ratio > 1.15
print(f"ok  clothes: the flow less the mixture, nats a code (found {lead:.2f}, above -0.5)")
print(f"ok  clothes: its images' distance over the mixture's (found {ratio:.2f}, above 1.15)")

# %% alt="Four panels for five stand-ins: by MMD² and sliced Wasserstein the mixture is first and the flow next, Gaussian and second stage are about level; by held-out density the flow is level with the mixture, by Fréchet distance between it and the second stage"
panels = dict(zip(measures, (mmd, sliced), strict=True))
panels |= {"log density of held-out codes": log_q, "Fréchet distance of images": frechet}
shades = [colors[name] for name in ("prior", "fixed", "other", "second", "q")]
fig, axes = plt.subplots(1, 4, figsize=(10, 2.8), sharey=True)
for ax, (name, values) in zip(axes, panels.items(), strict=True):
    if values is log_q:  # no zero to start from: dots
        ax.scatter(list(values.values()), list(values), color=shades, s=60, zorder=3)
        ax.grid(axis="x", color="0.9")
    else:
        ax.barh(list(values), list(values.values()), color=shades)
    if name in chance:
        ax.axvspan(chance[name].min(), chance[name].max(), color="0.85", zorder=0)
    ax.set_title(name, fontsize=9)
axes[0].invert_yaxis()
plt.show()

# %% [markdown]
# The grey band is what pairs of normal samples show, from the figure before (a bar is the mean of three draws). The
# mixture is first by every measure but one, where the flow is level, and by MMD² inside the band. Behind it the
# measures part. By the two distances the second stage narrows the gap and does not close it (its MMD² is ten times the
# band's upper end), and the Gaussian is about level with it. Held-out density puts the second stage several nats ahead,
# and the fourth panel, which looks at decoded images and knows nothing of codes, agrees. The Gaussian has every mean,
# variance and correlation right and still samples worse. What it lacks is shape, and shape in 16 dimensions is what
# both distances see badly.
#
# The flow parts the last two panels. Held-out codes are as likely under it as under the mixture, its images are farther
# from the data. A flow maps one round cloud to all clusters without tearing it, and what lies between
# them becomes a bridge. Some draws fall on bridges; to the mean log density of codes, which lie elsewhere, they cost
# little. What do you see?

# %% alt="Five rows of clothes: photographs, then ghostly garments of N(0, I), washed-out ones of the Gaussian, mostly clear ones of the second stage and clearer ones of the mixture"
ranked = ("N(0, I)", "Gaussian", "second stage", "mixture of 10")
rows = {"test images": clothes.test[:10]}
rows |= {name: vae.images(rivals[name].sample(10, 5)) for name in ranked}
fig, ax = plt.subplots(figsize=(6, 2.6))
plots.show_rows(ax, rows)
plt.show()

# %% [markdown]
# From row to row more of the garments have one outline, and fewer are two at once: the order of the last two panels.
#
# ## Codes without noise
#
# Does a *deterministic* autoencoder change the picture? The RAE of Ghosh et al. (notebook 09) has no prior at all:
# its loss is the squared error and, with a small weight, half the squared length of the code. **Claim R4.** Fitting a
# density to its codes afterwards gives good samples. **Prediction.** $N(0, I)$ is far off now. The order of the
# others is as before.

# %%
rae = autoencoder(lambda nets: models.rae(nets, 0.01))
points = rae.codes(clothes.test).mean
same = dict(zip(names, stand_ins_of(rae), strict=True))
log_rae = {name: each.log_prob(points).mean().item() for name, each in same.items()}
frechet_rae = {name: frechet_of(rae, each) for name, each in same.items()}
far = "clothes, RAE: N(0, I) is more than three times as far off as a fitted Gaussian"
claims.check_above("R4", frechet_rae["N(0, I)"], 3 * frechet_rae["Gaussian"], far)
half = "clothes, RAE: ten components come to two thirds of one Gaussian's distance or less"
claims.check_below("R4", frechet_rae["mixture of 10"], frechet_rae["Gaussian"] / 1.5, half)
assert log_rae["mixture of 10"] > log_rae["second stage"] + 1 > log_rae["Gaussian"] + 3
assert frechet_rae["mixture of 10"] < frechet_rae["second stage"] < frechet_rae["Gaussian"]

# %% alt="Fréchet distances on a logarithmic axis of five densities for the VAE, four of them for the RAE too: for the RAE N(0, I) is far off, the other three are close to those of the VAE"
fig, ax = plt.subplots(figsize=(5.5, 2.3))
for values, color, name in ((frechet, "q", "VAE"), (frechet_rae, "data", "RAE")):
    ax.semilogx(list(values.values()), list(values), "o", color=colors[color], label=name)
ax.minorticks_off()
ax.set(xlabel="Fréchet distance to test images", xticks=(30, 100, 300), xticklabels=(30, 100, 300))
ax.grid(axis="y", color="0.9")
ax.invert_yaxis()
ax.legend()
plt.show()

# %% [markdown]
# So it is. With a density of its codes the RAE is about level with the VAE, and without one it generates nothing: the
# encoder's noise is not what makes samples, the density is.
#
# ## Table 3 and Fig. 2
#
# **Claim D31.** By the paper's Table 3 the second stage's codes $u$ are nearer to $N(0, I)$ in MMD than $z$, by its
# Fig. 2 in singular values too. Kernel and bandwidth are not published; the printed ratio is 0.29 on Fashion-MNIST.
# **Prediction.** $u$ comes nearer to $N(0, I)$ by both. And a question of our own: is this the merit of the *second
# VAE*? A linear map that whitens $z$ has a flat spectrum by construction. What is its MMD²?

# %%
def to_normal(way):
    return sum(metrics.mmd2(way(codes(s)), normal(600 + s, few)) for s in range(3)) / 3


second = rivals["second stage"]
whiten = torch.linalg.inv(torch.linalg.cholesky(C)).float()
ways = {"z": lambda z: z, "u": lambda z: second.codes(z, seed=5)}
ways["z whitened"] = lambda z: (z - q.mean.mean(0)) @ whiten.T
gap = {name: to_normal(way) for name, way in ways.items()}
spread = {name: (metrics.singular_values(way(z)) - 1).abs().mean() for name, way in ways.items()}

# %%
tenth = "clothes: from z to u the MMD² to N(0, I) falls to a tenth or less"
claims.check_below("D31", gap["u"], gap["z"] / 10, tenth)
claims.check_below("D31", spread["u"], spread["z"] / 2, "clothes: singular values come nearer to 1")
more = "clothes: by the MMD² the second stage does more than a linear map that whitens"
claims.check_below("D31", gap["u"], gap["z whitened"] / 5, more)
flat = "clothes: but the spectrum is flatter by a linear map, and no second VAE"
both = [spread["z whitened"], spread["u"]]
claims.refute("D31", bool(both[0] < both[1] / 2), flat, found=both)

# %% alt="Left: singular values of z fall from far above the band of chance to below it, those of u and of whitened codes stay in or near it. Right: MMD² of z far from zero, that of whitened codes at a quarter, that of u near zero"
fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3))
shades = {"z": colors["q"], "u": colors["second"], "z whitened": colors["other"]}
values = {name: metrics.singular_values(way(z)) for name, way in ways.items()}
plots.spectra(left, values, shades, n=n)
left.legend(fontsize=8, loc="lower left")
right.barh(list(gap), list(gap.values()), color=list(shades.values()))
right.axvline(0, color="0.3", linewidth=0.8)
right.set(title="MMD² to N(0, I)")
right.invert_yaxis()
plt.show()

# %% [markdown]
# Left: the codes leave the band in which the singular values of this many normal draws lie; $u$ stays near it. So far
# the paper's figure. The whitened codes are flat by construction: the spectrum shows that second moments are mended,
# and no more. Right: whitening removes most of the MMD², the second stage all of it. So Table 3 says something that
# Fig. 2 cannot: clusters are gone, too. Yet remember N8 of notebook 06: a second stage that had collapsed would look as
# good. For what $u$ knows of $z$, look at held-out density and at samples, as above.
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
limit, off = torch.log(torch.tensor(n)), split.mean().abs() / split.std() * n**0.5
assert off < 5 and information.max() <= limit + 1e-6
print(f"ok  clothes: the KL is the sum of the two (found {off:.1f} standard errors, below 5)")
share = information.mean() / limit
assert share > 0.95
print(f"ok  clothes: the information is near its limit (found {share:.4f} of it, above 0.95)")
gain = (log_n[1] - log_p[1]).mean(), log_n[1].mean() - log_q["mixture of 10"]
assert gain[0] < 0 and gain[1] < -20
print(f"ok  clothes: held-out codes prefer N(0, I) to it (found {gain[0]:.0f} nats, below 0)")
print(f"ok  clothes: and the mixture of ten by far (found {gain[1]:.0f} nats, below -20)")

# %% alt="Two histograms of the gain in log density over N(0, I): codes of training images gain in one narrow peak, held-out codes mostly lose, with a tail of hundreds of nats"
fig, ax = plt.subplots(figsize=(6, 2.6))
style = {"bins": 60, "range": (-250, 50), "density": True, "histtype": "step"}
for k, (name, color) in enumerate({"training images": "q", "held-out images": "data"}.items()):
    ax.hist(log_n[k] - log_p[k], color=colors[color], label=name, **style)
ax.axvline(0, color=colors["prior"], linestyle="--", label="N(0, I)")
ax.set(xlabel="log q(z) − log p(z), nats", yticks=[])
ax.legend(fontsize=8)
plt.show()

# %% [markdown]
# The mean of the orange histogram is $\text{KL}[q(z) \Vert p(z)]$ as the formula gives it. The black one says how much of
# it new images see: nothing. For most codes the mixture is worse than $N(0, I)$, for many by more than fifty nats. So
# the exact $q(z)$ of the training images is a *memory* of them. Drawing from it decodes to reconstructions of training
# images, with excellent Fréchet distance, and generates nothing. A stand-in must smooth. How much is a matter of held-out
# codes.
#
# ## Look at it
#
# Last, the plane in which the means of the ten classes differ most, for the codes and the stand-ins. A code is coloured by
# its class; a draw by the class of the code nearest to it, in all dimensions.

# %%
labels = clothes.train_labels[:n]
class_means = torch.stack([z[labels == k].mean(0) for k in range(10)])
plane = torch.linalg.svd(class_means - class_means.mean(0)).Vh[:2].T
shown = ("N(0, I)", "Gaussian", "mixture of 10")
clouds = {"q(z)": z} | {name: rivals[name].sample(n, 3) for name in shown}
ten = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
ten += ("#56B4E9", "#000000", "#7B2FBE", "#9A6324", "#8FD14F")

# %% alt="Four clouds of dots in a plane, a colour a class: codes in clusters, of shoes, trousers, bags and tops; draws of the mixture keep them, those of N(0, I) and of the Gaussian run into one another"
fig, axes = plt.subplots(1, 4, figsize=(10, 3.5), sharex=True, sharey=True)
for ax, (name, points) in zip(axes, clouds.items(), strict=True):
    nearest = labels[torch.cdist(points, z).argmin(1)]
    for k, color in enumerate(ten):
        dots = (points[nearest == k][::3] @ plane).T
        ax.plot(*dots, ".", markersize=4, color=color, label=clothes.classes[k])
    ax.set(title=name, aspect="equal", xlim=(-5, 5), ylim=(-5, 5), xlabel="first axis of the plane")
axes[0].set(ylabel="second axis of the plane")
legend = axes[0].get_legend_handles_labels()
fig.legend(*legend, loc="outside lower center", ncols=5, fontsize=8, markerscale=2)
plt.show()

# %% [markdown]
# A third of the codes is drawn. In the first panel several classes have a place of their own: a kind of shoe is near the
# other kinds, and tops lie together. $N(0, I)$ and the Gaussian run them into one another: a Gaussian can have the right
# covariance and no clusters. The mixture keeps them. No single plane shows it
# fully; in the view below choose others, and brush.

# %% tags=["widget", "nbval-ignore-output"]
widgets.PosteriorComparison({"VAE": (vae, rivals), "RAE": (rae, same)}, x, labels)

# %% [markdown]
# **Question.** Choose one class, then go through the densities. Where do draws whose nearest code is in that class lie,
# and which of them lie where no code is? Move the cursor from a cluster into the empty space between two: at which
# point does the decoded picture stop being a garment? And along which component do the means differ most between
# classes?
#
# <details><summary>An answer</summary>Draws from N(0, I) land in the gaps between clusters, draws of the mixture and of
# the second stage mostly inside them. On the way from a cluster into the gap the picture becomes two garments at once,
# soon after the cursor has left the last dots. The class means differ most along the components with the largest
# eigenvalues of Cov(z), usually the first two.</details>
#
# ## Takeaways
#
# - $\operatorname{Cov}(z)$ is spread of the means plus noise. Its diagonal is near one only
#   where the noise is largest; its eigenvalues are not.
# - Every distance has a level of chance. Draw it before you read the distance.
# - On clothes, held-out density and samples agree on the order of the stand-ins, but for a flow, whose bridges cost it
#   little density; MMD and sliced Wasserstein take a Gaussian for as good as the second stage.
# - Without noise it is the same: the density that is fitted afterwards makes the samples.
# - As in Table 3 and Fig. 2, $u$ is nearer than $z$; our ratio is far smaller. Whitening does as well by the
#   spectrum, and less well by MMD.
# - The exact $q(z)$ of the training images remembers. A stand-in must be judged on codes that it has not seen.
#
# ## Where it breaks
#
# A thousand held-out codes bound all that was said: a difference of a tenth of a nat is not to be trusted. Ten
# components suit ten classes. With images as rich as faces nobody knows the number, and a Gaussian per component in a
# hundred dimensions needs more data than a small network does. The Fréchet distance looks through a classifier of
# clothes, which may not see what you do.
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
