import json

import numpy as np
import pytest
import tensorflow as tf

from keras_vae import exporters, likelihoods, networks, posteriors, priors
from tests.exporters.page import (
    SHOWN,
    assert_shows,
    decoded,
    described,
    latents,
    pixels,
    shown,
)
from tests.exporters.support import make_model


@pytest.mark.thorough
def test_conditions_and_addresses(runtime, browse, tmp_path):
    model = make_model(condition_shape=(4,))
    names = ["zero", "one", "two", "<b>three</b>"]
    manifest = exporters.export_web(model, tmp_path, labels=names, runtime=runtime)
    result = browse(
        tmp_path,
        manifest,
        [
            *shown(),
            ["see", "location.hash"],
            ["click", "#condition label:nth-child(4)"],
            *shown(),
            ["see", "document.querySelector('#condition label:last-child').innerText"],
        ],
        address="#z=0.5,-1.25,7&label=2",
    )
    assert result["errors"] == []
    seen = result["seen"]
    z = [0.5, -1.25, 7]
    for text, label, picture in (seen[:3], seen[4:7]):
        assert latents(text).tolist() == z
        assert_shows(model, picture, z, label)
    assert [seen[1], seen[5]] == [2, 3]
    assert seen[3] == "#z=0.5,-1.25,7&label=2"
    assert seen[7] == names[3]


@pytest.mark.thorough
def test_colours_and_ranges(runtime, browse, tmp_path):
    model = make_model(event_shape=(6, 9, 3), likelihood=likelihoods.Normal(0.1))
    x = np.random.default_rng(0).uniform(-2, 3, [5, 6, 9, 3]).astype("float32")
    manifest = exporters.export_web(model, tmp_path, data=x, runtime=runtime)
    result = browse(tmp_path, manifest, shown())
    z, _, picture = result["seen"]
    level = (decoded(model, latents(z)) - x.min()) / (x.max() - x.min())
    got = np.reshape(picture[2], [6, 9, 4])[..., :3]
    assert np.max(np.abs(got - 255 * np.clip(level, 0, 1))) <= 1
    assert np.ptp(got, axis=-1).max() > 5  # of colours


@pytest.mark.slow
def test_curves_and_sound(runtime, browse, tmp_path):
    model = make_model(
        event_shape=(400,), encoder=networks.MLP([8]), likelihood=likelihoods.Normal()
    )
    manifest = exporters.export_web(model, tmp_path, sample_rate=4000, runtime=runtime)
    result = browse(
        tmp_path,
        manifest,
        [
            *shown(),
            ["see", "document.getElementById('play').textContent"],
            ["click", "#play"],
            ["until", "#play", "Stop"],
            ["until", "#play", "Play"],
        ],
    )
    assert result["errors"] == []
    z, _, (width, height, data), button = result["seen"]
    assert button == "Play"
    # The curve: in each column, the middle of its colour against the value there.
    rgba = np.reshape(data, [height, width, 4])
    blue = (rgba[..., 3] > 200) & (rgba[..., 2] > rgba[..., 0] + 60)
    display, wanted = described(tmp_path)["display"], decoded(model, latents(z))
    share = (wanted - display["low"]) / (display["high"] - display["low"])
    for step in range(2, 398, 7):
        column = round(16 + step / 399 * (width - 32))
        near = share[step - 2 : step + 3]
        rows = np.flatnonzero(blue[:, column])
        ends = height - 16 - np.array([near.max(), near.min()]) * (height - 32)
        assert rows.size > 0
        assert ends[0] - 4 <= rows.mean() <= ends[1] + 4


def make_table(**changes):
    columns = {
        "age": likelihoods.Normal("learned"),
        "<b>town</b>": likelihoods.Categorical(5),
        "smoker": likelihoods.Bernoulli(),
        "income": likelihoods.LogNormal("learned"),
        "visits": likelihoods.Poisson(),
    }
    model = make_model(
        event_shape=(5,), likelihood=likelihoods.Columns(columns), missing="nan", **changes
    )
    rng = np.random.default_rng(0)
    x = np.stack(
        [
            rng.normal(-40, 12, 300),
            rng.integers(5, size=300),
            rng.integers(2, size=300),
            np.exp(rng.normal(10, 0.5, 300)),
            rng.poisson(3, 300),
        ],
        axis=1,
    ).astype("float32")
    model.likelihood.adapt(x)
    return model, x


