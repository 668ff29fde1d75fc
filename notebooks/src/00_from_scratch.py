# %% [markdown]
# # 00 · A VAE from scratch
#
# | | |
# | --- | --- |
# | You will be able to | write a variational autoencoder (VAE) and the loop that trains it, and say why each line is there |
# | You need | Python, PyTorch tensors, the density of a Gaussian |
# | Time | 55 minutes with its exercises; half a minute to run |
# | Optional | the sections *How much does the bound lose?*, *An older way, and its price* and *Two broken VAEs* |
# | Source | Kingma & Welling (2014), Sections 2.2–2.4; Dai & Wipf (2019), Definition 1 |
#
# Can a network draw clothes that nobody has sewn? The first try fails. Look:

# %%
# %matplotlib inline
import math

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.distributions import Normal
from torch.nn.functional import silu

from vaelab import cli, data, exercises, models, networks, plots, training

plots.use_style()
torch.set_num_threads(1)  # networks as small as these are fastest on one core
pictures = data.load_images("fashion-small")

# %%
with networks.seeded(0):
    first_try = models.ae(networks.mlp(pictures.shape, latent_dim=8, hidden=(256,)))
training.fit(first_try, pictures.train, epochs=8, device="cpu", progress=False)
shown = pictures.test[:10]
noise = torch.randn(10, 8, generator=torch.Generator().manual_seed(1))

# %% alt="Three rows of clothes: photographs, copies, most recognisable, and smears that are no clothes"
def show_rows(rows):
    _, axes = plt.subplots(len(rows), 1, figsize=(6.2, 0.62 * len(rows)))
    for ax, (title, images) in zip(axes, rows.items(), strict=True):
        plots.show_images(ax, images.reshape(-1, 28, 28), columns=10)
        ax.text(-8, 14, title, ha="right", va="center", fontsize=9)


copies, inventions = first_try.reconstruct(shown), first_try.images(noise)
show_rows({"pictures": shown, "copies": copies, "inventions": inventions})
plt.show()

# %% [markdown]
# The first row shows pictures from Fashion-MNIST. An *autoencoder* squeezed each of them into eight numbers and built
# the second row from these. Most copies can be recognised. The third row was built from eight random numbers, each
# standard normal, $N(0, I)$, and it is rubbish. In this notebook you write the autoencoder, find out what is wrong, and
# turn it into a model that can invent.
#
# Every symbol stands in [one table](A_notation.ipynb#Symbols), every word in [one glossary](A_notation.ipynb#Glossary).
#
# ## Is everything there?
#
# *Not on the path of ninety minutes.*
#
# `vaelab doctor` looks at the installation, and says what to do about each fault. Any PyTorch from 2.7 on will do, and
# no GPU is needed. If it does not say *nothing wrong*, run `vaelab doctor` in a terminal, and send what it prints with your
# question.

# %% tags=["nbval-ignore-output"]
cli.main(["doctor", "--short", "--seconds", "1"])
print(pictures)

# %% [markdown]
# ## An autoencoder in twenty lines
#
# The *encoder* turns a picture $x$ of $d = 784$ pixels into $\kappa = 8$ numbers $z$, its
# [latent](A_notation.ipynb#Glossary). The *decoder* turns
# $z$ into a picture $\hat x$. Each has one hidden layer, passed through `silu`, a smooth ReLU. The input is also copied past the
# hidden layer (`torch.cat`), so that the next layer sees both. A layer starts with small random weights and zero biases.

# %%
x = pictures.train.flatten(1)
d, kappa, width = x.shape[1], 8, 256


def layer(n_in, n_out):
    linear = nn.Linear(n_in, n_out)
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


class Hidden(nn.Module):
    """A hidden layer, with its input beside it."""

    def __init__(self, n_in):
        super().__init__()
        self.layer = layer(n_in, width)

    def forward(self, x):
        return torch.cat([silu(self.layer(x)), x], 1)


