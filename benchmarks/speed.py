"""How fast, against peers and limits: `make bench`, or `python benchmarks/speed.py`.

Each contender trains in a process of its own and waits there for its turn, for several rounds;
peers live in an environment of their own, made here unless `--peers PYTHON` names one. Ratios
are medians over rounds of the ratio within a round. Results go to `results/speed.json`. Nothing
else may run meanwhile.

`--only conv` measures those contenders anew whose names begin so, and keeps the other figures.
"""

import argparse
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import venv

import smoke
from facts import machine
from rich.console import Console
from rich.progress import track
from rich.table import Table

HERE = pathlib.Path(__file__).parent
ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
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
# A smoke run starts a process for each of these only.
if smoke.SMOKE:
    CONTENDERS = {n: CONTENDERS[n] for n in ("mlp 128", "mlp 128, keras.io form")}
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
if smoke.SMOKE:
    LIMITS = {n: limit for n, limit in LIMITS.items() if "step, batch" in n}
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


def make_peers(folder, requirements=PEERS):
    venv.create(folder, with_pip=True)
    python = pathlib.Path(folder) / "bin" / "python"
    for requirement in requirements:
        subprocess.run([python, "-m", "pip", "install", "-q", *requirement.split()], check=True)
    return str(python)


def run(python, script, *arguments):
    """What a contender that takes at most one turn writes last."""
    result = subprocess.run(
        [python, str(HERE / "contenders" / script), *arguments],
        input="\n",
        check=True,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    return json.loads(result.stdout.splitlines()[-1])


@contextlib.contextmanager
def waiting(python, script, net, batch, turns, *words):
    """A contender that has compiled: what it wrote, and a function that lets it take a turn."""
    command = [python, str(HERE / "contenders" / script), net, batch, str(turns), *words]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=ENVIRONMENT,
        )

        def line():
            text = process.stdout.readline()
            if not text:
                log.seek(0)
                raise RuntimeError(f"{' '.join(command)} ended: {log.read()[-2000:]}")
            return json.loads(text)

        def turn():
            process.stdin.write("\n")
            process.stdin.flush()
            return line()

        try:
            yield line(), turn
        finally:
            process.kill()
            process.wait()


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


def limits():
    """What `limits.py` measures, and the figures made of it."""
    measured = run(sys.executable, "limits.py", *(limit for _, limit in LIMITS.values()))
    keys = {"median": "products_over_ours", "lowest": "lowest", "highest": "highest"}
    figures = {
        name: {
            "goal": goal,
            "rounds": measured[of]["rounds"],
            **{key: round(measured[of][which], 3) for key, which in keys.items()},
        }
        for name, (goal, of) in LIMITS.items()
    }
    return {**measured, "figures": figures}


def spread(values):
    return {
        "rounds": len(values),
        "median": round(statistics.median(values), 3),
        "lowest": round(min(values), 3),
        "highest": round(max(values), 3),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="a Python that has torch and pythae")
    parser.add_argument("--rounds", type=int, default=smoke.pick(5, 1))
    parser.add_argument("--only", default="", help="how the names of contenders begin")
    smoke.add_argument(parser)
    options = parser.parse_args()
    rounds = options.rounds
    rates = {name: [] for name in CONTENDERS if name.startswith(options.only)}
    path = smoke.RESULTS / "speed.json"
    versions = {}
    first_steps = {name: [] for _, name in FIRST_STEPS.values() if name in rates}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        peers = options.peers or (None if options.smoke else make_peers(folder))

        def contender(name):
            script, net, batch, *words = CONTENDERS[name]
            python = sys.executable if script in (OURS, "keras_io_form.py") else peers
            return waiting(python, script, net, batch, rounds, *words)

        for name in track([*first_steps] * (rounds - 1), "first steps"):
            with contender(name) as (ready, _):
                first_steps[name].append(ready["seconds_to_first_step"])
        turns = {}
        for name in track(rates, "starting"):
            ready, turns[name] = stack.enter_context(contender(name))
            versions.update(ready["versions"])
            if name in first_steps:
                first_steps[name].append(ready["seconds_to_first_step"])
        for _ in track(range(rounds), "rounds"):
            for name, turn in turns.items():
                rates[name].append(turn()["examples_per_second"])
            smoke.write(path, {"rates": rates, "first_steps": first_steps}, complete=False)
    figures = {}
    for name, (goal, first, second) in RATIOS.items():
        if not {first, second} <= rates.keys():
            continue
        each = [a / b for a, b in zip(rates[first], rates[second], strict=True)]
        figures[name] = {"goal": goal, **spread(each)}
    for name, (goal, of) in FIRST_STEPS.items():
        if of in first_steps:
            figures[name] = {"goal": goal, **spread(first_steps[of])}
    report = {
        "command": "python benchmarks/speed.py",
        "figures": figures,
        "examples_per_second": {name: spread(each) for name, each in rates.items()},
    }
    if options.only:
        earlier = json.loads(path.read_text())
        for key in ("figures", "examples_per_second"):
            report[key] = {**earlier[key], **report[key]}
        again = {*earlier.get("measured_anew", []), options.only}
        report = {**earlier, **report, "measured_anew": sorted(again)}
    else:
        smoke.write(path, report, complete=False)
        of_limits, of_imports = limits(), spread(imports(rounds))
        figures.update(of_limits.pop("figures"))
        figures["import keras_vae / its dependencies"] = {"goal": 1.1, **of_imports}
        report.update(limits=of_limits, machine=machine(), versions=versions)
    smoke.write(path, report)
    table = Table("figure", "goal", "median", "lowest", "highest")
    for name, figure in figures.items():
        table.add_row(
            name, *(str(figure[key]) for key in ("goal", "median", "lowest", "highest"))
        )
    Console().print(table)


if __name__ == "__main__":
    main()
