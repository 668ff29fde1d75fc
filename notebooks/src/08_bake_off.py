# %% [markdown]
# # 08 · The bake-off
#
# | | |
# | --- | --- |
# | You will be able to | compare generative autoencoders at one budget, and say which part of a result the budget made |
# | You need | notebooks 06 (two stages) and 07 (Fréchet distances) |
# | Time | 60 minutes with its exercises; quick: a minute or two to run, full: half an hour |
# | Optional | the sections *Must the stages be trained apart?* and *Could a plain autoencoder be the first stage?* |
# | Source | Dai & Wipf (2019), Sections 4 and 5, footnote 5, Table 1; Tolstikhin et al. (2018); Ghosh et al. (2020) |
#
# Six models, one data set, and two tables that disagree on their order. What does a table say?

# %%
# %matplotlib inline

import json

import matplotlib.pyplot as plt
import torch

from vaelab import (
    claims,
    data,
    densities,
    exercises,
    experiments,
    features,
    manifolds,
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

clothes = data.load_images(notebooks.choose(quick="fashion-small", full="fashion"))
with networks.seeded(0):
    dressed = models.vae(networks.mlp(clothes.shape, 16, (512, 256)), "optimal")
cosine = {"schedule": training.Cosine()}
training.fit(dressed, clothes.train, epochs=12, lr=2e-3, progress=False, **cosine)
rates = {"epochs": 40, "batch_size": 256, "lr": 2e-2, **cosine}
rates |= {"gamma": "optimal", "gamma_schedule": training.Hold(0.8, 0.5)}
kinds = {"N(0, I)": densities.StandardNormal()}
kinds["two stages"] = densities.SecondStage((64, 64), "silu", **rates)
kinds["mixture of 10"] = densities.GaussianMixture(10)

# %% alt="Above, rows of clothes: test images, samples of N(0, I) that are ghosts of several garments at once, samples of two stages and of a mixture of which more are garments. Below, two panels of six points. As printed two stages and the cross-entropy lead and WAE-MMD is far behind; at a laptop's budget the same two lead, WAE-MMD is third and the VAE with gamma fixed at one is last"
rows = {name: density.fit(dressed, clothes.train).sample(10, 5) for name, density in kinds.items()}
rows = {"test images": clothes.test[:10]} | {name: dressed.images(z) for name, z in rows.items()}
table, place = experiments.TABLES["dai-wipf-1"], experiments.Place(out=experiments.SHIPPED)
cells = experiments.cells_of(table, experiments.PROFILES["laptop"], ("mnist",), (), 3)
filled = experiments.fill(table, experiments.read_table(cells, place))
labels = [row.label for row in table.rows]
panels = [["rows", "rows"], ["paper", "mean"]]
fig, axes = plt.subplot_mosaic(panels, figsize=(7, 4.8), height_ratios=(1.3, 1))
plots.show_rows(axes["rows"], rows, "one VAE, its codes drawn in three ways")
for kind, title in (("paper", "Table 1, as printed"), ("mean", "on a laptop")):
    places = [getattr(filled.entries[label, *filled.columns], kind) for label in labels]
    axes[kind].plot(places, labels, "o", color=plots.COLORS["second"])
    axes[kind].set(title=title, xlabel="Fréchet distance, MNIST", xlim=(0, None))
    axes[kind].grid(axis="y", color="0.9")
    axes[kind].invert_yaxis()
axes["mean"].set_yticklabels([])
plt.show()

# %% [markdown]
# Above, clothes: one decoder, and three densities of its codes. Which row is best, and by how much? A table puts a number in
# the place of a row. Below, on the left, is the paper's Table 1, on the right what was stored for notebook 07: a small
# network, and as many epochs as one core has patience for. (The features differ too, so only the orders compare.) The first
# two places stay. WAE-MMD, last in print, is third on a laptop; $\gamma$ fixed at one, third in print, is last.
#
# A table of models says who won. It seldom says what each was given: how many steps, how large a network, how much care
# in choosing its settings. Here twelve models, sampled in 21 ways, share the digits, one pair of networks and one
# judge. (Digits, because two dozen models take seconds each there; on clothes they would take a core many minutes.) The first
# stages share one number of steps; a second stage comes on top, and the models that merge both get the sum. Three
# questions of the paper follow. Do two stages have to be trained apart? Could a plain autoencoder be the first? And what
# does the number of latent dimensions do?
#
# ## The entrants
#
# **Claim D34.** The baselines of Table 1 and 2: a cross-entropy decoder, a VAE with a flow on its encoder, WAE-MMD and
# WAE-GAN.
#
# All are one autoencoder with other parts. The encoder gives a Gaussian, a flow, or a point. The likelihood is Gaussian
# with some $\gamma$, or a cross-entropy. The latent term is a KL, a kernel distance, an adversary, or, in the *RAE* of
# Ghosh et al. (notebook 09), the squared length of the code; RAE-GP and RAE-SN also keep the decoder smooth. So an
# entrant is a line. Two weights are ours: that of the kernel distance of WAE-MMD and that of the adversary of WAE-GAN,
# each chosen among a few at $\kappa = 16$ by the same judge. The VAE has no such weight, since $\gamma$ is learned.
# Keep in mind who was tuned.

# %%
digits = data.load_images("digits")
hidden = (64, 64)


def pair(kappa, output="identity"):
    return networks.mlp(digits.shape, kappa, (128, 128), output=output)


# %%
couplings = {"transforms": 2, "hidden": hidden, "n_context": 32}
entrants = {
    "VAE, γ = 1": lambda kappa: models.vae(pair(kappa), 1.0),
    "VAE": lambda kappa: models.vae(pair(kappa)),
    "cross-entropy": lambda kappa: models.ce_vae(pair(kappa, "sigmoid")),
    "flow": lambda kappa: models.vae_flow(pair(kappa), **couplings),
    "WAE-MMD": lambda kappa: models.wae_mmd(pair(kappa), weight=300.0),
    "WAE-GAN": lambda kappa: models.wae_gan(pair(kappa), weight=1.0, hidden=(128, 128)),
    "AE": lambda kappa: models.ae(pair(kappa)),
    "RAE": lambda kappa: models.rae(pair(kappa), beta=0.01),
    "RAE-GP": lambda kappa: models.rae_gp(pair(kappa), beta=0.01, weight=1e-3),
    "RAE-SN": lambda kappa: models.rae_sn(pair(kappa), beta=0.01),
    "fused": lambda kappa: models.fused_vae(pair(kappa), hidden=hidden),
    "joint": lambda kappa: models.joint_vae(pair(kappa), hidden=hidden),
    "VAE, twice": lambda kappa: models.vae(pair(kappa)),
}
twice = ("fused", "joint", "VAE, twice")  # these train for twice as many epochs

# %% [markdown]
# The flow is made of affine couplings. Training is the same call for all. The second stage has two layers of 64 and
# is trained for as many epochs as the first. Its $\gamma_2$ is held for half of them, then set to the mean squared
# error (06). So two stages are given twice the epochs of one. That could be the reason why they win. The merged
# models of Section 4 therefore get twice the epochs too, and so does a VAE of its own. The others do not.

# %%
epochs = notebooks.choose(quick=40, full=150)


def trained(name, kappa=16, seed=0):
    with networks.seeded(seed):
        model = entrants[name](kappa)
    rates = {"epochs": 2 * epochs if name in twice else epochs, "batch_size": 129, "lr": 4e-3}
    rates |= {"schedule": training.Cosine(), "seed": seed, "progress": False}
    training.fit(model, digits.train, **rates)
    return model


def second_of(model, x, batch_size=129, hold=(0.8, 0.5), rule="optimal", seed=0):
    rates = {"epochs": epochs, "lr": 2e-2, "schedule": training.Cosine()}
    rates["batch_size"] = batch_size
    rules = {"gamma": rule, "gamma_schedule": training.Hold(*hold)}
    as_they_are = {"standardise": False}  # the codes, as in the paper
    stage = densities.SecondStage(hidden, "silu", **rates, **rules, **as_they_are)
    return stage.fit(model, x, seed)


# %% [markdown]
# ## The judge
#
# The judge is the Fréchet distance in the features of the digits' classifier, protocol `clean`. For means $m$, $n$ and
# covariances $C$, $D$ it is $\lVert m - n \rVert^2 + \operatorname{tr}\big(C + D - 2 (C D)^{1/2}\big)$, with a matrix
# root. For diagonal ones a line is enough.
#
# **Exercise 08.1** (4 minutes). The Fréchet distance of two Gaussians with means `m`, `n` and variances `v`, `w`, one
# for each feature.
#
# <details><summary>Hint</summary>The root of a diagonal matrix is taken entry by entry. Take no root at the end.</details>


# %% tags=["stub"]
def frechet_diagonal(m, v, n, w):
    return ...


# %% tags=["solution"]
def frechet_diagonal(m, v, n, w):
    return (m - n).square().sum() + (v + w - 2 * (v * w).sqrt()).sum()


# %%
exercises.check("08.1", frechet_diagonal)

# %% [markdown]
# ## One budget
#
# **Claim D22.** Two stages sample better than a VAE with $\gamma$ learned, and that better than with $\gamma = 1$.
# **Prediction** for the rest: what does not pull $q(z)$ to $N(0, I)$ firmly must lose as long as $N(0, I)$ is what we
# decode. A plain autoencoder and the RAEs hardly pull or not at all; the first gets a second stage, as footnote 5 of the
# paper suggests to refute it, and all of them a mixture of ten Gaussians, as Ghosh et al. do. **Claim R4**: a density
# that is fitted to the codes improves samples of every model. Two seeds; the network and the draws both depend on them.

# %%
space = features.features_for(digits)
real = space(digits.test)


def drawn(model, density, seed=0):
    images = model.images(density.sample(len(digits.train), seed))
    return experiments.protocols.samples(images, "clean")


def judge(model, density, seed=0):
    return metrics.frechet_distance(space(drawn(model, density, seed)), real)


def prior_of(model):
    return densities.StandardNormal().fit(model, digits.train)


# %%
seeds = notebooks.choose(quick=(0, 1), full=(0, 1, 2, 3, 4))
fitted = {seed: {name: trained(name, seed=seed) for name in entrants} for seed in seeds}
ways = {}  # (model, density) by the name of the way and the seed


def add(name, seed, model, density):
    ways.setdefault(name, {})[seed] = (model, density)


# %%
for seed, several in fitted.items():
    for name, model in several.items():
        add(name, seed, model, prior_of(model))
    for name in ("VAE", "AE"):
        stage = second_of(several[name], digits.train, seed=seed)
        add(f"{name}, 2 stages", seed, several[name], stage)
    for name in ("VAE", "AE", "RAE", "RAE-GP", "RAE-SN"):
        ten = densities.GaussianMixture(10).fit(several[name], digits.train, seed)
        add(f"{name}, mixture", seed, several[name], ten)
    inner = several["joint"].terms["second_stage"].vae.state_dict()
    own = densities.SecondStage(hidden).load_state(inner, 16)
    add("joint, 2 stages", seed, several["joint"], own)

# %% [markdown]
# That is all the training. Now each way of sampling is judged, on every seed.


# %%
def on_all_seeds(way):
    return torch.tensor([judge(*way[seed], seed) for seed in seeds])


scores = {name: on_all_seeds(way) for name, way in ways.items()}
floor = metrics.frechet_distance(space(digits.train), real)
order = sorted(scores, key=lambda name: -scores[name].mean())

# %% alt="Fréchet distances of 21 ways to sample on a logarithmic axis, two dots each, sorted by their mean: gamma fixed at one is far off, mixtures and the VAE with two stages come nearest to the dotted line, the merged model decoded from N(0, I) among them"
fig, ax = plt.subplots(figsize=(6.5, 4.6))
for i, name in enumerate(order):
    kind = {"2 stages": "second", "mixture": "other"}.get(name.rpartition(", ")[2], "q")
    ax.plot(scores[name], [i] * len(seeds), "o", color=plots.COLORS[kind])
ax.axvline(floor, color=plots.COLORS["data"], linestyle=":", label="training images")
ax.set(xscale="log", xlabel="Fréchet distance to the test images")
ax.set(yticks=range(len(order)), yticklabels=order)
ax.grid(axis="y", color="0.9")
ax.legend()
plt.show()

# %% [markdown]
# A dot is a seed, and the ways are sorted by the mean over seeds; green dots sample from a second stage, blue ones from
# a mixture, orange ones from $N(0, I)$. $\gamma = 1$ is an order of magnitude off: nothing is encoded (notebook 01).
# Two stages take away about two fifths of the VAE's distance; the VAE that trains for twice the epochs stays where it
# was, so it is not the steps. The flow on the encoder does little: it makes $q(z \mid x)$ flexible, and what hurts is
# $q(z)$. The WAEs and the RAEs, decoded from $N(0, I)$, are behind the VAE here. With a mixture all five (RAEs, plain
# autoencoder, VAE) are less than half as far as two stages. The WAEs had hardly any tuning and few epochs. So read that
# as "at this budget", not as a law.
#
# One orange entrant stands near the top, where you may not have expected it: *joint*. Look at its samples below before
# you believe the judge.

# %%
two_stage, vae, longer, fixed = (
    scores[name] for name in ("VAE, 2 stages", "VAE", "VAE, twice", "VAE, γ = 1")
)
fifth = "digits: two stages beat a learned gamma of half their epochs by a fifth or more, each seed"
claims.check_below("D22", two_stage, 0.8 * vae, fifth)
steps = "digits: and one trained for as many epochs as both stages, each seed"
claims.check_below("D22", two_stage, 0.8 * longer, steps)
third = "digits, one budget: a learned gamma beats gamma = 1, each seed"
claims.check_below("D22", vae, fixed / 3, third)
for name in ("cross-entropy", "flow", "WAE-MMD", "WAE-GAN"):
    trains = f"{name} trains: it is at least twice as near as gamma = 1"
    claims.check_below("D34", scores[name], fixed / 2, trains)
    claims.check_above("D34", scores[name], two_stage, f"{name}: two stages are nearer, each seed")
for name in ("VAE", "AE", "RAE", "RAE-GP", "RAE-SN"):
    better = f"{name}: a mixture of ten is at most half as far as N(0, I), each seed"
    claims.check_below("R4", scores[f"{name}, mixture"], scores[name] / 2, better)

# %% [markdown]
# **Which fixed $\gamma$?** On digits $\gamma = 1$ is above every variance, so beating it is easy. Hold $\gamma$ at each of
# six values, on digits and, with the networks of notebook 06, on clothes. That is a training for each value and seed, so it is
# stored: `data/results/sweeps.json`, made by `benchmarks/sweeps.py`, three seeds. **Prediction.** The best of them comes
# near the learned one.

# %%
sweeps = json.loads((experiments.SHIPPED / "sweeps.json").read_text("utf-8"))


def of_grid(name, kind):
    """Rows are the values of γ, falling, and last the learned one; columns are seeds."""
    return torch.tensor([row[kind] for row in sweeps["gamma"][name].values()])

# %% alt="Two panels, digits and clothes: the Fréchet distance against the fixed gamma falls, has a lowest point near a tenth, and rises again; the points of the learned gamma lie below that on digits, above it on clothes"
fig, axes = plt.subplots(1, 2, figsize=(8, 2.9))
for ax, name in zip(axes, ("digits", "fashion-small"), strict=True):
    gamma, distance = of_grid(name, "gamma"), of_grid(name, "frechet")
    ax.plot(gamma[:-1, 0], distance[:-1].mean(1), "o-", color=plots.COLORS["fixed"], label="fixed")
    ax.plot(gamma[-1], distance[-1], "o", color=plots.COLORS["q"], label="learned")
    ax.set(xscale="log", yscale="log", title=name, xlabel="γ", ylabel="Fréchet distance")
axes[0].legend()
plt.show()

# %% [markdown]
# On digits it stays a quarter or more behind (fixed 0.01 is nearly twice as far as the learned 0.013, so the value
# alone does not explain it). On clothes it passes: $\gamma = 0.1$ samples better there than what training finds,
# which is far smaller. So "learned beats fixed" holds against $\gamma = 1$ and, by samples, on digits; on clothes a
# value that somebody searched for wins before the second stage. Reconstructions agree with the paper on both: no
# fixed value is much better than the learned one, and $\gamma = 1$ is far behind.

# %%
best, learned = {}, {}
for name in ("digits", "fashion-small"):
    distance, error = of_grid(name, "frechet"), of_grid(name, "error")
    claims.check_below(
        "D22", distance[-1], distance[0],
        f"{name}, stored: learned gamma beats gamma = 1, each seed",
    )
    claims.check_below(
        "D26", error[-1], 0.8 * error[0], f"{name}, stored: and reconstructs better, by a fifth"
    )
    claims.check_below(
        "D26", error[-1] / error[:-1].amin(0), 1.2,
        f"{name}, stored: the smallest error of a fixed gamma is within a fifth",
    )
    best[name], learned[name] = distance[:-1].amin(0), distance[-1]
claims.check_below(
    "D22", learned["digits"], 0.85 * best["digits"],
    "digits, stored: learned gamma beats the best of six fixed ones, each seed",
)
beaten = bool((best["fashion-small"] < 0.97 * learned["fashion-small"]).all())
claims.refute(
    "D22", beaten, "clothes, stored: the best of six fixed gammas beats it, each seed",
    found=[best["fashion-small"], learned["fashion-small"]],
)

# %% alt="Eight rows of small digits: test images; then samples of the VAE from N(0, I), from two stages and from a mixture, of the RAE from N(0, I) and from a mixture, glaring ones of the merged model, and those of WAE-MMD"
shown = ("VAE", "VAE, 2 stages", "VAE, mixture", "RAE", "RAE, mixture", "joint", "WAE-MMD")
sampled = {name: ways[name][0] for name in shown}
rows = {name: model.images(density.sample(16, 5)) for name, (model, density) in sampled.items()}
compared = {name: ways[name][0] for name in ("VAE, 2 stages", "RAE, mixture", "WAE-MMD")}
fig, ax = plt.subplots(figsize=(6.5, 3.2))
plots.show_rows(ax, {"test images": digits.test[:16]} | rows)
plt.show()

# %% [markdown]
# Count the pictures in each row that you would accept as a digit, before you look back at the distances. Does your order
# agree with the judge's? The view shows where the codes of three of them lie, beside what stands in for $q(z)$.

# %% tags=["widget", "nbval-ignore-output"]
widgets.PosteriorComparison(compared, digits.test[:200], digits.test_labels[:200])

# %% [markdown]
# **Question.** Whose codes lie furthest from $N(0, I)$? Is it the one that the judge puts last among the three?
#
# <details><summary>An answer</summary>The RAE's: their cloud is narrower and flatter, and no noise fills the gaps.
# Decoded from N(0, I) the judge puts it last; with a mixture of its codes it is first of the three. What a model
# samples is not a matter of its codes alone, but of codes and of what stands in for them.</details>
#
# ## Must the stages be trained apart?
#
# **Claim D23.** Section 4 reports that training both stages together does not help, in two variants. *Fused*: the two
# encoders in a row, and the two decoders, are one VAE. *Joint*: two VAEs, and the sum of their costs is minimised.
#
# **Prediction.** The fused VAE is an ordinary VAE with deeper networks. Its cost falls like $\frac{d-r}{2}\log\gamma$
# again, so it does not care for the distribution of its code (Theorem 2), and it should be no better than the VAE at the
# same number of epochs. In the joint sum the second cost bounds $E_{q(z)}[-\log p_2(z)]$ from above, and its gradient
# reaches the first encoder. A density is high where codes are close together. So the encoder is paid for making its codes
# *small*, which says nothing about the images.
#
# **The budget.** Both train for twice the epochs, in one run: the sum of what two stages get. Each network of the joint
# model even takes twice the steps that the same network takes in two stages. We sample the joint model in both ways, and
# put a second judge beside the first: the energy distance of the pixels, which needs no classifier.


# %%
def by_pixels(name):
    images = [drawn(*ways[name][seed], seed) for seed in seeds]
    return torch.tensor([metrics.energy_distance(x, digits.test) for x in images])


by_both = ("VAE", "VAE, twice", "fused", "joint")
by_both += ("joint, 2 stages", "VAE, 2 stages", "AE, 2 stages")
pixels = {name: by_pixels(name) for name in by_both}
codes = {name: fitted[0][name].codes(digits.train) for name in ("VAE", "fused", "joint")}
widths = {name: densities.draw(q, 0).std(0).mean().item() for name, q in codes.items()}

# %%
fused, joint, joint_2 = (scores[name] for name in ("fused", "joint", "joint, 2 stages"))
tenth = "digits, in the features: fused networks are a tenth or more further off than two stages"
claims.check_above("D23", fused, 1.1 * two_stage, tenth)
quarter = "digits: so is the merged cost, through its second decoder, by a quarter or more"
claims.check_above("D23", joint_2, 1.25 * two_stage, quarter)
two = pixels["VAE, 2 stages"]
far = "digits: sampled from N(0, I) in z, its pixels are three times as far off or more"
claims.check_above("D23", pixels["joint"], 3 * two, far)
level = "digits: through its second decoder, by pixels, it is level with two stages, to a quarter"
times = pixels["joint, 2 stages"] / two
claims.check("D23", bool(((times > 0.75) & (times < 1.25)).all()), level, found=times)
for name, least in (("joint", 3), ("fused", 1)):
    most, times = (scores[name] / longer).max(), (pixels[name] / pixels["VAE, twice"]).min()
    assert most < 1 and times > least
    print(f"ok  {name} over a VAE of equal epochs: in features nearer (found {most:.2f}, below 1)")
    print(f"ok  {name}: in pixels further (found {times:.2f}, expected above {least})")

# %% alt="Left: bars of energy distance in pixels; the merged model decoded from N(0, I) is far above all others, and all that sample from a second stage are lowest. Right: the standard deviation of the codes, near one for VAE and fused, less than half for the merged model"
fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 2.9), width_ratios=[3, 2])
shades = [plots.COLORS["second" if "2 stages" in name else "q"] for name in pixels]
left.barh(list(pixels), [v.mean() for v in pixels.values()], color=shades)
left.plot(torch.stack(list(pixels.values())), range(len(pixels)), "k.")
left.set(title="energy distance of pixels")
left.invert_yaxis()
right.bar(list(widths), list(widths.values()), color="0.6")
right.axhline(1, color=plots.COLORS["prior"], linestyle="--")
right.set(title="standard deviation of the codes")
plt.show()

