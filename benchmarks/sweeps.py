"""Two sweeps that a notebook has no time for, seed by seed: γ held at each value of a grid beside γ
learned, on digits and on pictures of clothes; and the number κ of latent dimensions for a VAE, two
stages and WAE-MMD at several weights, on digits and on a toy of known r.

The models and their budgets are those of notebooks 06 (clothes) and 08 (digits, toy). Distances are
Fréchet in the features of the set's classifier, of samples as bytes to the test images; on the toy
energy distances of samples to fresh data.

    python benchmarks/sweeps.py --json data/results/sweeps.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from vaelab import (
    data,
    densities,
    experiments,
    features,
    manifolds,
    metrics,
    models,
    networks,
    training,
)

SEEDS = (0, 1, 2)
GAMMAS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, "learned")
KAPPAS = {"digits": (16, 32, 64), "toy": (2, 4, 8)}
WEIGHTS = {"digits": (30.0, 100.0, 300.0, 1000.0), "toy": (1.0, 10.0, 100.0, 1000.0)}
# Hidden widths, epochs, rows a step and step size of the first stage.
DIGITS = ((128, 128), 40, 129, 4e-3)
CLOTHES = ((256,), 15, 100, 2e-3)
TOY = ((64, 64), 40, 256, 5e-3)


def trained(make, x, kappa, budget):
    """A model of each seed, trained together."""
    hidden, epochs, batch_size, lr = budget
    several = []
    for seed in SEEDS:
        with networks.seeded(seed):
            several.append(make(networks.mlp(tuple(x.shape[1:]), kappa, hidden)))
    plan = training.Plan(epochs, batch_size, lr, schedule=training.Cosine())
    training.fit_together(several, x, plan, training.Session(progress=False), seeds=SEEDS)
    return several


def second_of(model, x, budget, seed, rule="optimal", hold=(0.8, 0.5)):
    """A second stage with as many epochs as the first."""
    _, epochs, batch_size, _ = budget
    stage = densities.SecondStage(
        (64, 64),
        "silu",
        epochs=epochs,
        batch_size=batch_size,
        lr=2e-2,
        schedule=training.Cosine(),
        gamma=rule,
        gamma_schedule=training.Hold(*hold),
        standardise=False,
    )
    return stage.fit(model, x, seed)


def distances(several, images, density=None):
    """Of samples to the test images, one a seed."""
    judge = features.features_for(images)
    real, found = judge(images.test), []
    for seed, model in zip(SEEDS, several, strict=True):
        prior = density(model, seed) if density else densities.StandardNormal()
        drawn = model.images(prior.fit(model, images.train).sample(len(images.train), seed))
        drawn = experiments.protocols.samples(drawn, "clean")
        found.append(round(metrics.frechet_distance(judge(drawn), real), 3))
    return found


def over_gamma(name, budget):
    """γ fixed at each value of the grid, and learned: distance and error of the test images."""
    images, rows = data.load_images(name), {}
    test = images.test
    for gamma in GAMMAS:
        several = trained(lambda n, g=gamma: models.vae(n, g), images.train, 16, budget)
        errors = [metrics.mean_squared_error(test, m.reconstruct(test)) for m in several]
        rows[str(gamma)] = {
            "gamma": [round(m.gamma, 5) for m in several],
            "frechet": distances(several, images),
            "error": [round(error, 5) for error in errors],
            "active": [metrics.active_dims(m.codes(test).eigenvalues()) for m in several],
        }
        print(name, gamma, json.dumps(rows[str(gamma)]), flush=True)
    return rows


class Fitted:
    """A density that has been fitted already."""

    def __init__(self, stage):
        self.stage = stage

    def fit(self, *_):
        return self.stage


def over_kappa_digits():
    """Distances by κ: of a VAE, of two stages, and of WAE-MMD by its weight."""
    images, rows = data.load_images("digits"), {}
    for kappa in KAPPAS["digits"]:
        vaes = trained(models.vae, images.train, kappa, DIGITS)
        stages = [second_of(m, images.train, DIGITS, s) for s, m in zip(SEEDS, vaes, strict=True)]
        row = {
            "active": [metrics.active_dims(m.codes(images.test).eigenvalues()) for m in vaes],
            "VAE": distances(vaes, images),
            "two stages": distances(vaes, images, lambda _, s, fitted=stages: Fitted(fitted[s])),
            "WAE-MMD": {},
        }
        for weight in WEIGHTS["digits"]:
            wae = trained(lambda n, w=weight: models.wae_mmd(n, w), images.train, kappa, DIGITS)
            row["WAE-MMD"][f"{weight:g}"] = distances(wae, images)
        rows[str(kappa)] = row
        print("digits", kappa, json.dumps(row), flush=True)
    return rows


def over_kappa_toy():
    """The same on five clumps on a surface, r = 2, d = 10."""
    surface = manifolds.charts.smooth_graph(2, 10, seed=1)
    truth = manifolds.manifold(surface, manifolds.modes(2, 5, 0.25, seed=3))
    x, fresh = (truth.sample(n, seed=seed).float() for n, seed in ((2560, 0), (2000, 1)))

    def away(several, fitted):
        pairs = zip(several, fitted, strict=True)
        drawn = [model.images(density.sample(2000, 3)) for model, density in pairs]
        return [round(float(metrics.energy_distance(each, fresh)), 5) for each in drawn]

    rows = {}
    for kappa in KAPPAS["toy"]:
        vaes = trained(models.vae, x, kappa, TOY)
        stages = [second_of(m, x, TOY, s) for s, m in zip(SEEDS, vaes, strict=True)]
        row = {
            "VAE": away(vaes, [densities.StandardNormal().fit(m, x) for m in vaes]),
            "two stages": away(vaes, stages),
            "WAE-MMD": {},
        }
        for weight in WEIGHTS["toy"]:
            wae = trained(lambda n, w=weight: models.wae_mmd(n, w), x, kappa, TOY)
            priors = [densities.StandardNormal().fit(m, x) for m in wae]
            row["WAE-MMD"][f"{weight:g}"] = away(wae, priors)
        rows[str(kappa)] = row
        print("toy", kappa, json.dumps(row), flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = {
        "seeds": SEEDS,
        "machine": f"torch {torch.__version__}, one thread of a shared CPU",
        "gamma": {"digits": over_gamma("digits", DIGITS)},
        "kappa": {"toy": over_kappa_toy(), "digits": over_kappa_digits()},
    }
    found["gamma"]["fashion-small"] = over_gamma("fashion-small", CLOTHES)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
