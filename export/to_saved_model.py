"""Export the decoder of a trained model as a SavedModel.

    python export/to_saved_model.py vae.keras decoder

writes `decoder/1` and `decoder/manifest.json`, and prints the manifest.
"""

import argparse

import keras

from keras_vae import exporters


def main() -> None:
    parser = argparse.ArgumentParser(description="Export a decoder as a SavedModel.")
    parser.add_argument("model", help="a .keras file")
    parser.add_argument("folder", help="new or existing")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="largest error allowed")
    args = parser.parse_args()

    model = keras.saving.load_model(args.model)
    manifest = exporters.export_saved_model(model, args.folder, tolerance=args.tolerance)
    print(manifest.to_json())


if __name__ == "__main__":
    main()
