"""How fast, against peers and limits: `make bench`, or `python benchmarks/speed.py`.

Each contender trains in a process of its own, in turn, for several rounds; peers live in an
environment of their own, made here unless `--peers PYTHON` names one. Ratios are medians over
rounds of the ratio within a round. Results go to `results/speed.json`. Nothing else may run
meanwhile.
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
import time
import venv

from rich.console import Console
from rich.progress import track
from rich.table import Table

HERE = pathlib.Path(__file__).parent
PEERS = ["torch==2.13.0", "pythae==0.1.2"]
OURS, TORCH = "keras_vae_fit.py", "torch_loop.py"
CONTENDERS = {
    "mlp 128": (OURS, "mlp", "128"),
    "mlp 128, torch.compile, tuned": (TORCH, "mlp", "128", "tuned", "compiled"),
    "mlp 128, pythae": ("pythae_trainer.py", "mlp", "128"),
    "mlp 128, keras.io form": ("keras_io_form.py", "mlp", "128"),
    "mlp 1024": (OURS, "mlp", "1024"),
    "mlp 1024, torch.compile, tuned": (TORCH, "mlp", "1024", "tuned", "compiled"),
    "mlp 1024, bfloat16": (OURS, "mlp", "1024", "bfloat16"),
    "burda 100": (OURS, "burda", "100"),
    "burda 100, dynamic": (OURS, "burda", "100", "dynamic"),
    "conv 128": (OURS, "conv", "128"),
    "conv 128, oneDNN": (OURS, "conv", "128", "onednn"),
    "conv 128, torch.compile, tuned": (TORCH, "conv", "128", "tuned", "compiled"),
}
# Figure -> its goal, and which rate is divided by which.
RATIOS = {
    "fit / torch.compile tuned, batch 128": (1.15, "mlp 128", "mlp 128, torch.compile, tuned"),
    "fit / torch.compile tuned, batch 1024": (
        1.0,
        "mlp 1024",
        "mlp 1024, torch.compile, tuned",
    ),
    "fit / pythae, batch 128": (1.7, "mlp 128", "mlp 128, pythae"),
    "fit / keras.io form, batch 128": (2.0, "mlp 128", "mlp 128, keras.io form"),
    "bfloat16 / float32, batch 1024": (1.35, "mlp 1024, bfloat16", "mlp 1024"),
    "new bits at each use / the same bits, batch 100 (>= 1/1.15)": (
        0.87,
        "burda 100, dynamic",
        "burda 100",
    ),
    "conv / torch.compile tuned, batch 128": (
        1.0,
        "conv 128",
        "conv 128, torch.compile, tuned",
    ),
    "conv with TF_ENABLE_ONEDNN_OPTS=1 / torch.compile tuned": (
        1.0,
        "conv 128, oneDNN",
        "conv 128, torch.compile, tuned",
    ),
}
# Figure -> its goal, and which of `limits.py`.
LIMITS = {
    "matrix products / step, batch 128": (0.85, "step"),
    "matrix products of the decoder / step of IWAE(50) (>= 1/1.4)": (0.714, "iwae"),
    "matrix products of the decoder / NLL(5000)": (0.6, "nll"),
}
# Figure -> its goal in seconds, and whose first step.
FIRST_STEPS = {
    "seconds to the first step, mlp": (3.0, "mlp 128"),
    "seconds to the first step, conv": (10.0, "conv 128"),
    "seconds to the first step, keras.io form (the floor)": (None, "mlp 128, keras.io form"),
}
IMPORTS = (
    "import keras, onnx, sklearn, tensorflow, tensorflow_probability",
    "import keras_vae",
)


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


def imports(rounds):
    """Ratio of the time that importing the package takes to that of its dependencies."""
    ratios = []
    for _ in range(rounds):
        times = []
        for statement in IMPORTS:
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True, capture_output=True)
            times.append(time.perf_counter() - start)
        ratios.append(times[1] / times[0])
    return ratios


def spread(values):
    return {
        "median": round(statistics.median(values), 3),
        "lowest": round(min(values), 3),
        "highest": round(max(values), 3),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="a Python that has torch and pythae")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    outcomes, versions = {name: [] for name in CONTENDERS}, {}
    with tempfile.TemporaryDirectory() as folder:
        peers = options.peers or make_peers(folder)
        for _ in track(range(options.rounds), "rounds"):
            for name, command in CONTENDERS.items():
                of_ours = command[0] in (OURS, "keras_io_form.py")
                outcome = run(sys.executable if of_ours else peers, *command)
                outcomes[name].append(outcome)
                versions.update(outcome["versions"])
    rates = {name: [o["examples_per_second"] for o in all_] for name, all_ in outcomes.items()}
    figures = {}
    for name, (goal, first, second) in RATIOS.items():
        each = [a / b for a, b in zip(rates[first], rates[second], strict=True)]
        figures[name] = {"goal": goal, **spread(each)}
    limits = run(sys.executable, "limits.py", *(limit for _, limit in LIMITS.values()))
    for name, (goal, limit) in LIMITS.items():
        keys = {"median": "products_over_ours", "lowest": "lowest", "highest": "highest"}
        values = {key: round(limits[limit][of], 3) for key, of in keys.items()}
        figures[name] = {"goal": goal, **values}
    for name, (goal, contender) in FIRST_STEPS.items():
        each = [o["seconds_to_first_step"] for o in outcomes[contender]]
        figures[name] = {"goal": goal, **spread(each)}
    figures["import keras_vae / its dependencies"] = {
        "goal": 1.1,
        **spread(imports(options.rounds)),
    }
    report = {
        "command": "python benchmarks/speed.py",
        "rounds": options.rounds,
        "figures": figures,
        "examples_per_second": {name: spread(each) for name, each in rates.items()},
        "limits": limits,
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        "versions": versions,
    }
    (HERE / "results" / "speed.json").write_text(json.dumps(report, indent=2) + "\n")
    table = Table("figure", "goal", "median", "lowest", "highest")
    for name, figure in figures.items():
        table.add_row(
            name, *(str(figure[key]) for key in ("goal", "median", "lowest", "highest"))
        )
    Console().print(table)


def processor():
    """Name of the processor, and of the instructions that matter for matrix products."""
    path = pathlib.Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    name = next((li.split(":")[1].strip() for li in lines if li.startswith("model name")), "")
    flags = next((li.split(":")[1].split() for li in lines if li.startswith("flags")), [])
    known = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f in flags]
    return f"{name or platform.processor()} ({', '.join(known)})"


if __name__ == "__main__":
    main()
