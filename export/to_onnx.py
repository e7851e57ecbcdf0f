"""Export the decoder of a trained model as an ONNX file.

    python export/to_onnx.py vae.keras decoder

writes `decoder/decode.onnx` and `decoder/manifest.json`, and prints the manifest.
"""

import argparse

import keras

from keras_vae import exporters


def main() -> None:
    parser = argparse.ArgumentParser(description="Export a decoder as an ONNX file.")
    parser.add_argument("model", help="a .keras file")
    parser.add_argument("folder", help="new or existing")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="largest error allowed")
    parser.add_argument("--opset", type=int, default=17, help="version of the ONNX operators")
    args = parser.parse_args()

    model = keras.saving.load_model(args.model)
    manifest = exporters.export_onnx(
        model, args.folder, tolerance=args.tolerance, opset=args.opset
    )
    print(manifest.to_json())


if __name__ == "__main__":
    main()