@pytest.mark.slow
def test_tables(runtime, browse, tmp_path):
    model, x = make_table()
    manifest = exporters.export_web(model, tmp_path, data=x, runtime=runtime)
    told = described(tmp_path)["display"]
    assert told["columns"] == list(model.likelihood.columns)
    bounded = [told["low"][1:3], told["high"][1:3]]
    assert bounded == [[0, 0], [4, 1]]  # whatever the data are
    np.testing.assert_allclose(np.delete(told["low"], [1, 2]), x.min(0)[[0, 3, 4]])
    np.testing.assert_allclose(np.delete(told["high"], [1, 2]), x.max(0)[[0, 3, 4]])
    listed = """Array.from(document.querySelectorAll("#columns tr"),
        (row) => Array.from(row.children, (cell) => cell.innerText))"""
    views = [["see", SHOWN], ["see", listed], pixels()]
    result = browse(tmp_path, manifest, [["click", "#sample"], *views] * 4)
    assert result["errors"] == []
    seen = result["seen"]
    rows = set()
    for z, cells, (width, height, data) in zip(seen[::3], seen[1::3], seen[2::3]):
        wanted = decoded(model, latents(z))
        names, words = zip(*cells)
        assert list(names) == told["columns"]
        rows.add(words)
        values = np.array([float(word.replace("\N{MINUS SIGN}", "-")) for word in words])
        # Four digits, half of the last of which is at most 5e-4 of the value; or whole numbers.
        np.testing.assert_allclose(values, wanted, rtol=6e-4)
        assert words[1] == str(int(wanted[1]))
        # Bars: from the bottom up to where the value is between its column's ends.
        rgba = np.reshape(data, [height, width, 4])
        blue = (rgba[..., 3] > 200) & (rgba[..., 2] > rgba[..., 0] + 60)
        share = (wanted - told["low"]) / np.subtract(told["high"], told["low"])
        for column, top in enumerate(np.clip(share, 0, 1)):
            middle = round(16 + (column + 0.5) / 5 * (width - 32))
            assert blue[:, middle].sum() == pytest.approx(top * (height - 32), abs=4)
    assert len(rows) > 1


def test_ranges_of_columns_without_data(tmp_path):
    model, _ = make_table()
    exporters.export_web(model, tmp_path)
    told = described(tmp_path)
    assert "rows of 5 columns" in told["subtitle"]
    low, high = (np.array(told["display"][end]) for end in ("low", "high"))
    assert np.all(low < high)
    # Of what is decoded: ages and incomes do not share their ends.
    assert -120 < low[0] < high[0] < 40
    assert high[3] > 1000


def test_a_column_that_was_never_observed(tmp_path):
    model, x = make_table()
    x[:, 0] = np.nan
    exporters.export_web(model, tmp_path, data=x)
    told = described(tmp_path)["display"]
    assert (told["low"][0], told["high"][0]) == (0, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "decoder",
    [
        networks.MLP([16]),
        pytest.param(
            networks.RecurrentDecoder([8], autoregressive=True, vocabulary=5),
            marks=pytest.mark.thorough,
        ),
    ],
    ids=["at once", "one by one"],
)
def test_text(runtime, browse, tmp_path, decoder):
    model = make_model(
        event_shape=(12, 1),
        encoder=networks.MLP([8]),
        decoder=decoder,
        likelihood=likelihoods.Categorical(5, end_token=4),
    )
    vocabulary = ["a", "b", "c", "<b>", ""]
    manifest = exporters.export_web(model, tmp_path, vocabulary=vocabulary, runtime=runtime)
    words = "document.getElementById('text').textContent"
    result = browse(
        tmp_path, manifest, [["click", "#sample"], ["see", SHOWN], ["see", words]] * 6
    )
    assert result["errors"] == []
    seen = result["seen"]
    texts = set()
    for z, text in zip(seen[::2], seen[1::2]):
        tokens = decoded(model, latents(z))[:, 0].astype(int).tolist()
        stop = tokens.index(4) if 4 in tokens else 12
        assert text == " ".join(vocabulary[token] for token in tokens[:stop])
        texts.add(text)
    assert len(texts) > 1


def test_ranges_of_other_priors(tmp_path):
    model = make_model(prior=priors.Laplace(scale=2.0))
    exporters.export_web(model, tmp_path)
    told = described(tmp_path)
    # Of a Laplace distribution, one in 740 is beyond scale * log(1 / 0.0027).
    np.testing.assert_allclose(told["latent"]["high"], 2 * np.log(1 / 0.0027), rtol=0.3)
    np.testing.assert_allclose(told["latent"]["low"], -2 * np.log(1 / 0.0027), rtol=0.3)


class PythonPrior(priors.NormalMixture):
    """Calls back into Python, which no file can hold."""

    def sample(self, noise, context):
        z = super().sample(noise, context)
        return tf.ensure_shape(tf.py_function(lambda z: z, [z], z.dtype), z.shape)


