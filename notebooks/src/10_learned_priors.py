# %% [markdown]
# # 10 · Learned priors
#
# | | |
# | --- | --- |
# | You will be able to | train a prior beside an autoencoder with two objectives in one step, distinguish what β does from what γ does, and judge a road between two pictures |
# | You need | notebook 06 (two stages) |
# | Time | 90 minutes with its exercises; quick: a minute or two to run, full: some minutes on a GPU |
# | Optional | the section *Other ways to learn a prior* |
# | Source | "Empirical observations pertaining to learned priors for deep latent variable models"; Chen et al. (2017); Dinh et al. (2017); Mescheder et al. (2018) |
#
# The codes of an autoencoder are where they are. Could the prior go there, instead of the codes to the prior?

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import torch
from matplotlib.colors import ListedColormap
from scipy.optimize import linear_sum_assignment

from vaelab import (
    claims,
    data,
    densities,
    exercises,
    features,
    interpolation,
    metrics,
    models,
    networks,
    notebooks,
    plots,
    priors,
    training,
    widgets,
)

plots.use_style()
torch.set_num_threads(1)  # networks this small are slower on two
colors = plots.COLORS

# %% alt="Left: codes of clothes in the plane, spread wide, a class a colour, and draws of N(0, I), blue crosses, a small heap at their edge. Right: a garment of each class, its decoded code, mostly of its kind, and decoded draws, which are blurs of one or two kinds"
clothes = data.load_images(notebooks.choose(quick="fashion-small", full="fashion"))
with networks.seeded(0):
    plane = models.ae(networks.mlp(clothes.shape, 2, (512, 256), output="sigmoid"))
rates = {"epochs": 12, "lr": 2e-3, "schedule": training.Cosine(), "progress": False}
training.fit(plane, clothes.train, **rates)

kinds = ListedColormap(["gold", *plt.get_cmap("tab10").colors[1:]])  # no class in the prior's blue
codes, labels = plane.codes(clothes.test[:600]).mean, clothes.test_labels[:600]
normal = torch.randn(500, 2, generator=torch.Generator().manual_seed(5))
each = torch.stack([(labels == k).nonzero()[0, 0] for k in range(10)])
fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.3), width_ratios=(1, 1.5))
left.scatter(*codes.T, s=8, c=labels, cmap=kinds)
left.scatter(*normal[:200].T, s=14, color=colors["prior"], marker="+", label="draws of N(0, I)")
left.set(title="codes of clothes, a class a colour", xlabel="$z_1$", ylabel="$z_2$")
left.legend()
rows = {"test images": clothes.test[each], "decoded codes": plane.images(codes[each])}
plots.show_rows(right, rows | {"decoded N(0, I)": plane.images(normal[:10])})
right.scatter(29 * torch.arange(10) + 14, [-9] * 10, s=20, c=range(10), cmap=kinds)
plt.show()

# %% [markdown]
# A dot above a garment is its class's colour on the left. Few of the codes are where $N(0, I)$ would have them, and what it
# covers decodes to one or two kinds of garment, or to none.
#
# Notebook 06 mended the gap between $q(z)$ and $N(0, I)$ afterwards, with a second VAE. There is another way: do not fix
# the prior. Learn it, beside the autoencoder, and let it go where the codes are. The paper does so with a normalizing flow
# and with a generator, and finds that the weight β of the KL can then fall to zero. We look at what it found, and at why.
#
# ## A flow in two dimensions
#
# A flow is an invertible map $f$ from codes to normal noise. **Claim L1.** It matches the two-dimensional codes of an
# autoencoder that nothing regularises. We ask with an *energy test*: are points of two samples farther from each other than
# from their own kind, compared with shuffled labels? **Prediction.** It tells one Gaussian from the codes and does not tell the
# flow from them, nor $f$ of the codes of *test* images from $N(0, I)$. As a control: does it tell codes of training from those
# of test images? The test images of the digits are by other writers. (From here on we measure on digits of 8 × 8
# pixels. Some forty models are trained, which takes a minute on digits and would take many on clothes. On clothes, tested
# apart, this test ends the same way, with a flow twice as deep.)

# %% alt="Five scatter plots. Test codes in the plane in uneven clusters, a class a colour; draws of the flow that fill the same shape; draws of one Gaussian, an oval that does not. Then test codes mapped to noise, round, the classes in sectors; and a round cloud of normal draws"
digits = data.load_images(notebooks.choose(quick="digits", full="mnist"))
wide = notebooks.choose(quick=(128, 128), full=(512, 512))
with networks.seeded(0):
    flat = models.ae(networks.mlp(digits.shape, 2, wide, output="sigmoid"))
cosine = {"lr": 4e-3, "schedule": training.Cosine(), "progress": False}
training.fit(flat, digits.train, epochs=notebooks.choose(quick=40, full=20), **cosine)
some, others = (
    torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:500]
    for x in (digits.test, digits.train)
)
held_out, known = flat.codes(digits.test[some]).mean, flat.codes(digits.train[others]).mean
fitted = densities.Flow(4, (64, 64), epochs=notebooks.choose(quick=60, full=10)).fit(
    flat, digits.train
)
rival = densities.Gaussian().fit(flat, digits.train)
with torch.no_grad():
    noise, _ = fitted.prior.flow(held_out)
