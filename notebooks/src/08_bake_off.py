# %% [markdown]
# # 08 · The bake-off
#
# | | |
# | --- | --- |
# | You will be able to | compare generative autoencoders at one budget, and say which part of a result the budget made |
# | You need | notebooks 06 (two stages) and 07 (Fréchet distances) |
# | Time | 40 minutes to read; quick: a minute or two to run, full: half an hour |
# | Source | Dai & Wipf (2019), Sections 4 and 5, footnote 5, Table 1; Tolstikhin et al. (2018) |
#
# A table of models says who won. It seldom says what each was given: how many steps, how large a network, how much care
# in choosing its settings. Here nine models, sampled in thirteen ways, share the digits, one pair of networks and one
# judge. The first stages share one number of steps; a second stage comes on top, and the models that merge both get the
# sum. Three questions of the paper follow. Do two stages have to be trained apart? Could a plain autoencoder be the
# first? And what does the number of latent dimensions do?

# %%
# %matplotlib inline

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

# %% [markdown]
# ## The entrants
#
# **Claim D34.** The baselines of Table 1 and 2: a cross-entropy decoder, a VAE with a flow on its encoder, WAE-MMD and
# WAE-GAN.
#
# All are one autoencoder with other parts. The encoder gives a Gaussian, a flow, or a point. The likelihood is Gaussian
# with some $\gamma$, or a cross-entropy. The latent term is a KL, a kernel distance, or an adversary. So an entrant is a
# line. Two weights are ours: 300 for the kernel distance of WAE-MMD and 1 for the adversary of WAE-GAN, each the best of
# two or three that we tried at $\kappa = 16$ by the same judge. The VAE has no such weight, since $\gamma$ is learned.
# Keep in mind who was tuned.

# %%
digits = data.load_images("digits")
shape, hidden = digits.train.shape[1:], (64, 64)


def pair(kappa, output="identity"):
    return networks.mlp(shape, kappa, (128, 128), output=output)


entrants = {
    "VAE, γ = 1": lambda kappa: models.vae(pair(kappa), 1.0),
    "VAE": lambda kappa: models.vae(pair(kappa)),
    "cross-entropy": lambda kappa: models.ce_vae(pair(kappa, "sigmoid")),
    "flow": lambda kappa: models.vae_flow(pair(kappa), transforms=2, hidden=hidden, n_context=32),
    "WAE-MMD": lambda kappa: models.wae_mmd(pair(kappa), weight=300.0),
    "WAE-GAN": lambda kappa: models.wae_gan(pair(kappa), weight=1.0, hidden=(128, 128)),
    "AE": lambda kappa: models.ae(pair(kappa)),
    "fused": lambda kappa: models.fused_vae(pair(kappa), hidden=hidden),
    "joint": lambda kappa: models.joint_vae(pair(kappa), hidden=hidden),
    "VAE, twice": lambda kappa: models.vae(pair(kappa)),
}
twice = ("fused", "joint", "VAE, twice")  # these train for as many epochs as both stages together

# %% [markdown]
# The flow is made of affine couplings. Training is the same call for all. The second stage
# is the one of notebook 06, two layers of 64, with fewer epochs: as many as the first stage. Its $\gamma_2$ is held for
# half of them and then learned. So two stages are given twice the epochs of one. That could be the reason why they win.
# The merged models of Section 4 therefore get twice the epochs too, and so does a VAE of its own. The others do not.

# %%
epochs = notebooks.choose(quick=40, full=150)


def trained(name, kappa=16, seed=0):
    with networks.seeded(seed):
        model = entrants[name](kappa)
    training.fit(model, digits.train, epochs=2 * epochs if name in twice else epochs, batch_size=129, lr=4e-3, schedule=training.Cosine(), seed=seed, progress=False)
    return model


def second_of(model, x, batch_size=129, gamma=0.8, until=0.5, rule="optimal", seed=0):
    hold = training.Hold(gamma, until)
    stage = densities.SecondStage(hidden, "silu", epochs=epochs, batch_size=batch_size, lr=2e-2, schedule=training.Cosine(), gamma=rule, gamma_schedule=hold,
                                   standardise=False)  # the codes as they are, as in the paper
    return stage.fit(model, x, seed)

