"""Export a trained model as a page that decodes in the browser as sliders move.

    python export/to_web.py vae.keras explorer --data x.npy

writes `explorer/web`, static files for any web server, and `explorer/manifest.json`, and
prints the manifest. Then:

    python -m http.server --directory explorer/web

`--help` lists the options, which are those of `keras-vae export --to web`.
"""

from keras_vae.cli.export_script import run

if __name__ == "__main__":
    run("web")