p_value = {
    "flow": metrics.energy_test(fitted.sample(500), known),
    "Gaussian": metrics.energy_test(rival.sample(500), known),
}
p_value |= {
    "f(codes)": metrics.energy_test(noise, normal),
    "test codes": metrics.energy_test(held_out, known),
}
claims.check(
    "L1",
    min(p_value["flow"], p_value["f(codes)"]) > 0.05 > p_value["Gaussian"],
    "energy test, 500 a side: the Gaussian is told from the codes, the flow is not",
    found=list(p_value.values()),
)
fig, axes = plt.subplots(1, 5, figsize=(12, 2.8))
panels = {
    "test codes": held_out,
    "flow": fitted.sample(500),
    "Gaussian": rival.sample(500),
    "f(codes)": noise,
    "N(0, I)": normal,
}
for pair in (axes[:3], axes[3:]):
    for ax in pair[1:]:
        ax.sharex(pair[0])
        ax.sharey(pair[0])
low, high = held_out.amin(0) - 3, held_out.amax(0) + 3
axes[0].set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
for ax, (name, points) in zip(axes, panels.items(), strict=True):
    classes = (
        {"c": digits.test_labels[some], "cmap": kinds}
        if "codes" in name
        else {"color": colors["prior"]}
    )
    ax.scatter(*points.T, s=4, **classes)
    ax.set_title(f"{name}, p = {p_value[name]:.3f}" if name in p_value else name)
for pair, letter in ((axes[:3], "z"), (axes[3:], "u")):
    [ax.set_xlabel(f"${letter}_1$") for ax in pair]
    pair[0].set_ylabel(f"${letter}_2$")
plt.show()

# %% [markdown]
# Above the panels stand the p-values of their tests, those of the flow and of the Gaussian against codes of training images.
# So does the control's, above the first: the test does not tell codes of other writers from those of training, either.
# The first three panels are the paper's code space $Z_T$, the last two its noise space $Z_0$, of $u = f(z)$; a colour is a class. Some
# draws of the flow lie outside the panel.
# Not rejecting proves little: 500 points show only coarse differences, such as the Gaussian's.
#
# ## Two objectives, one step
#
# The VAE's cost with a prior $p_\theta$ ($\theta$ is here the prior's weights, not the decoder's) is
# $-\log p(x \mid z) + \log q(z \mid x) - \log p_\theta(z)$. The paper splits it.
# Encoder and decoder minimise (its Eq. 7)
# $$-\log p(x \mid z) + \beta \big( \log q(z \mid x) - \log p_\theta(z) \big), \quad \theta \text{ held fixed},$$
# and the prior minimises (its Eq. 6) $-\log p_\theta(z)$, at full weight, the code held fixed. At β = 0 the autoencoder
# hears nothing of the prior: the prior is then a density fitted to its codes, as in notebook 06, only not afterwards.
#
# Two objectives do not need two passes. Ask the prior at a $z'$ that has the value of $z$ and β times its gradient. Then
# $-\log p_\theta(z')$, at full weight in the cost, moves $\theta$ as Eq. 6 does, and reaches $z$ with the factor β of Eq. 7.
#
# **Exercise 10.1** (4 minutes). Return such a $z'$. The check looks at its value and at its gradient.
#
# <details><summary>Hint</summary>z.detach() has the value and no gradient; z − z.detach() has the gradient and the value 0.</details>

# %% tags=["stub"]
def seen(z, beta):
    return ...


# %% tags=["solution"]
def seen(z, beta):
    return z.detach() + beta * (z - z.detach())


# %%
exercises.check("10.1", seen)

# %% [markdown]
# **Claim L2.** The two objectives give the gradients of the single one. `terms.KL` takes this one pass wherever a prior is
# learned. We hold it against two passes, in float64. **Claim L12**, of Chen et al., is checked beside it: a flow as prior is
# the same flow on the posterior, with decoder $D \circ f^{-1}$. The KL is then the same number in both spaces.

# %%
with networks.seeded(0):
    toy = models.flow_prior_vae(networks.mlp(6, 4, (16,)), 0.5, transforms=3, hidden=(16,)).double()
    [torch.nn.init.normal_(weight, std=0.3) for weight in toy.prior.parameters()]
    x = torch.rand(20, 6, dtype=torch.float64)
q = toy.encode(x)
z = q.mean + q.sigma * torch.randn(
    20, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
)
worst, nll = 0.0, toy.likelihood.nll(x, toy.decode(z))
ours, theirs = [*toy.encoder.parameters(), *toy.decoder.parameters()], list(toy.prior.parameters())


def slopes(cost, weights):
    return torch.cat(
        [g.flatten() for g in torch.autograd.grad(cost.mean(), weights, retain_graph=True)]
    )


full = slopes(nll + q.log_prob(z) - toy.prior.log_prob(z), ours), slopes(nll, ours)
for beta in (0.0, 0.3, 1.0):
    once = nll + toy.prior.split_kl(q, z, beta)
    of_seven = beta * full[0] + (1 - beta) * full[1]  # Eq. 7 is linear in β
    of_six = slopes(-toy.prior.log_prob(z.detach()), theirs)
    worst = max(
        worst,
        (slopes(once, ours) - of_seven).abs().max().item(),
        (slopes(once, theirs) - of_six).abs().max().item(),
    )
