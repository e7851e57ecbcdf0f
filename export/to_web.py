"""Export a trained model as a page that decodes in the browser as sliders move.

    python export/to_web.py vae.keras explorer --data x.npy

writes `explorer/web`, static files for any web server, and `explorer/manifest.json`, and
prints the manifest. Then:

    python -m http.server --directory explorer/web
"""

import argparse

import keras
import numpy as np

from keras_vae import exporters


def main() -> None:
    parser = argparse.ArgumentParser(description="Export a model as a page of sliders.")
    parser.add_argument("model", help="a .keras file")
    parser.add_argument("folder", help="new or existing")
    parser.add_argument("--data", help="a .npy file of examples, or an .npz of x and condition")
    parser.add_argument("--title", help="of the page")
    parser.add_argument("--vocabulary", help="characters, if events are text")
    parser.add_argument("--sample-rate", type=int, help="per second, if events are sound")
    parser.add_argument(
        "--runtime", default="cdn", help="folder of the npm package onnxruntime-web"
    )
    parser.add_argument("--tolerance", type=float, default=1e-5, help="largest error allowed")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files that no export wrote"
    )
    args = parser.parse_args()

    data = None if args.data is None else np.load(args.data)
    manifest = exporters.export_web(
        keras.saving.load_model(args.model),
        args.folder,
        data=data,
        title=args.title,
        vocabulary=args.vocabulary,
        sample_rate=args.sample_rate,
        runtime=args.runtime,
        tolerance=args.tolerance,
        overwrite=args.overwrite,
    )
    print(manifest.to_json())


if __name__ == "__main__":
    main()
