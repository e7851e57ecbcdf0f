"""HOW a model becomes a page: its decoder in a browser, with a slider for each latent.

Floor 6.
"""

from __future__ import annotations

import base64
import datetime
import functools
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keras_vae.core.paths import local_path
from keras_vae.exporters.checks import UnsupportedError, check_model, reason_of
from keras_vae.exporters.explorer import TIMES, Options, check_explorable, describe
from keras_vae.exporters.manifest import Manifest
from keras_vae.exporters.onnx import OPSET, to_proto
from keras_vae.exporters.pipeline import DEFAULT_TOLERANCE, Target, export
from keras_vae.exporters.signature import Signature
from keras_vae.models import VAE
from keras_vae.priors import StandardNormal

__all__ = ["export_web"]

_FOLDER = "web"
_DESCRIPTION = "explorer.json"
_PAGE = Path(__file__).with_name("web_page")
# Of the npm package onnxruntime-web: the program, and the machine code that it loads.
_SCRIPT = "ort.wasm.bundle.min.mjs"
_WASM = "ort-wasm-simd-threaded.wasm"
# What the page loads by itself, and the hashes that browsers check it against.
_VERSION = "1.30.0"
_CDN = f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{_VERSION}/dist"
_INTEGRITY = {
    _SCRIPT: "sha384-PLWz+nHEVHpjwBsO0YVdvQj6n5814Iv8E3b8FG0Rp/uIAtjFMCKOpP66iPzedrIG",
    _WASM: "sha384-vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM",
}


class _Runtime(NamedTuple):
    """Where the page gets ONNX Runtime Web from.

    Attributes:
        version: Such as `"1.30.0"`.
        source: Folder to copy its files from; `None`: they stay on the CDN.
    """

    version: str
    source: Path | None


def export_web(
    model: VAE,
    folder: str | os.PathLike[str],
    *,
    data: Any = None,
    labels: Sequence[str] | None = None,
    vocabulary: Sequence[str] | None = None,
    sample_rate: int | None = None,
    title: str | None = None,
    runtime: str | os.PathLike[str] = "cdn",
    tolerance: float = DEFAULT_TOLERANCE,
    overwrite: bool = False,
) -> Manifest:
    """Write a page that decodes latents in the browser as sliders move.

    `folder/web` holds static files for any web server; `python -m http.server` in there will
    do. Nothing leaves the browser. The ONNX files are verified as in `export_onnx` before the
    folder appears. Besides the decoder that is `generate`, for priors other than the standard
    normal; where ONNX cannot hold it, the page has no button that samples, and says why, as
    does the manifest.

    Args:
        model: Its latents must be real vectors; a condition must be a label.
        folder: New or existing; an earlier export there is replaced once the new one agrees.
        data: Examples `[examples, *event_shape]`, for a conditional model `{"x": ...,
            "condition": ...}`. Latents then come in the order of their variance over them,
            those that do not vary are folded away, and some examples can be started from.
            Defaults to `None`: all latents in order.
        labels: A name for each element of the condition. Defaults to `None`: numbers.
        vocabulary: A word or character for each category, if events are text. Defaults to
            `None`: they are not.
        sample_rate: Samples per second, if events are sound. Defaults to `None`: they are not.
        title: Of the page. Defaults to `None`: "Latent explorer".
        runtime: `"cdn"`: the page loads ONNX Runtime Web from a public server, exactly the
            files known here; or the folder of the unpacked npm package `onnxruntime-web`,
            which is copied (14 MB): the page then works offline. Defaults to `"cdn"`.
        tolerance: Largest error allowed, as a share of the output's largest absolute value.
            Defaults to `1e-5`.
        overwrite: Whether to replace files in the way that no export wrote, or that were
            changed since. Defaults to `False`: they are an error.

    Returns:
        What was written and measured.

    Raises:
        ExportError: If ONNX lacks an op, or the export fails or does not agree with the
            model; nothing is written then.
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument has a wrong value, the page cannot show such a model, or
            the folder cannot be written to.

    Example:
    >>> vae = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(latent_dim=2),
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(4,),
    ... )
    >>> import os, tempfile
    >>> from keras_vae import exporters
    >>> folder = tempfile.mkdtemp()
    >>> manifest = exporters.export_web(vae, folder)
    >>> sorted(os.listdir(folder))
    ['manifest.json', 'web']
    """
    check_model(model)
    source = _runtime(runtime)
    options = Options(data, labels, vocabulary, sample_rate, title)
    check_explorable(model, options)
    write = functools.partial(_write, model=model, options=options, runtime=source)
    target = Target(
        name="web",
        convert=functools.partial(to_proto, opset=OPSET),
        write=write,
        path=lambda name: _FOLDER,
        served_as=lambda name: name,
        run=lambda signatures: f"python -m http.server --directory {_FOLDER}",
        packages=("onnx", "tf2onnx"),
        options={
            "opset": OPSET,
            "onnxruntime-web": source.version,
            "runtime": "cdn" if source.source is None else "copied",
        },
    )
    if isinstance(model.prior, StandardNormal):
        return export(target, model, folder, tolerance, ["decode"], overwrite=overwrite)
    try:
        return export(
            target, model, folder, tolerance, ["decode", "generate"], overwrite=overwrite
        )
    except UnsupportedError as error:
        # Without a button that samples, then.
        why = {"generate": reason_of(error)}
        target = target._replace(write=functools.partial(write, left_out=why))
        return export(
            target, model, folder, tolerance, ["decode"], left_out=why, overwrite=overwrite
        )


