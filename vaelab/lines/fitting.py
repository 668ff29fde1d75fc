"""A model of lines and a density of its codes, and what can be measured of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from vaelab import densities, models, networks, training
from vaelab._door import check_fields, door
from vaelab._inputs import check_choice, check_positive, check_weight, generator_of
from vaelab.densities import Density
from vaelab.grammar import Grammar, expressions
from vaelab.models import Autoencoder
from vaelab.training import Cosine, Plan, Session

MODELS = ("grammar_rae", "grammar_vae", "character_rae")


@dataclass(frozen=True)
class LinePlan:
    """How a model of lines is made and trained.

    Args:
        model: "grammar_rae", "grammar_vae" or "character_rae".
        beta: weight of its latent term; the model's own unless given.
        length: rules a line at most; one more than the longest takes unless given.
        latent_dim: κ.
        network_options: of `networks.sequence`.
        epochs, batch_size, lr: of the training, with a cosine.
        held_out: lines that are not trained on; a tenth of all, 1,000 at most, unless given.
        n_components: of the mixture that is fitted to the codes.
        seed: of weights, batches, what is held out, and draws.
    """

    model: str = "grammar_rae"
    beta: float | None = None
    length: int | None = None
    latent_dim: int = 25
    network_options: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 16
    batch_size: int = 100
    lr: float = 4e-3
    held_out: int | None = None
    n_components: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("model", self.model, MODELS)
        check_fields(self)
        check_positive("lr", self.lr)
        if self.beta is not None:
            check_weight("beta", self.beta)

    def n_held_out(self, n: int) -> int:
        """How many of `n` lines are not trained on."""
        return min(1000, max(1, n // 10)) if self.held_out is None else self.held_out


@dataclass(frozen=True)
class Fitted:
    """What `fit` leaves.

    Args:
        model: trained, in evaluation mode.
        density: a mixture, fitted to the codes of the training lines.
        figures: see `measure`.
        history: of the training, one value an epoch.
        trained: the lines it was trained on.
        held_out: the others.
    """

    model: Autoencoder
    density: Density
    figures: dict[str, Any]
    history: dict[str, Any]
    trained: list[str]
    held_out: list[str]


def fit(
    lines: Sequence[str],
    grammar: Grammar | None = None,
    plan: LinePlan | None = None,
    session: Session | None = None,
) -> Fitted:
    """Train a model of lines, fit a mixture to its codes, and measure both.

    Args:
        lines: of the grammar, all different.
        grammar: arithmetic expressions unless given.
        plan: what is computed.
        session: where and how; a checkpoint in it is gone on from.

    Raises:
        ValueError: lines outside the grammar, by number; two that are the same; fewer than are held
            out.
    """
    grammar = grammar or expressions()
    plan = plan or LinePlan()
    written = grammar.characters() if plan.model == "character_rae" else grammar
    x = encoded(written, lines, plan.length)
    lines = [cast(str, line) for line in written.decode(x)]  # As the grammar writes them.
    check_different(lines)
    check_enough(lines, plan)
    train, test = split(len(x), plan)
    options = {"grammar": grammar} | ({} if plan.beta is None else {"beta": plan.beta})
    with networks.seeded(plan.seed):
        sizes = (x.shape[1], plan.latent_dim, written.n_rules)
        model = models.build(plan.model, networks.sequence(*sizes, **plan.network_options), options)
    settings = Plan(plan.epochs, plan.batch_size, plan.lr, Cosine(), seed=plan.seed)
    run = training.fit_plan(model, x[train], settings, session or Session())
    model.cpu()
    density = densities.GaussianMixture(plan.n_components)
    density.fit(model, x[train], plan.seed)
    trained = [lines[i] for i in train.tolist()]
    held_out = [lines[i] for i in test.tolist()]
    figures = measure(model, grammar, trained, held_out, seed=plan.seed)
    return Fitted(model, density, figures, run.history, trained, held_out)


@door
def split(n: int, plan: LinePlan) -> tuple[Tensor, Tensor]:
    """The numbers of the lines that are trained on, and of those held out."""
    order = torch.randperm(n, generator=generator_of(plan.seed))
    held_out = plan.n_held_out(n)
    return order[held_out:], order[:held_out]


def check_different(lines: Sequence[str]) -> None:
    """Raise if a line stands twice: what is held out would be trained on."""
    first: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if first.setdefault(line, number) != number:
            raise ValueError(
                f"lines {first[line]} and {number} are both {line!r}; give each once, as "
                "list(dict.fromkeys(lines)) does"
            )


def check_enough(lines: Sequence[str], plan: LinePlan) -> None:
    """Raise unless there are lines to train on beside those held out."""
    held_out = plan.n_held_out(len(lines))
    least = held_out + max(2, plan.n_components)
    if len(lines) < least:
        raise ValueError(
            f"expected at least {least} lines, {held_out} of them held out, got {len(lines)}; "
            "give more lines, or hold out fewer"
        )


def encoded(grammar: Grammar, lines: Sequence[str], length: int | None) -> Tensor:
    """Lines as rule numbers (n, length); one more than the longest takes unless a length is
    given.
    """
    rows = grammar.encode(lines, length)
    return rows if length else F.pad(rows, (0, 1), value=grammar.padding)


def grammar_of(model: Any) -> Grammar:
    """The grammar of a model of lines.

    Raises:
        TypeError: a model that is not of lines.
    """
    grammar = getattr(getattr(model, "likelihood", None), "grammar", None)
    if not isinstance(grammar, Grammar):
        raise TypeError("model: expected one of lines, such as models.grammar_rae(...)")
    return grammar


def measure(
    model: Autoencoder,
    grammar: Grammar,
    trained: Sequence[str],
    held_out: Sequence[str],
    n_samples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """The figures of a model of lines.

    Args:
        model: trained.
        grammar: by which a line is valid; the model's own may be looser.
        trained, held_out: lines.
        n_samples: drawn from each density.
        seed: of the draws.

    Returns:
        "reconstructed", the share of the held-out lines that come back whole from their mean codes;
        "nll" at one draw and "kl" (where there is one, without its weight), nats a held-out line;
        "samples", for
        N(0, I), a Gaussian and a mixture of ten the shares "valid", "unique" (of the valid) and
        "new" (of the unique: not trained on); "midpoints", the valid share halfway between
        the codes of two held-out lines.
    """
    own = grammar_of(model)
    x, x_test = (own.encode(part, model.image_shape[0]) for part in (trained, held_out))
    q = cast(Any, model.codes(x_test))
    back = own.decode(model.images(q.mean))
    nats = model.loss_terms(x_test.float() / 255, generator_of(seed))
    kl = {"kl": q.kl_to_standard_normal().mean().item()} if "kl" in nats else {}
    halfway = (q.mean + q.mean.roll(1, 0)) / 2
    fitted = {
        "N(0, I)": densities.StandardNormal(),
        "Gaussian": densities.Gaussian(),
        "mixture": densities.GaussianMixture(10),
    }
    codes = model.codes(x)
    samples = {}
    for name, density in fitted.items():
        z = density.fit_codes(codes, seed).sample(n_samples, seed + 1)
        samples[name] = _shares(own.decode(model.images(z)), grammar, set(trained))
    return {
        "reconstructed": sum(a == b for a, b in zip(back, held_out, strict=True)) / len(back),
        "nll": nats["nll"].mean().item(),
        **kl,
        "samples": samples,
        "midpoints": _shares(own.decode(model.images(halfway)), grammar, set())["valid"],
    }


def _shares(drawn: list[str | None], grammar: Grammar, known: set[str]) -> dict[str, float]:
    valid = [line for line in drawn if line is not None and is_valid(line, grammar)]
    unique = set(valid)
    return {
        "valid": len(valid) / len(drawn),
        "unique": len(unique) / max(len(valid), 1),
        "new": len(unique - known) / max(len(unique), 1),
    }


@door
def is_valid(line: str, grammar: Grammar) -> bool:
    """Whether a grammar derives a line, and in one way alone."""
    try:
        grammar.parse(line)
    except ValueError:
        return False
    return True
