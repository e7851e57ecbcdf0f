"""A report holds what the measures say one by one, and says why others are missing."""

import json
import re
import sys

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import evaluation, likelihoods, networks, posteriors
from keras_vae.evaluation.reporting import measuring

QUIET = {"progress": False}


@pytest.fixture(scope="module")
def digits():
    images = keras_vae.data.load_digits()
    x_train = keras_vae.data.binarize(images.x_train, 0)
    return x_train, keras_vae.data.binarize(images.x_test, 0), images.y_test


@pytest.fixture(scope="module")
def trained(digits):
    keras.utils.set_random_seed(0)
    vae = keras_vae.VAE(
        networks.MLP([32]),
        networks.MLP([32]),
        posteriors.DiagonalNormal(3),
        likelihood=likelihoods.Bernoulli(),
        event_shape=(8, 8, 1),
        seed=0,
    )
    vae.compile("adam")
    vae.fit(digits[0], validation_data=digits[1], epochs=3, verbose=0)
    return vae


@pytest.fixture(scope="module")
def whole(trained, digits):
    """A report with all sections, of all test images."""
    x_train, x, labels = digits
    factors = np.stack([labels % 2, labels // 2], axis=1)
    return evaluation.report(trained, x, labels, factors, train=x_train, samples=20, **QUIET)


def test_sections_are_those_of_the_single_measures(whole, trained, digits):
    _, x, labels = digits
    x = x[np.random.default_rng(0).permutation(len(x))]
    assert not whole.left_out
    assert whole.settings["examples"] == len(x)
    marginal = evaluation.log_marginal(trained, x, samples=20, seed=0, progress=False)
    assert whole.likelihood.log_marginal.mean == marginal.mean
    rate = evaluation.rate_distortion(trained, x, seed=0)
    assert whole.likelihood.rate_distortion == rate
    summary = evaluation.latent_summary(trained, x)
    np.testing.assert_array_equal(whole.latents.kl, summary.kl)
    errors = evaluation.reconstruction_errors(x, trained.reconstruct(x))
    assert whole.reconstruction == pytest.approx({k: errors[k] for k in ("mse", "mae", "psnr")})
    ranks = evaluation.calibration(trained, x, **QUIET)
    np.testing.assert_array_equal(whole.calibration.shares, ranks.shares)
    assert whole.samples.drawn  # bits
    assert whole.samples.examples == len(x) - len(x) // 2
    assert whole.samples.copying is not None
    assert set(whole.factors) == set(
        evaluation.disentanglement(
            trained.encode(x), np.stack([np.arange(len(x)) % 2] * 2, 1), repeats=2
        )
    )
    codes, order = trained.encode(x), np.random.default_rng(0).permutation(len(x))
    labels, first = labels[order], int(2 / 3 * len(x))
    probed = evaluation.probe(codes[:first], labels[:first], codes[first:], labels[first:])
    assert whole.labels == probed
    assert whole.history["elbo"] == trained.history.history["elbo"]


def test_forms_say_the_same(whole, tmp_path):
    page = whole.save(tmp_path / "new")
    assert sorted(p.name for p in page.parent.iterdir()) == ["report.html", "report.json"]
    found = json.loads((page.parent / "report.json").read_text())
    html, text = page.read_text(), str(whole)
    assert len(whole.measures) > 30
    for measure in whole.measures:
        written = found["measures"][measure.section][measure.name]
        assert written["value"] == pytest.approx(measure.value)
        assert measure.text in text
        assert measure.text.replace("+-", "&plusmn;") in html
    assert found["kl"] == pytest.approx(whole.latents.kl.tolist())
    assert found["history"].keys() == whole.history.keys()


def test_pictures_are_in_the_page(whole):
    assert set(whole.pictures) == {
        "training",
        "reconstruction",
        "latents: map",
        "latents: KL",
        "latents: traversals",
        "calibration",
        "samples",
    }
    for picture in whole.pictures.values():
        assert picture.startswith(b"\x89PNG")
    html = whole.to_html()
    assert html.count("data:image/png;base64,") == len(whole.pictures)
    # Nothing is loaded from elsewhere, and nothing runs.
    assert not re.search(r"https?://|<script", html)


def test_names_are_escaped(whole):
    import dataclasses

    other = dataclasses.replace(whole, model={"class": "<script>alert(1)</script>"})
    assert "<script" not in other.to_html()


@pytest.mark.parametrize(
    ("value", "error", "unit", "expected"),
    [
        (-86.7654, 0.4321, "nats", "-86.77 +- 0.43 nats"),
        (0.5, None, "", "0.5"),
        (12345.6, None, "nats", "12,346 nats"),
        (1234.5, 25.0, "", "1234 +- 25"),
        (2.0, float("inf"), "", "2"),
    ],
)
def test_values_are_rounded_to_what_is_known(value, error, unit, expected):
    assert evaluation.Measure("a", "b", value, error, unit, "").text == expected


# What is left out.


def test_reasons_are_given(digits):
    vae = keras_vae.presets.Autoencoder(
        networks.MLP([8]),
        networks.MLP([8]),
        latent_dim=2,
        likelihood=likelihoods.Normal(),
        event_shape=(8, 8, 1),
    )
    found = evaluation.report(vae, digits[1][:20], np.zeros(20), samples=2, **QUIET)
    assert found.likelihood is None
    assert "no density" in found.left_out["likelihood"]
    assert "no density at any z" in found.left_out["latents"]
    assert found.left_out["labels"] == "labels are all the same"
    assert found.left_out["factors"] == "no factors were given"
    assert "too few" in found.left_out["samples"]
    assert "no history" in found.left_out["picture of training"]
    assert {m.section for m in found.measures} == {"reconstruction", "latents", "calibration"}
    assert "left out" in str(found)
    assert "too few" in found.to_html()
    json.loads(found.to_json())


def test_missing_values_leave_out_what_needs_all(rng):
    vae = keras_vae.VAE(
        networks.MLP([8]),
        networks.MLP([8]),
        posteriors.DiagonalNormal(2),
        likelihood=likelihoods.Normal(),
        event_shape=(4,),
        missing="nan",
    )
    x = rng.normal(size=(300, 4))
    x[rng.uniform(size=x.shape) < 0.3] = np.nan
    found = evaluation.report(vae, x, samples=5, **QUIET)
    missing = "data have missing values"
    assert found.left_out["samples"] == found.left_out["reconstruction"] == missing
    assert np.isfinite(found.likelihood.log_marginal.mean)
    assert np.isfinite(found.calibration.error)
    assert "latents: KL" in found.pictures


def test_tables_and_tokens_are_measured(rng):
    vae = keras_vae.VAE(
        networks.MLP([8]),
        networks.RecurrentDecoder([8]),
        posteriors.DiagonalNormal(2),
        likelihood=likelihoods.Categorical(4),
        event_shape=(5, 1),
    )
    x = rng.integers(0, 4, size=(300, 5, 1))
    found = evaluation.report(vae, x, samples=5, pictures=False, **QUIET)
    assert list(found.reconstruction) == ["accuracy"]
    assert 0 <= found.reconstruction["accuracy"] < 0.6
    assert "5 principal components" in found.samples.features
    assert not found.pictures


def test_conditions_go_with_their_examples(rng):
    vae = keras_vae.VAE(
        networks.MLP([8]),
        networks.MLP([8]),
        posteriors.DiagonalNormal(2),
        likelihood=likelihoods.Normal(),
        event_shape=(6, 6, 1),
        condition_shape=(3,),
    )
    x = rng.normal(size=(40, 6, 6, 1))
    labels = np.arange(40) % 3
    found = evaluation.report(vae, x, condition=labels, samples=2, max_examples=30, **QUIET)
    rows = np.random.default_rng(0).permutation(40)[:30]
    expected = vae.log_marginal(x[rows], condition=labels[rows], samples=2, seed=None)
    assert found.likelihood.log_marginal.values.shape == expected.shape
    assert "samples" in found.pictures
    with pytest.raises(ValueError, match="condition"):
        evaluation.report(vae, x, condition=labels[:5], **QUIET)


def test_interruption_keeps_what_there_is(trained, digits, monkeypatch):
    def interrupt(given):
        raise KeyboardInterrupt

    monkeypatch.setitem(measuring.SECTIONS, "calibration", interrupt)
    found = evaluation.report(trained, digits[1], samples=2, **QUIET)
    assert found.reconstruction is not None
    assert found.latents is not None
    for name in ("calibration", "likelihood", "samples", "factors"):
        assert found.left_out[name] == "interrupted"
    assert not found.pictures


def test_a_part_of_the_calibration_is_the_last_there_is(trained, digits, monkeypatch):
    part = evaluation.Calibration(np.full([50, 20], 0.05), interrupted=True)
    monkeypatch.setitem(measuring.SECTIONS, "calibration", lambda given: part)
    found = evaluation.report(trained, digits[1], samples=2, **QUIET)
    assert found.calibration is part
    assert found.left_out["likelihood"] == "interrupted"


def test_without_matplotlib_numbers_remain(trained, digits, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    found = evaluation.report(trained, digits[1][:50], samples=2, **QUIET)
    assert "keras-vae[plots]" in found.left_out["pictures"]
    assert found.likelihood is not None


def test_progress_names_sections(trained, digits, capsys):
    evaluation.report(trained, digits[1][:50], samples=2, pictures=False)
    said = capsys.readouterr()
    assert "measuring: likelihood" in said.err
    assert not said.out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.zeros(3)}, "`labels` must have one row for each of 20"),
        ({"factors": np.zeros([3, 2])}, "`factors` must have one row"),
        ({"samples": 0}, "samples"),
    ],
)
def test_bad_arguments_are_refused(trained, digits, changes, message):
    with pytest.raises(ValueError, match=message):
        evaluation.report(trained, digits[1][:20], **changes, **QUIET)


