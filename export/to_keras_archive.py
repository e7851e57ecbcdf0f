"""Export a trained model as plain Keras files, for any backend of Keras.

    python export/to_keras_archive.py vae.keras networks

writes `networks/encoder.keras`, `networks/decoder.keras` and `networks/manifest.json`, and
prints the manifest.
`--help` lists the options, which are those of `keras-vae export --to keras_archive`.
"""

from keras_vae.cli.export_script import run

if __name__ == "__main__":
    run("keras_archive")
