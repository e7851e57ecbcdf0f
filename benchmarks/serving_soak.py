"""A served decoder under load: `python benchmarks/serving_soak.py`.

Trains a small VAE on scikit-learn's digits, exports its decoder to ONNX, and serves it with
NVIDIA Triton (nvidia-pytriton; the Python backend runs ONNX Runtime), which batches requests
of different clients together. Eight client processes, half of them over HTTP and half over
gRPC (KServe's protocol, by tritonclient), send requests of random latents of digits, one
after the other, and compare every number of every answer with the Keras model's. A quarter
of the requests each are of 1, 4, 16 and 64 rows. Server and clients share one machine, which
nothing else may use meanwhile.

Triton's binary wants a Python that has a shared library, such as Debian's; its environment is
made here from `--python` unless `--environment` names one that exists. Writes
`benchmarks/results/serving_soak.json`, if all 100,000 requests were sent.
"""

import argparse
import contextlib
import json
import os
import pathlib
import queue
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import facts
import numpy as np
import smoke

HERE = pathlib.Path(__file__).parent
REQUIREMENTS = ["nvidia-pytriton==0.7.0", "onnxruntime==1.32.0"]
REQUESTS, CLIENTS, BATCH_SIZES, SEED = 100_000, 8, (1, 4, 16, 64), 0
EPOCHS = smoke.pick(5, 1)
MODEL, PROTOCOLS, POOL = "decoder", ("http", "grpc"), 4_096
# Of the output's largest absolute value.
TOLERANCE = 1e-5
REPORT_EVERY = 25


def serve(path, http_port, grpc_port, metrics_port):
    """Role of a process in Triton's environment: serve a file until standard input ends."""
    import onnxruntime
    from pytriton.decorators import batch
    from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
    from pytriton.triton import Triton, TritonConfig

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def tensors(values):
        return [Tensor(name=v.name, dtype=np.float32, shape=tuple(v.shape[1:])) for v in values]

    outputs = tensors(session.get_outputs())
    names = [output.name for output in outputs]

    @batch
    def run(**inputs):
        return dict(zip(names, session.run(names, inputs), strict=True))

    config = TritonConfig(
        http_address="127.0.0.1",
        http_port=int(http_port),
        grpc_address="127.0.0.1",
        grpc_port=int(grpc_port),
        metrics_port=int(metrics_port),
    )
    batcher = DynamicBatcher(max_queue_delay_microseconds=200)
    with Triton(config=config, workspace=pathlib.Path(path).with_name("workspace")) as triton:
        triton.bind(
            model_name=MODEL,
            infer_func=run,
            inputs=tensors(session.get_inputs()),
            outputs=outputs,
            config=ModelConfig(max_batch_size=max(BATCH_SIZES), batcher=batcher),
            strict=True,
        )
        triton.run()
        sys.stdin.read()


def ask(protocol, port, pool, batch_size, requests, seed, results):
    """Role of a client process: send requests, check every answer, store the latencies."""
    if protocol == "http":
        import tritonclient.http as client
    else:
        import tritonclient.grpc as client

    with np.load(pool) as stored:
        arrays = {name: stored[name] for name in stored.files}
    wanted = {k.removeprefix("output/"): v for k, v in arrays.items() if k.startswith("output")}
    scales = {name: np.max(np.abs(value)) for name, value in wanted.items()}
    fetches = [client.InferRequestedOutput(name) for name in wanted]
    rng = np.random.default_rng(int(seed))
    milliseconds, errors = [], []
    with client.InferenceServerClient(f"127.0.0.1:{port}") as server:
        for number in range(int(requests)):
            rows = rng.integers(POOL, size=int(batch_size))
            z = arrays["input/z"][rows]
            tensor = client.InferInput("z", z.shape, "FP32")
            tensor.set_data_from_numpy(z)
            start = time.perf_counter()
            answer = server.infer(MODEL, [tensor], outputs=fetches)
            got = {name: answer.as_numpy(name) for name in wanted}
            milliseconds.append(1e3 * (time.perf_counter() - start))
            errors.append(max(error_of(got[k], wanted[k][rows], scales[k]) for k in wanted))
            if (number + 1) % REPORT_EVERY == 0 or number + 1 == int(requests):
                print(number + 1, flush=True)
    np.savez(results, milliseconds=milliseconds, errors=errors)


def error_of(got, wanted, scale):
    if got is None or got.shape != wanted.shape or not np.all(np.isfinite(got)):
        return np.inf
    return np.max(np.abs(got - wanted)) / scale


