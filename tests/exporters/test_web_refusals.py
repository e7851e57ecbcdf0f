import numpy as np
import pytest

from keras_vae import exporters, likelihoods, networks, posteriors, priors
from tests.exporters.support import PythonCode, Untrue, contents, make_model


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, {"runtime": "nowhere"}, "npm install onnxruntime-web@1.30.0"),
        ({"event_shape": (4, 4, 2)}, {}, r"images of 1 or 3 channels. Received: .*\(4, 4, 2\)"),
        ({"event_shape": (2, 4, 4, 1)}, {}, r"exporters.export_onnx exports it"),
        ({"event_shape": (4, 4)}, {"sample_rate": 8000}, "one channel"),
        ({"event_shape": (4,)}, {"sample_rate": 100}, "from 3000 to 192000"),
        ({"event_shape": (4,)}, {"vocabulary": "ab"}, "a Categorical likelihood"),
        (
            {"event_shape": (4,), "likelihood": likelihoods.Categorical(3)},
            {"vocabulary": "ab"},
            "each of the 3 categories. Received: 2",
        ),
        (
            {"event_shape": (4,), "likelihood": likelihoods.Categorical(3)},
            {},
            "pass vocabulary=",
        ),
        ({"event_shape": (4,)}, {"vocabulary": "ab", "sample_rate": 8000}, "not both"),
        ({}, {"labels": ["a"]}, "the 0 elements of the model's condition"),
        ({"condition_shape": (2, 2)}, {}, "one-hot vectors. Received: .* shape"),
        ({}, {"data": np.zeros([1, 8, 8, 1])}, "at least two examples. Received: 1"),
        ({}, {"data": {"y": 1}}, "must be an array or hold 'x'"),
        (
            {"condition_shape": (2,)},
            {"data": {"x": np.zeros([2, 8, 8, 1]), "condition": np.full([2, 2], 0.5)}},
            "must hold labels",
        ),
    ],
)
def test_what_cannot_be_shown_leaves_nothing(tmp_path, changes, options, message):
    if len(changes.get("event_shape", ())) in (1, 2):
        changes = {**changes, "encoder": networks.MLP([8])}
    with pytest.raises(ValueError, match=message):
        exporters.export_web(make_model(**changes), tmp_path / "out", **options)
    assert list(tmp_path.iterdir()) == []


def test_latents_that_no_slider_can_move(tmp_path):
    model = make_model(
        posterior=posteriors.PowerSpherical(latent_dim=3), prior=priors.SphericalUniform()
    )
    with pytest.raises(ValueError, match="latents are points of the unit sphere"):
        exporters.export_web(model, tmp_path)


def test_a_runtime_that_is_no_path(tmp_path):
    with pytest.raises(TypeError, match=r"or a path\. Received: runtime=3"):
        exporters.export_web(make_model(), tmp_path, runtime=3)


@pytest.mark.parametrize("likelihood", [Untrue, PythonCode])
def test_a_bad_export_leaves_a_good_one(tmp_path, likelihood):
    exporters.export_web(make_model(), tmp_path)
    before = contents(tmp_path)
    with pytest.raises(exporters.ExportError, match="Nothing was written"):
        exporters.export_web(make_model(likelihood=likelihood()), tmp_path)
    assert contents(tmp_path) == before


def test_a_folder_of_somebody_else_is_kept(tmp_path):
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "index.html").write_text("mine")
    with pytest.raises(ValueError, match="which no export wrote"):
        exporters.export_web(make_model(), tmp_path)
    assert set(contents(tmp_path)) == {"web", "web/index.html"}
