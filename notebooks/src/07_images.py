# %% [markdown]
# # 07 · Training on images
#
# | | |
# | --- | --- |
# | You will be able to | train the paper's networks, read the figures that diagnose them, and compare a Fréchet distance with a printed one |
# | You need | notebooks 04 (the eigenvalues λ) and 06 (two stages) |
# | Time | 65 minutes with its exercises; quick: a minute or two to run, full: a day on a GPU |
# | Optional | the sections *The networks, counted* and *The settings, as data* |
# | Source | Dai & Wipf (2019), Section 5, Appendix D, Figs. 1, 2, 10 and 11, Tables 1 and 3 |
#
# The paper's network, half a minute of training, and clothes: what must be told before a table may be made of it?

# %%
# %matplotlib inline
import math
from dataclasses import replace

import matplotlib.pyplot as plt
import torch

from vaelab import (
    claims,
    data,
    densities,
    exercises,
    experiments,
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
torch.set_num_threads(1)  # the same floats on every number of cores

# %%
table, paper = experiments.TABLES["dai-wipf-1"], experiments.PROFILES["paper"]
row = table.row("two-stage")
fashion = experiments.settings_for(table, row, "fashion", paper, 0)
short = {"epochs": 3, "second_epochs": 20, "batch_size": 64, "halve_every": 0}
short |= {"lr": 1e-3, "second_lr": 4e-3}
short |= {**experiments.SOONER, "gamma_lr": 50.0}
small = {"latent_dim": 32, "second_hidden": 128, "weight_decay": 0.0, "bn_momentum": 0.1}
longer = experiments.settings_for(table, row, "fashion", experiments.PROFILES["full"], 0)
settings = notebooks.choose(quick=replace(fashion, **short, **small), full=longer)
images = data.load_images(notebooks.choose("fashion-small", "fashion"))
vae, stage, runs = experiments.train(images, settings, session=training.Session(progress=False))

# %% alt="Four rows of ten clothes: test images, reconstructions like them but softer, samples of N(0, I) that are mostly ghosts, samples of two stages of which most are garments"
drawn = {"N(0, I)": densities.StandardNormal().fit(vae, images.train), "two stages": stage}
rows = {"test images": images.test[:10], "reconstructions": vae.reconstruct(images.test[:10])}
rows |= {name: vae.images(density.sample(10, seed=0)) for name, density in drawn.items()}
fig, ax = plt.subplots(figsize=(6.5, 2.5))
plots.show_rows(ax, rows)
plt.show()

# %% [markdown]
# Notebook 06 trained small dense networks. The paper trains convolutional ones on four data sets. A row of its table
# turns rows of pictures like the last one into a number. It has many ingredients: networks, schedules, the number of
# samples, the way pictures are shown to the judge. We take them one by one. The quick profile trains the paper's
# network for three epochs on five thousand clothes; the full one trains on all of Fashion-MNIST and runs the table.
# What was stored of longer runs is read from files.
#
# ## The networks, counted
#
# **Claim D32** (first half). Appendix D describes the encoder: two convolutions with kernels of side 4 and stride 2, of
# 64 and 128 channels, a dense layer of 1024 units, and one that gives mean and variance of 64 latent dimensions. The
# decoder mirrors it.
#
# **Prediction.** For an image of side $s$ the encoder's dense layer has $128\,(s/4)^2 \cdot 1024$ weights, and
# dominates; the convolutions you count below. The decoder repeats this, with 64 inputs instead of 128 outputs. Of the
# residual networks the text tells one number: the decoder begins with a dense layer of 2048 units for 32 pixels, of
# 4096 for 64. The second stage has three dense layers of 1024 units on either side; that their output is joined by the
# input stands in the code alone. On the device "meta" a network has shapes and no memory, so even the largest is
# counted in no time.

# %%
def weights(module):
    return [tuple(p.shape) for p in module.parameters() if p.ndim > 1]


def count_of(module):
    return sum(p.numel() for p in module.parameters())


with torch.device("meta"):
    vaes = [models.vae(networks.infogan(c, side)) for c, side in ((1, 28), (3, 32), (3, 64))]
    second = models.vae(networks.mlp(64, 64, (1024,) * 3))
    residual = [networks.resnet(3, side).decoder[0].out_features for side in (32, 64)]

# %%
for (c, side), each in zip(((1, 28), (3, 32), (3, 64)), vaes, strict=True):
    flat = 128 * (side // 4) ** 2
    assert weights(each.encoder) == [(64, c, 4, 4), (128, 64, 4, 4), (1024, flat)]
    assert weights(each.posterior) == [(128, 1024)]
    assert weights(each.decoder) == [(1024, 64), (flat, 1024), (128, 64, 4, 4), (64, c, 4, 4)]
three = [(1024, 64), (1024, 1024), (1024, 1024)]
assert weights(second.encoder) == three and weights(second.posterior) == [(128, 1024 + 64)]
assert weights(second.decoder) == [*three, (64, 1024 + 64)]
for (c, side), each in zip(((1, 28), (3, 32), (3, 64)), vaes, strict=True):
    size = f"{count_of(each):>10,} parameters, second stage {count_of(second):,}"
    print(f"{side} × {side} × {c}: {size}")
layers = "the layers are those of the text; so is the residual decoder's first layer"
claims.check("D32", residual == [2048, 4096], layers, found=residual)

# %% [markdown]
# A dense layer is a matrix, so its count is clear. For a convolution, count yourself.
#
# **Exercise 07.1** (3 minutes). How many parameters has a convolution with `c_in` input channels, `c_out` output
# channels and a square kernel of side `k`, biases included?
#
# <details><summary>Hint</summary>Each output channel has a kernel of its own, through all input channels, and one number more.</details>

# %% tags=["stub"]
def conv_parameters(c_in, c_out, k):
    return ...


# %% tags=["solution"]
def conv_parameters(c_in, c_out, k):
    return k * k * c_in * c_out + c_out


# %%
exercises.check("07.1", conv_parameters)

# %% [markdown]
# ## The settings, as data
#
# **Claim D32** (second half). Batches of 100; Adam with a step of $10^{-4}$; a weight decay of $5 \cdot 10^{-4}$. On
# MNIST and Fashion-MNIST there are 400 epochs for the first stage and 800 for the second, and the step is halved every
# 150 and every 300 epochs. On CIFAR-10 there are 1000 and 2000, halved every 300 and 600 (by the extended
# version), on CelebA 120 and 300, halved every 48 and 120.
#
# Settings are a frozen dataclass, which every checkpoint and every result repeats. The profile `paper` of the table
# runner must hold these numbers. They are the text's; the authors' published code has batches of 64 and no weight
# decay. By the text $\gamma$ is one more parameter: learned from the first step of both stages, with the step size of
# the weights. A run of fewer steps would not bring it down, so the shorter profiles give it a larger step and hold the
# second stage's at one for half of the training. Every stored result repeats what it did.
#
# One trap is hidden here. The networks contain batch normalisation, and its running mean
# has a momentum of 0.001 in the authors' code, so it wants some thousands of steps. A short run needs a larger one, or
# evaluation uses averages that never arrived.

# %%
sets = ("mnist", "fashion", "cifar10", "celeba")
chosen = {name: experiments.settings_for(table, row, name, paper, 0) for name in sets}
text = {"mnist": (400, 150, 800, 300), "fashion": (400, 150, 800, 300)}
text |= {"cifar10": (1000, 300, 2000, 600), "celeba": (120, 48, 300, 120)}

# %%
found = {}
for name, settings in chosen.items():
    plans = (settings.plan(), experiments.second_stage(settings).plan)
    found[name] = tuple(n for plan in plans for n in (plan.epochs, plan.schedule.epochs))
    rates = [(p.batch_size, p.lr, p.weight_decay, p.gamma_lr, p.gamma_schedule) for p in plans]
    assert rates == 2 * [(100, 1e-4, 5e-4, 1.0, None)] and settings.latent_dim == 64
    print(f"{name:8} {'first {}, halved every {}; second {}, every {}'.format(*found[name])}")
factor = training.HalveEvery(150)
halved = factor(149, 400) == 1 and factor(150, 400) == 0.5 == 2 * factor(300, 400)
says = "epochs and halvings of both stages, four sets: those of the text"
claims.check("D32", found == text and halved, says, found=list(found.values()))

# %% [markdown]
# ## A run
#
# The quick run, the one whose pictures you saw, changes what time forces it to change. The first code cell says what that
# is: three epochs, 32 dimensions, a larger step that falls along a cosine, a $\gamma$ that arrives sooner, and a smaller
# second stage.

# %%
q = vae.codes(images.train)
error = metrics.mean_squared_error(images.train, vae.images(densities.draw(q, 1)))
falls = "InfoGAN networks: gamma falls by more than a factor of ten from its start at one"
claims.check_below("D26", vae.gamma, 0.1, falls)
near = "it comes within a factor of two of the error of decoded codes"
claims.check_below("D26", abs(math.log(vae.gamma / error)), math.log(2), near)

# %% alt="Two curves of gamma over epochs: the first stage's falls steeply, the second stage's stays at one and then comes down to a quarter"
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 2.9))
for ax, key, color in ((left, "first", "q"), (right, "second", "second")):
    name = f"{key} stage"
    plots.gamma_curve(ax, {name: runs[key].history["gamma"]}, {name: plots.COLORS[color]})