# %% [markdown]
# ## The judge
#
# The judge is the Fréchet distance in the features of the digits' classifier, protocol `clean`. In its full form it needs
# a matrix root. You can write the form for diagonal covariances in a line, from $\lVert m - n \rVert^2 +
# \operatorname{tr}\big(C + D - 2 (C D)^{1/2}\big)$.
#
# **Exercise 08.1** (4 minutes). The Fréchet distance of two Gaussians with means `m`, `n` and variances `v`, `w`, one
# for each feature.
#
# <details><summary>Hint</summary>The root of a diagonal matrix is taken entry by entry. Means are squared, so is the distance.</details>

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
# decode. A plain autoencoder pulls not at all; it gets a second stage, as footnote 5 of the paper suggests to refute
# it. Two seeds; the network and the draws both depend on them.

# %%
space = features.features_for(digits)
real = space(digits.test)


def drawn(model, density, seed=0):
    return experiments.protocols.samples(model.images(density.sample(len(digits.train), seed)), "clean")


def judge(model, density, seed=0):
    return metrics.frechet_distance(space(drawn(model, density, seed)), real)


def prior_of(model):
    return densities.StandardNormal().fit(model, digits.train)


seeds = notebooks.choose(quick=(0, 1), full=(0, 1, 2, 3, 4))
fitted = {seed: {name: trained(name, seed=seed) for name in entrants} for seed in seeds}
stages = {seed: {name: second_of(fitted[seed][name], digits.train, seed=seed) for name in ("VAE", "AE")} for seed in seeds}

# %%
scores = {name: [judge(fitted[seed][name], prior_of(fitted[seed][name]), seed) for seed in seeds] for name in entrants}
for name in ("VAE", "AE"):
    scores[f"{name}, 2 stages"] = [judge(fitted[seed][name], stages[seed][name], seed) for seed in seeds]
unmerged = {seed: densities.SecondStage(hidden).load_state(fitted[seed]["joint"].terms["second_stage"].vae.state_dict(), 16) for seed in seeds}
scores["joint, 2 stages"] = [judge(fitted[seed]["joint"], unmerged[seed], seed) for seed in seeds]
floor = metrics.frechet_distance(space(digits.train), real)

# %% alt="Fréchet distances of thirteen ways to sample on a logarithmic axis, two dots each: gamma fixed at one is far off, the merged model decoded from N(0, I) and the VAE with two stages come nearest to the floor"
order = sorted(scores, key=lambda name: -min(scores[name]))
fig, ax = plt.subplots(figsize=(6.5, 3.8))
for i, name in enumerate(order):
    color = plots.COLORS["second" if "2 stages" in name else "q"]
    ax.plot(scores[name], [i] * len(seeds), "o", color=color)
ax.axvline(floor, color=plots.COLORS["data"], linestyle=":", label="training images")
ax.set(xscale="log", xlabel="Fréchet distance to the test images", yticks=range(len(order)), yticklabels=order)
ax.grid(axis="y", color="0.9")
ax.legend()
plt.show()

# %% [markdown]
# A dot is a seed; green dots sample from a second stage, orange ones from $N(0, I)$. $\gamma = 1$ is an order of
# magnitude off: nothing is encoded (notebook 06). Two stages take away about two fifths of the VAE's distance; the VAE
# that trains for twice the epochs stays where it was, so it is not the steps. The flow on the encoder does little: it
# makes $q(z \mid x)$ flexible, and what hurts is $q(z)$. The two WAEs are behind the VAE here. They had hardly any tuning
# and few epochs. So read that as "at this budget", not as a law.
#
# One orange entrant stands near the top, where you may not have expected it: *joint*. Look at its samples below before
# you believe the judge.

# %%
rivals = [name for name in ("cross-entropy", "flow", "WAE-MMD", "WAE-GAN") if name in scores]
two_stage, vae, longer, fixed = (torch.tensor(scores[name]) for name in ("VAE, 2 stages", "VAE", "VAE, twice", "VAE, γ = 1"))
claims.check_below("D22", two_stage, 0.8 * vae, "digits, one budget: two stages beat a learned gamma by a fifth or more, each seed")
claims.check_below("D22", two_stage, 0.8 * longer, "digits: and one trained for as many epochs as both stages, each seed")
claims.check_below("D22", vae, fixed / 3, "digits, one budget: a learned gamma beats gamma = 1, each seed")
for name in rivals:
    claims.check_below("D34", scores[name], fixed / 2, f"{name} trains: it is at least twice as near as gamma = 1")
    claims.check_above("D34", scores[name], two_stage, f"{name}: two stages are nearer, each seed")