# %% [markdown]
# The right panel confirms the prediction for *joint*: merged codes are less than half as wide as $N(0, I)$. Draws from
# $N(0, I)$ are then far outside of anything the decoder was trained on. It answers with pixels far above one, which are
# cut to white: the jumbled, glaring row above. By pixels that is the worst of the seven. The classifier's features put
# it before a VAE of the same epochs. They were trained on sharp digits; why they forgive glare is not known (in 07 more
# contrast moved samples of digits away). The prediction for *fused* fails by the classifier, which sees it nearer than
# that VAE, and holds by pixels.
#
# So on digits, at this budget, the paper's finding stands. In the classifier's features neither *fused* nor
# *joint* through its second decoder comes as near as two stages. By pixels *joint* through its second decoder is as near
# as they are. Training together does not help, then; that it does harm is not shown. And a judge can be fooled, also by a
# model that nobody built to fool it. When one number says something surprising, look at the pictures, and ask a second
# judge.
#
# ## Could a plain autoencoder be the first stage?
#
# **Claim D24.** Footnote 5: it could if $\kappa = r$. If $\kappa > r$ it cannot replace the first VAE.
#
# **Assumption.** The autoencoder encodes a point, without noise. So its codes lie on a surface of dimension $r$ in
# $\kappa$ dimensions. For the second stage that is the situation of Theorem 2 once more: whatever the distribution on
# that surface, its cost falls as $\gamma_2 \to 0$. The first VAE fills the superfluous directions with noise of
# variance one, and so its $q(z)$ has a density.
#
# **Exercise 08.2** (3 minutes). By how many nats does the optimal cost of a second stage fall when its $\gamma_2$ is
# divided by ten, if the codes have `kappa` coordinates and lie on a surface of dimension `r`?
#
# <details><summary>Hint</summary>Notebook 03: (d − r)/2 log γ. What is d here?</details>


