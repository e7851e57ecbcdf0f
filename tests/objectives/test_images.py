"""Similarity of images against TensorFlow's own, and distances of features against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae.objectives import ELBO, IWAE, MSSSIM, WAE, DReG, LogLikelihood, Perceptual
from keras_vae.schedules import LinearWarmup
from keras_vae.terms import Context, ElboTerms, LogJointGradient


def built(event_shape, **arguments):
    objective = MSSSIM(**{"weight": 1.0, **arguments})
    objective.build(event_shape)
    return objective


def pair(rng, event_shape, noise=0.1, count=5):
    """Smooth images and noisy copies of them, in [0, 1]."""
    height, width, channels = event_shape
    waves = np.sin(np.linspace(0, 9, height))[:, None] * np.cos(np.linspace(0, 7, width))
    x = 0.5 + 0.4 * waves[..., None] * rng.uniform(0.2, 1, size=(count, 1, 1, channels))
    return x, np.clip(x + noise * rng.normal(size=x.shape), 0, 1)


@pytest.mark.parametrize(
    ("event_shape", "window", "scales"),
    [
        ((12, 13, 1), 11, 1),
        ((33, 25, 3), 7, 3),
        ((48, 70, 2), 3, 5),
        ((64, 64, 3), 11, 3),
        ((180, 176, 1), 11, 5),
    ],
)
@pytest.mark.parametrize("max_value", [1.0, 2.0])
def test_similarity_is_that_of_tensorflow(rng, event_shape, window, scales, max_value):
    objective = built(event_shape, window=window, max_value=max_value)
    assert objective.scales == scales
    x, y = (tf.constant(t, tf.float32) for t in pair(rng, event_shape))
    powers = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])[:scales]
    expected = tf.image.ssim_multiscale(
        x, y, max_value, tuple(powers / powers.sum()), filter_size=window
    )
    # Variances as differences of squares in float32, by two ways.
    np.testing.assert_allclose(objective.similarity(x, y), expected, rtol=2e-4)


def test_similarity_of_equal_images_is_one(float64, rng):
    x = tf.constant(pair(rng, (32, 32, 3))[0])
    objective = built((32, 32, 3))
    np.testing.assert_allclose(objective.similarity(x, x), np.ones(5), rtol=1e-10)
    noisy = [tf.constant(pair(rng, (32, 32, 3), noise)[1]) for noise in (0.05, 0.2, 0.5)]
    values = [np.mean(objective.similarity(x, y)) for y in noisy]
    assert 1 > values[0] > values[1] > values[2]


def test_opposite_images_have_finite_gradients(rng):
    # TensorFlow's own gives NaN here.
    x = tf.constant(pair(rng, (32, 32, 1))[0], tf.float32)
    y = 1 - x
    with tf.GradientTape() as tape:
        tape.watch(y)
        value = built((32, 32, 1)).similarity(x, y)
    assert np.isfinite(value).all()
    assert np.isfinite(tape.gradient(value, y)).all()


def image_terms(rng, event_shape=(16, 16, 1)):
    x, _ = pair(rng, event_shape)
    reconstruction = np.stack(
        [np.clip(x + s * rng.normal(size=x.shape), 0, 1) for s in (0.1, 0.2)]
    )
    return ElboTerms(
        log_likelihood=tf.constant(rng.normal(size=(2, 5))),
        log_prior=tf.constant(rng.normal(size=(2, 5))),
        log_posterior=tf.constant(rng.normal(size=(2, 5))),
        kl=tf.constant(rng.normal(size=(5, 3)) ** 2),
        latents=tf.constant(rng.normal(size=(2, 5, 3))),
        x=tf.constant(x),
        reconstruction=tf.constant(reconstruction),
    )


def test_value_is_weighted_similarity_minus_weighted_kl(float64, rng):
    terms = image_terms(rng)
    objective = built((16, 16, 1), weight=LinearWarmup(10, end=200.0), beta=0.5)
    bound = objective.bound(terms, Context(step=tf.constant(5)))
    similarity = [objective.similarity(terms.x, r) for r in terms.reconstruction]
    expected = 100 * np.mean(similarity, 0) - 0.5 * np.sum(terms.kl, -1)
    np.testing.assert_allclose(bound.value, expected, rtol=1e-12)


def test_missing_pixels_count_as_reconstructed(float64, rng):
    terms = image_terms(rng)
    mask = rng.uniform(size=(5, 16, 16, 1)) < 0.7
    holed = terms._replace(x=tf.where(mask, terms.x, np.nan))
    objective = built((16, 16, 1), weight=100.0)
    bound = objective.bound(holed, Context(mask=tf.constant(mask))).value
    filled = tf.where(mask, terms.x, terms.reconstruction)
    expected = 100 * tf.reduce_mean(
        [objective.similarity(*images) for images in zip(filled, terms.reconstruction)], 0
    ) - tf.reduce_sum(terms.kl, -1)
    np.testing.assert_allclose(bound, expected, rtol=1e-12)


@pytest.mark.parametrize("event_shape", [(10, 64, 3), (64, 10, 3), (64, 64), (784,)])
def test_events_must_be_images_of_a_window(event_shape):
    with pytest.raises(ValueError, match=r"MSSSIM needs events that are images .* Received"):
        built(event_shape)


# Features.


def network(event_shape=(16, 16, 1)):
    x = keras.Input(event_shape)
    shallow = keras.layers.Conv2D(3, 3, activation="tanh")(x)
    return keras.Model(x, [shallow, keras.layers.Conv2D(2, 3, strides=2)(shallow)])


def test_perceptual_takes_off_the_squared_distance_of_features(float64, rng):
    terms, features = image_terms(rng), network()
    objective = Perceptual(IWAE(2), features, LinearWarmup(10, end=4.0))
    objective.build((16, 16, 1))
    bound = objective.bound(terms, Context(step=tf.constant(5)))
    distance = np.zeros(5)
    for reconstruction in terms.reconstruction:
        for one, two in zip(features(terms.x), features(reconstruction)):
            distance += np.sum((one - two) ** 2, axis=(1, 2, 3)) / 2
    expected = IWAE(2).bound(terms, Context()).value - 2.0 * distance
    np.testing.assert_allclose(bound.value, expected, rtol=1e-12)
    assert bound.surrogate is None


def test_perceptual_takes_it_off_the_surrogate_too(float64, rng):
    slope = tf.constant(rng.normal(size=(2, 5, 3)))
    terms = image_terms(rng)._replace(log_joint_gradient=LogJointGradient(slope, 2 * slope))
    plain = DReG(2).bound(terms, Context())
    objective = Perceptual(DReG(2), network(), 2.0)
    objective.build((16, 16, 1))
    bound = objective.bound(terms, Context())
    np.testing.assert_allclose(
        plain.surrogate - bound.surrogate, plain.value - bound.value, rtol=1e-10
    )
    assert objective.samples == 2
    assert objective.requires == {"density", "log_joint_gradient", "x", "reconstruction"}


def test_perceptual_is_what_its_base_is():
    base = WAE(LinearWarmup(3))
    objective = Perceptual(base, network(), LinearWarmup(5))
    assert objective.coupled
    assert objective.schedule_names() == ["weight", "base_weight"]
    reported = objective.scheduled(Context(step=tf.constant(1)))
    np.testing.assert_allclose([*reported.values()], [1 / 5, 1 / 3], rtol=1e-6)
    inner = Perceptual(keras_vae.objectives.TCVAE(2.0), network(), 1.0)
    with pytest.raises(ValueError, match="TCVAE needs the number"):
        inner.check(0)


def test_features_stay_as_they_were_and_are_saved(make_vae, digits, tmp_path):
    features = network((8, 8, 1))
    before = features.get_weights()
    vae = make_vae(objective=Perceptual(ELBO(), features, 0.5))
    vae.compile("adam")
    vae.fit(digits[:32], batch_size=16, verbose=0)
    assert not features.trainable_variables
    vae.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    for first, second, third in zip(
        before, features.get_weights(), again.objective.features.get_weights()
    ):
        np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(first, third)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: MSSSIM(-1.0), ValueError, r"`weight` must be >= 0 or a schedule\. Received"),
        (lambda: MSSSIM(1.0, beta=-1.0), ValueError, r"`beta` must be >= 0 or a schedule"),
        (lambda: MSSSIM(1.0, max_value=0), ValueError, r"`max_value` must be positive\. Rec"),
        (lambda: MSSSIM(1.0, window=0), ValueError, r"`window` must be an integer >= 1"),
        (lambda: Perceptual(ELBO, network(), 1.0), TypeError, r"`base` must be an objective"),
        (lambda: Perceptual(ELBO(), abs, 1.0), TypeError, r"`features` must be a Keras model"),
        (lambda: Perceptual(LogLikelihood(), network(), -1.0), ValueError, r"`weight` must be"),
    ],
)
def test_bad_arguments_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
