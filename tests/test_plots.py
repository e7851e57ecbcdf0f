"""Pictures: their numbers, and that they are written whole."""

import sys

import matplotlib.figure
import matplotlib.image
import numpy as np
import pytest
import sklearn.decomposition

import keras_vae
from keras_vae import plots
from keras_vae.plots import images as images_of_plots
from keras_vae.plots import latents


@pytest.fixture
def labels(digits):
    return np.arange(len(digits)) % 10


@pytest.mark.parametrize("latent_dim", [1, 2, 3])
def test_overview_is_a_picture(make_vae, digits, labels, tmp_path, monkeypatch, latent_dim):
    # Its state is shared by the whole process: not to be touched.
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    vae = make_vae(posterior=keras_vae.posteriors.DiagonalNormal(latent_dim))
    path = tmp_path / "new" / "overview.png"
    written = plots.overview(vae, digits[:60], labels[:60], path=path, title="Digits")
    assert written == path
    assert [p.name for p in path.parent.iterdir()] == ["overview.png"]
    picture = matplotlib.image.imread(path)
    height, width = picture.shape[:2]
    assert width > 1500
    assert 1.5 < width / height < 2.2
    coloured = np.ptp(picture[..., :3], axis=-1) > 0.2
    left, right = coloured[:, : width // 2], coloured[:, width // 2 :]
    assert not left.any()  # grey images
    assert right.sum() > 1000  # points in the colours of their classes


def test_overview_draws_the_same_samples_again(make_vae, digits, tmp_path):
    vae = make_vae()
    paths = [plots.overview(vae, digits[:30], path=tmp_path / f"{i}.png") for i in "ab"]
    one, two = (matplotlib.image.imread(path) for path in paths)
    np.testing.assert_array_equal(one, two)
    other = plots.overview(vae, digits[:30], path=tmp_path / "c.png", seed=1)
    assert np.any(matplotlib.image.imread(other) != one)


def test_overview_takes_colours_words_and_numbers(rng, tmp_path):
    vae = keras_vae.VAE(
        keras_vae.networks.MLP([4]),
        keras_vae.networks.MLP([4]),
        keras_vae.posteriors.DiagonalNormal(2),
        likelihood=keras_vae.likelihoods.Normal(),
        event_shape=(6, 4, 3),
    )
    x = rng.uniform(size=(24, 6, 4, 3))
    for labels in (np.array(["cat", "dog"] * 12), rng.normal(size=24), None):
        assert plots.overview(vae, x, labels, path=tmp_path / "p.pdf").stat().st_size > 1000


def test_an_older_picture_is_kept_if_writing_fails(make_vae, digits, tmp_path, monkeypatch):
    path = tmp_path / "overview.png"
    path.write_text("older")

    def fail(figure, part, **kwargs):
        part.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        plots.overview(make_vae(), digits[:20], path=path)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"overview.png": "older"}