# %% tags=["stub"]
def saved(kappa, r):
    return ...


# %% tags=["solution"]
def saved(kappa, r):
    return (kappa - r) / 2 * 2.302585092994046


# %%
exercises.check("08.2", saved)

# %% [markdown]
# **Prediction.** On a toy with $r = 2$ in ten dimensions: with $\kappa = 2$ both first stages do alike. With $\kappa = 6$
# the $\gamma_2$ after the autoencoder collapses, and its samples are worse.

# %%
surface, five = manifolds.charts.smooth_graph(2, 10, seed=1), manifolds.modes(2, 5, 0.25, seed=3)
truth = manifolds.manifold(surface, five)
x, x_test = (truth.sample(n, seed=seed).float() for n, seed in ((2560, 0), (2000, 1)))


def two_stages_of(make, kappa, seed=0):
    with networks.seeded(seed):
        model = make(networks.mlp(x.shape[1:], kappa, hidden))
    rates = {"epochs": notebooks.choose(quick=40, full=150), "batch_size": 256, "lr": 5e-3}
    training.fit(model, x, **rates, schedule=training.Cosine(), seed=seed, progress=False)
    stage = second_of(model, x, batch_size=256, hold=(0.1, 0.3), rule="learned", seed=seed)
    error = metrics.energy_distance(model.images(stage.sample(2000, 3)), x_test)
    return error, stage.gamma / densities.draw(model.codes(x), 0).var(0).mean().item()


