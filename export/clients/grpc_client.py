"""Ask a model server by TensorFlow Serving's gRPC interface: arrays in, arrays out.

    python grpc_client.py localhost:8500 decoder inputs.npz outputs.npz

`inputs.npz` holds an array for each input of the signature, `outputs.npz` will hold one for
each output. Needs `pip install tensorflow-serving-api`. The exit code is 1 if there was no
answer, and one line says why.
"""

import argparse
import zipfile
import zlib

import numpy as np

try:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis.predict_pb2 import PredictRequest
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub
except ImportError as error:
    raise SystemExit(f"grpc_client.py: {error}: pip install tensorflow-serving-api") from None

UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class ClientError(Exception):
    """Why there is no answer."""


def read(path: str) -> dict[str, np.ndarray]:
    """Arrays of as many rows each."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (EOFError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ClientError(f"{path} is no .npz file of arrays: {error}") from error
    rows = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if not rows or min(rows.values()) == 0 or len(set(rows.values())) > 1:
        raise ClientError(f"{path} must hold arrays of as many rows, at least one: {rows}")
    return arrays


def array_of(name: str, proto: object) -> np.ndarray:
    """The values of an answer, in a type that NumPy's files can hold."""
    array = tf.make_ndarray(proto)
    if array.dtype == tf.bfloat16.as_numpy_dtype:
        return array.astype("float32")  # It holds all of their values.
    if array.dtype.kind not in "biuf":
        raise ClientError(f"output {name!r} is of {array.dtype}, which NumPy files do not hold")
    return array


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("server", help="such as localhost:8500")
    parser.add_argument("model", help="name it is served under")
    parser.add_argument("inputs", help=".npz file")
    parser.add_argument("outputs", help=".npz file to be written")
    parser.add_argument("--signature", default="serving_default")
    parser.add_argument("--batch", type=int, default=64, help="rows a request, at most")
    args = parser.parse_args()
    if args.batch < 1:
        parser.error("--batch must be at least 1")

    arrays = read(args.inputs)
    answers = []
    with grpc.insecure_channel(args.server, UNLIMITED) as channel:
        stub = PredictionServiceStub(channel)
        for start in range(0, len(next(iter(arrays.values()))), args.batch):
            request = PredictRequest()
            request.model_spec.name = args.model
            request.model_spec.signature_name = args.signature
            for name, array in arrays.items():
                proto = tf.make_tensor_proto(array[start : start + args.batch])
                request.inputs[name].CopyFrom(proto)
            try:
                response = stub.Predict(request, timeout=60)
            except grpc.RpcError as error:
                code, details = error.code().name, error.details()
                raise ClientError(f"{args.server}: {code}: {details}") from error
            answers.append({k: array_of(k, v) for k, v in response.outputs.items()})
    if not answers[0]:
        raise ClientError(f"{args.server} answers without outputs")
    outputs = {name: np.concatenate([a[name] for a in answers]) for name in answers[0]}
    np.savez(args.outputs, **outputs)


if __name__ == "__main__":
    try:
        main()
    except (ClientError, KeyError, OSError, TypeError, ValueError) as error:
        raise SystemExit(" ".join(f"grpc_client.py: {error}".split())) from None
