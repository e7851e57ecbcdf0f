"""Export a trained model as a SavedModel.

    python export/to_saved_model.py vae.keras out

writes `out/1` and `out/manifest.json`, and prints the manifest.
"""

import argparse

import keras

from keras_vae import exporters


def main() -> None:
    parser = argparse.ArgumentParser(description="Export a model as a SavedModel.")
    parser.add_argument("model", help="a .keras file")
    parser.add_argument("folder", help="new or existing")
    parser.add_argument("--signatures", nargs="+", help="such as decode encode; default: all")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="largest error allowed")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files that no export wrote"
    )
    args = parser.parse_args()

    model = keras.saving.load_model(args.model)
    manifest = exporters.export_saved_model(
        model,
        args.folder,
        signatures=args.signatures,
        tolerance=args.tolerance,
        overwrite=args.overwrite,
    )
    print(manifest.to_json())


if __name__ == "__main__":
    main()
