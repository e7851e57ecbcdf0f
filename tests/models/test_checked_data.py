"""Data and options are checked alike whatever their source: arrays, files, streams."""

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorflow as tf

import keras_vae

# Keras says so of each stream whose length is not known.
pytestmark = pytest.mark.filterwarnings("ignore:Your input ran out of data")
CLASSES = 10


@pytest.fixture(scope="module")
def x(digits):
    return digits[:64]


@pytest.fixture(scope="module")
def labels():
    return np.arange(64) % CLASSES


@pytest.fixture(scope="module")
def vae(make_vae):
    return compiled(make_vae())


@pytest.fixture(scope="module")
def conditional(make_vae):
    return compiled(make_vae(condition_shape=(CLASSES,)))


@pytest.fixture(scope="module")
def incomplete(make_vae):
    return compiled(make_vae(missing="nan"))


def compiled(model):
    model.compile("adam", jit_compile=False)
    return model


def batched(data):
    return tf.data.Dataset.from_tensor_slices(data).batch(16)


def in_batches(data):
    """The same as a list of batches."""
    return [
        keras.tree.map_structure(lambda a, s=start: a[s : s + 16], data)
        for start in range(0, 64, 16)
    ]


class Listed(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    @property
    def num_batches(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


STREAMS = {
    "dataset": batched,
    "PyDataset": lambda data: Listed(in_batches(data)),
    "generator": lambda data: iter(in_batches(data)),
}
each_stream = pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)


def put(values, index, value):
    changed = values.copy()
    changed[index] = value
    return changed


# Labels and other parts of a batch.


@each_stream
@pytest.mark.parametrize(
    ("label", "row"), [(12, 37), (-1, 20), (2.5, 3), (float("nan"), 5)], ids=str
)
def test_labels_of_streams_are_checked_as_those_of_arrays(
    conditional, x, labels, stream, label, row
):
    kind = "float32" if isinstance(label, float) else "int64"
    bad = {"x": x, "condition": put(labels.astype(kind), row, label)}
    with pytest.raises(ValueError, match=r"`condition` must hold labels from 0 to 9") as error:
        conditional.fit(bad, verbose=0)
    assert f"{label} at index {row}" in str(error.value)
    here = rf"wrong `condition`.*from 0 to 9.*Received: {label} at row {row % 16} of the batch"
    with pytest.raises(ValueError, match=here):
        conditional.fit(stream(bad), verbose=0, shuffle=False)
    with pytest.raises(ValueError, match=here):
        conditional.evaluate(stream(bad), verbose=0)
    good = {"x": x, "condition": labels}
    with pytest.raises(ValueError, match=here.replace("condition", "validation_condition")):
        conditional.fit(good, validation_data=stream(bad), verbose=0)
    with pytest.raises(ValueError, match="labels from 0 to 9"):
        conditional.encode(stream(bad))


def test_whole_labels_of_any_kind_are_one_hot(conditional, x, labels):
    expected = conditional.encode(x, condition=np.eye(CLASSES)[labels])
    for dtype in ("int8", ">i4", "uint16", "float32", ">f8"):
        for given in (labels.astype(dtype), labels.astype(dtype)[:, None]):
            found = conditional.encode(x, condition=given)
            np.testing.assert_array_equal(found, expected)
    stream = batched({"x": x, "condition": labels.astype("float32")})
    np.testing.assert_array_equal(conditional.encode(stream), expected)


def test_conditions_of_streams_have_the_right_width(conditional, x, labels):
    with pytest.raises(ValueError, match=r"`condition` must have shape \(batch, 10\).*9"):
        conditional.fit(batched({"x": x, "condition": np.eye(9)[labels % 9]}), verbose=0)


@each_stream
@pytest.mark.parametrize("place", ["x", "y"])
def test_streams_to_evaluate_on_are_checked(vae, x, stream, place):
    for value, message in ((np.nan, rf"is not finite.*`{place}`.*nan"), (2.0, "support.*2")):
        bad = put(x, (37, 1, 2, 0), value)
        data = (bad,) if place == "x" else (x, bad)
        where = "at row 5 of the batch"
        with pytest.raises(ValueError, match=f"evaluation batch 2 .*{message} {where}"):
            vae.evaluate(stream(data), verbose=0)
        named = message.replace("`", "`validation_", 1)
        with pytest.raises(ValueError, match=f"evaluation batch 2 .*{named} {where}"):
            vae.fit(x, validation_data=stream(data), verbose=0)
    vae.evaluate(stream((x,)), verbose=0)  # what was bad before is forgotten


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones([64, 2]), "one .*number for each"),
        (np.ones([64, 8, 8, 1]), "one .*number for each"),
        (np.ones(64) * 1j, "number"),
        (-np.ones(64), ">= 0.*-1"),
        (np.full(64, np.nan), ">= 0.*nan"),
    ],
    ids=["(n, 2)", "(n, h, w, 1)", "complex", "negative", "nan"],
)
def test_wrong_weights_are_refused(vae, x, weight, message):
    with pytest.raises((ValueError, TypeError), match=f"`sample_weight`.*{message}"):
        vae.fit(x, sample_weight=weight, verbose=0)
    with pytest.raises((ValueError, TypeError), match=f"`validation_sample_weight`.*{message}"):
        vae.fit(x, validation_data=(x, x, weight), verbose=0)
    for method in (vae.fit, vae.evaluate):
        with pytest.raises(ValueError, match=f"`sample_weight`.*{message}"):
            method(batched((x, x, weight)), verbose=0)