makes = {"VAE": models.vae, "AE": models.ae}
toys = {(name, kappa): two_stages_of(makes[name], kappa) for kappa in (2, 6) for name in makes}

# %%
error, gamma_2 = ({key: toy[i] for key, toy in toys.items()} for i in (0, 1))
collapses = "toy, kappa > r: after an autoencoder the second gamma collapses"
claims.check_below("D24", gamma_2["AE", 6], gamma_2["VAE", 6] / 20, collapses)
stays = "toy, kappa = r: it does not"
claims.check_above("D24", gamma_2["AE", 2], gamma_2["VAE", 2] / 4, stays)
alike = "toy, kappa = r: samples after an autoencoder are nearer, or further off by less than half"
claims.check_below("D24", error["AE", 2], 1.5 * error["VAE", 2], alike)
worse = "toy, kappa > r: they are further off"
claims.check_above("D24", error["AE", 6], 1.2 * error["VAE", 6], worse)
behind = "digits, kappa = 16: two stages after an autoencoder are further off in the features"
claims.check_above("D24", scores["AE, 2 stages"], 1.2 * two_stage, behind)
times = pixels["AE, 2 stages"] / pixels["VAE, 2 stages"]
nearer = "digits: but by pixels their distance is less than that after a VAE, each seed, as a share"
claims.refute("D24", bool((times < 1).all()), nearer, found=times)

