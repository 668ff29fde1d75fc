"""The feature space is what it is called, gives the same numbers every time, and tells good samples
from bad ones.
"""

import dataclasses
import io
import json
import os
import sys
from importlib import resources

import pytest
import safetensors.torch
import torch

from vaelab import features, metrics
from vaelab.data import Images, load_images
from vaelab.features import (
    Classifier,
    PrincipalComponents,
    classifier,
    features_for,
    inception_v3,
    load_classifier,
    shipped,
    train_classifier,
)
from vaelab.features import __main__ as command
from vaelab.metrics import frechet_distance


@pytest.fixture(scope="module")
def digits():
    return load_images("digits")


@pytest.fixture(scope="module")
def space(digits):
    return features_for(digits)


@pytest.fixture(scope="module")
def pictures():
    """120 colour pictures of 10×12 pixels in two classes, reddish and bluish."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(120) % 2
    x = 0.5 * torch.rand(120, 3, 10, 12, generator=generator)
    x[torch.arange(120), 2 * y] += 0.3
    return Images("pictures", x[:100], x[100:], y[:100], y[100:], ("reddish", "bluish"), "Made up.")


# ---- the classifiers that ship


@pytest.mark.parametrize("name", ["digits", "shapes"])
def test_a_classifier_is_as_good_as_it_says(name):
    images, record = load_images(name), shipped.record_of(name)
    measured = features.accuracy(load_classifier(name), images.test, images.test_labels)
    assert measured == pytest.approx(
        record["test_accuracy"], abs=0.0041
    )  # two images, for another machine's rounding
    assert measured >= 0.98 and record["data"]["fingerprint"] == images.fingerprint()


def test_the_small_fashion_set_is_judged_by_the_classifier_of_the_whole(real_root):
    images = load_images("fashion-small")
    record, judge = shipped.record_of("fashion-small"), load_classifier("fashion-small")
    measured = features.accuracy(judge, images.test, images.test_labels)
    assert measured == pytest.approx(record["test_accuracy"], abs=0.0021) and measured >= 0.9
    whole = load_classifier("fashion").state_dict()
    assert all(torch.equal(whole[key], value) for key, value in judge.state_dict().items())
    assert features_for(images).name.startswith("fashion classifier (convolutional, 64 features")
    assert record["data"] == shipped.record_of("fashion")["data"]


@pytest.mark.parametrize(("name", "least"), [("mnist", 0.99), ("fashion", 0.91)])
def test_convolutional_classifiers_are_as_good_as_they_say(name, least, real_root):
    record, classifier, root = shipped.record_of(name), load_classifier(name), real_root
    assert record["test_accuracy"] >= least
    assert sum(p.numel() for p in classifier.parameters()) <= 110_000
    if root is None:
        assert classifier(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
        return
    images = load_images(name, root, download=False)
    measured = features.accuracy(classifier, images.test[:2000], images.test_labels[:2000])
    assert measured == pytest.approx(record["test_accuracy"], abs=0.02)
    assert images.classes == tuple(record["classes"])


@pytest.mark.parametrize("name", features.SHIPPED)
def test_shipped_weights_are_small_safe_and_finite(name):
    parent = features.TRAINED_ON.get(name, name)
    weights = resources.files("vaelab") / "weights" / f"{parent}.safetensors"
    content = weights.read_bytes()
    assert len(content) <= 450_000
    assert all(torch.isfinite(t).all() for t in safetensors.torch.load(content).values())
    record = shipped.record_of(name)
    assert (
        record["training"] == features.RECIPES[parent]
        and record["name"] == name
        and "torch" in record["versions"]
    )
    assert not any("/" in str(v) and "home" in str(v) for v in record.values())


def test_a_classifier_that_does_not_ship_is_refused():
    with pytest.raises(ValueError, match=r"name: .*did you mean 'mnist'"):
        load_classifier("minst")


def test_shipping_writes_what_loading_reads(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(features.RECIPES, "digits", {"epochs": 1})
    command.main(["digits", "--out", str(tmp_path), "--seed", "3"])
    assert "digits.safetensors: test accuracy" in capsys.readouterr().out
    record = json.loads((tmp_path / "digits.json").read_text(encoding="utf-8"))
    assert (
        record["seed"] == 3
        and record["training"] == {"epochs": 1}
        and record["made_by"].endswith("digits --seed 3")
    )
    again = train_classifier(load_images("digits"), seed=3, epochs=1)
    written = safetensors.torch.load_file(tmp_path / "digits.safetensors")
    assert all(torch.equal(written[key], value) for key, value in again.state_dict().items())
    assert not again.training


# ---- the network and its training


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 50, 40), (1, 1, 65), (3, 9, 31)]
)
def test_any_image_shape_gives_features(shape):
    net = Classifier(shape, 4).eval()
    x = torch.rand(2, *shape)
    assert net.features(x).shape == (2, net.n_features) and net(x).shape == (2, 4)
    assert torch.equal(net(x), net.head(net.features(x)))
    assert (net.features(x) >= 0).all()


def test_perceptron_has_the_layers_it_names():
    net = Classifier((1, 8, 8), 10)
    assert net.description == "64-128-32-10"
    assert sum(p.numel() for p in net.parameters()) == (64 * 128 + 128) + (128 * 32 + 32) + (
        32 * 10 + 10
    )


def test_large_images_are_averaged_down():
    small = torch.rand(2, 3, 32, 32)
    large = small.repeat_interleave(2, -1).repeat_interleave(3, -2)
    net = Classifier((3, 96, 64), 2).eval()
    assert torch.allclose(net.features(large), net.body(small), atol=1e-5)


def test_shifts_move_every_image_by_whole_pixels():
    x = torch.zeros(200, 1, 9, 9)
    x[:, 0, 4, 4] = 1
    moved = classifier._vary(x, 2, 0.0, torch.Generator().manual_seed(0))
    assert moved.shape == x.shape and torch.equal(moved.sum((1, 2, 3)), torch.ones(200))
    where = moved.nonzero()[:, 2:]
    assert where.min() == 2 and where.max() == 6 and len(where.unique(dim=0)) == 25


def test_noise_has_the_deviation_it_is_given():
    noisy = classifier._vary(torch.zeros(100, 1, 20, 20), 0, 0.3, torch.Generator().manual_seed(0))
    assert noisy.std().item() == pytest.approx(0.3, abs=5 * 0.3 / (2 * 40_000) ** 0.5)


def test_training_needs_labels(pictures):
    unlabelled = dataclasses.replace(pictures, train_labels=None, test_labels=None, classes=())
    with pytest.raises(ValueError, match=r"pictures: expected labelled images.*features_for"):
        train_classifier(unlabelled)
    with pytest.raises(ValueError, match="epochs"):
        train_classifier(pictures, epochs=0)


# ---- the spaces


def test_digits_are_measured_by_the_shipped_classifier(digits, space, monkeypatch):
    record = shipped.record_of("digits")
    assert (
        space.name
        == f"digits classifier (64-128-32-10, test accuracy {100 * record['test_accuracy']:.1f} %)"
    )
    assert space.n_features == 32 and not any("FID" in s.name for s in (space,))
    expected = load_classifier("digits").features(digits.test).detach()
    monkeypatch.setattr(features.FeatureSpace, "batch_size", 33)
    assert torch.allclose(space(digits.test), expected, atol=1e-5)


def test_bytes_are_pixels(space):
    pixels = torch.arange(128, dtype=torch.uint8).reshape(2, 1, 8, 8)
    torch.testing.assert_close(space(pixels), space(pixels / 255), rtol=0, atol=0)


def test_features_come_without_gradients_and_in_evaluation_mode(digits, space):
    space.network.train()
    x = digits.test[:4].clone().requires_grad_()
    assert not space(x).requires_grad and not space.network.training
    assert space(digits.test[:4].double()).dtype == torch.float32
    assert torch.equal(space(digits.test[:4].numpy()), space(digits.test[:4]))


def test_the_distance_ranks_what_the_eye_ranks(digits, space):
    generator = torch.Generator().manual_seed(0)
    real = space(digits.test)
    noise = 0.25 * torch.randn(digits.train.shape, generator=generator)
    floor = frechet_distance(space(digits.train), real)
    noisy = frechet_distance(space((digits.train + noise).clamp(0, 1)), real)
    shuffled = digits.train.flatten(1)[:, torch.randperm(64, generator=generator)].view_as(
        digits.train
    )
    assert (
        floor < 4 and floor < 0.3 * noisy and noisy < 0.3 * frechet_distance(space(shuffled), real)
    )


def test_one_missing_class_is_seen(digits, space):
    real = space(digits.test)
    without = frechet_distance(space(digits.train[digits.train_labels != 4]), real)
    assert without > 2 * frechet_distance(space(digits.train), real)


def test_train_images_are_no_closer_to_themselves_than_to_test_images(digits, space):
    order = torch.randperm(1297, generator=torch.Generator().manual_seed(0))
    a, b = space(digits.train[order[:797]]), space(digits.train[order[797:]])
    between = frechet_distance(space(digits.train[order[:797]]), space(digits.test))
    assert between < 1.6 * frechet_distance(
        a, b
    )  # the classifier has not learned the training images by heart


def test_resized_digits_get_a_classifier_of_their_own():
    resized = load_images("digits", side=4)
    small = dataclasses.replace(
        resized, train_pixels=resized.train_pixels[:300], train_labels=resized.train_labels[:300]
    )
    assert features_for(small).name.startswith(
        "classifier trained on 300 of digits (16-128-32-10, test accuracy"
    )


def test_a_labelled_folder_gets_a_classifier_that_learned_something(pictures):
    space = features_for(pictures)
    assert space.name.startswith(
        "classifier trained on 100 of pictures (convolutional, 64 features, test accuracy"
    )
    assert features.accuracy(space.network, pictures.test, pictures.test_labels) >= 0.9
    assert torch.equal(space(pictures.test), features_for(pictures)(pictures.test))


def test_pictures_without_labels_get_principal_components(pictures):
    unlabelled = dataclasses.replace(pictures, train_labels=None, test_labels=None, classes=())
    space = features_for(unlabelled)
    assert space.name == "64 principal components of the pixels"
    z = space(pictures.train).double()
    rows = pictures.train.flatten(1).double()
    eigenvalues = torch.linalg.eigvalsh(rows.T.cov()).flip(0)[:64]
    assert torch.allclose(z.T.cov(), torch.diag(eigenvalues), atol=1e-4)
    assert torch.allclose(z.mean(0), torch.zeros(64, dtype=torch.float64), atol=1e-4)


def test_components_are_no_more_than_there_can_be():
    assert PrincipalComponents(torch.rand(5, 1, 8, 8)).n_features == 4
    assert PrincipalComponents(torch.rand(50, 1, 2, 3)).n_features == 6
    assert PrincipalComponents(torch.rand(5, 3, 70, 60)).features(
        torch.rand(2, 3, 70, 60)
    ).shape == (2, 4)


def test_wrong_images_are_refused(space):
    with pytest.raises(ValueError, match=r"expected shape \(n, 1, 8, 8\).*got \(2, 1, 9, 9\)"):
        space(torch.zeros(2, 1, 9, 9))
    with pytest.raises(TypeError, match="floating-point"):
        space(torch.zeros(2, 1, 8, 8, dtype=torch.int64))
    with pytest.raises(ValueError, match="NaN"):
        space(torch.full((2, 1, 8, 8), float("nan")))


# ---- Inception


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """A file of random weights of Inception's shapes, and torch-fidelity's own network with
    them.
    """
    fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    pytest.importorskip("torchmetrics")

    class Untrained(fidelity.FeatureExtractorInceptionV3):
        def load_state_dict(self, state, **settings):
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(0)
                for layer in self.modules():
                    if isinstance(layer, torch.nn.Conv2d):
                        torch.nn.init.kaiming_normal_(layer.weight)

    torch.save({}, empty := io.BytesIO())
    empty.seek(0)
    network = Untrained("inception-v3-compat", ["2048", "logits_unbiased"], empty)
    path = tmp_path_factory.mktemp("weights") / "stand-in.pth"
    torch.save(network.state_dict(), path)
    return path, network


def test_inception_is_torch_fidelitys(stand_in):
    path, network = stand_in
    space = features.inception((3, 20, 24), path)
    assert (
        space.name
        == "Inception-v3 (2015-12-05), 2048 features, not the published weights but stand-in.pth"
    )
    x = torch.randint(
        0, 256, (3, 3, 20, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    theirs, logits = network(x)
    ours = space(x / 255)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert theirs.std(0).max() > 1e-2 * theirs.abs().max()  # the stand-in does look at its images
    torch.testing.assert_close(space.network.logits(ours), logits, rtol=1e-3, atol=1e-3)


def test_inception_takes_grey_images_and_scores_features(stand_in):
    space = features.inception((1, 8, 8), stand_in[0])
    grey = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    colour = dataclasses.replace(space, image_shape=(3, 8, 8))
    torch.testing.assert_close(space(grey), colour(grey.expand(-1, 3, -1, -1)))
    generator = torch.Generator().manual_seed(1)
    fake, real = torch.rand(2, 30, 2048, generator=generator)
    record = space.scores(fake, real)
    assert set(record) == {"kid", "kid_sd", "inception_score", "inception_score_sd"}
    assert (
        record["kid"] == metrics.kernel_distance(fake, real)[0] and record["inception_score"] >= 1
    )


def test_weights_that_cannot_be_had_are_a_clear_error(tmp_path, monkeypatch):
    pytest.importorskip("torch_fidelity")
    with pytest.raises(
        FileNotFoundError, match=r"expected a file, got .*, which is not there; fetch https://"
    ):
        features.inception((1, 8, 8), tmp_path / "none.pth")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(inception_v3, "URL", (tmp_path / "nothing").as_uri())
    with pytest.raises(
        FileNotFoundError, match=r"could not be downloaded.*give its path \(--weights FILE\)"
    ):
        features.inception((1, 8, 8), root=tmp_path)
    (tmp_path / "wrong").write_bytes(b"not what was asked for")
    monkeypatch.setattr(inception_v3, "URL", (tmp_path / "wrong").as_uri())
    with pytest.raises(FileNotFoundError, match=r"could not be downloaded .*invalid hash value"):
        features.inception((1, 8, 8), root=tmp_path)
    assert not list((tmp_path / "checkpoints").iterdir())


def test_weights_are_looked_for_under_the_data_root(stand_in, tmp_path):
    (tmp_path / "inception").mkdir()
    (tmp_path / "inception" / inception_v3.FILE).symlink_to(stand_in[0])
    assert features.inception((1, 8, 8), root=tmp_path).n_features == 2048


class Harmful:
    def __reduce__(self):
        return (os.mkdir, ("harm",))


def test_files_that_are_no_weights_are_refused_and_not_executed(tmp_path, monkeypatch):
    pytest.importorskip("torch_fidelity")
    monkeypatch.chdir(tmp_path)
    torch.save(Harmful(), tmp_path / "harmful.pth")
    torch.save({"a": torch.zeros(3)}, tmp_path / "other.pth")
    (tmp_path / "noise.pth").write_bytes(b"PK noise")
    messages = {
        "harmful": "more than tensors",
        "other": "does not hold Inception's weights",
        "noise": "is damaged",
    }
    for name, message in messages.items():
        with pytest.raises(ValueError, match=message):
            features.inception((1, 8, 8), tmp_path / f"{name}.pth")
    assert not (tmp_path / "harm").exists()


def test_inception_refuses_what_it_cannot_see(monkeypatch):
    with pytest.raises(
        ValueError, match="expected grey or RGB images for Inception, got 2 channels"
    ):
        features.inception((2, 8, 8))
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(ImportError, match=r"need torch-fidelity .*pip install 'vaelab\[metrics\]'"):
        features.inception((1, 8, 8))
