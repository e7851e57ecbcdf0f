"""Clients in several languages against exports of one model, by each way of serving them."""

import contextlib
import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
import tensorflow as tf

from keras_vae import exporters
from keras_vae.exporters import serving, signatures, verify
from tests.exporters.clients import CLIENTS, node_folder, program_path, running_double
from tests.exporters.test_serving import train, warm_up_requests

grpc = pytest.importorskip("grpc")
metadata_pb2 = pytest.importorskip("tensorflow_serving.apis.get_model_metadata_pb2")
predict_pb2 = pytest.importorskip("tensorflow_serving.apis.predict_pb2")
service = pytest.importorskip("tensorflow_serving.apis.prediction_service_pb2_grpc")

pytestmark = pytest.mark.slow

# Of the output's scale, as exports are held to.
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def model():
    return train()


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """A folder with both exports, the manifest, and what is served, by name."""
    folder = tmp_path_factory.mktemp("digits")
    exporters.export_onnx(model, folder, signatures=["decode", "generate"])
    manifest = exporters.export_saved_model(model, folder)
    found = signatures.signatures_of(model, list(manifest.signatures))
    served = {s.name: s for s in found}
    served["serving_default"] = served["decode"]
    serving.write_serving_files(folder, "1", served, "digits")
    return folder, manifest, served


@pytest.fixture(scope="module")
def server(exported):
    with running_double(exported[0], "digits") as addresses:
        yield addresses


@pytest.fixture(scope="module")
def stub(server):
    with grpc.insecure_channel(server["grpc"]) as channel:
        yield service.PredictionServiceStub(channel)


def predict_request(signature, inputs, name="digits"):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return request


def arrays(response):
    return {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}


def assert_answers(got, wanted):
    assert set(got) == set(wanted)
    for name, value in wanted.items():
        assert got[name].shape == value.shape
        assert got[name].dtype == value.dtype
        assert verify.relative_error(got[name], value) <= TOLERANCE


def refused(stub, request):
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(request, timeout=60)
    return caught.value.code().name, caught.value.details()


@pytest.mark.parametrize("rows", [1, 3, 64])
def test_grpc(exported, stub, rows):
    _, _, served = exported
    for name, signature in served.items():
        inputs = signature.probe(rows)
        response = stub.Predict(predict_request(name, inputs), timeout=60)
        assert response.model_spec.name == "digits"
        assert response.model_spec.version.value == 1
        assert response.model_spec.signature_name == name
        assert_answers(arrays(response), signature.evaluate(inputs))


def test_grpc_without_a_signature_name(exported, stub):
    _, _, served = exported
    inputs = served["decode"].probe(2)
    request = predict_request("", inputs)
    request.output_filter.append("x")
    response = stub.Predict(request, timeout=60)
    assert response.model_spec.signature_name == "serving_default"
    assert_answers(arrays(response), {"x": served["decode"].evaluate(inputs)["x"]})


def test_grpc_samples_by_seed(stub):
    def sample(seeds):
        request = predict_request("sample", {"seed": np.array(seeds, "int64")})
        return arrays(stub.Predict(request, timeout=60))["z"]

    first = sample([5, 6, 5])
    np.testing.assert_array_equal(first[0], first[2])
    assert np.all(first[0] != first[1])
    np.testing.assert_array_equal(sample([6]), first[1:2])
    # The server's own entropy: never the same again.
    own = sample([-1, -1])
    assert len(np.unique(np.concatenate([own, sample([-1, -1])]), axis=0)) == 4


def test_grpc_replays_the_warm_up(exported, stub):
    folder, _, served = exported
    requests = warm_up_requests(folder)
    assert {r.model_spec.signature_name for r in requests} == set(served)
    for request in requests:
        inputs = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
        wanted = served[request.model_spec.signature_name].evaluate(inputs)
        assert_answers(arrays(stub.Predict(request, timeout=60)), wanted)


def test_grpc_refuses(stub):
    z = {"z": np.zeros([2, 3], "float32")}
    assert refused(stub, predict_request("decode", z, "letters")) == (
        "NOT_FOUND",
        "Servable not found for request: Latest(letters)",
    )
    request = predict_request("decode", z)
    request.model_spec.version.value = 7
    assert refused(stub, request) == (
        "NOT_FOUND",
        "Servable not found for request: Specific(digits, 7)",
    )
    assert refused(stub, predict_request("draw", z)) == (
        "FAILED_PRECONDITION",
        'Serving signature key "draw" not found.',
    )
    code, details = refused(stub, predict_request("decode", {**z, "y": z["z"]}))
    assert code == "INVALID_ARGUMENT"
    assert details.startswith(
        "input size does not match signature: 2!=1 len({y,z}) != len({z})"
    )
    code, details = refused(stub, predict_request("decode", {"y": z["z"]}))
    assert code == "INVALID_ARGUMENT"
    assert details.startswith("Signature input alias: z(feed name: decode_z:0) not found")
    code, details = refused(stub, predict_request("decode", {"z": np.zeros([2, 3], "int64")}))
    assert (code, details) == (
        "INVALID_ARGUMENT",
        "Expects arg[0] to be float but int64 is provided",
    )
    code, _ = refused(stub, predict_request("decode", {"z": np.zeros([2, 4], "float32")}))
    assert code == "INVALID_ARGUMENT"
    request = predict_request("decode", z)
    request.output_filter.append("y")
    assert refused(stub, request)[1].startswith("output tensor alias not found in signature: y")


