"""Each dtype that a manifest can have, through each client, and what failing clients say."""

import concurrent.futures
import http.server
import json
import re
import runpy
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.exporters import serving
from keras_vae.exporters.dtypes import DTYPES
from tests.exporters.clients import CLIENTS, node_folder, program_path, running_double

grpc = pytest.importorskip("grpc")
pytest.importorskip("tensorflow_serving.apis.predict_pb2")

every_dtype = pytest.mark.parametrize("dtype", DTYPES)
# ONNX Runtime has no bfloat16 in Node.
IN_NODE = [dtype for dtype in DTYPES if dtype != "bfloat16"]


def values_of(dtype, rows=3):
    """The smallest and the largest numbers of a type among others, `[rows, 2]`."""
    kind = tf.as_dtype(dtype)
    ends = [False, True] if kind.is_bool else [kind.min, kind.max]
    cells = [ends, [1, 0], *[[number, 1] for number in range(1, rows - 1)]]
    return np.array([np.array(row, kind.as_numpy_dtype) for row in cells])


def test_the_table_is_that_of_tensorflow():
    for name, (number, said) in DTYPES.items():
        dtype = tf.as_dtype(name)
        assert dtype.as_datatype_enum == number
        assert said == f"DT_{re.sub('float64', 'double', name).upper()}" or said in (
            "DT_FLOAT",
            "DT_HALF",
        )
        assert tf.as_dtype(said.removeprefix("DT_").lower()) is dtype
        assert tf.zeros([1], dtype).numpy().dtype.name == name