def test_why_there_is_no_button_that_samples(tmp_path):
    model = make_model(prior=PythonPrior(components=2))
    manifest = exporters.export_web(model, tmp_path)
    assert set(manifest.signatures) == {"decode"}
    assert set(manifest.left_out) == {"generate"}
    assert "no op for 'EagerPyFunc'" in manifest.left_out["generate"]
    assert "Nothing was written" not in manifest.left_out["generate"]
    stored = json.loads((tmp_path / "manifest.json").read_text())["targets"]["web"]
    assert stored["left_out"] == described(tmp_path)["left_out"] == manifest.left_out


@pytest.mark.thorough
def test_no_button_for_a_prior_that_onnx_cannot_hold(runtime, browse, tmp_path):
    model = make_model(prior=PythonPrior(components=2))
    manifest = exporters.export_web(model, tmp_path, runtime=runtime)
    assert set(manifest.signatures) == {"decode"}
    hidden = "document.getElementById('sample').hidden"
    said = "document.getElementById('no-sample').innerText"
    result = browse(tmp_path, manifest, [["see", hidden], ["see", said], *shown()])
    assert result["errors"] == []
    hidden, said, z, _, picture = result["seen"]
    assert hidden
    assert said == f"No button samples: {manifest.left_out['generate']}"
    assert_shows(model, picture, latents(z))


@pytest.mark.thorough
def test_one_latent(runtime, browse, tmp_path):
    model = make_model(posterior=posteriors.DiagonalNormal(latent_dim=1))
    manifest = exporters.export_web(model, tmp_path, runtime=runtime)
    hidden = ["see", "document.getElementById('map').hidden"]
    result = browse(tmp_path, manifest, [hidden, ["press", "#z0", "End", 1], *shown()])
    assert result["errors"] == []
    assert result["seen"][:2] == [True, "z = [3]"]
    assert_shows(model, result["seen"][3], [3])


@pytest.mark.thorough
def test_samples_of_a_prior_of_labels(runtime, browse, tmp_path):
    model = make_model(prior=priors.ConditionalNormal(units=[8]), condition_shape=(2,))
    for variable in model.prior.trainable_variables:
        variable.assign(8 * variable if "kernel" in variable.name else 0 * variable - 2)
    manifest = exporters.export_web(model, tmp_path, runtime=runtime)
    draws = 30
    each = [["click", "#sample"], ["see", SHOWN]] * draws
    result = browse(
        tmp_path, manifest, [*each, ["click", "#condition label:nth-child(2)"], *each]
    )
    assert result["errors"] == []
    z = np.array([latents(text) for text in result["seen"]]).reshape([2, draws, 3])
    for label, drawn in enumerate(z):
        p = model.prior.distribution(
            model.context(condition=np.eye(2, dtype="float32")[[label]])
        )
        standardised = (drawn - p.mean()) / p.stddev()
        # Five standard errors.
        assert np.max(np.abs(np.mean(standardised, axis=0))) < 5 / np.sqrt(draws)
        assert abs(np.std(standardised) - 1) < 5 / np.sqrt(2 * 3 * draws)


@pytest.mark.thorough
def test_samples_of_a_prior_with_modes(runtime, browse, tmp_path):
    prior = priors.NormalMixture(components=2)
    model = make_model(prior=prior)
    means = np.array([[-4, 4, 0], [4, 4, 0]], "float32")
    prior.loc.assign(means)
    prior.logits.assign(np.log([0.2, 0.8]))
    prior.raw_scale.assign(np.full([2, 3], -2.0))  # scales of 0.13
    manifest = exporters.export_web(model, tmp_path, runtime=runtime)
    assert set(manifest.signatures) == {"decode", "generate"}
    assert manifest.left_out == {}
    draws = 40
    no_note = ["see", "document.getElementById('no-sample').hidden"]
    result = browse(
        tmp_path, manifest, [*[["click", "#sample"], ["see", SHOWN]] * draws, no_note, pixels()]
    )
    assert result["errors"] == []
    *texts, no_note, picture = result["seen"]
    assert no_note
    z = np.array([latents(text) for text in texts])
    assert_shows(model, picture, z[-1])
    distances = np.linalg.norm(z[:, None] - means, axis=-1)
    assert np.max(np.min(distances, axis=1)) < 1
    # Five standard errors.
    assert abs(np.mean(np.argmin(distances, axis=1)) - 0.8) < 5 * 0.4 / np.sqrt(draws)
    assert described(tmp_path)["latent"]["low"][0] == pytest.approx(-4.35, abs=0.2)