# %%
with networks.seeded(0):  # the same first weights at each run
    encoder = nn.Sequential(Hidden(d), layer(width + d, kappa))
    decoder = nn.Sequential(Hidden(kappa), layer(width + kappa, d))


def squared_error(x):
    z = encoder(x)
    return (x - decoder(z)).square().sum(1).mean()


squared_error(x[:100]).shape

# %% [markdown]
# The loss is one number: the squared error of a picture, summed over its pixels and averaged over a batch. What is
# missing is the loop that makes it small.
#
# **Exercise 00.1** (6 minutes). Fill in the loop. `loss` and `batches` are functions that are handed in. For each batch take
# one step of the optimizer on `loss(batch)`, and append this loss, as a number, to `history`. Return `history`: both `...`
# give way. (`fused=True` is a faster version of the same optimizer.)
#
# <details><summary>Hint</summary>Five lines a batch: value = loss(batch), zero_grad() of the optimizer, value.backward(),
# step() of the optimizer, and history.append(value.item()).</details>

# %% tags=["stub"]
def my_loop(loss, parameters, batches, epochs):
    optimizer = torch.optim.Adam(parameters, fused=True)
    history = []
    for epoch in range(epochs):
        for batch in batches(epoch):
            ...
    return ...


# %% tags=["solution"]
def my_loop(loss, parameters, batches, epochs):
    optimizer = torch.optim.Adam(parameters, fused=True)
    history = []
    for epoch in range(epochs):
        for batch in batches(epoch):
            value = loss(batch)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            history.append(value.item())
    return history


# %%
exercises.check("00.1", my_loop)

# %% [markdown]
# Under an exercise stands its check. Run your cell, then the check. It prints `todo` until you change the code, then what
# slipped, or `ok` and in brackets a number that was found (of several, the worst) and the one expected. It stops nothing:
# the next cell trains with *your* loop if it is right, and with ours if not. In later notebooks checks also print a letter
# with a number, such as N6. Skip them: they are entries of a list of the papers' claims, which `vaelab claims` prints.

# %% tags=["nbval-ignore-output"]
train = exercises.given("00.1", my_loop)