# %% alt="Rows of twenty small images: test digits, then samples of the VAE, of its two stages, of the autoencoder with two stages, of the merged model and of WAE-MMD"
first = fitted[0]
rows = {
    "test images": digits.test[:20],
    "VAE, N(0, I)": first["VAE"].images(prior_of(first["VAE"]).sample(20, 5)),
    "VAE, two stages": first["VAE"].images(stages[0]["VAE"].sample(20, 5)),
    "AE, two stages": first["AE"].images(stages[0]["AE"].sample(20, 5)),
    "joint, N(0, I)": first["joint"].images(prior_of(first["joint"]).sample(20, 5)),
    "WAE-MMD, N(0, I)": first["WAE-MMD"].images(prior_of(first["WAE-MMD"]).sample(20, 5)),
}
fig, axes = plt.subplots(6, 1, figsize=(7, 4.2))
for ax, (name, images) in zip(axes, rows.items(), strict=True):
    plots.show_images(ax, images, name, columns=20)
plt.show()

# %% [markdown]
# Count the pictures in each row that you would accept as a digit, before you look back at the distances. Does your order
# agree with the judge's? The view shows where the codes of three of them lie, beside what stands in for $q(z)$.

# %% tags=["widget", "nbval-ignore-output"]
widgets.PosteriorComparison({"VAE": (first["VAE"], stages[0]["VAE"]), "AE": (first["AE"], stages[0]["AE"]), "WAE-MMD": (first["WAE-MMD"], None)}, digits.test[:200], digits.test_labels[:200])

# %% [markdown]
# **Question.** Whose codes lie furthest from $N(0, I)$? Is it the one that the judge puts last among the three?
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
def spread_of(model, seed):
    return densities.draw(model.codes(digits.train), seed).std(0).mean().item()


def by_pixels(name, stage_of=None):
    densities_used = [prior_of(fitted[seed][name]) if stage_of is None else stage_of[seed] for seed in seeds]
    return torch.tensor([metrics.energy_distance(drawn(fitted[seed][name], density, seed), digits.test) for seed, density in zip(seeds, densities_used, strict=True)])


after = {name: {seed: stages[seed][name] for seed in seeds} for name in ("VAE", "AE")}
ways = {name: (name,) for name in ("VAE", "VAE, twice", "fused", "joint")}
ways |= {"joint, 2 stages": ("joint", unmerged)} | {f"{name}, 2 stages": (name, after[name]) for name in after}
pixels = {name: by_pixels(*way) for name, way in ways.items()}

# %%
fused, joint, joint_2 = (torch.tensor(scores[name]) for name in ("fused", "joint", "joint, 2 stages"))
claims.check_above("D23", fused, 1.1 * two_stage, "digits: the fused networks are further off than two stages, by a tenth or more, each seed")
claims.check_above("D23", joint_2, 1.25 * two_stage, "digits: so is the merged cost, sampled through its second decoder, by a quarter or more")
claims.check_above("D23", pixels["joint"], 3 * pixels["VAE, 2 stages"], "digits: sampled from N(0, I) in z, its pixels are three times as far off or more")
claims.refute("D23", bool((pixels["joint, 2 stages"] < 1.25 * pixels["VAE, 2 stages"]).all()), "digits: but through its second decoder, by pixels, it is as near as two stages, to a quarter")
assert (joint < longer).all() and (pixels["joint"] > 3 * pixels["VAE, twice"]).all()
assert (fused < longer).all() and (pixels["fused"] > pixels["VAE, twice"]).all()
print("ok  against a VAE of the same epochs: joint and fused are nearer in the features, further off in pixels")