def test_tables_of_clients_are_complete():
    table = runpy.run_path(str(CLIENTS / "rest_client.py"))["DTYPES"]
    assert set(table) == {dtype.name for dtype in DTYPES.values()}
    for name, dtype in DTYPES.items():
        wanted = "float32" if name == "bfloat16" else name
        assert np.dtype(table[dtype.name]).name == wanted
    node = (CLIENTS / "node" / "client.mjs").read_text()
    numbers = {int(n): name for n, name in re.findall(r"^  (\d+): \[\"(\w+)\"", node, re.M)}
    assert numbers == {DTYPES[name].number: name for name in IN_NODE}
    cpp = (CLIENTS / "cpp" / "serve_saved_model.cc").read_text()
    known = set(re.findall(r"case tensorflow::(DT_\w+):", cpp))
    assert known == {dtype.name for dtype in DTYPES.values()}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A SavedModel that returns what it is given, with a signature for each dtype."""
    folder = tmp_path_factory.mktemp("same")
    functions = {
        name: tf.function(
            lambda x: {"y": tf.identity(x), "z": x[:, :1]},
            input_signature=[tf.TensorSpec([None, 2], name, name="x")],
        ).get_concrete_function()
        for name in DTYPES
    }
    tf.saved_model.save(tf.Module(), str(folder / "1"), signatures=functions)
    return folder


@pytest.fixture(scope="module")
def server(saved):
    with running_double(saved, "same") as addresses:
        yield addresses


def run(script, monkeypatch, *words):
    """Run a client in this process; returns what it exits with."""
    monkeypatch.setattr(sys, "argv", [script, *map(str, words)])
    try:
        runpy.run_path(str(CLIENTS / script), run_name="__main__")
    except SystemExit as ended:
        return ended.code
    return 0


@pytest.mark.slow
@every_dtype
@pytest.mark.parametrize(
    ("script", "way", "options"),
    [
        ("rest_client.py", "rest", []),
        ("rest_client.py", "rest", ["--rows", "--batch", "2"]),
        ("grpc_client.py", "grpc", ["--batch", "2"]),
    ],
    ids=["rest", "rest-rows", "grpc"],
)
def test_clients_in_python(server, tmp_path, monkeypatch, dtype, script, way, options):
    x = values_of(dtype)
    paths = [tmp_path / name for name in ("inputs.npz", "outputs.npz")]
    if dtype == "bfloat16":
        if way == "grpc":
            pytest.skip("files of NumPy hold no bfloat16, and gRPC does not convert")
        x = x.astype("float32")
    np.savez(paths[0], x=x)
    words = [server[way], "same", *paths, "--signature", dtype, *options]
    assert run(script, monkeypatch, *words) == 0
    with np.load(paths[1]) as got:
        for name, wanted in (("y", x), ("z", x[:, :1])):
            assert got[name].dtype == x.dtype
            # JSON holds as many digits as tell apart the numbers of a type.
            received = got[name].astype(tf.as_dtype(dtype).as_numpy_dtype)
            np.testing.assert_array_equal(received, wanted)


def answers_of(dtype, path):
    x = values_of(dtype, rows=70)
    outputs = {"y": x, "z": x[:, :1]}
    path.write_bytes(serving.answers_bytes(dtype, {"x": x}, outputs))
    return path


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return program_path(tmp_path_factory)


@pytest.mark.slow
@every_dtype
def test_cpp(saved, program, tmp_path, dtype):
    answers = answers_of(dtype, tmp_path / "answers.bin")
    done = subprocess.run(
        [program, saved / "1", answers, "20"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["largest_error"] == 0


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with node_folder(tmp_path_factory) as folder:
        yield folder


def same_onnx(dtype, path):
    """An ONNX file that returns what it is given."""
    import onnx
    from onnx import helper

    kind = onnx.TensorProto.DataType.Value(
        {"float32": "FLOAT", "float64": "DOUBLE"}.get(dtype, dtype.upper())
    )
    values = [
        helper.make_tensor_value_info(name, kind, ["batch", 2]) for name in ("x", "y", "z")
    ]
    nodes = [helper.make_node("Identity", ["x"], [name]) for name in ("y", "z")]
    graph = helper.make_graph(nodes, "same", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("dtype", IN_NODE)
def test_node(node, tmp_path, dtype):
    x = values_of(dtype, rows=70)
    answers = tmp_path / "answers.bin"
    answers.write_bytes(serving.answers_bytes("same", {"x": x}, {"y": x, "z": x}))
    model = same_onnx(dtype, tmp_path / "same.onnx")
    done = subprocess.run(
        ["node", node / "client.mjs", model, answers, "20"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["largest_error"] == 0


@pytest.mark.slow
def test_node_says_what_it_cannot_read(node, tmp_path):
    model = same_onnx("float32", tmp_path / "same.onnx")
    answers = answers_of("bfloat16", tmp_path / "answers.bin")
    (tmp_path / "empty.bin").write_bytes(b"")
    cases = [
        ([model, answers], "no type 14 of x in Node"),
        ([model, tmp_path / "empty.bin"], "the answers end too early"),
        ([model, tmp_path / "none.bin"], "no such file or directory"),
        ([tmp_path / "none.onnx", answers_of("float32", tmp_path / "f.bin")], "none.onnx"),
        ([model, answers_of("uint8", tmp_path / "uint8.bin")], "Unexpected input data type"),
    ]
    for words, message in cases:
        done = subprocess.run(
            ["node", node / "client.mjs", *words], capture_output=True, text=True, check=False
        )
        said = [line for line in done.stderr.splitlines() if line.startswith("client.mjs: ")]
        assert (done.returncode, len(said)) == (2, 1), done.stderr
        assert message in said[0]
        assert "    at " not in done.stderr


class _Proxy(http.server.BaseHTTPRequestHandler):
    """What stands before servers, and answers in their place."""

    answer = (502, b"<html>\n<h1>Bad Gateway</h1>\n</html>")

    def do_GET(self):
        status, body = self.answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815  # The base class's name.

    def log_message(self, *arguments):
        pass


@pytest.fixture
def proxy():
    """Start a server that gives one answer to all; returns its address."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        servers = []

        def start(*answer):
            handler = type("Handler", (_Proxy,), {"answer": answer})
            servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
            pool.submit(servers[-1].serve_forever)
            return f"http://127.0.0.1:{servers[-1].server_port}"

        yield start
        for server in servers:
            server.shutdown()
            server.server_close()