def _runtime(runtime: Any) -> _Runtime:
    """Find ONNX Runtime Web.

    Raises:
        TypeError: If `runtime` is no path.
        ValueError: If it is not there.
    """
    if not isinstance(runtime, (str, os.PathLike)):
        raise TypeError(
            f'`runtime` must be "cdn" or a path. Received: runtime={runtime!r} of type '
            f"{type(runtime).__name__}."
        )
    if os.fspath(runtime) == "cdn":
        return _Runtime(_VERSION, None)
    place = local_path(runtime, "runtime")
    for source in (place, place / "dist"):
        if (source / _SCRIPT).is_file() and (source / _WASM).is_file():
            with (source / _SCRIPT).open(encoding="utf-8") as file:
                found = re.search(r"ONNX Runtime Web v([\w.-]+)", file.read(1000))
            return _Runtime(found[1] if found else "unknown", source)
    raise ValueError(
        f'`runtime` must be "cdn" or the folder of the npm package onnxruntime-web, which '
        f"holds dist/{_SCRIPT} and dist/{_WASM}. Received: runtime={os.fspath(runtime)!r}. "
        f"`npm install onnxruntime-web@{_VERSION}` makes node_modules/onnxruntime-web."
    )


def _write(
    converted: Mapping[str, Any],
    signatures: Sequence[Signature],
    stage: Path,
    *,
    model: VAE,
    options: Options,
    runtime: _Runtime,
    left_out: Mapping[str, str] | None = None,
) -> None:
    page = stage / _FOLDER
    shutil.copytree(_PAGE, page)
    functions = {}
    for signature in signatures:
        path = page / f"{signature.name}.onnx"
        path.write_bytes(converted[signature.name].SerializeToString())
        functions[signature.name] = {
            **_file(page, path.name),
            "inputs": {
                name: {"shape": list(info.shape), "dtype": info.dtype}
                for name, info in signature.inputs.items()
            },
        }
    content = {
        **describe(model, options),
        "prior": _prior(model, functions),
        "functions": functions,
        "left_out": dict(left_out or {}),
        "runtime": _copied(runtime, page),
        "facts": _facts(model, runtime),
    }
    (page / _DESCRIPTION).write_text(json.dumps(content, indent=1), "utf-8")


def _prior(model: VAE, functions: Mapping[str, Any]) -> dict[str, Any] | None:
    """How the page draws latents; `None` if it cannot."""
    standard = isinstance(model.prior, StandardNormal)
    if not standard and "generate" not in functions:
        return None
    noise = {
        name if standard else f"noise_{name}": {"kind": spec.kind, "shape": list(spec.shape)}
        for name, spec in model.prior.noise_spec().items()
    }
    return {"standard": standard, "noise": noise}


def _copied(runtime: _Runtime, page: Path) -> dict[str, Any]:
    """Copy the runtime, unless it stays where it is; return what the page should load."""
    names = {"script": _SCRIPT, "wasm": _WASM}
    if runtime.source is None:
        files = {
            role: {"url": f"{_CDN}/{name}", "integrity": _INTEGRITY[name]}
            for role, name in names.items()
        }
    else:
        (page / "runtime").mkdir()
        for name in names.values():
            shutil.copyfile(runtime.source / name, page / "runtime" / name)
        files = {role: _file(page, f"runtime/{name}") for role, name in names.items()}
    return {"name": f"ONNX Runtime Web {runtime.version}", **files}


def _file(page: Path, name: str) -> dict[str, str]:
    """A file of the page, and what browsers check it against."""
    digest = hashlib.sha384((page / name).read_bytes()).digest()
    return {"url": name, "integrity": f"sha384-{base64.b64encode(digest).decode()}"}


def _facts(model: VAE, runtime: _Runtime) -> dict[str, str]:
    """What the foot of the page says."""
    parts = ("posterior", "prior", "likelihood")
    return {
        "Model": type(model).__name__,
        "Latents": str(model.posterior.latent_dim),
        "Event": TIMES.join(str(size) for size in model.raw_shape),
        **{part.capitalize(): type(getattr(model, part)).__name__ for part in parts},
        "Training steps": f"{int(model.state.step):,}",
        "keras_vae": importlib.metadata.version("keras-vae"),
        "Keras": importlib.metadata.version("keras"),
        "ONNX Runtime Web": runtime.version,
        "Exported": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