# %% alt="Left: bars of energy distance in pixels; the merged model decoded from N(0, I) is far above all others, and all that sample from a second stage are lowest. Right: the standard deviation of the codes, near one for VAE and fused, less than half for the merged model"
fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 2.9), width_ratios=[3, 2])
left.barh(list(pixels), [v.mean() for v in pixels.values()], color=[plots.COLORS["second" if "2 stages" in name else "q"] for name in pixels])
left.plot(torch.stack(list(pixels.values())), range(len(pixels)), "k.")
left.set(title="energy distance of pixels")
left.invert_yaxis()
right.bar(["VAE", "fused", "joint"], [spread_of(fitted[0][name], 0) for name in ("VAE", "fused", "joint")], color="0.6")
right.axhline(1, color=plots.COLORS["prior"], linestyle="--")
right.set(title="standard deviation of the codes")
plt.show()

# %% [markdown]
# The right panel confirms the prediction for *joint*: merged codes are less than half as wide as $N(0, I)$. Draws from
# $N(0, I)$ are then far outside of anything the decoder was trained on. It answers with pixels far above one, which are
# cut to white: the jumbled, glaring row above. By pixels that is the worst of the seven. The classifier's features put it
# before a VAE of the same epochs. They were trained on sharp digits, and contrast is what they miss in blurred samples
# (notebook 07). The prediction for *fused* fails by the classifier, which sees it nearer than that VAE, and holds by
# pixels.
#
# So on digits, at this budget, the paper's finding stands in part. In the classifier's features neither *fused* nor
# *joint* through its second decoder comes as near as two stages. By pixels *joint* through its second decoder is as near
# as they are. Training together does not help, then; that it does harm is not shown. And a judge can be fooled, also by a
# model that nobody built to fool it. When one number says something surprising, look at the pictures, and ask a second
# judge.

# %% [markdown]
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
truth = manifolds.manifold(manifolds.charts.smooth_graph(2, 10, seed=1), manifolds.modes(2, 5, 0.25, seed=3))
x, x_test = (truth.sample(n, seed=seed).float() for n, seed in ((2560, 0), (2000, 1)))


def two_stages_of(make, kappa, seed=0):
    with networks.seeded(seed):
        model = make(networks.mlp(x.shape[1:], kappa, hidden))
    epochs = notebooks.choose(quick=40, full=150)
    training.fit(model, x, epochs=epochs, batch_size=256, lr=5e-3, schedule=training.Cosine(), seed=seed, progress=False)
    stage = second_of(model, x, 256, gamma=0.1, until=0.3, rule="learned", seed=seed)
    error = metrics.energy_distance(model.images(stage.sample(2000, 3)), x_test)
    return error, stage.gamma / densities.draw(model.codes(x), 0).var(0).mean().item()


toys = {(name, kappa): two_stages_of(make, kappa) for kappa in (2, 6) for name, make in (("VAE", models.vae), ("AE", models.ae))}

# %%
error, gamma_2 = ({key: toy[i] for key, toy in toys.items()} for i in (0, 1))
ae_on_digits = torch.tensor(scores["AE, 2 stages"])
claims.check_below("D24", gamma_2["AE", 6], gamma_2["VAE", 6] / 20, "toy, kappa > r: after an autoencoder the second gamma collapses")
claims.check_above("D24", gamma_2["AE", 2], gamma_2["VAE", 2] / 4, "toy, kappa = r: it does not")
claims.check_below("D24", error["AE", 2], 1.5 * error["VAE", 2], "toy, kappa = r: samples after an autoencoder are as near, or nearer")
claims.check_above("D24", error["AE", 6], 1.2 * error["VAE", 6], "toy, kappa > r: they are further off")
claims.check_above("D24", ae_on_digits, 1.2 * two_stage, "digits, kappa = 16: two stages after an autoencoder are further off in the features, each seed")
claims.refute("D24", bool((pixels["AE, 2 stages"] < pixels["VAE, 2 stages"]).all()), "digits: but by pixels they are nearer, each seed")