claims.check_close(
    "L2",
    worst,
    0.0,
    atol=1e-12,
    says="β in {0, 0.3, 1}: one pass, the gradients of Eq. 6 and 7, to 1e-12",
)
u, log_det = toy.prior.flow(z)
in_0 = q.log_prob(z) - log_det + 0.5 * (u.square() + priors.LOG_2_PI).sum(1)
claims.check_close(
    "L12",
    toy.prior.kl(q, z).detach(),
    in_0.detach(),
    atol=1e-10,
    says="the KL in Z_T is that in Z_0, to 1e-10",
)

# %% [markdown]
# ## What a coupling costs
#
# The flow $f$ takes a code to noise by *couplings*. A coupling keeps one half $a$ of its input and moves the other:
# $b \mapsto e^{s(a)} b + t(a)$. Halves take turns. Products are taken entry by entry. Since $a$ is kept, the step can be
# undone at the same cost, and by the change of variables
# $$\log p_\theta(z) = \log N(f(z); 0, I) + \log |\det \partial f / \partial z|.$$
#
# **Exercise 10.2** (4 minutes). The log-determinant of one coupling, from the raw output of its network for $s$, (n, m), where
# $s = 2 \tanh(\text{raw}/2)$: to (n,).
#
# <details><summary>Hint</summary>The Jacobian is triangular: ones for a, exp(s) for b.</details>

# %% tags=["stub"]
def log_det_of_coupling(raw):
    return ...


# %% tags=["solution"]
def log_det_of_coupling(raw):
    return (2 * torch.tanh(raw / 2)).sum(1)


# %%
exercises.check("10.2", log_det_of_coupling)

# %% [markdown]
# ## β or γ?
#
# **Claim L3.** The Fréchet distance of samples falls as β → 0 when the prior is learned. **Claim N11** is ours, and comes
# first: what does β do when γ is fixed?
#
# **Exercise 10.3** (3 minutes). A VAE with β ≠ 1 and γ fixed has the encoder and the decoder of one with β = 1 and which γ?
#
# <details><summary>Hint</summary>Only the ratio of the two terms moves an optimum. Divide Eq. 7 by β: its data term was
# ‖x − x̂‖²/2γ.</details>

# %% tags=["stub"]
def same_as_gamma(beta, gamma):
    return ...


# %% tags=["solution"]
def same_as_gamma(beta, gamma):
    return beta * gamma


# %%
exercises.check("10.3", same_as_gamma)

# %% [markdown]
# So with γ fixed a sweep of β is a sweep of γ. **Prediction.** With γ = 1 the distance falls a lot as β → 0; with γ
# learned, which is small already, β does little. For $N(0, I)$ a small β is harmful. Three seeds of each, trained at once.

# %%
seeds, judge = (0, 1, 2), features.features_for(digits)
real = judge(digits.test)
epochs, kappa = notebooks.choose(quick=40, full=20), 8
plan = training.Plan(epochs, lr=4e-3, schedule=training.Cosine(), beta_schedule=training.Ramp(0.25))


def three(make, plan=plan):
    each = []
    for seed in seeds:
        with networks.seeded(seed):
            each.append(make(networks.mlp(digits.shape, kappa, wide, output="sigmoid")))
    training.fit_together(each, digits.train, plan, training.Session(progress=False), seeds=seeds)
    return each


def distance_of(model, density=None):
    density = (
        densities.ModelPrior(model.prior).fit(model, digits.test) if density is None else density
    )
    return metrics.frechet_distance(judge(model.images(density.sample(2000))), real)


grid = [
    ("flow", 1.0, 1.0),
    ("flow", 1.0, 0.1),
    ("flow", 1.0, 0.0),
    ("flow", "learned", 1.0),
    ("flow", "learned", 0.0),
]
grid += [("N(0, I)", "learned", 1.0), ("N(0, I)", "learned", 0.0)]
catalogue = {"flow": models.flow_prior_vae, "N(0, I)": models.vae}
fits = {key: three(lambda nets, key=key: catalogue[key[0]](nets, *key[1:])) for key in grid}
scores = {
    key: torch.tensor([distance_of(model) for model in several]) for key, several in fits.items()
}
mixed = {
    key: torch.tensor(
        [distance_of(m, densities.GaussianMixture(10).fit(m, digits.train[:5000])) for m in several]
    )
    for key, several in fits.items()
}
errors = {
    key: torch.tensor(
        [metrics.mean_squared_error(m.reconstruct(digits.test), digits.test) for m in several]
    )
    for key, several in fits.items()
}

# %% tags=["nbval-ignore-output"]
print(f"floor: training images {metrics.frechet_distance(judge(digits.train), real):.1f}")
for key, values in scores.items():
    found, ten = (", ".join(f"{value:4.1f}" for value in each) for each in (values, mixed[key]))
    name = f"{key[0]}, γ {key[1]}, β {key[2]:g}"
    print(f"{name:25} Fréchet {found}   mixture of 10 {ten}   MSE {errors[key].mean():.4f}")

# %% [markdown]
# These are the distances found, seed by seed. The bounds below hold for their means, and the mixture's on every seed.

