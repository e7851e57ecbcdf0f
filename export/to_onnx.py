"""Export a trained model as ONNX files, one for each signature.

    python export/to_onnx.py vae.keras out

writes `out/decode.onnx` and so on and `out/manifest.json`, and prints the manifest.
"""

import argparse

import keras

from keras_vae import exporters


def main() -> None:
    parser = argparse.ArgumentParser(description="Export a model as ONNX files.")
    parser.add_argument("model", help="a .keras file")
    parser.add_argument("folder", help="new or existing")
    parser.add_argument("--signatures", nargs="+", help="such as decode encode; default: all")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="largest error allowed")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files that no export wrote"
    )
    parser.add_argument("--opset", type=int, default=17, help="version of the ONNX operators")
    args = parser.parse_args()

    model = keras.saving.load_model(args.model)
    manifest = exporters.export_onnx(
        model,
        args.folder,
        signatures=args.signatures,
        tolerance=args.tolerance,
        overwrite=args.overwrite,
        opset=args.opset,
    )
    print(manifest.to_json())


if __name__ == "__main__":
    main()