def batches(epoch):
    """The pictures, shuffled anew each epoch, a hundred at a time."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch))
    return x[order].split(100)


history = train(squared_error, [*encoder.parameters(), *decoder.parameters()], batches, epochs=5)
round(history[0], 1), round(history[-1], 1)

# %% [markdown]
# The two numbers are the loss at the first step and at the last.
#
# ## Why the inventions are rubbish
#
# The inventions at the top came from $z$ drawn from $N(0, I)$. Feed your decoder with the same numbers. And where do the
# latents of the pictures lie? *Our prediction*: not where we draw, since nothing in the loss says where.

# %% tags=["nbval-ignore-output"] alt="Left, latents of pictures by class, many of them outside a circle that holds most of N(0, I); right, ten smears that are no clothes"
with torch.no_grad():
    z = encoder(x[:2000])
    smears = decoder(noise)
fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.4))
left.scatter(*z[:, :2].T, s=5, c=pictures.train_labels[:2000], cmap="tab10", alpha=0.6)
left.add_patch(plt.Circle((0, 0), 2, color=plots.COLORS["prior"], fill=False, linewidth=2))
left.set(
    xlabel="latent z₁", ylabel="latent z₂", aspect="equal",
    title="a dot a picture, a colour a class",
)
plots.show_images(right, smears.reshape(-1, 28, 28), "your decoder, fed with N(0, I)", columns=5)
inside = (z[:, :2].norm(dim=1) < 2).float().mean()
print(f"inside the circle: {inside:.0%} of the pictures, {1 - math.exp(-2):.0%} of N(0, I)")
draws = torch.randn(2000, kappa, generator=torch.Generator().manual_seed(2))
lengths = [rows.norm(dim=1).median() for rows in (z, draws)]
print("median length of a latent: {:.1f}; of a draw from N(0, I): {:.1f}".format(*lengths))
plt.show()

# %% [markdown]
# The dots are pictures, and the circle holds most of what we draw. Many pictures lie outside it, and these are only two
# of eight dimensions: in all eight the latents are longer than the draws, and lie in other directions, along their own
# clusters. A place between clusters has a picture's latent nowhere near, however close to zero it lies. So the decoder is
# asked about places that it has seldom seen, and it answers with smears. We need a loss that says where latents should
# lie. First a quiz:

# %% tags=["widget", "nbval-ignore-output"]
exercises.quiz("00.5")

# %% [markdown]
# ## A loss that knows: the ELBO in five steps
#
# Here is a loss in which such a term turns up by itself. Describe how a picture comes about: draw $z$ from
# $p(z) = N(0, I)$, then $x$ from $p(x \mid z)$, a Gaussian centred at the decoder's picture. A good model makes the pictures
# that we have probable: $\log p(x)$ should be large.
#
# 1. What we want contains all latents: $\log p(x) = \log \int p(x \mid z)\, p(z)\, dz$. Nobody can compute this: it is an
#    integral over eight dimensions, through a network.
# 2. Take for each picture a density $q(z \mid x)$ that we can draw from, and write $\mathbb E_q$ for the mean over draws
#    $z \sim q$. Multiply and divide by $q$ inside the integral:
#    $\log p(x) = \log \mathbb E_q \big[ p(x \mid z)\, p(z) / q(z \mid x) \big]$.
# 3. The logarithm is concave, so the log of a mean is at least the mean of the logs (*Jensen's inequality*):
#    $\log p(x) \ge \mathbb E_q \log \big[ p(x \mid z)\, p(z) / q(z \mid x) \big]$.
# 4. Sort the factors: $\log p(x) \ge \mathbb E_q \log p(x \mid z) - \mathrm{KL}[q(z \mid x) \,\Vert\, p(z)]$, where
#    $\mathrm{KL}[q \,\Vert\, p] = \mathbb E_q \log (q / p)$ measures how far $q$ is from $p$. This is the *evidence
#    lower bound*, the ELBO.
# 5. Let the encoder choose $q$, $q(z \mid x) = N(\mu(x), \mathrm{diag}\,\sigma^2(x))$, and turn the
#    sign: $-\mathbb E_q \log p(x \mid z) + \mathrm{KL}[q(z \mid x) \,\Vert\, p(z)]$ is a loss.
#
# The last term is the one we wanted: it pulls the latents of each picture towards $N(0, I)$.
#
# ## How much does the bound lose?
#
# *Not on the path of ninety minutes.*
#
# Step 3 is an inequality. How much does it lose? A decoder with one latent and one pixel, $\hat x = 2z$ with noise of
# variance $\gamma$, lets us compute everything on a grid.

# %%
z_grid = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
gamma, pixel = torch.tensor([0.5, 1.5], dtype=torch.float64)
log_joint = Normal(2 * z_grid, gamma.sqrt()).log_prob(pixel) + Normal(0.0, 1.0).log_prob(z_grid)
# A Gaussian again: var(2z) + γ = 4 + γ.
log_p = Normal(0 * gamma, (4 + gamma).sqrt()).log_prob(pixel)


def elbo(mu, sigma):
    log_q = Normal(mu, sigma).log_prob(z_grid)
    return torch.trapezoid(log_q.exp() * (log_joint - log_q), z_grid)


# p(z | x) ∝ exp(−(x − 2z)²/2γ − z²/2): a Gaussian of variance γ/(4 + γ) and mean 2x/(4 + γ)
sigma_best = (gamma / (4 + gamma)).sqrt()
mu_best = 2 * pixel / (4 + gamma)
best = elbo(mu_best, sigma_best)
assert abs(best - log_p) < 1e-9
says = "the best bound is log p(x), nothing is lost there"
print(f"ok  {says} (found {best:.6f}, expected {log_p:.6f})")

# %% alt="The bound rises to the dashed line of log p and touches it at one width of q, at a second mean it stays below"
sigmas = torch.linspace(0.06, 1.5, 80, dtype=torch.float64)
fig, ax = plt.subplots(figsize=(5.5, 3))
for mu, label, color in (
    (mu_best, "the best mean", "q"), (mu_best - 0.4, "mean off by 0.4", "fixed"),
):
    ax.plot(sigmas, [elbo(mu, sigma) for sigma in sigmas], color=plots.COLORS[color], label=label)
ax.axhline(log_p, color=plots.COLORS["exact"], linestyle="--", label="log p(x)")
ax.set(xlabel="σ, the width of q", ylabel="the bound, in nats", ylim=(-8, -1))
ax.legend()
plt.show()

# %% [markdown]
# The bound never passes $\log p(x)$, and it touches: where $q$ is the *posterior* $p(z \mid x)$, the weights
# $p(x \mid z)\, p(z) / q$ are all equal, and the log of a mean of equal numbers is the mean of their logs. So a
# smaller loss means a better model, or an encoder nearer to its posterior.
#
# ## A gradient through a die: the reparameterisation trick
#
# The loss is a mean over draws from $q$, and the encoder must learn through them. How does one differentiate a random draw?
# Write the draw as a function of noise that no parameter touches:
#
# $$z = \mu + \sigma \odot \varepsilon, \qquad \varepsilon \sim N(0, I).$$
#
# The sign $\odot$ multiplies entry by entry. Now $z$ is a plain function of $\mu$ and $\sigma$, and the chain rule does
# the rest. This is the *reparameterisation trick*.
#
# **Exercise 00.2** (4 minutes). The encoder will give `mu` and `log_var`, the logarithm of $\sigma^2$, which may be any
# number. Return $z$ for given noise `eps`. Your VAE will draw with this function.
#
# <details><summary>Hint</summary>What is the square root of exp(a)?</details>

# %% tags=["stub"]
def draw(mu, log_var, eps):
    return ...


# %% tags=["solution"]
def draw(mu, log_var, eps):
    return mu + (0.5 * log_var).exp() * eps


# %%
exercises.check("00.2", draw)

# %% [markdown]
# ## An older way, and its price
#
# *Not on the path of ninety minutes.*
#
# The *score function* gives the same gradient: $\nabla_\mu \mathbb E_q f(z) = \mathbb E_q [f(z)\, (z - \mu) / \sigma^2]$.
# It needs no derivative of $f$. Take $f(z) = z^2 / 2$. Then $\mathbb E_q f = (\mu^2 + \sigma^2) / 2$, and its gradient
# with respect to $\mu$ is $\mu$. By the trick one draw gives $\mu + \sigma\varepsilon$, by the score
# $f(z)\, \varepsilon / \sigma$. Both are right on average. Their standard deviations are $\sigma$ and
# $\sqrt{(\mu^4 + 18 \mu^2 \sigma^2 + 15 \sigma^4) / 4\sigma^2 - \mu^2}$: the second explodes for small $\sigma$.
#
# <details><summary>Where the root comes from</summary>The mean square of f(z) ε/σ is E (μ + σε)⁴ ε² / 4σ². Multiply out:
# odd powers of ε have mean 0, and ε², ε⁴, ε⁶ have means 1, 3, 15. What is left is (μ⁴ + 6 · 3 μ²σ² + 15 σ⁴) / 4σ². The
# square of the mean, μ², goes off.</details>

# %%
eps = torch.randn(200_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
mu, sigmas = 2.0, torch.logspace(-1.3, 0.3, 9, dtype=torch.float64)
z = mu + sigmas[:, None] * eps
by_trick, by_score = z, 0.5 * z**2 * eps / sigmas[:, None]
theory_score = ((mu**4 + 18 * mu**2 * sigmas**2 + 15 * sigmas**4) / (4 * sigmas**2) - mu**2).sqrt()
assert ((by_score.mean(1) - mu).abs() < 5 * theory_score / math.sqrt(len(eps))).all()
worst = by_score.mean(1)[(by_score.mean(1) - mu).abs().argmax()]
says = "the score has the mean μ too, within five standard errors, at each of nine σ"
print(f"ok  {says} (found {worst:.3f} at the worst, expected {mu:.3f})")

# %% alt="Left, a narrow and a very wide histogram with one mean; right, as σ shrinks the score's spread ends far higher, the trick's falls"
fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3))
for name, values, theory, color in (
    ("trick", by_trick, sigmas, "q"), ("score", by_score, theory_score, "fixed"),
):
    left.hist(
        values[4, :20_000], bins=120, range=(-25, 30), density=True, color=plots.COLORS[color],
        alpha=0.6, label=name,
    )
    right.loglog(sigmas, theory, color=plots.COLORS[color], label=f"{name}, theory")
    right.plot(sigmas, values.std(1), "o", color=plots.COLORS[color], label=f"{name}, measured")
left.axvline(mu, color=plots.COLORS["exact"], linestyle="--")
left.set(xlabel="gradient from one draw", ylabel="density", title="σ = 0.32")
left.legend(fontsize=8)
right.set(xlabel="σ", ylabel="standard deviation")
right.legend(fontsize=8)
plt.show()

# %% [markdown]
# Left, one mean (dashed) and two widths: the estimate by the trick is the narrow peak. Right, the points lie on the lines. An
# encoder becomes sure of itself in training, so its $\sigma$ shrinks, and there the score would need thousands of
# draws where the trick needs one. Every VAE takes one.
#
# ## The VAE
#
# Two things change in the autoencoder. The encoder gives $2\kappa$ numbers, $\mu$ and $\log \sigma^2$, and the loss
# is the ELBO with its sign turned. The KL has a closed form. The other term is a mean over $z$; one draw,
# $z = \mu + \sigma \odot \varepsilon$, stands for it, since a batch averages many. Round the decoder's $\hat x$ each
# pixel has noise of variance $\gamma$, so $p(x \mid z) = N(\hat x, \gamma I)$, and what the code calls `nll` (the
# negative log-likelihood) and `kl` is
#
# $$-\log p(x \mid z) = \tfrac12 \Big( \tfrac1\gamma \lVert x - \hat x \rVert^2 + d \log 2\pi\gamma \Big), \qquad
#   \mathrm{KL} = \tfrac12 \sum_{j=1}^{\kappa} \big( \mu_j^2 + \sigma_j^2 - \log \sigma_j^2 - 1 \big).$$

# %%
trick = exercises.given("00.2", draw)  # yours if it is right


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Hidden(d)
        self.decoder = nn.Sequential(Hidden(kappa), layer(width + kappa, d))
        self.to_q = layer(width + d, 2 * kappa)
        self.log_gamma = nn.Parameter(torch.tensor(0.0))
        self.noise = torch.Generator().manual_seed(0)

    def forward(self, x):
        mu, log_var = self.to_q(self.encoder(x)).chunk(2, 1)
        z = trick(mu, log_var, torch.randn(mu.shape, generator=self.noise))
        error = (x - self.decoder(z)).square().sum(1)
        nll = 0.5 * (error * (-self.log_gamma).exp() + d * (self.log_gamma + math.log(2 * math.pi)))
        kl = 0.5 * (mu**2 + log_var.exp() - log_var - 1).sum(1)
        return (nll + kl).mean()


# %% [markdown]
# Train it with your loop and your draws. Many programs write the first term as half the squared error, which is
# $\gamma = 1$. We do so first, by leaving `log_gamma` at zero, out of the optimizer's hands.

# %%
def all_but_gamma(vae):
    return [p for p in vae.parameters() if p is not vae.log_gamma]


with networks.seeded(0):
    plain = VAE()
plain_history = train(plain, all_but_gamma(plain), batches, epochs=10)

# %% alt="Pictures, blurred copies, ten inventions at γ = 1, half of them clothes, and the autoencoder's rubbish"
with torch.no_grad():
    invented = plain.decoder(noise)
    mu = plain.to_q(plain.encoder(shown.flatten(1)))[:, :kappa]
    copies = plain.decoder(mu)
first_rows = {"pictures": shown, "copies": copies}
show_rows({**first_rows, "inventions": invented, "the earlier ones": inventions})
plt.show()

# %% [markdown]
# The same random numbers, and now about half of them could pass for a garment; count them yourself. They are blurred,
# and so are the copies: the model throws away what it could keep. Why?
#
# ## The knob that is missing
#
# $\gamma$ is the variance of the decoder's noise. At $\gamma = 1$ a pixel that is wrong by one, the distance from black
# to white, costs only half a *nat*, the unit of natural logarithms. Nobody chose that: it came with leaving $\gamma$
# out. Let training choose: $\log \gamma$ becomes one more parameter, with ten times the step size, since it has far to go.
# The check prints the loss, also called the *cost* of a VAE. It may be negative, since a density may exceed 1.

# %%
with networks.seeded(0):
    vae = VAE()
parameters = [{"params": all_but_gamma(vae)}, {"params": [vae.log_gamma], "lr": 0.01}]
history = train(vae, parameters, batches, epochs=10)
gamma, cost, plain_cost = vae.log_gamma.exp().item(), history[-1], plain_history[-1]
assert gamma < 0.1 and cost < plain_cost - 100
print(f"ok  γ falls from 1 to below 0.1 (found {gamma:.3f})")
print(f"ok  the cost falls by more than 100 nats (found {cost:.0f}, with γ = 1 {plain_cost:.0f})")

# %% alt="With γ learned the copies have more detail than with γ = 1; the inventions are darker, and fewer are clothes"
with torch.no_grad():
    mu = vae.to_q(vae.encoder(shown.flatten(1)))[:, :kappa]
    learned = vae.decoder(mu)
    invented_too = vae.decoder(noise)
both = {"copies, γ = 1": copies, "copies, γ learned": learned}
both |= {"inventions, γ = 1": invented, "inventions, γ learned": invented_too}
show_rows({"pictures": shown, **both})
plt.show()

# %% [markdown]
# The copies have gained a little detail. The inventions have not: most are darker, and fewer could pass for a garment. So
# the lower cost did not buy better inventions. Why that is so, and how a second VAE mends it, is what this course is about.
#
# **Question.** Why need a model that copies well not invent well? Think of a reason before you open ours.
#
# <details><summary>Ours</summary>To copy, the decoder needs to be right only where the encoder puts latents. To invent,
# it needs to be right where N(0, I) puts them. A small γ makes the copy's error expensive, so the encoder spreads
# latents to keep pictures apart, and pays with the KL; nothing then forces the latents of all pictures together to
# fill N(0, I).</details>
#
# ## Two broken VAEs
#
# *Not on the path of ninety minutes.*
#
# Nothing raises an error when a VAE is wrong. Here are two losses with one fault each. The encoder
# gives `mu` and `log_sigma`, the logarithm of the *standard deviation*. The check runs your repaired code.
#
# **Exercise 00.3** (6 minutes). This one copies well from the first epoch, and its inventions never improve. Repair it.
#
# <details><summary>Hint</summary>How large is the noise on z when the encoder says log σ = 0?</details>

# %% tags=["stub"]
def cost_of_rows(x, mu, log_sigma, eps, decode, gamma):
    z = mu + log_sigma * eps
    error = (x - decode(z)).square().sum(1)
    nll = 0.5 * (error / gamma + x.shape[1] * math.log(2 * math.pi * gamma))
    kl = 0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum(1)
    return nll + kl


# %% tags=["solution"]
def cost_of_rows(x, mu, log_sigma, eps, decode, gamma):
    z = mu + log_sigma.exp() * eps
    error = (x - decode(z)).square().sum(1)
    nll = 0.5 * (error / gamma + x.shape[1] * math.log(2 * math.pi * gamma))
    kl = 0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum(1)
    return nll + kl


# %%
exercises.check("00.3", cost_of_rows)

# %% [markdown]
# **Exercise 00.4** (6 minutes). The cost of this one falls without end, while its copies get worse. Repair it.
#
# <details><summary>Hint</summary>Which of the two terms can fall without end? Can a KL be negative?</details>

# %% tags=["stub"]
def cost_of_batch(x, mu, log_sigma, eps, decode, gamma):
    z = mu + log_sigma.exp() * eps
    error = (x - decode(z)).square().sum(1)
    nll = 0.5 * (error / gamma + x.shape[1] * math.log(2 * math.pi * gamma))
    kl = 0.5 * (1 + 2 * log_sigma - mu**2 - (2 * log_sigma).exp()).sum(1)
    return (nll + kl).mean()


# %% tags=["solution"]
def cost_of_batch(x, mu, log_sigma, eps, decode, gamma):
    z = mu + log_sigma.exp() * eps
    error = (x - decode(z)).square().sum(1)
    nll = 0.5 * (error / gamma + x.shape[1] * math.log(2 * math.pi * gamma))
    kl = 0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum(1)
    return (nll + kl).mean()


# %%
exercises.check("00.4", cost_of_batch)

# %% [markdown]
# ## The same in one line
#
# *Not on the path of ninety minutes.*
#
# You have written a VAE. From now on the notebooks build it with the package `vaelab`: one line for the model, one for
# the training. Is it the same model?

# %%
with networks.seeded(0):
    same = models.vae(networks.mlp(d, kappa, hidden=(width,)), gamma="learned")
training.fit(same, x, epochs=10, device="cpu", progress=False)
mine, theirs = vae.decoder[1].weight, same.decoder[1].weight
worst = (mine - theirs).abs().max()
assert torch.allclose(mine, theirs, atol=1e-3)
assert torch.allclose(vae.log_gamma, same.likelihood.log_gamma, atol=1e-3)
says = f"{mine.numel()} weights of the decoder agree, and so does γ"
print(f"ok  {says} (found a difference of {worst:.1g}, expected below 0.001)")

# %% [markdown]
# After hundreds of steps the weights agree to rounding, and so does γ: it is the same model, and the package hides
# nothing that you have not written.
#
# ## Takeaways
#
# - An autoencoder copies. Nothing in it says where latents lie, so it cannot invent.
# - The ELBO bounds $\log p(x)$ from below, by Jensen. It is exact where $q$ is $p(z \mid x)$ (*How much does the bound
#   lose?*).
# - The reparameterisation trick moves the randomness out of the way of the gradient. Its estimate varies little (*An older
#   way*).
# - Half the squared error plus the KL is a VAE with $\gamma = 1$: leaving $\gamma$ out chooses it.
#
# ## Where it breaks
#
# The more shapes $q$ can take, the tighter the bound: an encoder with independent dimensions cannot touch where the posterior has
# correlated ones. One draw a picture is enough because a batch averages many; for a batch of one it is noisy. And a
# Gaussian decoder treats pixels as independent given $z$: what it adds beyond $\hat x$ is pixel noise, not texture.
#
# ## Next
#
# [01](01_gaussian_vae.ipynb) asks what $\gamma$ does to what is learned, in closed form.
# [06](06_two_stages.ipynb) mends the inventions. Guess before you go: if training may choose $\gamma$, what stops it?
#
# ## References
#
# - D. Kingma and M. Welling. Auto-Encoding Variational Bayes. ICLR 2014.
# - B. Dai and D. Wipf. Diagnosing and Enhancing VAE Models. ICLR 2019.
# - H. Xiao, K. Rasul and R. Vollgraf. Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms. 2017.