def make_decoder(folder):
    """Train, export, and write latents with what the model makes of them."""
    import keras

    import keras_vae
    from keras_vae.exporters import export_onnx, signatures

    keras.utils.set_random_seed(SEED)
    x = keras_vae.data.load_digits().x_train
    vae = keras_vae.VAE(
        encoder=keras_vae.networks.MLP([128]),
        decoder=keras_vae.networks.MLP([128]),
        posterior=keras_vae.posteriors.DiagonalNormal(latent_dim=8),
        likelihood=keras_vae.likelihoods.Bernoulli(),
        event_shape=x.shape[1:],
        seed=SEED,
    )
    vae.compile(keras.optimizers.Adam(1e-3))
    vae.fit(x, epochs=EPOCHS, verbose=0)
    manifest = export_onnx(vae, folder, signatures=["decode"])
    (decode,) = signatures.signatures_of(vae, ["decode"])
    rows = np.random.default_rng(SEED).integers(len(x), size=POOL)
    inputs = {"z": vae.encode(x[rows], sample=True, seed=SEED)}
    arrays = {f"input/{name}": value for name, value in inputs.items()}
    arrays.update({f"output/{k}": v for k, v in decode.evaluate(inputs).items()})
    np.savez(folder / "pool.npz", **arrays)
    return folder / manifest.signatures["decode"].path


@contextlib.contextmanager
def role(python, *words, piped=True):
    """Run this file as another process; end it, and all that it started, if need be."""
    command = [python, __file__, *[str(word) for word in words]]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if piped else log,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
            process.stdin.close()
            process.wait(timeout=120)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if piped:
                process.stdout.close()
            if process.returncode:
                log.seek(0)
                print(f"{words[0]} ended with {process.returncode}:\n{log.read()[-4000:]}")
        if process.returncode:
            raise RuntimeError(f"{words[0]} ended with {process.returncode}.")


def get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.read().decode()


def wait_until_ready(process, port):
    """Wait for the model, and return the server's version."""
    for _ in range(600):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            get(port, f"/v2/models/{MODEL}/ready")
            return json.loads(get(port, "/v2"))["version"]
        time.sleep(0.2)
    raise RuntimeError("The server did not become ready.")


def executions(port):
    """Rows served so far, and batches in which they were run."""
    metrics = get(port, "/metrics")
    names = ("nv_inference_count", "nv_inference_exec_count")
    found = [
        re.search(rf'^{name}{{.*model="{MODEL}".*}} (\d+)', metrics, re.M) for name in names
    ]
    return np.array([int(match[1]) for match in found])


def run_phase(python, ports, folder, batch_size, requests, clients, progress):
    """All clients at one batch size: latencies and errors by protocol, and seconds."""
    files, lines = [], queue.Queue()
    with contextlib.ExitStack() as stack:
        task = progress.add_task(f"{batch_size:3d} rows a request", total=requests)
        watchers = []
        for number in range(clients):
            protocol = PROTOCOLS[number % len(PROTOCOLS)]
            files.append((protocol, folder / f"{batch_size}-{number}.npz"))
            share = requests // clients + (number < requests % clients)
            seed = SEED + 1_000 * batch_size + number
            pool = folder / "pool.npz"
            words = (protocol, ports[protocol], pool, batch_size, share, seed, files[-1][1])
            process = stack.enter_context(role(python, "ask", *words))
            watcher = threading.Thread(target=watch, args=(process, number, lines))
            watcher.start()
            watchers.append(watcher)
        done, first = [0] * clients, None
        ended = 0
        while ended < clients:
            number, count = lines.get()
            ended += count is None
            if count is not None:
                # Not from the start of the processes: they import and connect first.
                first = first or (time.perf_counter(), sum(done) + REPORT_EVERY)
                done[number] = count
                progress.update(task, completed=sum(done))
        seconds = time.perf_counter() - first[0]
        for watcher in watchers:
            watcher.join()
    return files, (sum(done) - first[1]) / seconds


def watch(process, number, lines):
    for line in process.stdout:
        lines.put((number, int(line)))
    lines.put((number, None))


def summary(files, rate, batch_size):
    by_protocol = {protocol: ([], []) for protocol in PROTOCOLS}
    for protocol, path in files:
        with np.load(path) as stored:
            by_protocol[protocol][0].append(stored["milliseconds"])
            by_protocol[protocol][1].append(stored["errors"])
    joined = {
        protocol: [np.concatenate(each) for each in lists]
        for protocol, lists in by_protocol.items()
        if lists[0]
    }
    errors = np.concatenate([errors for _, errors in joined.values()])
    return {
        "requests": len(errors),
        "wrong": int(np.sum(~(errors <= TOLERANCE))),
        "largest_error": float(np.max(errors)),
        "requests_per_second": round(rate, 1),
        "rows_per_second": round(rate * batch_size, 1),
        **{protocol: latencies(ms) for protocol, (ms, _) in joined.items()},
    }


