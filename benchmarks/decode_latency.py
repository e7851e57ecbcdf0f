"""How long a decoder takes in each runtime: `python benchmarks/decode_latency.py` (quiet).

Two decoders - dense 32-256-512-784 and convolutions to 32x32x3 - at batch sizes 1, 64 and
1024. All contenders run in one process on two threads and take turns over rounds; the figure
is the median of the rounds' medians, and the ratio that to ONNX Runtime in the same round.
`--torch PYTHON` names a Python with torch (and onnx) that exports the same net to ONNX by
`torch.onnx.export`: a peer in ONNX Runtime. Its convolutions are PyTorch's own: channels first,
and cut at the other end, so that they compute as much, but not the same.
"""

import argparse
import itertools
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import onnxruntime
import smoke
import tensorflow as tf
from facts import versions

import keras_vae
from keras_vae import exporters, likelihoods, networks, posteriors

RESULTS = smoke.RESULTS / "decode_latency.json"
BATCHES, ROUNDS = smoke.pick((1, 64, 1024), (1,)), smoke.pick(5, 1)
SECONDS, DIM, THREADS = smoke.pick(0.3, 0.01), 32, 2

TORCH_EXPORT = """
import sys
import numpy as np
import torch

kind, weights, path = sys.argv[1:]
stored = np.load(weights)
arrays = [torch.tensor(stored[f"arr_{i}"]) for i in range(len(stored.files))]
if kind == "dense":
    layers = []
    for i in range(0, len(arrays), 2):
        layer = torch.nn.Linear(*arrays[i].shape)
        layer.weight.data, layer.bias.data = arrays[i].T.contiguous(), arrays[i + 1]
        layers += [layer, torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1], torch.nn.Sigmoid())
else:
    (first, bias), body, (head, shift) = arrays[:2], arrays[2:-2], arrays[-2:]
    dense = torch.nn.Linear(*first.shape)
    dense.weight.data, dense.bias.data = first.T.contiguous(), bias
    layers = [dense, torch.nn.ReLU(), torch.nn.Unflatten(1, (body[0].shape[3], 4, 4))]
    for i in range(0, len(body), 2):
        kernel = body[i].permute(3, 2, 0, 1).contiguous()
        layer = torch.nn.ConvTranspose2d(
            *kernel.shape[:2], 3, stride=2, padding=1, output_padding=1
        )
        layer.weight.data, layer.bias.data = kernel, body[i + 1]
        layers += [layer, torch.nn.ReLU()]
    pointwise = torch.nn.Conv2d(*head.shape, 1)
    pointwise.weight.data, pointwise.bias.data = head.T[:, :, None, None].contiguous(), shift
    net = torch.nn.Sequential(*layers, pointwise, torch.nn.Sigmoid())
torch.onnx.export(
    net.eval(), (torch.zeros(2, 32),), path, input_names=["z"], output_names=["x"],
    dynamic_axes={"z": {0: "batch"}, "x": {0: "batch"}}, dynamo=False,
)
"""


def models():
    keras.utils.set_random_seed(0)
    q = posteriors.DiagonalNormal
    yield (
        "dense",
        keras_vae.VAE(
            networks.MLP([64]),
            networks.MLP([256, 512], activation="relu"),
            q(DIM),
            likelihood=likelihoods.Bernoulli(),
            event_shape=(784,),
        ),
    )
    yield (
        "convolutions",
        keras_vae.VAE(
            networks.MLP([64]),
            networks.ConvDecoder([128, 64, 32]),
            q(DIM),
            likelihood=likelihoods.Bernoulli(),
            event_shape=(32, 32, 3),
        ),
    )


def contenders(vae, folder, kind, torch_python):
    """Name -> a function z -> x. Each is the fastest documented way into its runtime."""
    exporters.export_saved_model(vae, folder, signatures=["decode"])
    exporters.export_onnx(vae, folder, signatures=["decode"], variants=["int8"])
    exporters.export_litert(vae, folder, signatures=["decode"])
    exporters.export_openvino(vae, folder, signatures=["decode"])
    plain = vae.decoder_model()
    served = tf.saved_model.load(f"{folder}/1").signatures["decode"]
    found = {
        "Keras predict": lambda z: plain.predict(z, batch_size=len(z), verbose=0),
        "Keras call": lambda z: plain(z).numpy(),
        "vae.decode": lambda z: vae.decode(z, batch_size=len(z)),
        "SavedModel": lambda z: served(z=tf.constant(z))["x"].numpy(),
        "ONNX Runtime": onnx_runner(f"{folder}/decode.onnx"),
        "ONNX Runtime, int8": onnx_runner(f"{folder}/decode.int8.onnx"),
        "LiteRT": litert_runner(f"{folder}/decode.tflite"),
        "OpenVINO": openvino_runner(pathlib.Path(folder)),
    }
    if torch_python:
        weights = (*vae.decoder.weights, *vae._to_likelihood.weights)
        np.savez(f"{folder}/weights.npz", *map(np.asarray, weights))
        command = [torch_python, "-c", TORCH_EXPORT, kind]
        command += [f"{folder}/weights.npz", f"{folder}/torch.onnx"]
        subprocess.run(command, check=True, capture_output=True)
        found["torch export in ONNX Runtime"] = onnx_runner(f"{folder}/torch.onnx")
    return found


def onnx_runner(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda z: session.run(["x"], {"z": z})[0]


def litert_runner(path):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=THREADS)
    runner = interpreter.get_signature_runner()
    return lambda z: runner(z=z)["x"]


def openvino_runner(folder):
    import openvino

    path = next(folder.rglob("*.xml"))
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": THREADS}
    request = openvino.Core().compile_model(path, "CPU", options).create_infer_request()
    return lambda z: request.infer({"z": z})["x"]


def milliseconds(function, z):
    """Median over calls for some time."""
    times, end = [], time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        function(z)
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description="Latency of decoders.")
    parser.add_argument("--torch", help="a Python with torch and onnx")
    smoke.add_argument(parser)
    torch_python = parser.parse_args().torch
    table = {}
    for kind, vae in itertools.islice(models(), smoke.pick(None, 1)):
        with tempfile.TemporaryDirectory() as folder:
            runners = contenders(vae, folder, kind, torch_python)
            for rows in BATCHES:
                z = np.random.default_rng(0).normal(size=[rows, DIM]).astype("float32")
                for function in runners.values():
                    function(z)
                rounds = [
                    {name: milliseconds(function, z) for name, function in runners.items()}
                    for _ in range(ROUNDS)
                ]
                cells = {}
                for name in runners:
                    ratios = [times[name] / times["ONNX Runtime"] for times in rounds]
                    cells[name] = {
                        "milliseconds": round(statistics.median(t[name] for t in rounds), 3),
                        "ratio_to_onnxruntime": round(statistics.median(ratios), 2),
                    }
                    print(kind, rows, name, cells[name], flush=True)
                table[f"{kind}, batch {rows}"] = cells
                smoke.write(RESULTS, table, complete=False)
    report = {
        "command": "python benchmarks/decode_latency.py [--torch PYTHON]",
        "threads": THREADS,
        "results": table,
        "versions": versions("onnxruntime"),
    }
    smoke.write(RESULTS, report)


if __name__ == "__main__":
    main()
