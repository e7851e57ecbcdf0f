"""Training in a shell: it shows how it goes, and saves when it ends, however that is.

Floor 7.
"""

from __future__ import annotations

import contextlib
import math
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from keras_vae.cli.shell import progress
from keras_vae.core.atomic_io import write_bytes

if TYPE_CHECKING:
    from keras_vae.data import Source
    from keras_vae.models import VAE

__all__ = ["fitted"]

# More epochs than there is time for.
_EPOCHS = 100_000
# Epochs without a better bound after which training ends, and seconds between two savings.
_PATIENCE, _SAVED_EVERY = 20, 60.0
# Updates within those epochs at least: 20 epochs of a small table are few.
_UPDATES = 500
# Of a batch, if there are so many batches at least.
_ROWS, _BATCHES = 128, 8


def fitted(
    vae: VAE,
    source: Source,
    target: Path,
    minutes: float,
    epochs: int | None,
    rows: int | None,
) -> dict[str, Any]:
    """Train, save, and say what came of it.

    Of what an earlier training left and the epochs of this one, the best on what is held out.
    """
    from keras_vae import callbacks
    from keras_vae.callbacks.stopping import has_settled

    count, epochs = len(source.x_train), epochs or _EPOCHS
    rows = rows or max(8, min(_ROWS, count // _BATCHES))
    limit = callbacks.TimeLimit(minutes)
    used: list[Any] = [limit]
    held_out = len(source.x_test) > 0

    def measured() -> dict[str, float]:
        """The same number for the same weights."""
        found = vae.evaluate(source.test_inputs, batch_size=rows, return_dict=True, verbose=0)
        return dict(found)

    if held_out:
        patience = max(_PATIENCE, -(-_UPDATES // -(-count // rows)))
        used.append(callbacks.EarlyStopping(patience=patience))
    before, weights, file = None, None, b""
    if held_out and int(vae.state.step.numpy()) and has_settled(vae):
        before, weights, file = measured(), vae.get_weights(), target.read_bytes()
    began = time.monotonic()
    reason, ended = "epochs are over", None
    with _watching(vae, target, minutes) as watching:
        try:
            vae.fit(
                source.train_inputs,
                validation_data=source.test_inputs if held_out else None,
                batch_size=rows,
                epochs=epochs,
                callbacks=[*used, watching],
                verbose=0,
            )
        except (KeyboardInterrupt, SystemExit) as error:
            reason, ended = "interrupted", error
            for callback in used:
                callback.on_train_end()  # which goes back to the best epoch
    vae.stop_training = False
    saved = _save_somewhere(vae, target)
    if isinstance(ended, SystemExit):
        raise ended
    found = measured() if held_out else watching.last
    done = watching.epochs
    if limit.expired:
        reason = "time is up"
        if not has_settled(vae):
            reason += "; the warm-up is not over: go on with --resume"
    elif reason != "interrupted" and done < epochs:
        reason = "the held-out bound no longer rises"
    if before is not None and _bound(found) < _bound(before):
        vae.set_weights(weights)
        write_bytes(saved, file)  # the optimizer too
        reason, found = f"{reason}; no epoch was better than the model as it was", before
    return {
        "model": str(saved),
        "ended": reason,
        "epochs": done,
        "minutes": round((time.monotonic() - began) / 60, 2),
        ("held_out" if held_out else "trained_on"): {
            name: round(float(value), 4) for name, value in found.items()
        },
        "unit": "nats per example",
    }


def _bound(found: dict[str, float]) -> float:
    return found["elbo"] if "elbo" in found else -found["loss"]


@contextlib.contextmanager
def _watching(vae: VAE, target: Path, minutes: float) -> Iterator[Any]:
    """Yield a callback that shows each epoch, and saves now and then."""
    import keras

    # A terminal shows one line anew, a file gets them all.
    shown_every = 0.5 if sys.stderr.isatty() else 10.0
    with progress("Training") as say:

        class Watching(keras.callbacks.Callback):
            def __init__(self) -> None:
                super().__init__()
                self.epochs = 0
                self.last: dict[str, float] = {}
                self._began = self._shown = time.monotonic()
                self._saved = -math.inf

            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                now = time.monotonic()
                self.epochs += 1
                self.last = {name: float(value) for name, value in (logs or {}).items()}
                if now - self._shown > shown_every or epoch == 0:
                    self._shown = now
                    shown = ("val_elbo", "val_loss") if "val_loss" in self.last else ("loss",)
                    name = next(name for name in shown if name in self.last)
                    say(
                        f"Training: epoch {epoch + 1}, {name} {self.last[name]:.4g} nats, "
                        f"{(now - self._began) / 60:.1f} of {minutes:g} minutes"
                    )
                if now - self._saved > _SAVED_EVERY:
                    self._saved = now
                    _save_if_possible(self.model, target)

        yield Watching()


def _save_if_possible(vae: VAE, target: Path) -> bool:
    """Save; if that fails say so, for the training to go on."""
    try:
        vae.save(target)
    except OSError as error:
        typer.echo(f"note: not saved yet, and tried again later: {error}", err=True)
        return False
    return True


def _save_somewhere(vae: VAE, target: Path) -> Path:
    """Save, if need be in the system's folder for temporary files; return the path.

    Raises:
        OSError: If neither works.
    """
    if _save_if_possible(vae, target):
        return target
    other = Path(tempfile.gettempdir()) / f"{target.stem}-{secrets.token_hex(4)}.keras"
    vae.save(other)
    return other