# %%
at = {key: values.mean().item() for key, values in scores.items()}
falls = [at["flow", 1.0, beta] for beta in (1.0, 0.1, 0.0)]
claims.check(
    "L3",
    falls[0] > 100 and 5 < falls[1] < 13 and falls[2] < 10,
    "with γ = 1 fixed: above 100 at β = 1, 5 to 13 at 0.1, below 10 at 0",
    found=falls,
)
learned = [at["flow", "learned", beta] for beta in (1.0, 0.0)]
claims.refute(
    "L3",
    max(learned) - min(learned) < 3,
    "with γ learned nothing falls: at β = 1 and β = 0 the means differ by less than 3",
    found=learned,
)
claims.check_below(
    "N11",
    max(learned),
    at["N(0, I)", "learned", 1.0] / 2,
    "what helps is the learned prior, not β: less than half of N(0, I) at β = 1, γ learned",
)
claims.check(
    "N9",
    bool((mixed["flow", "learned", 0.0] < scores["flow", "learned", 0.0]).all()),
    "a mixture of ten, fitted afterwards, beats the flow on every seed",
    found=[mixed["flow", "learned", 0.0], scores["flow", "learned", 0.0]],
)
mse = [errors["flow", 1.0, beta].mean() for beta in (1.0, 0.1, 0.0)]
claims.check(
    "L15",
    bool(mse[0] > 1.5 * mse[1] and mse[1] > 1.2 * mse[2]),
    "γ = 1: the reconstruction error falls with β",
    found=mse,
)
claims.check_below(
    "L15",
    at["flow", 1.0, 0.0],
    at["flow", 1.0, 0.1],
    "and samples are nearer at β = 0 than at 0.1, in the mean",
)
one, zero = scores["flow", "learned", 1.0], scores["flow", "learned", 0.0]
says = "γ learned: samples are slightly farther at β = 0 than at 1, on every seed"
claims.refute("L15", bool((zero > one).all()), says, found=[one, zero])
harm = scores["N(0, I)", "learned", 0.0].mean() - scores["N(0, I)", "learned", 1.0].mean()
claims.check_below(
    "L15", (zero - one).mean(), harm / 5, "by less than a fifth of what β = 0 costs N(0, I)"
)

# %% alt="Two panels of Fréchet distance against β on a logarithmic axis. For gamma one the flow's line falls steeply from a dead model at β = 1. For gamma learned the flow's line is flat; N(0, I) rises towards β = 0; the mixture lies below all"
fig, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True)
for ax, gamma in zip(axes, (1.0, "learned"), strict=True):
    for name, color in (("flow", "q"), ("N(0, I)", "prior"), ("flow, mixture of 10", "second")):
        found, prior = (
            (mixed if "mixture" in name else scores),
            name.split(",")[0] if "flow" in name else name,
        )
        betas = [beta for beta in (0.0, 0.1, 1.0) if (prior, gamma, beta) in found]
        places = [max(beta, 0.02) for beta in betas]
        means = [found[prior, gamma, beta].mean() for beta in betas]
        ax.plot(
            places,
            means,
            "o--" if name == "N(0, I)" else "o-",
            color=colors[color],
            label=name if means else None,
        )
    ax.set(xscale="log", yscale="log", xlabel="β", title=f"γ {'= 1' if gamma == 1.0 else gamma}")
    ax.set_xticks([0.02, 0.1, 1], labels=["0", "0.1", "1"])
    ax.set_yticks([5, 10, 20, 50, 100, 200], labels=["5", "10", "20", "50", "100", "200"])
    ax.minorticks_off()
axes[0].set_ylabel("Fréchet distance")
axes[1].legend(fontsize=8)
plt.show()

# %% [markdown]
# On the left the paper's figure: a steep fall. Yet its right end is a dead model, whose codes carry nothing; the fall says
# that γ = 1 was too large. On the right, where γ is learned, the flow's line is nearly flat: β = 0 is
# slightly worse on every seed, which is small beside $N(0, I)$. A learned prior helps at every β, and most where β is small and
# nothing else would pull the codes to the prior. The
# green line was not in the paper. A mixture of ten, fitted afterwards to the same codes, is better than the flow that was
# trained beside them, wherever the codes carry anything. Training jointly buys one loop instead of two, and no more.
#
# ## What β = 0 leaves
#
# **Claim L17.** No cure for unused codes is needed at β = 0: all κ dimensions carry the image. A dimension counts if the
# encoder's variance there is below half of that of $q(z)$. **Claim L11.** At β = 0 the objective "is" the squared Wasserstein
# distance of data and model. This is the mean squared distance of pictures from the model's when they are
# paired as well as can be. What is trained is an upper bound: to pair an image with its own decoded code is one way of
# many. We look for the best one. For draws of the prior we need a control: 500 real training pictures are not 500 test
# pictures either, and have a distance.

# %%
def in_use(model):
    q = model.codes(digits.test)
    marginal = q.mean.var(0) + q.sigma.square().mean(0)
    return (q.sigma.square() < marginal / 2).sum(1).float().median().item()


def best_pairing(a, b):
    cost = torch.cdist(a.flatten(1).double(), b.flatten(1).double()).square()
    return cost.diagonal().mean().item(), cost.numpy()[linear_sum_assignment(cost.numpy())].mean()


