"""A double of a model server, to test clients and exports against where none can be had.

    python serving_double.py FOLDER NAME

It speaks `tensorflow.serving.PredictionService` (Predict, GetModelMetadata) over gRPC and the
REST interface described at https://www.tensorflow.org/tfx/serving/api_rest, with the official
protocol buffers, statuses and messages, and runs the SavedModel by its signature's tensor
names in a session. It is not TensorFlow Serving: scheduling, batching and speed are not its.
Prints its two ports as JSON; ends when its standard input does.
"""

import concurrent.futures
import http.server
import json
import math
import pathlib
import re
import sys
import threading

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

_MAXIMUM = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_HTTP = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.FAILED_PRECONDITION: 412,
}


class RefusedError(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code, self.message = code, message


def invalid(message):
    return RefusedError(grpc.StatusCode.INVALID_ARGUMENT, message)


class Servable:
    """The highest version in a folder, run by a session."""

    def __init__(self, folder, name):
        self.name = name
        self.version = max(
            int(p.name) for p in pathlib.Path(folder).iterdir() if p.name.isdigit()
        )
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            meta_graph = tf.compat.v1.saved_model.loader.load(
                self._session, ["serve"], str(pathlib.Path(folder) / str(self.version))
            )
        self.signatures = meta_graph.signature_def

    def check(self, spec):
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        wanted = spec.version.value if spec.HasField("version") else None
        if spec.name != self.name or wanted not in (None, self.version):
            which = (
                f"Latest({spec.name})" if wanted is None else f"Specific({spec.name}, {wanted})"
            )
            raise RefusedError(
                grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {which}"
            )

    def predict(self, request):
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        self.check(request.model_spec)
        name = request.model_spec.signature_name or "serving_default"
        if name not in self.signatures:
            message = f'Serving signature key "{name}" not found.'
            raise RefusedError(grpc.StatusCode.FAILED_PRECONDITION, message)
        signature = self.signatures[name]
        given, wanted = set(request.inputs), set(signature.inputs)
        if len(given) != len(wanted):
            lists = [
                ",".join(sorted(x)) for x in (given, wanted, given - wanted, wanted - given)
            ]
            raise invalid(
                f"input size does not match signature: {len(given)}!={len(wanted)} "
                f"len({{{lists[0]}}}) != len({{{lists[1]}}}). Sent extra: {{{lists[2]}}}. "
                f"Missing but required: {{{lists[3]}}}."
            )
        if given != wanted:
            alias = min(wanted - given)
            raise invalid(
                f"Signature input alias: {alias}(feed name: "
                f"{signature.inputs[alias].name}) not found in request and no default value "
                f"provided. Inputs expected to be in the request "
                f"{{{','.join(sorted(given))}}}, or default input alias set: "
            )
        filtered = list(request.output_filter)
        for alias in filtered:
            if alias not in signature.outputs:
                raise invalid(
                    f"output tensor alias not found in signature: {alias} Outputs expected to "
                    f"be in the set {{{','.join(sorted(signature.outputs))}}}."
                )
            if filtered.count(alias) > 1:
                raise invalid(f"duplicate output tensor alias: {alias}")
        fetches = {k: signature.outputs[k].name for k in filtered or signature.outputs}
        response = predict_pb2.PredictResponse()
        response.model_spec.name = self.name
        response.model_spec.version.value = self.version
        response.model_spec.signature_name = name
        for alias, value in self._run(signature, request.inputs, fetches).items():
            response.outputs[alias].CopyFrom(tf.make_tensor_proto(value))
        return response

    def _run(self, signature, inputs, fetches):
        feeds = {}
        for alias, proto in inputs.items():
            try:
                value = tf.make_ndarray(proto)
            except (TypeError, ValueError) as error:
                raise invalid(f"tensor parsing error: {alias}") from error
            info = signature.inputs[alias]
            if proto.dtype != info.dtype:
                received, expected = (
                    types_pb2.DataType.Name(x.dtype).removeprefix("DT_").lower()
                    for x in (proto, info)
                )
                raise invalid(f"Expects arg[0] to be {expected} but {received} is provided")
            feeds[info.name] = value
        try:
            return self._session.run(fetches, feeds)
        except (ValueError, tf.errors.InvalidArgumentError) as error:
            raise invalid(str(error)) from error

    def metadata(self, request):
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise invalid(f"Metadata field {field} is not supported")
        self.check(request.model_spec)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in self.signatures.items():
            signatures.signature_def[name].CopyFrom(signature)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = self.name
        response.model_spec.version.value = self.version
        response.metadata["signature_def"].Pack(signatures)
        return response


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, servable):
        self._servable = servable

    def Predict(self, request, context):
        return self._answer(self._servable.predict, request, context)

    def GetModelMetadata(self, request, context):
        return self._answer(self._servable.metadata, request, context)

    def _answer(self, method, request, context):
        try:
            return method(request)
        except RefusedError as refused:
            context.abort(refused.code, refused.message)


def request_of_json(servable, name, version, text):
    """The PredictRequest that a JSON body stands for, and whether it is in row format."""
    try:
        body = json.loads(text)
    except ValueError as error:
        raise invalid(f"JSON Parse error: {error}") from error
    if not isinstance(body, dict):
        raise invalid(f"JSON Value: {text} Is not object")
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    if version:
        request.model_spec.version.value = int(version)
    request.model_spec.signature_name = body.get("signature_name", "")
    servable.check(request.model_spec)
    signature_name = request.model_spec.signature_name or "serving_default"
    if signature_name not in servable.signatures:
        raise invalid(f'Serving signature name: "{signature_name}" not found in signature def')
    infos = servable.signatures[signature_name].inputs
    keys = {"instances", "inputs"} & set(body)
    if not keys:
        raise invalid("Missing 'inputs' or 'instances' key")
    if len(keys) == 2:
        raise invalid(
            f"JSON Value: {text} Not formatted correctly expecting only one of 'inputs' or "
            f"'instances' keys to exist "
        )
    columns = columns_of_rows(body, infos) if "instances" in keys else columns_of(body, infos)
    for alias, column in columns.items():
        request.inputs[alias].CopyFrom(tensor_of(column, infos[alias].dtype))
    return request, "instances" in keys


