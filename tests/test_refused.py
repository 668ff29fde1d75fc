"""What is refused: each kind of input that nobody can mean, at every door that it may come to, with
words that say what to do.
"""

import inspect
import os
import signal
from dataclasses import fields

import numpy as np
import pytest
import torch

import vaelab
from vaelab import (
    cli,
    data,
    densities,
    estimators,
    experiments,
    features,
    grammar,
    interpolation,
    likelihoods,
    lines,
    manifolds,
    metrics,
    models,
    networks,
    plots,
    posteriors,
    priors,
    terms,
    theory,
    toys,
    training,
)
from vaelab._files import CheckpointError

HUGE = 10**12
ROWS = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)


def refused(capsys, *arguments):
    """What a command that ends in status 2 says."""
    assert cli.main([str(argument) for argument in arguments]) == 2
    return capsys.readouterr().err.removeprefix("vaelab: error: ").strip()


def small(**more):
    """The smallest estimator of two stages."""
    made = {"hidden": (4,), "second_hidden": (4,), "epochs": 1, "second_epochs": 1, **more}
    return estimators.TwoStageVAE(latent_dim=2, device="cpu", random_state=0, **made)


@pytest.fixture(scope="module")
def fitted():
    """It, fitted."""
    return small().fit(ROWS)


@pytest.fixture
def run_without_fields(tmp_path):
    """A folder of a model under a checksum that holds, whose run.json is not a run's."""
    images = vaelab.load_images("digits")
    model = models.vae(networks.mlp(images.shape, 2, hidden=(4,)))

    def write(**record):
        return vaelab.save(tmp_path / "run", model, run=record)

    return write


# ---- more than fits into memory

SIZES = {
    "sample": lambda m: m.sample(HUGE),
    "score": lambda m: m.score_samples(ROWS, n_draws=HUGE),
    "density": lambda m: m.density_.sample(HUGE),
    "prior": lambda m: priors.StandardNormal().sample(HUGE, 2),
    "midpoints": lambda m: interpolation.midpoints(torch.eye(3), HUGE),
    "codes": lambda m: estimators.TwoStageVAE(latent_dim=10**9).fit(ROWS),
    "beyond": lambda m: estimators.VAE(latent_dim=2**62).fit(ROWS),
    "hidden": lambda m: estimators.VAE(hidden=(10**9,)).fit(ROWS),
    "second": lambda m: small(second_hidden=(10**9, 10**9)).fit(ROWS),
    "network": lambda m: networks.mlp(3, 10**12),
    "density's": lambda m: densities.SecondStage((10**9, 10**9)).fit_codes(
        posteriors.Point(torch.eye(3))
    ),
}


@pytest.mark.parametrize("name", SIZES)
def test_what_no_memory_holds_is_refused_in_one_way(name, fitted):
    with pytest.raises(ValueError, match=r"(needs .*GB of memory|out of memory).*; give "):
        SIZES[name](fitted)


@pytest.mark.parametrize("name", [name for name in networks.MAKERS if name != "sequence"])
def test_sizes_are_counted_without_moving_a_weight(name):
    with networks.seeded(0):
        counted = networks.for_shape(name, (3, 32, 32), 2, {})
        after = torch.rand(1)
    with networks.seeded(0):
        made = networks.MAKERS[name](*[(3, 32, 32)] if name == "mlp" else (3, 32), latent_dim=2)
        assert torch.equal(after, torch.rand(1))
    for one, other in zip(counted.parameters(), made.parameters(), strict=True):
        assert torch.equal(one, other)


# ---- settings of a training run