free = fits["flow", 1.0, 0.0]
claims.check(
    "L17",
    all(in_use(model) == kappa for model in free),
    "β = 0: all eight dimensions in use, three seeds",
    found=[in_use(model) for model in free],
)
some = digits.test[:500]
pairs = [best_pairing(some, model.reconstruct(some)) for model in free]
claims.check_close(
    "L11", [own for own, _ in pairs], [best for _, best in pairs], rtol=2e-3,
    says="decoded codes: the best pairing gains less than 1/500 over the model's own, "
    "the bound is tight there",
)
drawn = [best_pairing(some, model.images(model.prior.sample(500, kappa)))[1] for model in free]
_, control = best_pairing(some, digits.train[:500])
claims.check_below(
    "L11",
    drawn,
    1.2 * control,
    "draws of the prior: less than a fifth farther than 500 real training pictures are",
)

# %% [markdown]
# For decoded codes the bound is tight. For draws 500 pictures do not say how far the two densities are apart: nearly all of the
# distance is what any other 500 pictures have.
#
# σ does fall without end at β = 0, since nothing pays for noise; where codes do not fill their space a flow's
# likelihood then diverges (notebook 03, N3). Here the codes fill all eight dimensions.
#
# **Exercise 10.4** (6 minutes). Train a prior yourself: $N(m, e^{2s})$, from $m = s = 0$, by `steps` steps of gradient
# descent of size `lr` on the mean of $-\log p$ over codes, (n,). Return $(m, s)$ as a tensor of two.
#
# <details><summary>Hint</summary>−log p = ½ (z − m)² e^(−2s) + s + a constant. Take both slopes at the same m and s.</details>

# %% tags=["stub"]
def prior_after(z, steps, lr):
    return ...


# %% tags=["solution"]
def prior_after(z, steps, lr):
    place = torch.zeros(2, dtype=z.dtype, requires_grad=True)
    for _ in range(steps):
        m, s = place
        cost = (0.5 * (z - m) ** 2 * torch.exp(-2 * s) + s).mean()
        (slope,) = torch.autograd.grad(cost, place)
        place = (place - lr * slope).detach().requires_grad_()
    return place.detach()


# %%
exercises.check("10.4", prior_after)

# %% [markdown]
# ## Other ways to learn a prior
#
# A *discriminator*, or adversary, is a classifier that learns to tell codes from draws of the prior, while the other
# side learns to mislead it. In an adversarial autoencoder (AAE; notebook 09 calls it WAE-GAN) that other side is the
# encoder. In a Prior-AAE it is also the prior, a generator that makes codes of noise. A generative moment-matching
# network (GMMN) is a generator too, but is taught by the MMD between its draws and the codes. **Claim L4.** All three
# train and sample. Prior-AAE's adversary sees scaled codes and pays for its slope at them (the R1 penalty of Mescheder
# et al.). *Perplexity* is how many equally frequent classes would have the entropy of those drawn: at best ten. **The
# adversarial half of L3**: at a fixed γ a large β, here the adversary's weight for the encoder, hurts.

# %%
longer = training.Plan(notebooks.choose(quick=70, full=20), lr=2e-3, schedule=training.Cosine())
others = {
    "AAE": three(lambda nets: models.wae_gan(nets, 1.0, 0.05, (128, 128), 1.0), longer),
    "Prior-AAE": three(models.prior_aae, longer),
    "Prior-AAE, β = 100": three(lambda nets: models.prior_aae(nets, 100.0), longer),
    "GMMN": three(models.gmmn_ae, longer),
}
bars = {name: [distance_of(model) for model in several] for name, several in others.items()}


def perplexity(model):
    classes = judge.network(model.images(model.prior.sample(2000, kappa))).argmax(1)
    return torch.exp(torch.special.entr(classes.bincount(minlength=10) / 2000).sum()).item()


with torch.no_grad():
    breadth = min(
        perplexity(model) for name in ("AAE", "Prior-AAE", "GMMN") for model in others[name]
    )
worst = {name: max(values) for name, values in bars.items()}
claims.check(
    "L4",
    max(worst[name] for name in ("AAE", "Prior-AAE", "GMMN")) < 11,
    "Fréchet below 11 on every seed",
    found=[worst[name] for name in ("AAE", "Prior-AAE", "GMMN")],
)
claims.check_above("L4", breadth, 8.5, "and the ten classes are all there: perplexity above 8.5")
claims.check_above(
    "L3",
    sum(bars["Prior-AAE, β = 100"]),
    2 * sum(bars["Prior-AAE"]),
    "adversarial prior, γ fixed: at β = 100 twice the distance of β = 1",
)

# %% alt="Fréchet distances of six models with three dots each: the mixture is lowest, then flow, Prior-AAE, GMMN and AAE close together, Prior-AAE with beta 100 far off"
fig, ax = plt.subplots(figsize=(6.5, 2.6))
shown = {
    "mixture of 10, afterwards": mixed["flow", 1.0, 0.0].tolist(),
    "flow, β = 0": scores["flow", 1.0, 0.0].tolist(),
    **bars,
}
for row, (name, values) in enumerate(shown.items()):
    ax.plot(values, [row] * 3, "o", color=colors["second" if "mixture" in name else "q"])
ax.set(xscale="log", xlabel="Fréchet distance", yticks=range(len(shown)), yticklabels=list(shown))
ax.set_xticks([5, 10, 20, 50], labels=["5", "10", "20", "50"])
ax.minorticks_off()
ax.invert_yaxis()
plt.show()

