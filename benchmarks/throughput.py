"""Training throughput against peers, in one run: `python benchmarks/throughput.py`.

Runs each contender in a process of its own, in turn, several rounds; peers live in an
environment of their own, made here unless `--peers PYTHON` names one. Writes medians and the
ratios to `benchmarks/results/throughput.json`. Nothing else may run meanwhile.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import venv

HERE = pathlib.Path(__file__).parent
PEERS = ["torch==2.13.0", "pythae==0.1.2"]
CONTENDERS = {
    "keras_vae fit": ("ours", ["keras_vae_fit.py"]),
    "keras.io form": ("ours", ["keras_io_form.py"]),
    "PyTorch loop": ("peers", ["torch_loop.py"]),
    "PyTorch loop, fused Adam, no sync": ("peers", ["torch_loop.py", "fused"]),
    "pythae trainer": ("peers", ["pythae_trainer.py"]),
}


def make_peers(folder):
    venv.create(folder, with_pip=True)
    python = pathlib.Path(folder) / "bin" / "python"
    for requirement in PEERS:
        subprocess.run([python, "-m", "pip", "install", "-q", requirement], check=True)
    return str(python)


def run(python, script, *arguments):
    command = [python, str(HERE / "contenders" / script), *arguments]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment
    )
    return json.loads(result.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="a Python that has torch and pythae")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pythons = {"ours": sys.executable, "peers": options.peers or make_peers(folder)}
        rates = {name: [] for name in CONTENDERS}
        versions = {}
        for number in range(options.rounds):
            for name, (where, command) in CONTENDERS.items():
                outcome = run(pythons[where], *command)
                rates[name].append(outcome["examples_per_second"])
                versions.update(outcome["versions"])
                print(f"round {number + 1}: {name:35s} {rates[name][-1]:8.0f} examples/s")
    ours = rates["keras_vae fit"]
    rows = {
        name: {
            "examples_per_second": round(statistics.median(each)),
            "lowest": round(min(each)),
            "highest": round(max(each)),
            "ratio_of_keras_vae_to_it": round(
                statistics.median(a / b for a, b in zip(ours, each, strict=True)), 3
            ),
        }
        for name, each in rates.items()
    }
    result = {
        "command": "python benchmarks/throughput.py",
        "workload": "MLP 784-512-10-512-784, batch 128, float32, Adam, 60,000 examples",
        "rounds": options.rounds,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}",
        "versions": versions,
        "contenders": rows,
    }
    path = HERE / "results" / "throughput.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    for name, row in rows.items():
        print(f"{name:35s} {row['examples_per_second']:8d}  {row['ratio_of_keras_vae_to_it']}")


if __name__ == "__main__":
    main()
