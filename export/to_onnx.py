"""Export a trained model as ONNX files, one for each signature.

    python export/to_onnx.py vae.keras out

writes `out/decode.onnx` and so on and `out/manifest.json`, and prints the manifest.
`--help` lists the options, which are those of `keras-vae export --to onnx`.
"""

from keras_vae.cli.export_script import run

if __name__ == "__main__":
    run("onnx")