# %% [markdown]
# A dot is a seed. Flow, generator and kernel are near each other, although the lower four were trained nearly twice as long
# as the flow; and the mixture, the oldest and cheapest, is ahead.
#
# ## Two roads between two pictures
#
# The flow gives two spaces to walk in: $Z_T$, where codes are, and $Z_0$, where they are normal. **Claim L5.** The arc in
# $Z_0$ passes through *denser* regions than the straight line in $Z_T$. Before you measure, ask what length a walker has.
#
# **Exercise 10.5** (3 minutes). For two independent draws of $N(0, I)$ in κ dimensions, the mean of
# $\lVert (1 - t) a + t b \rVert^2$.
#
# <details><summary>Hint</summary>Each coordinate has variance (1 − t)² + t².</details>

# %% tags=["stub"]
def squared_length(t, kappa):
    return ...


# %% tags=["solution"]
def squared_length(t, kappa):
    return kappa * ((1 - t) ** 2 + t**2)


# %%
exercises.check("10.5", squared_length)

# %% [markdown]
# An arc in $Z_0$ keeps the length $\sqrt\kappa$ that draws have. The straight road in $Z_0$ cuts through the middle, where nearly
# no draw lies and the *density* is highest. The straight road in $Z_T$, the paper's, is another one; we draw all three.
# **Prediction.** Both straight roads are denser than the arc, against L5; what the arc has is typical length.

# %%
t, labels = torch.linspace(0, 1, 21), digits.test_labels
shuffled = torch.Generator().manual_seed(0)
first, second = (torch.randperm(len(labels), generator=shuffled)[:300] for _ in range(2))
apart = labels[first] != labels[second]
ends = list(zip(first[apart][:188].tolist(), second[apart][:188].tolist(), strict=True))


@torch.no_grad()
def roads(model):
    z, f = model.codes(digits.test).mean, model.prior.flow
    u, _ = f(z)
    straight = torch.stack([interpolation.lerp(z[a], z[b], t) for a, b in ends])
    arc = torch.stack([f.inverse(interpolation.slerp(u[a], u[b], t)) for a, b in ends])
    in_noise = torch.stack([f.inverse(interpolation.lerp(u[a], u[b], t)) for a, b in ends])
    return straight, arc, in_noise


@torch.no_grad()
def along(model, density, road):
    z = road.flatten(0, 1)
    sure = judge.network(model.images(z)).softmax(-1).amax(-1)
    return density.log_prob(z).view(len(ends), -1), sure.view(len(ends), -1)


denser, by_mixture, surer, middle = [], [], [], []
for model in free + fits["flow", "learned", 1.0]:
    straight, arc, in_noise = roads(model)
    mixture = densities.GaussianMixture(10).fit(model, digits.train[:5000])
    (low, sure_straight), (high, sure_arc) = (
        along(model, model.prior, road) for road in (straight, arc)
    )
    denser.append((high.mean(1) > low.mean(1)).float().mean().item())
    by_mixture.append(
        (along(model, mixture, arc)[0].mean(1) > along(model, mixture, straight)[0].mean(1))
        .float()
        .mean()
        .item()
    )
    surer.append((sure_arc.mean(1) > sure_straight.mean(1)).float().mean().item())
    middle.append((sure_arc[:, 7:14].mean() - sure_straight[:, 7:14].mean()).item())
shares = torch.tensor([denser, by_mixture, surer]).mean(1)
claims.refute(
    "L5",
    bool((shares[:2] < 0.5).all()),
    "the arc is denser for fewer than half of the pairs, by the flow and by a mixture",
    found=shares[:2],
)
claims.check(
    "L5",
    bool(shares[2] > 0.6 and min(middle) > 0.01),
    "but its pictures are recognised more surely: for over 0.6 of the pairs, in the middle by 0.01",
    found=[shares[2], min(middle)],
)

# %% alt="Left: mean log-density along three roads: straight in Z_0 it rises to the middle, straight in Z_T it rises, dips in the middle and rises again, and on the arc it stays low. Right: the classifier's confidence, which falls in the middle, least on the arc"
fig, axes = plt.subplots(1, 2, figsize=(8.5, 2.6))
for name, road, color in (
    ("straight in Z_T", straight, "data"), ("straight in Z_0", in_noise, "prior"),
    ("arc in Z_0", arc, "q"),
):
    for ax, values in zip(axes, along(model, model.prior, road), strict=True):
        ax.plot(t, values.mean(0), color=colors[color], label=name)
axes[0].set(xlabel="t", title="log p(z), nats")
axes[1].set(xlabel="t", title="classifier's confidence")
axes[1].legend(fontsize=8)
plt.show()

# %% [markdown]
# The model is one with γ learned and β = 1. Left, both straight roads are denser than the arc. Right, the classifier
# prefers the arc. Density was the wrong word for it. Part of the arc's lead is that it jumps: it stays with a class and changes
# fast. (L6, below, measures that on straight roads in $Z_0$.)

# %% tags=["widget", "nbval-ignore-output"]
widgets.Interpolator(fits["flow", "learned", 1.0][2], digits.test[:40], judge=judge.network)

