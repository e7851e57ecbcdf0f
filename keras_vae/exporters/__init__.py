"""Exports: a model's functions as files that run without keras_vae.

Each export is loaded back in a process of its own, compared with the model on real inputs,
and put in place only if it agrees; `manifest.json` beside it records what was measured.

Floor 6.
"""

from keras_vae.exporters.checks import ExportError
from keras_vae.exporters.keras_archive import export_keras_archive
from keras_vae.exporters.litert import export_litert
from keras_vae.exporters.manifest import (
    FileEntry,
    Manifest,
    SignatureEntry,
    TensorEntry,
    read_manifest,
)
from keras_vae.exporters.onnx import export_onnx
from keras_vae.exporters.openvino import export_openvino
from keras_vae.exporters.saved_model import export_saved_model
from keras_vae.exporters.serving import write_answers
from keras_vae.exporters.web import export_web

__all__ = [
    "ExportError",
    "FileEntry",
    "Manifest",
    "SignatureEntry",
    "TensorEntry",
    "export_keras_archive",
    "export_litert",
    "export_onnx",
    "export_openvino",
    "export_saved_model",
    "export_web",
    "read_manifest",
    "write_answers",
]