# %% alt="Two panels of grouped bars for two and six latent dimensions: the second gamma relative to the codes' variance, tiny for the autoencoder at six; and the energy distance of samples, where the autoencoder is better at two and worse at six"
fig, axes = plt.subplots(1, 2, figsize=(8, 2.9))
panels = ((gamma_2, "γ₂ / variance of the codes"), (error, "energy distance of samples"))
for ax, (values, title) in zip(axes, panels, strict=True):
    for i, (name, article, color) in enumerate((("VAE", "a", "q"), ("AE", "an", "other"))):
        places, heights = [0.4 * i - 0.2, 0.8 + 0.4 * i], [values[name, 2], values[name, 6]]
        ax.bar(places, heights, 0.38, color=plots.COLORS[color], label=f"after {article} {name}")
    ax.set(title=title, xticks=[0, 1], xticklabels=["κ = 2 = r", "κ = 6 > r"])
axes[0].set(yscale="log")
axes[1].legend(loc="upper left")
plt.show()

# %% [markdown]
# The left axis is logarithmic. With $\kappa = r$ the two first stages are alike in $\gamma_2$, and the autoencoder's
# samples are even nearer: it has no noise to undo. With $\kappa > r$ its $\gamma_2$ has fallen by decades and its
# samples are behind. How far behind depends on training: a $\gamma_2$ that is kept from falling, by a hold or by a slow
# rule, hides much of the effect. That is why the toy holds $\gamma_2$ for less long and low, and then learns it. On
# digits nobody knows $r$, and $\gamma_2$ was held longer and then set to the error. At $\kappa = 16$ the judges
# disagree: the autoencoder is behind in the features and ahead by pixels.
#
# ## How many dimensions?
#
# **Claim D25.** The two-stage VAE is robust to $\kappa$, as long as $\kappa \ge r$. A WAE is not.
#
# **Prediction.** The VAE switches off what it does not need ($\lambda_j = 1$), and a direction of pure noise is already
# $N(0, I)$. A WAE's encoder gives points. In superfluous dimensions they cannot fill the space that $N(0, I)$ fills, and
# the decoder is asked about codes it has never seen.