@pytest.mark.parametrize(
    ("labels", "factors", "reason"),
    [
        (
            np.array(["a", "b"])[np.arange(40) % 2],
            np.array(["x", "y"])[np.eye(40, 2, dtype=int)],
            None,
        ),
        (np.eye(2)[np.arange(40) % 2], np.arange(80).reshape(40, 2) % 3, None),
        (np.ones(40), np.ones((40, 2)), "labels are all the same"),
        ([None] * 40, np.full((40, 2), np.nan), "must not be missing"),
        (np.zeros((40, 3)), np.zeros((40, 2, 2)), "must be one label for each"),
        ([1, "a"] * 20, np.linspace(0, 1, 80).reshape(40, 2), None),
    ],
    ids=["words", "one-hot", "constant", "missing", "shapes", "mixed"],
)
def test_odd_labels_and_factors_do_not_end_a_report(rng, labels, factors, reason):
    vae = keras_vae.VAE(
        keras_vae.networks.MLP([4]),
        keras_vae.networks.MLP([4]),
        keras_vae.posteriors.DiagonalNormal(2),
        likelihood=keras_vae.likelihoods.Bernoulli(),
        event_shape=(6,),
    )
    x = rng.integers(0, 2, size=(40, 6))
    found = evaluation.report(vae, x, labels, factors, samples=5, progress=False)
    assert found.latents is not None
    assert reason is None or reason in found.left_out["labels"]
    assert (found.labels is None) == ("labels" in found.left_out)
    assert (found.factors is None) == ("factors" in found.left_out)
