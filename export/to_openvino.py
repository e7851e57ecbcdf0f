"""Export a trained model as OpenVINO files, a folder for each signature.

    python export/to_openvino.py vae.keras models

writes `models/decode/1/model.xml` and `model.bin` and so on and `models/manifest.json`, and
prints the manifest.
`--help` lists the options, which are those of `keras-vae export --to openvino`.
"""

from keras_vae.cli.export_script import run

if __name__ == "__main__":
    run("openvino")