# %%
kappas = {name: [int(k) for k in rows] for name, rows in sweeps["kappa"].items()}


def of_kappa(name):
    """Distances by model, a row a κ and a column a seed; WAE-MMD at its best weight."""
    rows = list(sweeps["kappa"][name].values())
    best = [min(row["WAE-MMD"].values(), key=sum) for row in rows]
    return {m: torch.tensor([row[m] for row in rows]) for m in ("VAE", "two stages")} | {
        "WAE-MMD": torch.tensor(best)
    }

# %% alt="Two panels, distance against latent dimension. Toy: two stages stay flat, WAE-MMD rises from the same height to more than three times of it. Digits: two stages rise by half, and so does WAE-MMD above them; the VAE rises little"
fig, axes = plt.subplots(1, 2, figsize=(8, 2.9))
for ax, name in zip(axes, ("toy", "digits"), strict=True):
    for (model, curve), color in zip(of_kappa(name).items(), ("q", "second", "fixed"), strict=True):
        ax.plot(kappas[name], curve.mean(1), "o-", color=plots.COLORS[color], label=model)
    ax.set(xscale="log", xticks=kappas[name], xticklabels=kappas[name], ylim=(0, None), title=name)
    ax.set(xlabel="latent dimensions κ")
    ax.minorticks_off()