def test_weights_may_be_a_column(vae, x):
    weight = np.linspace(0.5, 1.5, 64)
    expected = vae.evaluate(x, sample_weight=weight, verbose=0)
    assert vae.evaluate(x, sample_weight=weight[:, None], verbose=0) == expected
    found = vae.evaluate(batched((x, x, weight[:, None])), verbose=0)
    np.testing.assert_allclose(found, vae.evaluate(batched((x, x, weight)), verbose=0))


def test_class_weight_is_refused(vae, x):
    with pytest.raises(ValueError, match=r"`class_weight` must be None.*sample_weight"):
        vae.fit(x, class_weight={0: 1.0}, verbose=0)


# Shapes.


def test_streams_of_unknown_rank_get_the_shapes_of_the_model(conditional, x, labels):
    batches = in_batches(({"x": x, "condition": labels}, x, np.ones([64, 1], "float32")))
    unknown = keras.tree.map_structure(
        lambda a: tf.TensorSpec(None, tf.as_dtype(a.dtype)), batches[0]
    )
    stream = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=unknown)
    history = conditional.fit(stream, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    found = conditional.evaluate(stream, verbose=0)
    known = batched(({"x": x, "condition": labels}, x, np.ones([64, 1], "float32")))
    np.testing.assert_allclose(found, conditional.evaluate(known, verbose=0), rtol=1e-5)


# Masked arrays, byte orders, files and numbers beyond float32.


def test_masked_arrays_are_refused_or_missing(vae, incomplete, x):
    masked = np.ma.masked_equal(put(x, (3, 1, 2, 0), 0.3), np.float32(0.3))
    message = r"must not be masked.*\(3, 1, 2, 0\)\. Fix|must not be masked.*\(3, 1, 2, 0\)"
    calls = [vae.fit, vae.evaluate, vae.predict, vae.encode, vae.elbo, vae.reconstruct]
    for call in calls:
        with pytest.raises(ValueError, match=f"`x` {message}"):
            call(masked)
    with pytest.raises(ValueError, match="`y` must not be masked"):
        vae.fit(x, masked, verbose=0)
    with pytest.raises(ValueError, match="`x` must not be masked"):
        vae.fit(iter([(masked,)]), verbose=0)
    with pytest.raises(ValueError, match="`sample_weight` must not be masked"):
        vae.fit(x, sample_weight=np.ma.masked_less(np.arange(64.0), 3), verbose=0)
    with pytest.raises(ValueError, match="`z` must not be masked"):
        vae.decode(np.ma.masked_less(np.arange(6.0).reshape(2, 3), 3))
    np.testing.assert_array_equal(vae.encode(np.ma.array(x)), vae.encode(x))
    hole = put(x, (3, 1, 2, 0), np.nan)
    np.testing.assert_array_equal(incomplete.encode(masked), incomplete.encode(hole))
    nullable = pd.DataFrame(hole.reshape(64, -1)).convert_dtypes()
    assert np.isnan(keras_vae.data.containers.as_array("x", nullable, missing=True)).sum() == 1
    with pytest.raises(ValueError, match="`x` must not be masked"):
        keras_vae.data.containers.as_array("x", nullable)


def test_any_byte_order_and_precision_works(vae, x):
    expected = vae.encode(x)
    for dtype in (">f4", ">f8", "longdouble", "float16"):
        given = x.astype(dtype)
        np.testing.assert_allclose(vae.encode(given), expected, atol=5e-3)
        vae.evaluate(given, verbose=0)
    vae.fit(x.astype(">f4"), validation_data=(x.astype(">f4"),), verbose=0)
    vae.fit((x > 0.5).astype(">i4"), verbose=0)


def test_methods_check_files_block_by_block(vae, x, tmp_path):
    np.save(tmp_path / "x.npy", put(x, (40, 1, 2, 0), np.nan))
    file = np.load(tmp_path / "x.npy", mmap_mode="r")
    for method in (vae.encode, vae.elbo, vae.reconstruct, vae.log_marginal, vae.predict):
        with pytest.raises(ValueError, match=r"`x` must be finite.*\(40, 1, 2, 0\)"):
            method(file)
    np.testing.assert_array_equal(vae.encode(file[:32]), vae.encode(x[:32]))
    np.testing.assert_allclose(vae.predict(file[:32], verbose=0), vae.reconstruct(x[:32]))


def test_numbers_that_float32_cannot_hold_are_refused(make_vae):
    vae = compiled(make_vae(likelihood=keras_vae.likelihoods.Normal()))
    x = put(np.zeros([16, 8, 8, 1]), (5, 0, 0, 0), 1e300)
    for method in (vae.fit, vae.evaluate, vae.predict, vae.encode, vae.elbo):
        with pytest.raises(ValueError, match=r"finite. Received: 1e\+300 at index \(5, 0, 0"):
            method(x)
    with pytest.raises(ValueError, match="Received: inf at row 5 of the batch"):
        vae.fit(batched(x), verbose=0)
    with pytest.raises(ValueError, match=r"`z` must be finite. Received: 1e\+300"):
        vae.decode(np.array([[1e300, 0.0, 0.0]]))


# Containers.


class Torch:
    """What has the name and the methods of PyTorch's tensors."""

    def __init__(self, values):
        self.values, self.dtype, self.shape = values, "torch.float32", values.shape

    def detach(self):
        return self

    cpu = detach

    def numpy(self):
        return self.values


TorchTensor = type("Tensor", (Torch,), {"__module__": "torch"})
PolarsFrame = type(
    "DataFrame",
    (),
    {"__module__": "polars", "__init__": lambda s, v: setattr(s, "v", v)}
    | {"to_numpy": lambda s: s.v},
)
AnnData = type(
    "AnnData", (), {"__module__": "anndata", "__init__": lambda s, v: setattr(s, "X", v)}
)
CONTAINERS = {
    "lists": lambda rows: rows.tolist(),
    "tf.Variable": tf.Variable,
    "keras.Variable": keras.Variable,
    "tensor": tf.constant,
    "pandas": pd.DataFrame,
    "pandas nullable": lambda rows: pd.DataFrame(rows).convert_dtypes(),
    "PyTorch": TorchTensor,
    "polars": PolarsFrame,
    "AnnData": AnnData,
    "SciPy": scipy.sparse.csr_matrix,
    "AnnData of SciPy": lambda rows: AnnData(scipy.sparse.csc_matrix(rows)),
    "mapping": lambda rows: {"x": rows},
    **STREAMS,
}


@pytest.fixture(scope="module")
def flat(make_vae):
    return compiled(make_vae(event_shape=(64,)))


@pytest.mark.parametrize("kind", CONTAINERS)
def test_containers_of_numbers_work(flat, x, kind):
    rows = x.reshape(64, 64)
    expected = flat.encode(rows)
    found = flat.encode(CONTAINERS[kind](rows))
    np.testing.assert_array_equal(found, expected)
    assert flat.predict(CONTAINERS[kind](rows), verbose=0).shape == (64, 64) or kind == "lists"
    if kind != "lists":
        flat.evaluate(CONTAINERS[kind](rows), verbose=0)


REFUSED = {
    "ragged": (lambda x: tf.RaggedTensor.from_tensor(x[..., 0]), "RaggedTensor. Pad it"),
    "sparse": (lambda x: tf.sparse.from_dense(x), "SparseTensor. Make it dense"),
    "symbolic": (lambda x: keras.Input((8, 8, 1)), "symbolic tensor of keras.Input"),
    "objects": (lambda x: x.astype(object), "objects. Give numbers"),
    "texts": (lambda x: x.astype(str), "Texts are no numbers"),
    "complex": (lambda x: x * 1j, "Give real numbers"),
    "dates": (lambda x: x.astype("datetime64[s]"), "Give numbers"),
    "path": (lambda x: "x.npy", "Load it first"),
    "unequal": (lambda x: [[1.0], [1.0, 2.0]], "lengths|one array"),
    "named columns": (lambda x: pd.DataFrame({"a": [1.0], "city": ["Oslo"]}), "'city'.*Table"),
    "anything": (lambda x: object(), "an array"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_data_is_refused_in_one_sentence(vae, x, kind):
    make, message = REFUSED[kind]
    for method in (vae.fit, vae.encode, vae.predict, vae.evaluate):
        with pytest.raises((TypeError, ValueError), match=f"`x` .*({message})"):
            method(make(x))


def test_endless_streams_are_refused_by_methods(vae, x):
    with pytest.raises(ValueError, match=r"`x` must end.*take"):
        vae.encode(batched(x).repeat())
    assert len(vae.predict(batched(x).repeat(), steps=3, verbose=0)) == 48


def test_a_condition_is_given_once(conditional, x, labels):
    data = {"x": x, "condition": labels}
    expected = conditional.elbo(x, condition=labels, seed=0)
    np.testing.assert_array_equal(conditional.elbo(data, seed=0), expected)
    with pytest.raises(ValueError, match="`condition` must be given once"):
        conditional.encode(data, condition=labels)


# Options.

OPTIONS = {
    "batch_size": (0, -1, 1.5, "a", True),
    "validation_batch_size": (0, "a"),
    "validation_split": (1.5, -0.1, 1, "a", True, 0.999),
    "epochs": (-1, 1.5, "a"),
    "initial_epoch": (-1,),
    "steps_per_epoch": (0, -2, 1.5),
    "validation_steps": (0,),
    "validation_freq": (0,),
    "verbose": (7, "loud", None),
    "shuffle": ("x", 1),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_wrong_options_are_refused_by_name(vae, x, name):
    for value in OPTIONS[name]:
        with pytest.raises(ValueError, match=f"`{name}` must .* Received: {name}="):
            vae.fit(x, **{"verbose": 0, name: value})


def test_wrong_options_of_evaluate_and_predict_are_refused_by_name(vae, x):
    for method in (vae.evaluate, vae.predict):
        for name in ("batch_size", "steps"):
            for value in (0, -1, 1.5, "a", True):
                with pytest.raises(ValueError, match=f"`{name}` must be an integer >= 1"):
                    method(x, **{"verbose": 0, name: value})


def test_options_may_be_of_numpy(vae, x):
    n = np.int64
    vae.fit(
        x, batch_size=n(32), epochs=np.array(2), validation_split=np.float32(0.5), verbose=0
    )
    vae.evaluate(x, batch_size=n(32), steps=n(1), verbose=n(0))
    vae.predict(x, batch_size=n(32), verbose=0)
    assert vae.generate(n(3), seed=n(1), batch_size=n(2)).shape == (3, 8, 8, 1)
    assert vae.log_marginal(x, samples=n(3), batch_size=n(8)).shape == (64,)


def test_batches_larger_than_the_data_take_no_more_memory(vae, x):
    vae.fit(x, batch_size=10**9, verbose=0)
    vae.evaluate(x, batch_size=10**9, verbose=0)
    assert vae.predict(x, batch_size=10**9, verbose=0).shape == x.shape
    assert vae.encode(x, batch_size=10**9).shape == (64, 3)


def test_streams_that_end_early_are_an_error(vae, x):
    for empty in (iter(()), batched(x).take(4).skip(4)):
        with pytest.raises(ValueError, match="`x` is empty"):
            vae.fit(empty, verbose=0)
    nothing = batched(x).filter(lambda batch: tf.reduce_all(batch > 2))
    with pytest.raises(ValueError, match="`x` ran out of data: epoch 1 had no batch"):
        vae.fit(nothing, verbose=0)
    with pytest.raises(ValueError, match="`x` ran out of data: epoch 3 had no batch"):
        vae.fit(iter(in_batches((x,))), steps_per_epoch=2, epochs=3, verbose=0)


# What is seen before training.


@pytest.mark.parametrize("kind", ["array", "mapping", "target", "file"])
def test_rows_that_are_held_out_are_not_looked_at(make_vae, kind, tmp_path):
    rows = np.concatenate([np.linspace(-1, 1, 48 * 4).reshape(48, 4), np.full([16, 4], 1e3)])
    rows = rows.astype("float32")
    vae = compiled(
        make_vae(
            event_shape=(4,),
            likelihood=keras_vae.likelihoods.Normal("learned"),
            prior=keras_vae.priors.VampPrior(16),
            preprocessor=keras_vae.preprocessors.Standardization(),
            objective=keras_vae.objectives.TCVAE(1.0),
        )
    )
    np.save(tmp_path / "x.npy", rows)
    data = {
        "array": (rows,),
        "mapping": ({"x": rows},),
        "target": (rows, rows),
        "file": (np.load(tmp_path / "x.npy", mmap_mode="r"),),
    }[kind]
    history = vae.fit(*data, validation_split=0.25, batch_size=16, verbose=0).history
    assert int(vae.state.data_size) == 48
    np.testing.assert_allclose(vae.preprocessor.centre.numpy().ravel(), 0.0, atol=0.05)
    assert np.abs(vae.prior.pseudo_inputs.numpy()).max() < 10
    assert history["val_loss"][0] > 100 * abs(history["loss"][0])


def test_validation_split_is_that_of_keras(vae, x):
    vae.fit(x, validation_split=0.3, epochs=1, verbose=0)
    assert int(vae.state.data_size) == 44  # floor(64 * 0.7), the first ones


def test_streams_have_no_split(vae, x):
    with pytest.raises(
        ValueError, match="`validation_split` must be 0 where `x` gives batches"
    ):
        vae.fit(batched(x), validation_split=0.5, verbose=0)