# %% alt="Two panels of grouped bars for two and six latent dimensions: the second gamma relative to the codes' variance, tiny for the autoencoder at six; and the energy distance of samples, where the autoencoder is better at two and worse at six"
fig, axes = plt.subplots(1, 2, figsize=(8, 2.9))
for ax, values, title in ((axes[0], gamma_2, "γ₂ / variance of the codes"), (axes[1], error, "energy distance of samples")):
    for i, (name, color) in enumerate((("VAE", "q"), ("AE", "other"))):
        ax.bar([0.4 * i - 0.2, 0.8 + 0.4 * i], [values[name, 2], values[name, 6]], 0.38, color=plots.COLORS[color], label=f"after a {name}" if name == "VAE" else f"after an {name}")
    ax.set(title=title, xticks=[0, 1], xticklabels=["κ = 2 = r", "κ = 6 > r"])
axes[0].set(yscale="log")
axes[1].legend(loc="upper left")
plt.show()

# %% [markdown]
# The left axis is logarithmic. With $\kappa = r$ the two first stages are alike in $\gamma_2$, and the autoencoder's
# samples are even nearer: it has no noise to undo. With $\kappa > r$ its $\gamma_2$ has fallen by decades and its samples
# are behind. How far behind depends on training: a $\gamma_2$ that is kept from falling, by a hold or by a slow rule,
# hides much of the effect. That is why the toy learns $\gamma_2$ freely. On digits nobody knows $r$, and $\gamma_2$
# followed the slower rule there. At $\kappa = 16$ the judges disagree: the autoencoder is behind in the features and
# ahead by pixels.

# %% [markdown]
# ## How many dimensions?
#
# **Claim D25.** The two-stage VAE is robust to $\kappa$, as long as $\kappa \ge r$. A WAE is not.
#
# **Prediction.** The VAE switches off what it does not need ($\lambda_j = 1$), and a direction of pure noise is already
# $N(0, I)$. A WAE's encoder gives points. In superfluous dimensions they cannot fill the space that $N(0, I)$ fills, and
# the decoder is asked about codes it has never seen.

# %%
kappas = (4, 16, 32)
curves = {"VAE": [], "VAE, 2 stages": [], "WAE-MMD": []}
for kappa in kappas:
    vae, wae = (first[name] if kappa == 16 else trained(name, kappa) for name in ("VAE", "WAE-MMD"))
    stage = stages[0]["VAE"] if kappa == 16 else second_of(vae, digits.train)
    for name, model, density in zip(curves, (vae, vae, wae), (prior_of(vae), stage, prior_of(wae)), strict=True):
        curves[name].append(judge(model, density))

# %% alt="Fréchet distance against latent dimension for VAE, two-stage VAE and WAE-MMD"
fig, ax = plt.subplots(figsize=(5, 2.9))
for (name, curve), color in zip(curves.items(), ("q", "second", "fixed"), strict=True):
    ax.plot(kappas, curve, "o-", color=plots.COLORS[color], label=name)
ax.set(xscale="log", xticks=kappas, xticklabels=kappas, xlabel="latent dimensions κ", ylabel="Fréchet distance", ylim=(0, None))
ax.minorticks_off()
ax.legend()
plt.show()

# %% [markdown]
# The two curves of the VAE are nearly flat, although $\kappa$ grows eightfold. The WAE's rises: with few dimensions it
# beats the VAE that decodes $N(0, I)$, with many it is behind. Its weight was chosen at $\kappa = 16$; a new choice for
# each $\kappa$ might bend the curve, and that such a choice is needed is part of what the claim says.

# %%
plain, two, wae = (torch.tensor(curves[name]) for name in curves)
claims.check_below("D22", two, torch.minimum(plain, wae), "digits, kappa = 4, 16 and 32, one seed: two stages beat the VAE and WAE-MMD")
claims.check_below("D25", two.max() / two.min(), 1.4, "digits, kappa from 4 to 32: the two stages' distance moves by less than two fifths")
claims.check_below("D25", plain.max() / plain.min(), 1.6, "digits: so, nearly, does that of the VAE without a second stage")
claims.check_above("D25", wae[-1] / wae[0], 1.3, "digits: the WAE's grows by three tenths or more")

# %% [markdown]
# ## Takeaways
#
# - On digits, in the classifier's features, two stages beat every entrant that the paper's table has, all with half their
#   epochs: at $\kappa = 16$, on two seeds. At $\kappa = 4$ and $32$ only the VAE and WAE-MMD were trained, on one seed,
#   and two stages beat both.
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
