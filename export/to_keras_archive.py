"""Export the networks of a trained model as plain Keras files, for any backend of Keras.

    python export/to_keras_archive.py vae.keras networks

writes `networks/encoder.keras`, `networks/decoder.keras` and `networks/manifest.json`, and
prints the manifest.
"""

import argparse

import keras

from keras_vae import exporters


def main() -> None:
    parser = argparse.ArgumentParser(description="Export networks as plain Keras files.")
    parser.add_argument("model", help="a .keras file")
    parser.add_argument("folder", help="new or existing")
    parser.add_argument("--signatures", nargs="+", help="encode, decode; default: both")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="largest error allowed")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files that no export wrote"
    )
    args = parser.parse_args()

    model = keras.saving.load_model(args.model)
    manifest = exporters.export_keras_archive(
        model,
        args.folder,
        signatures=args.signatures,
        tolerance=args.tolerance,
        overwrite=args.overwrite,
    )
    print(manifest.to_json())


if __name__ == "__main__":
    main()
