"""Ask a model server by TensorFlow Serving's REST interface: arrays in, arrays out.

    python rest_client.py http://localhost:8501 decoder inputs.npz outputs.npz

`inputs.npz` holds an array for each input of the signature, `outputs.npz` will hold one for
each output. Needs NumPy only. The exit code is 1 if there was no answer, and one line says why.
"""

import argparse
import http.client
import json
import re
import urllib.error
import urllib.request
import zipfile
import zlib

import numpy as np

# NumPy has no bfloat16: float32 holds its values.
DTYPES = {"DT_FLOAT": "f4", "DT_DOUBLE": "f8", "DT_HALF": "f2", "DT_BFLOAT16": "f4"}
DTYPES |= {f"DT_INT{8 * size}": f"i{size}" for size in (1, 2, 4, 8)}
DTYPES |= {f"DT_UINT{8 * size}": f"u{size}" for size in (1, 2, 4, 8)} | {"DT_BOOL": "?"}


def ask(url: str, data: bytes | None = None) -> dict:
    try:
        with urllib.request.urlopen(url, data, timeout=60) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
        try:
            said = json.loads(said)["error"]
        except (KeyError, TypeError, ValueError):  # A proxy's page.
            said = re.sub("<[^>]*>", " ", said)
        raise ValueError(f"{url}: {error.code}: {said or error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise ValueError(f"{url}: no answer: {getattr(error, 'reason', error)}") from error
    except ValueError as error:
        raise ValueError(f"{url}: no model server answers there: {error}") from error


def read(path: str) -> dict[str, np.ndarray]:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (EOFError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is no .npz file of arrays: {error}") from error
    rows = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if not rows or min(rows.values()) == 0 or len(set(rows.values())) > 1:
        raise ValueError(f"{path} must hold arrays of as many rows, at least one: {rows}")
    return arrays


def output_dtypes(url: str, signature: str) -> dict[str, str]:
    try:
        found = ask(f"{url}/metadata")["metadata"]["signature_def"]["signature_def"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{url}/metadata: no model server answers there") from error
    if signature not in found:
        raise ValueError(f"no signature {signature!r}; there are {', '.join(sorted(found))}")
    dtypes = {name: info["dtype"] for name, info in found[signature]["outputs"].items()}
    for name, dtype in dtypes.items():
        if dtype not in DTYPES:
            raise ValueError(f"output {name!r} is of {dtype}, which NumPy files do not hold")
    return {name: DTYPES[dtype] for name, dtype in dtypes.items()}


def predict(url: str, signature: str, arrays: dict, by_row: bool, dtypes: dict) -> dict:
    sent = {name: array.tolist() for name, array in arrays.items()}
    key, received = ("instances", "predictions") if by_row else ("inputs", "outputs")
    rows = [dict(zip(sent, row)) for row in zip(*sent.values())]
    body = {"signature_name": signature, key: rows if by_row else sent}
    answer = ask(f"{url}:predict", json.dumps(body).encode())
    try:
        answer = answer[received]
        columns = dict.fromkeys(dtypes, answer)  # A single output comes without its name.
        if len(dtypes) > 1:
            columns = {n: [row[n] for row in answer] if by_row else answer[n] for n in dtypes}
        return {name: np.asarray(columns[name], dtype) for name, dtype in dtypes.items()}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{url}:predict: not the signature's outputs: {error}") from error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("server", help="such as http://localhost:8501")
    parser.add_argument("model", help="name it is served under")
    parser.add_argument("inputs", help=".npz file")
    parser.add_argument("outputs", help=".npz file to be written")
    parser.add_argument("--signature", default="serving_default")
    parser.add_argument("--batch", type=int, default=64, help="rows a request, at most")
    parser.add_argument("--rows", action="store_true", help="send instances, not columns")
    args = parser.parse_args()
    if args.batch < 1:
        parser.error("--batch must be at least 1")
    arrays = read(args.inputs)
    url = f"{args.server}/v1/models/{args.model}"
    dtypes = output_dtypes(url, args.signature)
    starts = range(0, len(next(iter(arrays.values()))), args.batch)
    batches = [{n: a[s : s + args.batch] for n, a in arrays.items()} for s in starts]
    answers = [predict(url, args.signature, batch, args.rows, dtypes) for batch in batches]
    np.savez(args.outputs, **{k: np.concatenate([a[k] for a in answers]) for k in dtypes})


if __name__ == "__main__":
    try:
        main()
    except (OSError, TypeError, ValueError) as error:
        raise SystemExit(" ".join(f"rest_client.py: {error}".split())) from None