METADATA = {
    "metadata": {
        "signature_def": {
            "signature_def": {
                "serving_default": {"outputs": {"x": {"dtype": "DT_FLOAT"}}},
                "words": {"outputs": {"x": {"dtype": "DT_STRING"}}},
            }
        }
    }
}


@pytest.fixture
def inputs(tmp_path):
    path = tmp_path / "inputs.npz"
    np.savez(path, z=np.zeros([2, 3], "float32"))
    return path


def assert_one_line(said, message):
    assert isinstance(said, str)
    assert "\n" not in said
    assert message in said


@pytest.mark.parametrize(
    ("answer", "options", "message"),
    [
        ((502, b"<html>\n<h1>Bad Gateway</h1>\n</html>"), [], "502: Bad Gateway"),
        ((503, b""), [], "503: Service Unavailable"),
        ((200, b"<html>"), [], "no model server answers there"),
        ((200, b"[]"), [], "no model server answers there"),
        ((400, b'{"error": "not\\nso"}'), [], "400: not so"),
        ((200, METADATA), ["--signature", "draw"], "'draw'; there are serving_default, words"),
        ((200, METADATA), ["--signature", "words"], "DT_STRING, which NumPy files do not hold"),
        ((200, METADATA), [], "not the signature's outputs"),
    ],
)
def test_rest_client_says_what_is_wrong(
    proxy, inputs, tmp_path, monkeypatch, answer, options, message
):
    status, body = answer
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    words = [proxy(status, body), "same", inputs, tmp_path / "out.npz", *options]
    assert_one_line(run("rest_client.py", monkeypatch, *words), message)
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize(
    ("script", "server", "message"),
    [
        ("rest_client.py", "http://127.0.0.1:9", "no answer: [Errno 111] Connection refused"),
        ("rest_client.py", "localhost", "unknown url type"),
        ("grpc_client.py", "127.0.0.1:9", "127.0.0.1:9: UNAVAILABLE: "),
    ],
)
def test_clients_without_a_server(inputs, tmp_path, monkeypatch, script, server, message):
    words = [server, "same", inputs, tmp_path / "out.npz"]
    assert_one_line(run(script, monkeypatch, *words), message)


@pytest.mark.parametrize("script", ["rest_client.py", "grpc_client.py"])
@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"z": np.zeros([0, 3])}, "must hold arrays of as many rows, at least one: {'z': 0}"),
        ({"z": np.zeros([])}, "must hold arrays of as many rows"),
        ({}, "must hold arrays of as many rows"),
        ({"z": np.zeros(3), "y": np.zeros(2)}, "{'z': 3, 'y': 2}"),
        ({"z": np.array([{}])}, "inputs.npz is no .npz file of arrays"),
        (b"", "inputs.npz is no .npz file of arrays"),
        (b"PK\3\4 and so on", "inputs.npz is no .npz file of arrays"),
        (None, "No such file or directory"),
    ],
    ids=["no-rows", "scalar", "no-arrays", "uneven", "objects", "empty", "cut", "missing"],
)
def test_clients_say_what_is_wrong_with_inputs(tmp_path, monkeypatch, script, arrays, message):
    path = tmp_path / "inputs.npz"
    if isinstance(arrays, bytes):
        path.write_bytes(arrays)
    elif arrays is not None:
        np.savez(path, **arrays)
    words = ["http://127.0.0.1:9", "same", path, tmp_path / "out.npz"]
    assert_one_line(run(script, monkeypatch, *words), message)


@pytest.mark.parametrize("script", ["rest_client.py", "grpc_client.py"])
def test_clients_check_the_batch(tmp_path, monkeypatch, capsys, script):
    words = ["http://127.0.0.1:9", "same", "in.npz", "out.npz", "--batch", "0"]
    assert run(script, monkeypatch, *words) == 2
    assert "--batch must be at least 1" in capsys.readouterr().err


def test_pytorch_client_without_pytorch(tmp_path):
    done = subprocess.run(
        [sys.executable, CLIENTS / "pytorch" / "client.py", tmp_path / "none.keras"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert re.fullmatch(r"client\.py: [^\n]+\n", done.stderr), done.stderr