def test_missing_matplotlib_is_explained(make_vae, digits, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "keras-vae\[plots\]"'):
        plots.overview(make_vae(), digits, path=tmp_path / "p.png")


def test_overview_checks_its_arguments(make_vae, digits, tmp_path):
    path = tmp_path / "p.png"
    flat = make_vae(event_shape=(64,))
    with pytest.raises(ValueError, match=r"`model` must be one of images.*\(64,\)"):
        plots.overview(flat, digits.reshape(-1, 64), path=path)
    with pytest.raises(ValueError, match="`x` must have at least two images"):
        plots.overview(make_vae(), digits[:1], path=path)
    with pytest.raises(
        ValueError, match=r"`labels` must be one label for each of 20 .*\(19,\)"
    ):
        plots.overview(make_vae(), digits[:20], np.zeros(19), path=path)
    with pytest.raises(ValueError, match=r"`labels` must be numbers.*20 classes"):
        plots.overview(make_vae(), digits[:20], np.arange(20).astype(str), path=path)
    assert not path.exists()


def test_each_image_stands_above_its_reconstruction(make_vae, digits, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(images_of_plots, "show", lambda ax, name, mosaic: shown.append(mosaic))
    vae = make_vae()
    path = plots.reconstructions(vae, digits[:13], path=tmp_path / "new" / "r.png")
    assert path.exists()
    decoded = vae.reconstruct(digits[:13])
    (mosaic,) = shown
    assert mosaic.shape == (4 * 8 + 3, 10 * 8 + 9)
    for index in range(13):
        row, column = divmod(index, 10)
        original, below = (
            mosaic[top : top + 8, column * 9 : column * 9 + 8]
            for top in (2 * row * 9, (2 * row + 1) * 9)
        )
        np.testing.assert_array_equal(original, digits[index, ..., 0])
        np.testing.assert_array_equal(below, decoded[index, ..., 0])
    np.testing.assert_array_equal(mosaic[2 * 9 :, 3 * 9 :], 1.0)


def test_samples_are_what_the_model_generates(make_vae, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(images_of_plots, "show", lambda ax, name, mosaic: shown.append(mosaic))
    vae = make_vae()
    plots.samples(vae, 25, path=tmp_path / "s.png", seed=3)
    np.testing.assert_array_equal(shown[0], images_of_plots.mosaic_of(vae.generate(25, seed=3)))


@pytest.mark.parametrize("draw", [plots.samples, plots.reconstructions])
def test_grids_need_images(make_vae, digits, tmp_path, draw):
    flat = make_vae(event_shape=(64,))
    given = {"x": digits.reshape(-1, 64)} if draw is plots.reconstructions else {}
    with pytest.raises(ValueError, match=r"`model` must be one of images.*\(64,\)"):
        draw(flat, **given, path=tmp_path / "p.png")
    with pytest.raises(ValueError, match="`x` must have shape"):
        plots.reconstructions(make_vae(), digits[..., 0], path=tmp_path / "p.png")


def test_mosaic_puts_each_image_in_its_place(rng):
    images = rng.uniform(size=(13, 8, 5, 1))
    mosaic = images_of_plots.mosaic_of(images)
    assert mosaic.shape == (2 * 8 + 1, 10 * 5 + 9)
    for index, image in enumerate(images):
        row, column = divmod(index, 10)
        tile = mosaic[row * 9 : row * 9 + 8, column * 6 : column * 6 + 5]
        np.testing.assert_array_equal(tile, image[..., 0])
    np.testing.assert_array_equal(mosaic[8], 1.0)
    np.testing.assert_array_equal(mosaic[9:, 3 * 6 :], 1.0)


def test_plane_is_that_of_scikit_learns_pca(rng):
    means = rng.normal(size=(50, 4)) @ rng.normal(size=(4, 4)) + 3
    points, names, title = latents._plane(means, np.ones_like(means))
    pca = sklearn.decomposition.PCA(2).fit(means)
    expected = pca.transform(means)
    np.testing.assert_allclose(np.abs(points), np.abs(expected), rtol=1e-9, atol=1e-9)
    shares = [f"{share:.0%}" for share in pca.explained_variance_ratio_]
    assert all(share in name for share, name in zip(shares, names))
    assert "PCA of 4 dimensions" in title


def test_plane_survives_collapsed_latents():
    points, names, _ = latents._plane(np.zeros([5, 3]), np.ones([5, 3]))
    np.testing.assert_array_equal(points, 0.0)
    assert "(0% of" in names[0]


def test_plane_of_one_or_two_latents_is_theirs(rng):
    means, scales = rng.normal(size=(2, 5, 2))
    points, names, _ = latents._plane(means, scales)
    np.testing.assert_array_equal(points, means)
    assert names == ("z[0]", "z[1]")
    points, names, _ = latents._plane(means[:, :1], scales[:, :1])
    np.testing.assert_array_equal(points, np.stack([means[:, 0], scales[:, 0]], axis=1))
    assert names == ("mean", "standard deviation")


def test_labels_of_classes_do_not_cover_each_other(rng):
    places = np.array([[0.0, 0.0], [0.0, 0.0], [0.1, 0.0], [5.0, 5.0]])
    extent = np.array([10.0, 20.0])
    apart = latents._apart(places, extent)
    gaps = np.linalg.norm((apart[:, None] - apart) / extent, axis=-1) + np.eye(4)
    assert gaps.min() > 0.99 * latents._LABEL_WIDTH
    np.testing.assert_allclose(apart[3], places[3], atol=1e-3)
    assert np.abs(apart - places).max() < 2


# Curves, and what latents do.


def coloured(path):
    """How many pixels of a picture are neither grey nor white."""
    return int(np.sum(np.ptp(matplotlib.image.imread(path)[..., :3], axis=-1) > 0.2))


def lines_of(monkeypatch, draw):
    """Axes of the figure that a function saves."""
    kept = []

    def keep(figure, path, **kwargs):
        kept.append(figure)
        path.write_bytes(b"")

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", keep)
    draw()
    return kept[0].axes


def test_learning_curves_are_those_of_the_history(monkeypatch, tmp_path):
    history = {
        "elbo": [-9.0, -5.0],
        "kl": [1.0, 2.0],
        "val_elbo": [-8.0, -6.0],
        "beta": [0.5, 1],
    }
    path = tmp_path / "curves.png"
    assert coloured(plots.learning_curves(history, path=path)) > 500
    axes = lines_of(monkeypatch, lambda: plots.learning_curves(history, path=path))
    drawn = {ax.get_title("left"): [list(line.get_ydata()) for line in ax.lines] for ax in axes}
    assert drawn == {
        "elbo": [[-9.0, -5.0], [-8.0, -6.0]],
        "kl": [[1.0, 2.0]],
        "beta": [[0.5, 1.0]],
    }
    with pytest.raises(ValueError, match="`history` must hold values of epochs"):
        plots.learning_curves({"elbo": []}, path=path)


def test_kl_spectrum_is_sorted(monkeypatch, tmp_path):
    path = tmp_path / "kl.png"
    assert coloured(plots.kl_spectrum([0.1, 3.0, 1.0], path=path)) > 500
    (ax,) = lines_of(monkeypatch, lambda: plots.kl_spectrum([0.1, 3.0, 1.0], path=path))
    assert [bar.get_height() for bar in ax.patches] == [3.0, 1.0, 0.1]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2", "0"]
    with pytest.raises(ValueError, match="`kl` must be a vector of finite numbers"):
        plots.kl_spectrum([[1.0]], path=path)


def test_rank_histogram_shows_two_standard_errors(monkeypatch, tmp_path):
    path = tmp_path / "ranks.png"
    assert coloured(plots.rank_histogram([0.5, 0.5], path=path)) > 500
    (ax,) = lines_of(
        monkeypatch, lambda: plots.rank_histogram([0.4, 0.6], [0.01, 0.02], path=path)
    )
    assert [bar.get_height() for bar in ax.patches] == [0.4, 0.6]
    segments = ax.collections[0].get_segments()
    np.testing.assert_allclose([s[:, 1] for s in segments], [[0.38, 0.42], [0.56, 0.64]])


def test_rate_distortion_connects_by_rate(monkeypatch, tmp_path):
    path = tmp_path / "curve.png"
    points = {4: (10.0, 95.0), 1: (25.0, 64.0), "free": (30.0, 60.0)}
    assert coloured(plots.rate_distortion(points, path=path)) > 200
    (ax,) = lines_of(monkeypatch, lambda: plots.rate_distortion(points, path=path))
    curve, bound = ax.lines
    assert list(curve.get_xdata()) == [10, 25, 30]
    # The best bound is -89; points of the line have the same.
    np.testing.assert_allclose(bound.get_xdata() + bound.get_ydata(), 89)
    assert {text.get_text() for text in ax.texts} == {"4", "1", "free"}
    with pytest.raises(ValueError, match="`points` must not be empty"):
        plots.rate_distortion({}, path=path)


def test_latent_map_takes_any_events(rng, tmp_path):
    vae = keras_vae.VAE(
        keras_vae.networks.MLP([4]),
        keras_vae.networks.MLP([4]),
        keras_vae.posteriors.DiagonalNormal(3),
        likelihood=keras_vae.likelihoods.Normal(),
        event_shape=(5,),
    )
    x = rng.normal(size=(60, 5))
    path = plots.latent_map(vae, x, np.arange(60) % 3, path=tmp_path / "map.png")
    assert coloured(path) > 500
    with pytest.raises(ValueError, match="one label for each of 60"):
        plots.latent_map(vae, x, np.zeros(3), path=path)


def test_traversals_move_one_latent_over_what_it_takes_on(
    monkeypatch, make_vae, digits, tmp_path
):
    vae = make_vae(posterior=keras_vae.posteriors.DiagonalNormal(3))
    asked = []
    decode = vae.decode
    monkeypatch.setattr(vae, "decode", lambda z, **kw: asked.append(z) or decode(z, **kw))
    path = plots.traversals(vae, digits[:50], latents=2, path=tmp_path / "t.png")
    height, width = matplotlib.image.imread(path).shape[:2]
    assert width > 3 * height
    z = asked[0].reshape(2, 10, 3)
    codes = vae.encode(digits[:50])
    draws = vae.encode(digits[:50], sample=True, seed=0)
    for row, latent in zip(z, np.argsort(-codes.var(axis=0))):
        ends = np.quantile(draws[:, latent], [0.01, 0.99])
        np.testing.assert_allclose(row[[0, -1], latent], ends, rtol=1e-5)
        others = np.delete(row, latent, axis=1)
        np.testing.assert_allclose(others, np.delete(codes[:1], latent, axis=1) + 0 * others)


def test_traversals_refuse_latents_that_do_not_move_one_by_one(make_vae, digits, tmp_path):
    vae = make_vae(
        posterior=keras_vae.posteriors.VonMisesFisher(3),
        prior=keras_vae.priors.SphericalUniform(),
    )
    with pytest.raises(ValueError, match="latents that are real vectors"):
        plots.traversals(vae, digits[:10], path=tmp_path / "t.png")
    with pytest.raises(ValueError, match="at least two images"):
        plots.traversals(make_vae(), digits[:1], path=tmp_path / "t.png")


def test_spectrograms_are_upright_and_share_a_scale(tmp_path):
    quiet, loud = np.full([2, 2, 20, 10], -80.0)
    loud[0, :, 9] = 0.0  # the highest band
    path = plots.spectrograms({"a": quiet, "b": loud}, path=tmp_path / "x.png")
    picture = matplotlib.image.imread(path)[..., :3]
    yellow = (picture[..., 0] > 0.9) & (picture[..., 2] < 0.3)
    rows, columns = np.nonzero(yellow)
    height, width = picture.shape[:2]
    assert columns.max() < 0.5 * width  # of two examples the first
    assert rows.min() > 0.5 * height  # of two rows the second
    assert rows.max() < 0.75 * height  # its upper edge


@pytest.mark.parametrize("rows", [{}, {"a": np.zeros([3, 4])}, {"a": np.zeros([0, 3, 4])}])
def test_spectrograms_refuse_other_arrays(tmp_path, rows):
    with pytest.raises(ValueError, match="`rows` must be spectrograms"):
        plots.spectrograms(rows, path=tmp_path / "x.png")


# Without a path, and with bad arguments.


def drawn(vae, digits):
    """Every plot as a function of its path."""
    x = digits[:20]
    return {
        "kl_spectrum": lambda path=None: plots.kl_spectrum([1.0, 2.0], path=path),
        "latent_map": lambda path=None: plots.latent_map(vae, x, path=path),
        "learning_curves": lambda path=None: plots.learning_curves({"elbo": [1.0]}, path=path),
        "overview": lambda path=None: plots.overview(vae, x, path=path),
        "rank_histogram": lambda path=None: plots.rank_histogram([0.5, 0.5], path=path),
        "rate_distortion": lambda path=None: plots.rate_distortion({1: (1.0, 2.0)}, path=path),
        "reconstructions": lambda path=None: plots.reconstructions(vae, x, path=path),
        "samples": lambda path=None: plots.samples(vae, 5, path=path),
        "spectrograms": lambda path=None: plots.spectrograms({"a": x[..., 0]}, path=path),
        "traversals": lambda path=None: plots.traversals(vae, x, path=path),
    }


@pytest.mark.parametrize("name", plots.__all__)
def test_plots_without_a_path_are_figures_that_notebooks_show(
    make_vae, digits, tmp_path, monkeypatch, name
):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    draw = drawn(make_vae(), digits)[name]
    figure = draw()
    assert isinstance(figure, matplotlib.figure.Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert draw(str(tmp_path / "p.png")) == tmp_path / "p.png"


@pytest.mark.parametrize("name", plots.__all__)
def test_plots_name_the_formats_that_a_path_may_have(make_vae, digits, tmp_path, name):
    draw = drawn(make_vae(), digits)[name]
    for bad in ("noext", "plot.xyz", ".png"):
        with pytest.raises(ValueError, match=r"`path` must end in a format .*\.png.*Received"):
            draw(str(tmp_path / bad))
    with pytest.raises(TypeError, match=r"`path` must be a path.*Received: a int"):
        draw(3)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ValueError, match="`path` must be a file"):
        draw(tmp_path / "folder.png")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.png"]


def test_learning_curves_take_what_fit_returns(make_vae, digits):
    vae = make_vae()
    vae.compile("adam")
    history = vae.fit(digits[:64], epochs=2, batch_size=32, verbose=0)
    titles = [ax.get_title("left") for ax in plots.learning_curves(history).axes]
    assert "elbo" in titles


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda vae, x: plots.learning_curves(None), "`history` must be what `fit` returns"),
        (lambda vae, x: plots.learning_curves([1.0]), "`history` must be what `fit` returns"),
        (lambda vae, x: plots.learning_curves({"a": "b"}), "`history` must hold one number"),
        (lambda vae, x: plots.kl_spectrum(None), "`kl` must be a vector"),
        (lambda vae, x: plots.kl_spectrum(["a"]), "`kl` must be a vector"),
        (lambda vae, x: plots.kl_spectrum([np.nan]), "NaN or infinities"),
        (lambda vae, x: plots.rank_histogram([0.5, 0.5], [0.1]), "`standard_errors` must be 2"),
        (lambda vae, x: plots.rank_histogram([0.5], [-0.1]), "`standard_errors` must be 1"),
        (lambda vae, x: plots.rate_distortion([(1.0, 2.0)]), "`points` must be a dictionary"),
        (lambda vae, x: plots.rate_distortion({1: (1.0,)}), "a rate and a distortion each"),
        (lambda vae, x: plots.rate_distortion({1: 3.0}), r"`points\[1\]` must be a vector"),
        (lambda vae, x: plots.spectrograms(x), "`rows` must be spectrograms by name"),
        (lambda vae, x: plots.spectrograms({"a": [[["b"]]]}), "`rows` must hold real numbers"),
        (lambda vae, x: plots.latent_map(vae, None), "`x` must be an array of examples"),
        (lambda vae, x: plots.overview(vae, None), "`x` must be an array of examples"),
        (lambda vae, x: plots.traversals(vae, 3.0), "`x` must be an array of examples"),
        (lambda vae, x: plots.latent_map(vae, x, [None] * 20), "`labels` must not be missing"),
        (lambda vae, x: plots.latent_map(vae, x, [1, "a"] * 10 + [3]), "label for each of 20"),
        (lambda vae, x: plots.samples(vae, 0), "`count` must be an integer >= 1"),
        (lambda vae, x: plots.traversals(vae, x, latents=0), "`latents` must be an integer"),
    ],
    ids=range(20),
)
def test_bad_arguments_of_plots_are_explained(make_vae, digits, draw, message):
    with pytest.raises((TypeError, ValueError), match=message):
        draw(make_vae(), digits[:20])


def test_one_hot_labels_and_words_are_drawn(make_vae, digits):
    vae = make_vae()
    for labels in (np.eye(2)[np.arange(20) % 2], np.array(["a", "b"] * 10, object)):
        (ax,) = plots.latent_map(vae, digits[:20], labels).axes
        assert len(ax.texts) == 2