left.axhline(error, color=plots.COLORS["exact"], linestyle=":", label="error of decoded codes")
right.set(ylim=(1e-2, 2))
left.legend()
plt.show()

# %% [markdown]
# This is the paper's Fig. 1a. On the left $\gamma$ falls towards the dotted line, the error that is its optimum
# (notebook 01). Three epochs leave it a little above. On the right the second stage's $\gamma$ is held at one for half of
# the training, then goes where it wants, and that is not far. The paper's first curve falls further. Its training sees
# more images, by a factor of more than a thousand.
#
# ## Which eigenvalues there are
#
# **Claim D28.** The eigenvalues $\lambda_j$ of the encoder's covariance gather at 0 and at 1 (Fig. 11). Richer data
# keep more dimensions active.
#
# **Assumption.** The first half is Theorem 4, in the limit $\gamma \to 0$. At a finite $\gamma$ a linear decoder has
# $\lambda_j = \min(1, \gamma / \Lambda_j)$. If the variances $\Lambda_j$ of the data pass through $\gamma$ without a
# gap, the $\lambda_j$ pass from 0 to 1 without one (notebook 06).
#
# **Prediction.** For the second half we make data whose dimension is known to double: two independent digits side by
# side (8 × 8 pixels, 24 latents a digit, more than it needs). At one fixed $\gamma$ the best VAE of a pair is two best
# VAEs, so $\hat r$, the number of $\lambda_j < \frac12$, doubles. How large is it? For a linear decoder $\lambda_j <
# \frac12$ means $\Lambda_j > 2\gamma$ (in 01, active meant $\Lambda_j > \gamma$).