# %% [markdown]
# The model is the figure's; the picture at $t$ stands at the right of its road. For one pair the curves may stand in another
# order than the means above. Pick two digits and move along. Where do the curves of `z straight` and `z0 arc` part? Which
# road shows digits throughout? For how many pairs is `z0 arc` the denser one?
#
# **Claim L6.** Along an attribute a straight line in $Z_T$ changes more evenly than one in $Z_0$ between the same ends.
# **Claim L7.** Attributes are more separable in $Z_T$ than in $Z$, the codes of a VAE with $N(0, I)$, and there more than in
# $Z_0$. The measure (Karras et al.) is what
# remains unknown of an attribute when one knows on which side of the best plane a code lies, as the exponential of a sum of
# entropies; low is good. **L16**: $Z_T$ is more separable than the codes of a β-VAE, whose KL weighs β > 1, and
# reconstructs better. **L14**: where one of two classes is rare, the change along $Z_0$ is late and abrupt. In one dimension
# $f = \Phi^{-1} \circ F$, with $F$ the distribution function of the codes and $\Phi$ that of $N(0, 1)$. The class of the larger
# codes, with the share $p$, gets the upper end of the noise, from $\Phi^{-1}(1 - p)$ on. A road from the median of the other class,
# $\Phi^{-1}((1 - p)/2)$, to that of this one, $\Phi^{-1}(1 - p/2)$, crosses there.

# %%
rows, columns = torch.meshgrid(
    torch.arange(digits.shape[-2]), torch.arange(digits.shape[-1]), indexing="ij"
)


def strokes(x):
    x = x.flatten(1).double()
    w, r, c = x / x.sum(1, keepdim=True), rows.flatten().double(), columns.flatten().double()
    r, c = r - (w @ r)[:, None], c - (w @ c)[:, None]
    return {"mass": x.sum(1), "slant": (w * r * c).sum(1) / (w * r * r).sum(1)}


@torch.no_grad()
def evenness(model, name):
    values, f, steps = (
        strokes(digits.train)[name],
        model.prior.flow,
        torch.linspace(0, 1, 11)[:, None],
    )
    z, top = model.codes(digits.train).mean, values > values.quantile(0.9)
    a = model.codes(digits.test[:200]).mean
    b = a + z[top].mean(0) - z[~top].mean(0)
    u, v = f(a)[0], f(b)[0]
    in_t = torch.stack([torch.lerp(a, b, s) for s in steps], 1)
    in_0 = torch.stack([f.inverse(torch.lerp(u, v, s)) for s in steps], 1)
    return [
        metrics.step_variation(model.images(road.flatten(0, 1)).unflatten(0, road.shape[:2]))
        for road in (in_t, in_0)
    ]


even = [evenness(model, name) for model in free for name in ("mass", "slant")]
claims.check(
    "L6",
    all((a < b).float().mean() > 0.8 and b.mean() > 1.5 * a.mean() for a, b in even),
    "mass and slant, 3 seeds: Z_T evener for over 0.8 of images, by a factor above 1.5",
    found=[(b.mean() / a.mean()) for a, b in even],
)


@torch.no_grad()
def open_bits(model, spaces):
    pictures = model.images(spaces[0])
    share = judge.network(pictures).softmax(-1)
    sure = share.amax(1) >= share.amax(1).median()
    classes = torch.nn.functional.one_hot(share.argmax(1), 10)
    high = [values > values[sure].quantile(0.9) for values in strokes(pictures).values()]
    attributes = torch.cat([classes.bool(), torch.stack(high, 1)], 1)[sure]
    return [metrics.separability(z[sure], attributes)[0] for z in spaces]


u = torch.randn(4000, kappa, generator=torch.Generator().manual_seed(0))
in_spaces = torch.tensor([open_bits(model, [model.prior.codes(u), u]) for model in free])
plain = torch.tensor([open_bits(model, [u]) for model in fits["N(0, I)", "learned", 1.0]])
stiff = three(lambda nets: models.vae(nets, beta=4.0))
stiff_bits = torch.tensor([open_bits(model, [u]) for model in stiff])

# %% alt="Separability of attributes in four spaces, three dots each: Z_T of the flow lowest, the plain VAE and the β-VAE between, Z_0 of the flow highest"
claims.check(
    "L7",
    bool(
        (in_spaces[:, 0] < 12).all()
        and (in_spaces[:, 0] < plain[:, 0]).all()
        and (plain[:, 0] < in_spaces[:, 1]).all()
    ),
    "Z_T < 12, and Z_T < Z of a VAE < Z_0 on every seed",
    found=[in_spaces[:, 0], plain[:, 0], in_spaces[:, 1]],
)
stiff_error = min(
    metrics.mean_squared_error(model.reconstruct(digits.test), digits.test) for model in stiff
)
claims.check(
    "L16",
    bool((in_spaces[:, 0] < stiff_bits[:, 0]).all()),
    "separability in Z_T is better than a β-VAE's, β = 4, on every seed",
    found=[in_spaces[:, 0], stiff_bits[:, 0]],
)
claims.check_below(
    "L16",
    errors["flow", "learned", 0.0].max(),
    stiff_error,
    "γ learned: the reconstruction is better than at β = 4, too",
)
inverse = torch.distributions.Normal(0.0, 1.0).icdf
shares = torch.tensor([0.5, 0.1, 0.02], dtype=torch.float64)
start, end, switch = inverse((1 - shares) / 2), inverse(1 - shares / 2), inverse(1 - shares)
claims.check_close(
    "L14",
    (switch - start) / (end - start),
    [0.5, 0.80, 0.88],
    atol=0.01,
    says="two narrow clusters: the switch lies at t = 0.50, 0.80, 0.88 for shares 0.5, 0.1, 0.02",
)
ours = [
    metrics.nearest_share(
        m.images(m.prior.sample(1000, kappa)), digits.test[:500], digits.train[:500]
    )
    for m in free
]
control = metrics.nearest_share(digits.train[500:1297], digits.test[:500], digits.train[:500])
claims.refute(
    "L13",
    all(share < 0.5 and abs(share - control) < 0.15 for share in ours),
    "samples are no closer to test images than held-out images are, within 0.15",
    found=[*ours, control],
)
fig, ax = plt.subplots(figsize=(6, 2.1))
columns = {
    "Z_T": in_spaces[:, 0],
    "Z, VAE": plain[:, 0],
    "Z, β-VAE": stiff_bits[:, 0],
    "Z_0": in_spaces[:, 1],
}
for row, (name, color) in enumerate(zip(columns, ("q", "prior", "prior", "q"), strict=True)):
    ax.plot(columns[name], row + 0.15 * torch.arange(-1, 2), "o", color=colors[color])
