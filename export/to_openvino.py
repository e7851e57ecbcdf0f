"""Export a trained model as OpenVINO files, a folder for each signature.

    python export/to_openvino.py vae.keras models

writes `models/decode/1/model.xml` and `model.bin` and so on and `models/manifest.json`, and
prints the manifest.
"""

import argparse

import keras

from keras_vae import exporters


def main() -> None:
    parser = argparse.ArgumentParser(description="Export a model as OpenVINO files.")
    parser.add_argument("model", help="a .keras file")
    parser.add_argument("folder", help="new or existing")
    parser.add_argument("--signatures", nargs="+", help="what to export; default: all it can")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="largest error allowed")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files that no export wrote"
    )
    args = parser.parse_args()

    model = keras.saving.load_model(args.model)
    manifest = exporters.export_openvino(
        model,
        args.folder,
        signatures=args.signatures,
        tolerance=args.tolerance,
        overwrite=args.overwrite,
    )
    print(manifest.to_json())


if __name__ == "__main__":
    main()
