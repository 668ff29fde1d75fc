"""What notebook 10 shows on digits, on other pictures and other sizes: `fashion-small` with κ = 8
and 16, seeds 0 to 2.

Of each seed, on clothes: whether an energy test tells a flow, or one Gaussian, from the codes of a
plane autoencoder (L1); Fréchet distances of a flow trained beside its autoencoder at β = 0, of an
AAE, a Prior-AAE and a GMMN, and of a mixture of ten fitted to the flow's codes afterwards (L4); on
how many of 188 roads between two test images of different classes the arc in Z_0 is denser, and its
pictures surer, than the straight line in Z_T (L5); how much more evenly the mass of ink changes
along the line in Z_T (L6); and the share of samples whose nearest neighbour is a test image, beside
that of real images (L13).

    python benchmarks/priors.py --json data/results/priors.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from vaelab import data, densities, features, interpolation, metrics, models, networks, training

SEEDS = (0, 1, 2)
HIDDEN = (256, 128)
PLAN = training.Plan(20, lr=2e-3, schedule=training.Cosine())
ROADS = 188
KINDS = {
    "flow": lambda nets: models.flow_prior_vae(nets, 1.0, 0.0),
    "AAE": lambda nets: models.wae_gan(nets, 1.0, 0.05, (128, 128), 1.0),
    "Prior-AAE": models.prior_aae,
    "GMMN": models.gmmn_ae,
}


def trained(make, x, kappa):
    """A model of each seed, trained together."""
    several = []
    for seed in SEEDS:
        with networks.seeded(seed):
            nets = networks.mlp(tuple(x.shape[1:]), kappa, HIDDEN, output="sigmoid")
            several.append(make(nets))
    training.fit_together(several, x, PLAN, training.Session(progress=False), seeds=SEEDS)
    return several


def plane(images):
    """p-values of a flow and of one Gaussian, each fitted to the codes in two dimensions."""
    rows = {"flow": [], "Gaussian": []}
    for seed, model in zip(SEEDS, trained(models.ae, images.train, 2), strict=True):
        known = model.codes(images.train[:500]).mean
        kinds = {"flow": densities.Flow(8, (64, 64), epochs=60), "Gaussian": densities.Gaussian()}
        for name, density in kinds.items():
            drawn = density.fit(model, images.train, seed).sample(500, seed)
            rows[name].append(round(metrics.energy_test(drawn, known, seed=seed), 4))
    return rows


@torch.no_grad()
def roads(model, x, labels, judge):
    """Shares of the roads on which the arc is denser, and surer; and its lead in the middle."""
    chance = torch.Generator().manual_seed(0)
    first, second = (torch.randperm(len(labels), generator=chance)[:300] for _ in range(2))
    apart = labels[first] != labels[second]
    z, f, t = model.codes(x).mean, model.prior.flow, torch.linspace(0, 1, 21)
    u, sides = f(z)[0], []
    ends = list(zip(first[apart][:ROADS].tolist(), second[apart][:ROADS].tolist(), strict=True))
    straight = torch.stack([interpolation.lerp(z[a], z[b], t) for a, b in ends])
    arc = torch.stack([f.inverse(interpolation.slerp(u[a], u[b], t)) for a, b in ends])
    for road in (straight, arc):
        codes = road.flatten(0, 1)
        sure = judge.network(model.images(codes)).softmax(-1).amax(-1)
        sides.append([values.view(len(ends), -1) for values in (model.prior.log_prob(codes), sure)])
    (low, unsure), (high, sure) = sides
    return {
        "denser": round((high.mean(1) > low.mean(1)).double().mean().item(), 3),
        "surer": round((sure.mean(1) > unsure.mean(1)).double().mean().item(), 3),
        "middle": round((sure - unsure)[:, 7:14].mean().item(), 4),
    }


@torch.no_grad()
def evenness(model, images):
    """How much more evenly the ink's mass changes along the line in Z_T than in Z_0: share of the
    images, and ratio of the variations.
    """
    mass = images.train.flatten(1).sum(1)
    z, top = model.codes(images.train).mean, mass > mass.quantile(0.9)
    a, f = model.codes(images.test[:200]).mean, model.prior.flow
    b, steps = a + z[top].mean(0) - z[~top].mean(0), torch.linspace(0, 1, 11)
    u, v = f(a)[0], f(b)[0]
    in_t = torch.stack([torch.lerp(a, b, s) for s in steps], 1)
    in_0 = torch.stack([f.inverse(torch.lerp(u, v, s)) for s in steps], 1)
    even, uneven = (
        metrics.step_variation(model.images(road.flatten(0, 1)).unflatten(0, road.shape[:2]))
        for road in (in_t, in_0)
    )
    share = (even < uneven).double().mean().item()
    return {"share": round(share, 3), "ratio": round((uneven.mean() / even.mean()).item(), 3)}


def at(images, kappa, judge):
    """Everything else, in κ dimensions."""
    real = judge(images.test)

    def distance(model, density, seed):
        drawn = density.fit(model, images.train, seed).sample(2000, seed)
        return round(metrics.frechet_distance(judge(model.images(drawn)), real), 2)

    several = {name: trained(make, images.train, kappa) for name, make in KINDS.items()}
    pairs = {name: list(zip(each, SEEDS, strict=True)) for name, each in several.items()}
    frechet = {
        name: [distance(m, densities.ModelPrior(m.prior), s) for m, s in some]
        for name, some in pairs.items()
    }
    ten = [distance(m, densities.GaussianMixture(10), s) for m, s in pairs["flow"]]
    test, train = images.test[:500], images.train[:500]
    near = [
        round(metrics.nearest_share(m.images(m.prior.sample(500, kappa, s)), test, train), 3)
        for m, s in pairs["flow"]
    ]
    return {
        "frechet": frechet | {"flow's codes, mixture of 10": ten},
        "roads": [roads(m, images.test, images.test_labels, judge) for m in several["flow"]],
        "evenness": [evenness(m, images) for m in several["flow"]],
        "nearest": near,
        "nearest of real images": round(
            metrics.nearest_share(images.train[500:1000], test, train), 3
        ),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-set", default="fashion-small")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    images = data.load_images(args.data_set)
    judge = features.features_for(images)
    results = {"data set": args.data_set, "seeds": SEEDS, "torch": torch.__version__}
    results["plane"] = plane(images)
    print(json.dumps(results), flush=True)
    for kappa in (8, 16):
        results[f"κ = {kappa}"] = at(images, kappa, judge)
        print(kappa, json.dumps(results[f"κ = {kappa}"], ensure_ascii=False), flush=True)
    if args.json:
        text = json.dumps(results, indent=1, ensure_ascii=False)
        args.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