axes[0].set_ylabel("energy distance")
axes[1].set_ylabel("Fréchet distance")
axes[0].legend()
plt.show()

# %% [markdown]
# On the toy, where $r = 2$ is known, the claim stands as the authors put it: two stages stay where they are, and the
# WAE is as good at $\kappa = r$ and falls far behind at $4r$. On digits it stands in part. At every $\kappa$ two
# stages are nearest. But from 16 to 64 dimensions, of which the VAE uses thirteen, their distance grows by half, and
# that of a WAE whose weight is chosen anew grows by no more. Except on the toy at $\kappa = 2$ the best weight is
# always the largest tried, so the WAE may yet gain.

# %%
toy, digits_too = of_kappa("toy"), of_kappa("digits")
grows = {m: toy[m].mean(1).max() / toy[m].mean(1).min() for m in toy}
claims.check_below(
    "D25", grows["two stages"], 1.25,
    "toy, kappa from r to 4 r: the two stages' distance moves by less than a quarter",
)
claims.check_above(
    "D25", grows["WAE-MMD"], 3, "toy: the WAE's grows threefold, its weight chosen at each kappa"
)
nearest = torch.minimum(digits_too["VAE"], digits_too["WAE-MMD"])
claims.check_below(
    "D22", digits_too["two stages"], 0.9 * nearest,
    "digits, kappa = 16, 32, 64: two stages beat the VAE and WAE-MMD, each seed",
)
two, wae = (digits_too[m].mean(1)[-1] / digits_too[m].mean(1)[0] for m in ("two stages", "WAE-MMD"))
claims.refute(
    "D25", bool(two > 1.3 and wae < 1.1 * two),
    "digits, kappa from 16 to 64: two stages' distance grows by three tenths or more, "
    "the WAE's by less than a tenth more", found=[two, wae],
)