ax.set(xlabel="exp of the bits that planes leave unknown: low is separable")
ax.set(yticks=range(4), yticklabels=columns)
ax.invert_yaxis()
plt.show()

# %% [markdown]
# A dot is a seed. In $Z_T$ the classes are nearly separable by planes, in $Z_0$ the flow has had to fold them into one round cloud; a
# VAE's codes stand between. **L13**: samples are "often closer to the test set than the training set". It is printed `refuted`:
# fewer than half are. Nor would it be a sign of anything: the last number is the same share for real images of neither set.
#
# ## A prior of your own
#
# **Exercise 10.6** (15 minutes). A prior is a class with `log_prob`. Write a mixture of `n` diagonal Gaussians with learned
# means, widths and weights. The check trains it on three clusters, measures its mass, and names what is missing. Below it
# is trained beside a VAE (ours is, until yours is right); nothing else has to be changed.
#
# <details><summary>Hint</summary>Compare z.unsqueeze(-2), (n_codes, 1, κ), with the means (n, κ). log_softmax makes weights of any numbers, priors.LOG_2_PI is log 2π.</details>

# %% tags=["stub"]
class MixturePrior(priors.Prior):
    def __init__(self, latent_dim, n):
        super().__init__()

    def log_prob(self, z):
        return ...


# %% tags=["solution"]
class MixturePrior(priors.Prior):
    def __init__(self, latent_dim, n):
        super().__init__()
        self.means = torch.nn.Parameter(torch.randn(n, latent_dim))
        self.log_scales = torch.nn.Parameter(torch.zeros(n, latent_dim))
        self.logits = torch.nn.Parameter(torch.zeros(n))

    def log_prob(self, z):
        standard = (z.unsqueeze(-2) - self.means) * torch.exp(-self.log_scales)
        each = -(0.5 * standard.square() + 0.5 * priors.LOG_2_PI + self.log_scales).sum(-1)
        return torch.logsumexp(each + self.logits.log_softmax(-1), -1)


# %%
exercises.check("10.6", MixturePrior)
with networks.seeded(0):
    nets = networks.mlp(digits.shape, kappa, wide, output="sigmoid")
    mine = models.Autoencoder(nets, prior=exercises.given("10.6", MixturePrior)(kappa, 10))
training.fit_plan(mine, digits.train, plan, training.Session(progress=False))
nats = (
    mine.loss_terms(digits.test)["kl"].mean(),
    mine.codes(digits.test).kl_to_standard_normal().mean(),
)
assert nats[0] < nats[1]
print(
    "ok  the KL of its codes is less than to N(0, I) "
    f"(found {nats[0]:.1f}, expected below {nats[1]:.1f})"
)

# %% [markdown]
# ## Takeaways
#
# - A learned prior and its autoencoder have two objectives; one pass serves both. At β = 0 it is a density fitted to the codes, only not afterwards.
# - With γ fixed a sweep of β is a sweep of γ. With γ learned the learned prior helps, and β does little.
# - A mixture fitted afterwards is still the one to beat.
# - Roads: typical length is not high density. A distance of samples needs the distance of real pictures beside it.
#
# ## Where it breaks
#
# All figures are of 8 × 8 digits, mlps and three seeds; on a code that does not fill its space a flow diverges. With two
# latent dimensions the arc has no lead, since there $\sqrt\kappa$ is no typical length. The paper says neither how deep its
# flow is nor what its decoder's variance was (erratum E10: its "from 0 to γ" of the annealed weight must mean β).
#
# ## Next
#
# Notebook 10b takes one half of the picture as given. Notebook 12 looks at $q(z)$ itself.
#
# ## References
#
# - "Empirical observations pertaining to learned priors for deep latent variable models", the paper of this notebook.
# - Chen et al. (2017), *Variational lossy autoencoder*. Dinh, Sohl-Dickstein, Bengio (2017), *Density estimation using real NVP*.
# - Mescheder, Geiger, Nowozin (2018), *Which training methods for GANs do actually converge?* Karras, Laine, Aila (2019), *A style-based generator architecture*.