def test_grpc_metadata(exported, stub):
    _, manifest, _ = exported
    request = metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "digits"
    response = stub.GetModelMetadata(request, timeout=60)
    found = metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(found)
    assert set(manifest.signatures) < set(found.signature_def)
    for name, entry in manifest.signatures.items():
        signature = found.signature_def[name]
        assert signature.method_name == "tensorflow/serving/predict"
        for infos, entries in (
            (signature.inputs, entry.inputs),
            (signature.outputs, entry.outputs),
        ):
            described = {
                key: (
                    tuple(None if d.size < 0 else d.size for d in info.tensor_shape.dim),
                    tf.as_dtype(info.dtype).name,
                )
                for key, info in infos.items()
            }
            assert described == {key: (e.shape, e.dtype) for key, e in entries.items()}


def rest(url, body=None):
    """Status and content of an answer."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(url, data, timeout=60) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with contextlib.closing(error):
            return error.code, json.load(error)


def test_rest(exported, server):
    _, _, served = exported
    url = f"{server['rest']}/v1/models/digits"
    for name, signature in served.items():
        inputs = signature.probe(3)
        wanted = signature.evaluate(inputs)
        columns = {key: value.tolist() for key, value in inputs.items()}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values())]
        body = {"signature_name": name}
        status, by_column = rest(f"{url}:predict", {**body, "inputs": columns})
        assert status == 200
        status, by_row = rest(f"{url}/versions/1:predict", {**body, "instances": rows})
        assert status == 200
        got = by_column["outputs"], by_row["predictions"]
        if len(wanted) > 1:
            got = got[0], {key: [row[key] for row in got[1]] for key in wanted}
        else:  # a single output has no name
            got = tuple(dict.fromkeys(wanted, each) for each in got)
        for answer in got:
            typed = {key: np.array(answer[key], wanted[key].dtype) for key in wanted}
            assert_answers(typed, wanted)


def test_rest_single_input_without_its_name(exported, server):
    _, _, served = exported
    inputs = served["decode"].probe(2)
    x = served["decode"].evaluate(inputs)["x"]
    for key, received in (("inputs", "outputs"), ("instances", "predictions")):
        status, answer = rest(
            f"{server['rest']}/v1/models/digits:predict", {key: inputs["z"].tolist()}
        )
        assert status == 200
        values = answer[received]
        if isinstance(values, dict):
            values = values["x"]
        elif isinstance(values[0], dict):
            values = [row["x"] for row in values]
        np.testing.assert_allclose(values, x, rtol=1e-5, atol=1e-6)


def test_rest_refuses(server):
    url = f"{server['rest']}/v1/models"
    z = [[0.0, 0.0, 0.0]]
    assert rest(f"{url}/letters:predict", {"inputs": z}) == (
        404,
        {"error": "Servable not found for request: Latest(letters)"},
    )
    cases = [
        ({"signature_name": "draw", "inputs": z}, 'Serving signature name: "draw" not found'),
        ({"inputs": z, "instances": z}, "Not formatted correctly expecting only one of"),
        ({"outputs": z}, "Missing 'inputs' or 'instances' key"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"inputs": {"y": z}}, "Missing named input: z in 'inputs' object."),
        ({"inputs": [["a"]]}, "is not of expected type: float"),
        ({"inputs": [[1.0], [1.0, 2.0]]}, "Encountered list at unexpected size"),
        ({"signature_name": "sample", "inputs": [1.5]}, "is not of expected type: int64"),
        ({"signature_name": "score", "instances": z}, "instances is a plain list, but expect"),
    ]
    for body, message in cases:
        status, answer = rest(f"{url}/digits:predict", body)
        assert status == 400
        assert message in answer["error"]
    assert rest(f"{url}/digits")[1]["model_version_status"][0]["state"] == "AVAILABLE"


def run_client(script, server, folder, *options):
    """Have a client in Python score 130 rows, which it must split, and return the answers."""
    outputs = folder / "outputs.npz"
    command = [
        sys.executable,
        CLIENTS / script,
        server,
        "digits",
        folder / "inputs.npz",
        outputs,
    ]
    done = subprocess.run(
        [*command, "--signature", "score", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return done.stderr
    with np.load(outputs) as stored:
        return dict(stored)


@pytest.mark.parametrize(
    ("script", "way", "options"),
    [
        ("rest_client.py", "rest", []),
        ("rest_client.py", "rest", ["--rows", "--batch", "50"]),
        ("grpc_client.py", "grpc", []),
    ],
)
def test_clients_in_python(exported, server, tmp_path, script, way, options):
    _, _, served = exported
    inputs = served["score"].probe(130)
    np.savez(tmp_path / "inputs.npz", **inputs)
    got = run_client(script, server[way], tmp_path, *options)
    assert_answers(got, served["score"].evaluate(inputs))


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("script", "way", "message"),
    [
        ("rest_client.py", "rest", "400: Missing named input: "),
        ("grpc_client.py", "grpc", "INVALID_ARGUMENT: input size does not match signature"),
    ],
)
def test_clients_say_what_the_server_said(server, tmp_path, script, way, message):
    np.savez(tmp_path / "inputs.npz", z=np.zeros([1, 3], "float32"))
    assert message in run_client(script, server[way], tmp_path)


def spoil(path):
    """Move the last value of the last row by a thousandth."""
    data = bytearray(path.read_bytes())
    last = np.frombuffer(data[-4:], "<f4") + np.float32(1e-3)
    data[-4:] = last.astype("<f4").tobytes()
    path.write_bytes(data)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return program_path(tmp_path_factory)


def serve(program, *words):
    """Run the C++ server where there is no Python to be found."""
    return subprocess.run(
        [program, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/nowhere"},
    )


def test_cpp(model, exported, program, tmp_path):
    folder, _, _ = exported
    answers = tmp_path / "answers.bin"
    serving.write_answers(model, answers)
    done = serve(program, folder / "1", answers, 10_000, 3)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["signature"], said["requests"], said["threads"]) == ("decode", 10_000, 4)
    # Batches of 1 to 64: 32.5 rows on average, with a standard error of 0.2.
    assert 315_000 < said["rows"] < 335_000
    assert said["wrong"] == 0
    assert said["largest_error"] <= TOLERANCE
    assert 0 < said["p50_ms"] <= said["p99_ms"]
    assert said["python_loaded"] is False
    assert said["tensorflow"] == tf.__version__
    libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
    assert "libtensorflow_cc.so" in libraries.stdout
    assert "libpython" not in libraries.stdout


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["encode", "reconstruct", "generate", "sample", "score"])
def test_cpp_serves_the_other_signatures(model, exported, program, tmp_path, name):
    folder, _, _ = exported
    answers = tmp_path / "answers.bin"
    serving.write_answers(model, answers, signature=name)
    done = serve(program, folder / "1", answers, 300)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["signature"], said["wrong"]) == (name, 0)


def test_cpp_finds_wrong_answers(model, exported, program, tmp_path):
    folder, _, _ = exported
    answers = tmp_path / "answers.bin"
    serving.write_answers(model, answers)
    spoil(answers)
    done = serve(program, folder / "1", answers, 1_000)
    assert done.returncode == 1
    # One row in 512 is off, of 32.5 a request.
    said = json.loads(done.stdout)
    assert 10 < said["wrong"] < 150
    assert said["largest_error"] > TOLERANCE


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "answers.bin"], "Could not find SavedModel"),
        (["1", "nothing.bin"], "cannot open nothing.bin"),
        (["1", "manifest.json"], "manifest.json holds no answers"),
        (["1", "short.bin"], "the answers end too early"),
        (["1", "answers.bin", "0"], "REQUESTS must be at least 1"),
        (["1"], "usage: "),
    ],
)
def test_cpp_errors(model, exported, program, tmp_path, words, message):
    folder, _, _ = exported
    serving.write_answers(model, tmp_path / "answers.bin", rows=2)
    (tmp_path / "short.bin").write_bytes((tmp_path / "answers.bin").read_bytes()[:-1])
    shutil.copy(folder / "manifest.json", tmp_path)
    (tmp_path / "1").symlink_to(folder / "1")
    done = subprocess.run(
        [program, *words], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert message in done.stderr


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with node_folder(tmp_path_factory) as folder:
        yield folder


@pytest.mark.parametrize(
    ("name", "broken"), [("decode", False), ("decode", True), ("generate", False)]
)
def test_node(model, exported, node, tmp_path, name, broken):
    folder, manifest, _ = exported
    answers = tmp_path / "answers.bin"
    serving.write_answers(model, answers, signature=name)
    if broken:
        spoil(answers)
    done = subprocess.run(
        ["npm", "run", "--silent", "decode", "--", folder / f"{name}.onnx", answers, "2000"],
        cwd=node,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == int(broken), done.stderr
    said = json.loads(done.stdout)
    assert said["outputs"] == list(manifest.signatures[name].outputs)
    assert said["requests"] == 2_000
    assert said["rows"] == sum(1 + request % 64 for request in range(2_000))
    # Requests take the rows in turn, 32.5 at a time: the last is in one of 16 or so.
    assert 100 < said["wrong"] < 150 if broken else said["wrong"] == 0
    assert (said["largest_error"] <= TOLERANCE) is not broken


@pytest.mark.parametrize("script", ["rest_client.py", "grpc_client.py"])
def test_clients_are_short(script):
    assert len((CLIENTS / script).read_text().splitlines()) <= 110
