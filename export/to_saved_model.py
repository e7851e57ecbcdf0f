"""Export a trained model as a SavedModel.

    python export/to_saved_model.py vae.keras out

writes `out/1` and `out/manifest.json`, and prints the manifest.
`--help` lists the options, which are those of `keras-vae export --to saved_model`.
"""

from keras_vae.cli.export_script import run

if __name__ == "__main__":
    run("saved_model")