# %% [markdown]
# ## Takeaways
#
# - On digits, in the classifier's features, two stages beat every entrant that the paper's table has, all with half their
#   epochs: at $\kappa = 16$, on two seeds. At $\kappa = 32$ and $64$ they beat the VAE and WAE-MMD, the two that were
#   trained, on three seeds. At $\kappa = 16$ a mixture of ten beats two stages.
# - A learned $\gamma$ has to be compared with the best fixed one, not with $\gamma = 1$.
# - On digits, at this budget, training the stages together does not help in the features, and by pixels makes no
#   difference. One way of sampling looks better than it is, and only to one judge.
# - On a toy, a plain autoencoder can be a first stage where $\kappa = r$. Where $\kappa > r$ the second $\gamma$
#   collapses.
# - A ranking is a statement about a budget. Say the budget.
#
# ## Where it breaks
#
# Digits of 8 × 8 pixels, dense networks, two seeds: the order of close rows may turn on larger images. The weights of the
# WAEs were tuned a little, on the judge that also ranks them, which flatters them; the other entrants were not tuned at
# all. The joint model has one step size for both of its stages, two stages have two. The judge is a small classifier: it
# may not mind what you mind. And the toy is one surface with one distribution.
#
# ## Next
#
# Notebook 11 walks through the latent space of one model, 12 looks at $q(z)$ itself. Which of the models here would you
# want to walk through?
#
# ## References
#
# - B. Dai and D. Wipf. Diagnosing and Enhancing VAE Models. ICLR 2019.
# - I. Tolstikhin, O. Bousquet, S. Gelly, B. Schölkopf. Wasserstein Auto-Encoders. ICLR 2018.
# - P. Ghosh et al. From Variational to Deterministic Autoencoders. ICLR 2020.
