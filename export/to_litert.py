"""Export a trained model as LiteRT files, one for each signature.

    python export/to_litert.py vae.keras mobile

writes `mobile/decode.tflite` and so on and `mobile/manifest.json`, and prints the manifest.
"""

import argparse

import keras

from keras_vae import exporters


def main() -> None:
    parser = argparse.ArgumentParser(description="Export a model as LiteRT files.")
    parser.add_argument("model", help="a .keras file")
    parser.add_argument("folder", help="new or existing")
    parser.add_argument("--signatures", nargs="+", help="what to export; default: all it can")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="largest error allowed")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files that no export wrote"
    )
    parser.add_argument("--int8", action="store_true", help="round weights to 8 bits")
    args = parser.parse_args()

    model = keras.saving.load_model(args.model)
    manifest = exporters.export_litert(
        model,
        args.folder,
        signatures=args.signatures,
        tolerance=args.tolerance,
        overwrite=args.overwrite,
        int8=args.int8,
    )
    print(manifest.to_json())


if __name__ == "__main__":
    main()