WRONG = (None, "", "a", [], [1, 2], {}, -1, float("nan"), 10**400, 2j, object(), np.arange(2))
MEANT = {"batch_size": "None", "checkpoint": "'a'"}  # What of these a setting may be, too.
NAMES = [field.name for kind in (training.Plan, training.Session) for field in fields(kind)]


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("label", "extends", "validation")])
def test_a_setting_that_means_nothing_is_named(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    model = models.vae(networks.mlp(3, 2, hidden=(4,)))
    default = inspect.signature(training.fit).parameters[name].default
    for value in WRONG:
        if repr(value) in (repr(default), MEANT.get(name)):
            continue
        options = {"epochs": 1, "device": "cpu", "progress": False, name: value}
        with pytest.raises((ValueError, TypeError, OSError), match=f"^{name}[: ]"):
            training.fit(model, torch.tensor(ROWS), **options)


# ---- a folder, or a pipe, in the place of a file


@pytest.mark.skipif(os.name != "posix", reason="pipes")
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_told_from_one(make, run_without_fields, tmp_path, capsys):
    table, profile = experiments.TABLES["dai-wipf-1"], experiments.PROFILES["quick"]
    [cell, *_] = experiments.cells_of(table, profile, ("digits",))
    path = tmp_path / "results" / cell.path
    path.parent.mkdir(parents=True)
    make(path)
    told = r"expected a file, found a (folder|pipe or a device); move it away$"
    place = experiments.Place(out=tmp_path / "results")
    assert "expected a file, found a " in experiments.read_table([cell], place)[0].failed
    folder = run_without_fields()
    make(folder / "history.csv")
    assert "expected a file, found a " in refused(capsys, "show", folder)
    make(tmp_path / "state")
    with pytest.raises(CheckpointError, match=told):
        vaelab._files.read_state(tmp_path / "state")


# ---- a run.json under its checksum, without what a run writes

FIELDS = (
    {"settings": {}, "results": {}, "data": {}},
    {"settings": {}, "results": {}, "data": {"name": "digits"}},
    {"settings": [], "results": [], "data": []},
    {"settings": 3, "results": "x", "data": "digits"},
    {"settings": {"gamma": 3}, "results": {"gamma": "x"}, "data": {"name": 3}, "history": 3},
)


@pytest.mark.parametrize("record", FIELDS)
def test_a_run_that_lacks_fields_is_no_checkpoint_of_a_run(record, run_without_fields, capsys):
    folder = run_without_fields(**record)
    assert "run.json is not as `vaelab train` writes it" in refused(capsys, "show", folder)
    wrong = refused(capsys, "train", "digits", "--out", folder)
    assert "run.json is not as `vaelab train` writes it" in wrong
    if record["data"] != {"name": "digits"}:
        assert "run.json names no data set" in refused(capsys, "encode", folder)


@pytest.mark.parametrize("text", ["a,b\n", "stage,epoch,loss,gamma\nfirst,1,x,1\n", b"\xff"])
def test_a_damaged_history_is_named(text, run_without_fields, capsys):
    folder = run_without_fields()
    (folder / "history.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert f"{folder / 'history.csv'} is damaged (" in refused(capsys, "show", folder)


# ---- names and addresses


def test_a_wrong_data_set_is_told_the_right_ones(capsys):
    wrong = refused(capsys, "train", "expresions")
    assert wrong.startswith("data set: expected one of 'digits', ")
    assert "'expressions' or the path of a folder of pictures, got 'expresions'" in wrong
    assert wrong.endswith("did you mean 'expressions'?")
    with pytest.raises(ValueError, match="'celeba' or the path of a folder of pictures, got 'mnis"):
        data.load_images("mniste")
    assert "expressions) or a folder of pictures, got './x'" in refused(capsys, "train", "./x")


@pytest.mark.parametrize("wrong", ["a b", "/a\n", "/ä/", "/a?b", "/a#b", '/"', "/<a>"])
def test_a_base_url_is_the_path_of_an_address(wrong, capsys, monkeypatch):
    monkeypatch.setattr("vaelab.apps.dashboards.serving.serve", lambda line: 0)
    said = refused(capsys, "dashboards", "--base-url", wrong)
    assert said.startswith("--base-url: expected the path of an address, such as /hub/user/ada/")


# ---- SIGTERM


@pytest.mark.skipif(os.name != "posix", reason="SIGTERM")
@pytest.mark.parametrize(
    ("command", "place"),
    [
        (("train", "digits"), "vaelab.data.load_images"),
        (("train", "digits", "--epochs", 1, "--second-epochs", 1), "vaelab.experiments.measure"),
        (("table", "dai-wipf-1", "--data-set", "digits"), "vaelab.experiments.run_table"),
        (("search", "expressions", "--target", "x"), "vaelab.grammar.draw_lines"),
        (("demo",), "vaelab.experiments.demo"),
    ],
)
def test_sigterm_ends_a_command_as_ctrl_c_does(command, place, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(place, lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    handler = signal.getsignal(signal.SIGTERM)
    assert cli.main([str(word) for word in command]) == 130
    assert capsys.readouterr().err.endswith("\nstopped\n")
    assert signal.getsignal(signal.SIGTERM) == handler


# ---- whole numbers that float32 has not


def test_whole_numbers_of_every_width_are_kept_as_they_are_in_a_file(tmp_path):
    for dtype in (np.int32, np.uint32, np.int64, np.uint64):
        rows = np.memmap(tmp_path / "rows", dtype, "w+", shape=(20, 3))
        rows[:] = 2**24 + 1
        rows[0] = 2**24 + 3
        model = small().fit(rows)
        assert model.range_.tolist() == [[2**24 + 1] * 3, [2**24 + 3] * 3]


# ---- what the other public functions are given


def arc():
    """A manifold with a global chart."""
    return manifolds.manifold("arc")


BEYOND_FLOAT = np.array([[10**400] * 2] * 3, dtype=object)
LARGE = np.eye(3) * 1e300
DOTS = torch.rand(4, 1, 2, 2)
FLAT = models.vae(networks.mlp(3, 2, (4,)))
GAUSSIAN = densities.Gaussian().fit_codes(posteriors.Point(torch.eye(2)))
CALLS = {
    "numbers that no float holds": lambda: metrics.energy_distance(BEYOND_FLOAT, BEYOND_FLOAT),
    "rows that no float holds": lambda: small().fit(BEYOND_FLOAT),
    "squares that no float holds": lambda: metrics.frechet_distance(LARGE, LARGE),
    "errors that no float holds": lambda: metrics.mean_squared_error(LARGE, -LARGE),
    "draws": lambda: metrics.direction_variance(torch.sin, torch.eye(3), n_draws=HUGE),
    "bins": lambda: metrics.eigenvalue_counts([0.5], bins=HUGE),
    "shuffles": lambda: metrics.energy_test(np.eye(3), np.eye(3), shuffles=HUGE),
    "projections": lambda: metrics.sliced_wasserstein(np.eye(3), np.eye(3), HUGE),
    "angles": lambda: metrics.precision_recall(np.eye(3), np.eye(3), 2, n_angles=HUGE),
    "clusters": lambda: metrics.precision_recall(np.eye(3), np.eye(3), n_clusters="a"),
    "scales": lambda: metrics.imq(scales=[1.0, -1.0]),
    "no scales": lambda: metrics.imq(scales=3),
    "codes": lambda: interpolation.midpoints("abc", 3),
    "a way": lambda: interpolation.midpoints(torch.eye(3), 3, way=""),
    "nodes": lambda: manifolds.bimodal().nodes(-1),
    "nodes of a product": lambda: manifolds.density("open_square", 2).nodes(None),
    "corners": lambda: manifolds.uniform(torch.zeros(1, device="meta"), (1.0,)),
    "short floats": lambda: theory.inverse_root(torch.ones(4, 3, 2, dtype=torch.float16)),
    "an interval": lambda: theory.wilson_interval(3, 10, z=-1.0),
    "seeds": lambda: toys.members(arc(), 2, n_seeds=HUGE),
    "a grammar": lambda: grammar.draw_lines("expressions", 3, 6),
    "a length": lambda: grammar.draw_lines(grammar.expressions(), 3, HUGE),
    "rules": lambda: grammar.Grammar('S -> "a"', joint=np.zeros(2)),
    "a warning": lambda: grammar.Grammar('S -> "a"', warn="no"),
    "points": lambda: grammar.distance_to("x", points=[]),
    "a line": lambda: lines.is_valid(None, grammar.expressions()),
    "scores": lambda: lines.normal_scores(np.array([1.0, np.nan])),
    "a mean": lambda: lines.expected_improvement(np.array([np.nan]), np.ones(1), 0.0),
    "a count of lines": lambda: lines.split(-1, lines.LinePlan()),
    "transforms": lambda: densities.Flow(transforms="six"),
    "widths": lambda: densities.Flow(hidden=3),
    "a rule": lambda: densities.SecondStage(gamma=None),
    "a switch": lambda: densities.SecondStage(standardise="yes"),
    "a prior": lambda: densities.ModelPrior("normal"),
    "a name": lambda: densities.named(None, priors.StandardNormal()),
    "posteriors": lambda: densities.Gaussian().fit_codes(None),
    "posteriors of a flow": lambda: densities.Flow().fit_codes(torch.eye(3)),
    "a model": lambda: densities.log_prob_mc(None, torch.eye(3)),
    "a folder": lambda: vaelab.load(None),
    "a place": lambda: vaelab.save(3, None),
    "a root": lambda: data.load_images("mnist", root=3),
    "a data set": lambda: data.load_images(["digits"]),
    "a stack": lambda: grammar.expressions().step(0, 0),
    "a rule of a grammar": lambda: grammar.expressions().step([0], 1.5),
    "numbers of rules": lambda: grammar.expressions().write(torch.tensor(3)),
    "a rule in a line": lambda: grammar.expressions().tree([0, np.nan]),
    "lines": lambda: grammar.expressions().encode(3),
    "rule numbers": lambda: grammar.expressions().decode(None),
    "a grammar's tables": lambda: grammar.tables("S"),
    "a grammar's lines": lambda: grammar.derivations(None),
    "a grammar of a file": lambda: grammar.read_lines("x", grammar=3),
    "the path of a file": lambda: grammar.read_text(b"x"),
    "a classifier": lambda: features.accuracy(None, ROWS, [0]),
    "labels": lambda: features.accuracy(features.Classifier((1, 2, 2), 2), DOTS, [0, 1]),
    "the shape of a classifier": lambda: features.Classifier((1, -2, 2), 2),
    "components": lambda: features.PrincipalComponents(DOTS, n_components=0),
    "pixels": lambda: data.unit(None),
    "a stream": lambda: data.load_images("digits", stream="no"),
    "a root that is not used": lambda: data.load_images("digits", root=3),
    "a ground": lambda: data.load_images("digits", background=10**400),
    "columns": lambda: plots.image_grid(DOTS, columns=0),
    "a scale of pixels": lambda: plots.to_png(np.zeros((2, 2)), scale=1.5),
    "eigenvalues": lambda: plots.eigenvalue_histogram(None, []),
    "widths in no order": lambda: networks.mlp(3, 2, {4, 8}),
    "widths that are read once": lambda: networks.mlp(3, 2, (n for n in (4, 8))),
    "an empty shape": lambda: networks.mlp((), 2),
    "no shape": lambda: networks.for_shape("mlp", None, 2, {}),
    "a maker": lambda: networks.for_shape(3, (3,), 2, {}),
    "options": lambda: models.build("vae", networks.mlp(3, 2), [1]),
    "a function of the catalogue": lambda: models.build(None, networks.mlp(3, 2), {}),
    "a full covariance": lambda: models.vae(networks.mlp(3, 2), full="no"),
    "a shape without a half": lambda: models.upper_half(None),
    "no scales of a term": lambda: terms.MMD(scales=[]),
    "no scales of a kernel": lambda: metrics.imq([]),
    "rules of no grammar": lambda: likelihoods.Rules("expressions"),
    "weights of VGG19": lambda: likelihoods.Perceptual("vgg19", path=3),
    "a density's model": lambda: densities.Gaussian().fit(None, ROWS),
    "a density's session": lambda: densities.Gaussian().fit(FLAT, ROWS, session=None),
    "a density's codes": lambda: GAUSSIAN.log_prob([[0.0, np.inf]]),
    "codes of another dimension": lambda: GAUSSIAN.log_prob(torch.zeros(4, 3)),
    "a seed of codes": lambda: GAUSSIAN.sample(3, seed="a"),
    "stages": lambda: densities.fit_second_stages(None, [], []),
    "a sample of codes": lambda: densities.draw(None, 0),
    "a plan": lambda: training.fit_plan(FLAT, ROWS, None),
    "a session": lambda: training.fit_plan(FLAT, ROWS, training.Plan(1), session=0),
    "a plan of several": lambda: training.fit_together([FLAT], ROWS, None, seeds=[0]),
    "seeds of several": lambda: training.fit_together([FLAT], ROWS, training.Plan(1), seeds=0),
    "a part that stands alone": lambda: vaelab.checkpoints.makers(terms.KL),
    "how much is told": lambda: estimators.VAE(verbose="no").fit(ROWS),
    "codes that are no numbers": lambda: FLAT.images([[0, np.nan]]),
    "no rows at once": lambda: FLAT.codes(ROWS, batch_size=0),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_means_nothing_is_refused_in_words(name):
    with pytest.raises((ValueError, TypeError), match=r"expected|needs .* GB of memory"):
        CALLS[name]()


def test_a_large_weight_of_recall_leaves_recall():
    assert metrics.f_score([0.5, 1.0], [0.5, 0.25], beta=1e200) == 0.5
    assert metrics.eigenvalue_counts([1e60, 0.1], bins=2).tolist() == [0.5, 0.5]
