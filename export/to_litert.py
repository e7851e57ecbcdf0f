"""Export a trained model as LiteRT files, one for each signature.

    python export/to_litert.py vae.keras mobile

writes `mobile/decode.tflite` and so on and `mobile/manifest.json`, and prints the manifest.
`--help` lists the options, which are those of `keras-vae export --to litert`.
"""

from keras_vae.cli.export_script import run

if __name__ == "__main__":
    run("litert")