def columns_of_rows(body, infos):
    rows = body["instances"]
    if not isinstance(rows, list):
        raise invalid("JSON Value: Excepting 'instances' to be an list/array")
    if not rows:
        raise invalid("JSON Value: No values in 'instances' array")
    if not isinstance(rows[0], dict):
        if len(infos) > 1:
            raise invalid(
                "instances is a plain list, but expecting list of objects as multiple input "
                "tensors required as per tensorinfo_map"
            )
        return {next(iter(infos)): rows}
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise invalid(f"Expecting object but got list at item {number} of input list")
        if set(row) != set(infos):
            raise invalid(
                f"Failed to process element: {number} of 'instances' list. JSON object: "
                f"{json.dumps(row)} keys must be equal to: {','.join(sorted(infos))}"
            )
    return {alias: [row[alias] for row in rows] for alias in infos}


def columns_of(body, infos):
    columns = body["inputs"]
    if not isinstance(columns, dict):
        if len(infos) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input "
                "tensors required as per tensorinfo_map"
            )
        return {next(iter(infos)): columns}
    for alias in infos:
        if alias not in columns:
            raise invalid(f"Missing named input: {alias} in 'inputs' object.")
    return {alias: columns[alias] for alias in infos}


def tensor_of(value, enum):
    dtype = tf.as_dtype(enum)
    try:
        # By itself NumPy makes floats of numbers of which some need uint64.
        array = np.asarray(value, "uint64" if dtype == tf.uint64 else None)
    except ValueError as error:
        raise invalid(f"Encountered list at unexpected size: {error}") from error
    numbers = "b" if dtype.is_bool else "iu" if dtype.is_integer else "iuf"
    if array.dtype.kind not in numbers:
        raise invalid(f"JSON Value: {value} is not of expected type: {dtype.name}")
    return tf.make_tensor_proto(array, dtype)


def json_of_response(response, by_row):
    outputs = {alias: tf.make_ndarray(proto) for alias, proto in response.outputs.items()}
    if not by_row:
        columns = {alias: plain(value) for alias, value in outputs.items()}
        return {"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}
    if len({value.shape[:1] for value in outputs.values()}) > 1:
        raise invalid("Tensors are not of the same batch size")
    if len(outputs) == 1:
        return {"predictions": plain(next(iter(outputs.values())))}
    columns = {alias: plain(value) for alias, value in outputs.items()}
    rows = zip(*columns.values(), strict=True)
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}


def plain(value):
    """Nested lists. Of float32 the shortest decimals that give the same float32 again."""
    if isinstance(value, np.ndarray):
        return [plain(each) for each in value]
    number = value.item()
    return float(str(value)) if isinstance(number, float) and math.isfinite(number) else number


def dict_of(message):
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


class Handler(http.server.BaseHTTPRequestHandler):
    servable = None
    _PREDICT = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?:predict")
    _STATUS = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?(/metadata)?")

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._answer(lambda: self._predict(text))

    def do_GET(self):
        self._answer(self._status)

    def _predict(self, text):
        match = self._PREDICT.fullmatch(self.path)
        if not match:
            raise invalid(f"Malformed request: POST {self.path}")
        request, by_row = request_of_json(self.servable, *match.groups(), text)
        return json_of_response(self.servable.predict(request), by_row)

    def _status(self):
        match = self._STATUS.fullmatch(self.path)
        if not match:
            raise invalid(f"Malformed request: GET {self.path}")
        name, version, metadata = match.groups()
        request = get_model_metadata_pb2.GetModelMetadataRequest()
        request.model_spec.name = name
        if version:
            request.model_spec.version.value = int(version)
        request.metadata_field.append("signature_def")
        answer = self.servable.metadata(request)
        if metadata:
            signatures = get_model_metadata_pb2.SignatureDefMap()
            answer.metadata["signature_def"].Unpack(signatures)
            spec, signature_def = (dict_of(x) for x in (answer.model_spec, signatures))
            return {"model_spec": spec, "metadata": {"signature_def": signature_def}}
        state = {"version": str(self.servable.version), "state": "AVAILABLE"}
        status = {"error_code": "OK", "error_message": ""}
        return {"model_version_status": [{**state, "status": status}]}

    def _answer(self, method):
        try:
            status, content = 200, method()
        except RefusedError as refused:
            status, content = _HTTP[refused.code], {"error": refused.message}
        data = json.dumps(content, indent=4).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass


def main(folder, name):
    servable = Servable(folder, name)
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8), options=_MAXIMUM)
    service = Service(servable)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    handler = type("BoundHandler", (Handler,), {"servable": servable})
    rest = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    foreign = [
        module for module in ("keras_vae", "tensorflow_probability") if module in sys.modules
    ]
    ports = {"grpc": port, "rest": rest.server_port, "foreign": foreign}
    print(json.dumps(ports), flush=True)
    sys.stdin.read()
    rest.shutdown()
    server.stop(None)


if __name__ == "__main__":
    main(*sys.argv[1:])