def latencies(milliseconds):
    values = np.quantile(milliseconds, [0.5, 0.99, 1.0])
    return {
        name: round(float(x), 2) for name, x in zip(("p50_ms", "p99_ms", "longest_ms"), values)
    }


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def resident_megabytes(root):
    """Memory of a process and all that it started; shared pages count in each."""
    parents, pages = {}, {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(fields[1])
                pages[int(entry.name)] = int(fields[21])
    family = {root}
    while grown := {child for child, parent in parents.items() if parent in family} - family:
        family |= grown
    return round(sum(pages.get(each, 0) for each in family) * os.sysconf("SC_PAGE_SIZE") / 1e6)


def environment(base, folder):
    """The Python of Triton's environment, made if there is none, and its packages."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([base, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *REQUIREMENTS], check=True)
    code = (
        "import importlib.metadata as m, json, platform; print(json.dumps({'python of Triton': "
        "platform.python_version(), **{p: m.version(p) for p in ('nvidia-pytriton', "
        "'tritonclient', 'onnxruntime', 'numpy')}}))"
    )
    done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return str(python), json.loads(done.stdout)


def soak(python, folder, path, requests, clients):
    import rich.progress

    http, grpc, metrics = free_ports(3)
    rows, memory = {}, {}
    columns = (
        *rich.progress.Progress.get_default_columns(),
        rich.progress.MofNCompleteColumn(),
    )
    with (
        role(python, "serve", path, http, grpc, metrics, piped=False) as server,
        rich.progress.Progress(*columns) as progress,
    ):
        version = wait_until_ready(server, http)
        for number, batch_size in enumerate(BATCH_SIZES):
            before = executions(metrics)
            quarter = requests // len(BATCH_SIZES) + (number < requests % len(BATCH_SIZES))
            files, rate = run_phase(
                python,
                {"http": http, "grpc": grpc},
                folder,
                batch_size,
                quarter,
                clients,
                progress,
            )
            served, run = executions(metrics) - before
            rows[str(batch_size)] = {
                **summary(files, rate, batch_size),
                "rows_run_together": round(float(served / run), 1),
            }
            memory[f"after {batch_size}"] = resident_megabytes(server.pid)
            progress.console.print(f"{batch_size:3d} rows: {rows[str(batch_size)]}")
    return rows, memory, version


def answers_without_server():
    """Compare what a server would be given with Keras, in ONNX Runtime and without Triton."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        session = onnxruntime.InferenceSession(make_decoder(folder))
        with np.load(folder / "pool.npz") as pool:
            found = session.run(["x"], {"z": pool["input/z"]})[0]
            error = error_of(found, pool["output/x"], np.abs(pool["output/x"]).max())
    print(f"Without --environment no server was started. Largest error: {error:.2g}.")
    if error > TOLERANCE:
        raise SystemExit(f"The largest error is above {TOLERANCE}.")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--python", default="/usr/bin/python3", help="to make it from")
    parser.add_argument("--environment", type=pathlib.Path, help="Triton's, new or existing")
    smoke.add_argument(parser)
    options = parser.parse_args()
    if options.smoke and options.environment is None:
        answers_without_server()
        return
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        place = options.environment or folder / "triton"
        python, versions = environment(options.python, place)
        path = make_decoder(folder)
        rows, memory, triton = soak(python, folder, path, options.requests, options.clients)
    result = {
        "command": f"python benchmarks/serving_soak.py --requests {options.requests} "
        f"--clients {options.clients}",
        "workload": "MLP 8-128-64 decoder of digits, float32, ONNX Runtime behind Triton's "
        "Python backend, HTTP and gRPC",
        "seed": SEED,
        "machine": {**facts.machine(), "shared": "by server and clients"},
        "versions": {**facts.versions(), "triton": triton, **versions},
        "tolerance": TOLERANCE,
        "requests": sum(row["requests"] for row in rows.values()),
        "wrong": sum(row["wrong"] for row in rows.values()),
        "seconds": round(time.perf_counter() - started),
        "server_resident_megabytes": memory,
        "by_rows_a_request": rows,
    }
    print(json.dumps(result, indent=2))
    if options.requests >= REQUESTS:
        path = smoke.RESULTS / "serving_soak.json"
        smoke.write(path, result)
    if result["wrong"]:
        raise SystemExit(f"{result['wrong']} answers were wrong.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(*sys.argv[2:])
    elif sys.argv[1:2] == ["ask"]:
        ask(*sys.argv[2:])
    else:
        main()