# %%
def page(x, n, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.cat([x[torch.randperm(len(x), generator=generator)] for _ in range(n)], 3)


def vae_of(n, gamma=0.05):
    x = page(plain.train, n, seed=0)
    with networks.seeded(0):
        model = models.vae(networks.mlp(x.shape[1:], 24 * n), gamma)
    rates = {"epochs": notebooks.choose(80, 200), "batch_size": 129, "lr": 3e-3}
    training.fit(model, x, **rates, schedule=training.Cosine(), progress=False)
    linear = (torch.linalg.eigvalsh(x.flatten(1).T.cov()) > 2 * gamma).sum().item()
    return model, model.codes(page(plain.test, n, seed=1)).eigenvalues(), linear


plain = data.load_images("digits")
(of_digits, one, linear), (_, two, linear_two) = vae_of(1), vae_of(2)

# %% [markdown]
# The claim's own sets are larger than a quick run can be. Of those we read stored trials: what one trained model each
# has measured, at $\gamma = 1$ and at learned $\gamma$.

# %%
place = experiments.Place(out=experiments.SHIPPED)


def stored_trials(name, model):
    cells = experiments.cells_of(table, experiments.PROFILES["quick"], (name,), (model,))
    return [experiments.read_cell(cell, place)["measured"] for cell in cells]


real_sets, trials = ("mnist", "fashion", "cifar10"), stored_trials("mnist", "learned")
counts = [[t["active_dims"] for t in stored_trials(name, "fixed")] for name in real_sets]
at_one = torch.stack([torch.tensor(count).mean() for count in counts])
richer = "γ = 1, stored trials: more active dimensions from MNIST to Fashion-MNIST to CIFAR-10"
claims.check_above("D28", at_one.diff(), 1, richer)

# %%
histograms = torch.tensor([trial["histogram"] for trial in trials])
shares = {"one digit": metrics.eigenvalue_counts(one), "MNIST": histograms.mean(0)}
shares["clothes"] = metrics.eigenvalue_counts(vae.codes(images.test).eigenvalues())
found = [metrics.active_dims(one), metrics.active_dims(two)]
twice = "digits: twice the data's dimension, about twice as many active dimensions"
claims.check_close("D28", found[1] / found[0], 2, atol=0.4, says=twice)
quarter = "digits: as many as a linear decoder has, to a quarter"
claims.check_close("D28", found, [linear, linear_two], rtol=0.25, says=quarter)
near_0 = "MNIST, stored trials: two fifths or more of the eigenvalues are near 0"
claims.check_above("D28", shares["MNIST"][:2].sum(), 0.4, near_0)
few = [shares["MNIST"][-2:].sum(), shares["one digit"][:2].sum()]
says = "MNIST: less than a tenth near 1 yet; digits: less than a quarter near 0"
claims.refute("D28", bool(few[0] < 0.1 and few[1] < 0.25), says, found=few)

# %% alt="Four histograms of eigenvalues: for one and two digits a group near 0.2 and one at 1, for this run on clothes a peak at zero and a slope that ends before 1, for MNIST a higher peak at zero with a tail"
named = {
    "one digit, γ = 0.05": shares["one digit"],
    "two digits, γ = 0.05": metrics.eigenvalue_counts(two),
    f"clothes, γ = {vae.gamma:.2g}": shares["clothes"],
    f"MNIST, γ = {trials[0]['gamma']:.1g}": shares["MNIST"],
}
fig, axes = plt.subplots(1, 4, figsize=(8.5, 2.5), sharey=True)
for ax, (name, share) in zip(axes, named.items(), strict=True):
    ax.stairs(share, torch.linspace(0, 1, 21), fill=True, color=plots.COLORS["q"])
    ax.set(title=name, xlabel="λ")
    ax.title.set_size(10)
axes[0].set_ylabel("share of directions")
plt.show()

# %% [markdown]
# Two digits give about the histogram of one, with twice the number of directions behind it, and that number is near
# what the eigenvalues of the pixels' covariance predict. It follows the data, as the second half of the claim says. So
# it does on the real sets, at one $\gamma$ for all: none or one active dimension for MNIST, two to four for
# Fashion-MNIST, five or six for CIFAR-10. Where each set learns its own $\gamma$ they are 63, 44 and 64 of 64, and do
# not compare.
#
# The gathering has conditions. In the first two panels one group stands at one and another well above zero: the largest
# eigenvalue of the digits is only fourteen times this $\gamma$. The third panel is the run of our clothes, the last one
# stored trials on real MNIST (four epochs, ten thousand images, 64 dimensions). In both $\gamma$ is smaller and the
# peak stands at zero. But hardly any direction has been given up yet, and giving up takes long: with half the training
# our digits, too, had nearly none at one. We take Fig. 11 for a statement on long training with small $\gamma$.
#
# ## What noise along a direction does
#
# **Claim D27.** Noise along a direction with small $\lambda_j$ changes the image, along one with $\lambda_j \approx 1$
# it does not (Figs. 1b and 10). **Prediction.** For a linear decoder with slope $a_j$ along direction $j$,
# $\lambda_j = \gamma / (\gamma + a_j^2)$. So the change, $a_j^2$ for noise of variance one, is $\gamma (1/\lambda_j -
# 1)$: a falling line. The rank correlation is near −1. The stored trials on MNIST have measured theirs.

# %%
noise = experiments.noise_by_direction(vae, vae.codes(images.test[:300]))
# The four noises that were used; their own variance is not one.
eps = torch.randn(4, generator=torch.Generator().manual_seed(0))
lam_j = torch.tensor(noise["eigenvalues"])
change = torch.tensor(noise["variance"]) * images.train[0].numel() / eps.var()
line = vae.gamma * (1 / lam_j - 1).clamp(min=1e-3)
in_order = "InfoGAN networks: the image's change falls with the eigenvalue"
claims.check_below("D27", noise["rank_correlation"], -0.9, in_order)
stored_ranks = [trial["noise"]["rank_correlation"] for trial in trials]
too = "real MNIST, InfoGAN networks, stored trials: so it does there"
claims.check_below("D27", stored_ranks, -0.98, too)
median = (change / line).log().median().abs()
on_line = "the median change is on the line, to a factor of three"
claims.check_below("D27", median, math.log(3), on_line)

# %% alt="Points fall from the upper left to the lower right, beside a line of the same slope"
fig, ax = plt.subplots(figsize=(5, 2.9))
ax.loglog(lam_j, change, "o", color=plots.COLORS["q"], label="measured")
ax.loglog(lam_j, line, color=plots.COLORS["exact"], label="γ (1/λ − 1)")
ax.set(xlabel="eigenvalue λ", ylabel="change of the image")
ax.legend()
plt.show()

# %% [markdown]
# Each point is a latent direction. The order is as claimed. The line is what a linear decoder would do, without a free
# number, and the points lie along it: even after three epochs the encoder is nearly in balance with its decoder. So
# $\lambda_j$ tells not only the order but about how much. The view has these directions on sliders, in this order.

# %% tags=["widget", "nbval-ignore-output"]
widgets.LatentTraversal(vae, images.test[:100], density=stage)

# %% [markdown]
# **Question.** Compare the first slider with the last. From which eigenvalue on do you see no change?
# Is there a jump, or is it a slope, as the histogram says?
#
# <details><summary>An answer</summary>The first sliders change the picture, the last hardly do. There is no jump: the change
# fades as λ rises, since real pictures have directions of every strength. The histogram of this run shows the same, one
# long slope.</details>
#
# ## Codes of both stages
#
# **Claim D31.** Table 3 and Fig. 2: the codes of the second stage are closer to $N(0, I)$ than those of the first, by
# MMD and by singular values. In the table's units the ratio is what compares; kernel and bandwidth were not published.

# %%
stored = stored_trials("mnist", "two-stage")[0]
told = experiments.measure_stages(images, vae, stage)
spectra = [torch.tensor(told["spectra"][name]) for name in ("stage 1", "stage 2")]
spread = [(values - 1).abs().mean().item() for values in spectra]
mmd2, falls = told["mmd2"], "this run: the MMD² falls to a tenth or less"
claims.check_below("D31", mmd2["stage 2"], mmd2["stage 1"] / 10, falls)
claims.check_below("D31", spread[1], spread[0] / 3, "this run: singular values are closer to 1")
of_trials = [t["mmd2"] for name in real_sets for t in stored_trials(name, "two-stage")]
ratios = [mmd["stage 2"] / mmd["stage 1"] for mmd in of_trials]
tenth = "MNIST, Fashion-MNIST, CIFAR-10, stored trials: a tenth of the MMD² or less"
claims.check_below("D31", ratios, 0.1, tenth)

# %% alt="Singular values of both stages' codes: the first stage's fall from far above one to below, the second stage's stay near one, for this run and for MNIST"
fig, axes = plt.subplots(1, 2, figsize=(8, 2.9))
colors = {"stage 1": plots.COLORS["q"], "stage 2": plots.COLORS["second"]}
for ax, title, found in ((axes[0], "this run", told), (axes[1], "MNIST, stored trial", stored)):
    plots.spectra(ax, found["spectra"], colors, found.get("n_codes"))
    ax.set_title(title)
    ax.legend(loc="best" if found is stored else "lower left")
plt.show()

# %% [markdown]
# The band is what as many normal draws would give. On the right are ten thousand codes of MNIST, from a stored trial of
# four epochs. In both panels the second stage's values are closer to one. Remember 06: a second stage that collapsed would
# lie in the band as well. So this figure never stands alone; samples decide.
#
# ## The judge and its protocol
#
# Table 1 lists FID, the Fréchet distance (06) in features of one Inception network, of six models (claim D29). It has
# a protocol, which the paper does not spell out. The authors' code stretches every *generated* image by itself to the
# full range $[0, 1]$. The real ones stay as they are.
#
# **Prediction.** A real picture has black and white pixels, so stretching leaves it alone. A blurred sample is grey where
# it should be white. Stretching restores its contrast, and the judge sees a better sample. So the figures fall though
# no model changed.
#
# **Exercise 07.2** (4 minutes). Stretch images of shape (n, channels, height, width), each by itself.
#
# <details><summary>Hint</summary>Minimum and maximum over all axes but the first, kept as axes of length one.</details>

# %% tags=["stub"]
def stretch(x):
    return ...


# %% tags=["solution"]
def stretch(x):
    low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
    return (x - low) / (high - low)


# %%
exercises.check("07.2", stretch)

# %% [markdown]
# Now both protocols, on clothes for samples from $N(0, I)$, samples of two stages, and training images, which no model has
# touched; and on digits for samples of the VAE of one digit above.

# %%
n, shown = min(len(images.train), 10_000), experiments.protocols.samples
clothes = {name: vae.images(density.sample(n, seed=0)) for name, density in drawn.items()}
noise = densities.StandardNormal().fit(of_digits, plain.train).sample(len(plain.train), seed=0)
digits = {"N(0, I)": of_digits.images(noise), "training images": plain.train}


def by_protocol(sets, of):
    space = features.features_for(of)
    real = space(of.test)
    return {
        protocol: [metrics.frechet_distance(space(shown(x, protocol)), real) for x in sets.values()]
        for protocol in experiments.PROTOCOLS
    }


clothes["training images"] = images.train[:n]
distance, distance_of_digits = by_protocol(clothes, images), by_protocol(digits, plain)

# %% alt="Above, two rows of eight samples of clothes, as drawn and stretched: the dark and the grey ones become bright. Below, bars of Fréchet distance in pairs: on clothes the stretched bar of two stages is a little lower, of N(0, I) about the same, on digits that of N(0, I) is higher; those of training images do not differ"
panels = [["rows", "rows"], ["clothes", "digits"]]
fig, axes = plt.subplot_mosaic(panels, figsize=(7.5, 4.4), width_ratios=(3, 2))
rows = {"two stages": clothes["two stages"][:8]}
plots.show_rows(axes["rows"], rows | {"stretched": shown(rows["two stages"], "dai-wipf")})
for name, sets, found in (("clothes", clothes, distance), ("digits", digits, distance_of_digits)):
    for i, (protocol, grey) in enumerate(zip(found, ("0.3", "0.7"), strict=True)):
        spots = torch.arange(len(sets)) + 0.4 * i - 0.2
        bars = axes[name].bar(spots, found[protocol], 0.38, label=protocol, color=grey)
        axes[name].bar_label(bars, fmt="%.0f")
    axes[name].set(xticks=range(len(sets)), xticklabels=sets, title=name)
axes["clothes"].set_ylabel("Fréchet distance")
axes["digits"].legend(title="protocol")
plt.show()

# %% [markdown]
# The features are those of the classifier of clothes, or of digits, so this is no FID. Within each protocol two stages beat
# $N(0, I)$. The stretch leaves training images alone and moves samples, though not always as predicted: two stages come
# nearer, by more than separates a learned $\gamma$ from a flow in print; the ghosts of $N(0, I)$ hardly move; samples of
# digits move away. A figure without its protocol cannot be compared. Ours are `clean` unless they say otherwise.

# %%
clean, wide = distance["clean"], distance["dai-wipf"]
nearer, same = (1 - wide[i] / clean[i] for i in (1, 2))
printed = experiments.published("dai-wipf-1")
rows_apart = 1 - printed["learned", "fashion"][0] / printed["flow", "fashion"][0]
assert nearer > rows_apart and abs(same) < 0.01
print(f"ok  stretched, two stages come nearer (found {nearer:.3f}, expected > {rows_apart:.3f})")
print(f"ok  real images stay (found {abs(same):.4f}, expected below 0.01)")
further = distance_of_digits["dai-wipf"][0] / distance_of_digits["clean"][0]
assert further > 1.1
print(f"ok  digits from N(0, I) move away (found {further:.2f} times as far, expected above 1.1)")
beats = "InfoGAN networks: two stages beat N(0, I) by three tenths or more"
claims.check_below("D22", clean[1], 0.7 * clean[0], beats)

# %% [markdown]
# ## The table
#
# **Claim D29.** Table 1 itself. The runner trains a table cell by cell; each cell is a file. The quick profile of this
# notebook trains none, and reads what there is. "shipped" ("here", once you run it) is a mean ± its standard deviation
# over trials. A dash means that nobody has measured or printed it.

# %% tags=["nbval-ignore-output"]
profiles = experiments.PROFILES.items()
cells = {name: experiments.cells_of(table, profile, table.columns) for name, profile in profiles}
found = {name: experiments.read_table(them, place) for name, them in cells.items()}
most = max(found, key=lambda name: sum(outcome.record is not None for outcome in found[name]))
full = notebooks.profile() == "full"
outcomes = experiments.run_table(cells["full"], place) if full else found[most]
filled = experiments.fill(table, outcomes)
print(experiments.as_text(filled, width=100))

# %% alt="Four panels, one a data set, of distances relative to the two-stage VAE, which lies at one: all other printed points lie right of it, so does this run's upper star, and of the stored ones all but three on CIFAR-10"
def relative(column, kind):
    values = [getattr(filled.entries[row.label, column], kind) for row in table.rows]
    return [value / values[-1] if value and values[-1] else float("nan") for value in values]


labels, rows = [row.label for row in table.rows], range(len(table.rows))
fig, axes = plt.subplots(1, 4, figsize=(9, 2.6), sharey=True)
for ax, column in zip(axes, filled.columns, strict=True):
    ax.plot(relative(column, "paper"), rows, "o", color="0.4", markerfacecolor="none")
    ax.plot(relative(column, "mean"), rows, "o", color=plots.COLORS["second"])
    ax.axvline(1, color="0.7", linestyle=":", zorder=0)
    ax.set(xscale="log", xlim=(0.7, 30), title=column.split(",")[0], xticks=(1, 10))
    ax.set_xticklabels(("1", "10"))
axes[1].plot([clean[0] / clean[1], 1], [2, 5], "*", color=plots.COLORS["q"], ms=11, zorder=1)
axes[0].set(yticks=rows, yticklabels=labels, ylim=(5.6, -0.6))
fig.supxlabel("distance, two stages = 1", fontsize=10)
plt.show()

# %% [markdown]
# Distances in different features do not compare, and their ratios compare little better: $\gamma = 1$ on MNIST is four
# times two stages in print, and more than that here. Dividing only brings the orders of the rows into one picture.
# Hollow points are printed, filled ones are what we have stored, the stars are the run of this notebook. In print the second stage
# wins everywhere; note who comes close. Our stars say the same for their row. They are one seed on a twelfth of the images, and these cells
# have a fraction of the epochs and other features than Inception's.
#
# **At a laptop's size.** The stored cells are those of the profile `laptop`: all images, a small network of two
# convolutions, and as many epochs as one core has patience for. Three trials each of Fashion-MNIST, MNIST and CIFAR-10,
# the last from JPEG pictures; one trial of its cross-entropy row diverged.

# %%
def stored(column, trials):
    """Distances of the six rows, a list of trials each."""
    cells = experiments.cells_of(table, experiments.PROFILES["laptop"], (column,), (), trials)
    done = experiments.read_table(cells, place)
    return {
        row.label: [row.value(o.record) for o in done if o.record and o.cell.model == row.cell]
        for row in table.rows
    }


laptop = {column: stored(column, 3) for column in ("fashion", "mnist", "cifar10")}
for column, rows_of in laptop.items():
    one, two = (torch.tensor(rows_of[label]) for label in ("VAE, γ learned", "two-stage VAE"))
    if column == "cifar10":
        behind = "cifar10, laptop: two stages are further off than one, each trial"
        claims.refute("D22", bool((two > one).all()), behind, found=[one, two])
    else:
        nearer = f"{column}, laptop: two stages are less than half as far as one"
        claims.check_below("D22", two, 0.5 * one, nearer, digits=3)
    print(column, {label: f"{sum(values) / len(values):.1f}" for label, values in rows_of.items()})

five = [row for row in table.rows if row.key != "wae-mmd"]
here = torch.tensor([sum(laptop["fashion"][row.label]) for row in five])
there = torch.tensor([printed[row.key, "fashion"][0] for row in five])
order = metrics.rank_correlation(here, there)
assert order > 0.8
print(
    "ok  Fashion-MNIST, five rows: rank correlation with the printed ones "
    f"(found {order:.2f}, expected above 0.8)"
)

# %% [markdown]
# On Fashion-MNIST all six rows correlate at 0.60, too little to speak of agreement. Without WAE-MMD, last in print and
# third here, only two that are level in print change places. The WAE's weight was searched for among four, on training
# images, and each cell tells what was found; how the paper chose its weight is not said. On MNIST another row moves as
# well: $\gamma = 1$ is last here, and level with a learned $\gamma$ in print, at thirty times the epochs. Two stages
# are first on both, and by far.
#
# On CIFAR-10 they are not: WAE-MMD is first, and two stages are behind a single one. Here the copies themselves are
# nearly as far off as samples are, so no density of the codes can gain much. Yet two stages lose, and the codes' MMD
# does not tell: it falls to a fraction (Table 3). With $\kappa = 64$ nearly all directions are active, and this second
# stage leaves $\gamma_2$ at a quarter: noise on every one of them. With the paper's network (stored) $\gamma_2$ is
# 0.14, and two stages win, 127 to 155.
#
# So two stages come first on a laptop for two data sets of three; the paper's figures are not reproduced: D29, FID at
# the paper's size, stays open. `vaelab table dai-wipf-1 --profile paper --device cuda` would settle it.
#
# ## Takeaways
#
# - Nearly all parameters sit in two dense layers, so they grow with the square of the image's side.
# - $\gamma$ falls until it meets the error. How far depends on training time above all.
# - At one $\gamma$ the number of active dimensions follows the data. Whether the eigenvalues gather at 0 and 1
#   follows $\gamma$.
# - The order of directions by $\lambda_j$ is the order of what they do to the image.
# - A distance needs its protocol. A stretch that no table mentions can outweigh the difference of two rows.
#
# ## Where it breaks
#
# Three epochs on five thousand clothes are no CIFAR-10. The running averages of batch normalisation here are ten steps
# wide, and with the paper's momentum this run would fail in evaluation. Two digits side by side are independent by construction;
# "richer" images in the wild differ in more than dimension. The classifiers were trained on sharp pictures, and what they
# say of blurred ones is extrapolation.
#
# ## Next
#
# Notebook 08 gives every model of the table the same budget, several seeds, and more rivals. Which row would you bet
# on: the second stage, the flow, or the autoencoder that has no KL at all?
#
# ## References
#
# - B. Dai and D. Wipf. Diagnosing and Enhancing VAE Models. ICLR 2019.
# - X. Chen et al. InfoGAN. NeurIPS 2016.
# - M. Heusel et al. GANs Trained by a Two Time-Scale Update Rule. NeurIPS 2017.
