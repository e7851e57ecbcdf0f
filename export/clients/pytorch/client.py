"""Use an exported decoder in PyTorch, where it is an nn.Module.

    pip install keras torch
    python client.py networks/decoder.keras

prints what it decodes and how one gradient step changes its loss. Neither TensorFlow nor
keras_vae is needed. The exit code is 1 if that fails, and one line says why.
"""

import argparse
import os

os.environ["KERAS_BACKEND"] = "torch"  # Before Keras is imported.

try:
    import keras
    import torch
except ImportError as error:
    raise SystemExit(f"client.py: {error}: pip install keras torch") from None


def random_input(inputs: keras.KerasTensor, device: str) -> torch.Tensor:
    """Three rows of an input: standard normal, or 0 and 1 where it takes no floats."""
    shape, dtype = (3, *inputs.shape[1:]), getattr(torch, inputs.dtype)
    if dtype.is_floating_point:
        return torch.randn(shape, device=device, dtype=dtype)
    return torch.randint(0, 2, shape, device=device).to(dtype)


def main(path: str) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    decoder: torch.nn.Module = keras.saving.load_model(path)
    decoder.to(device)
    parameters = list(decoder.parameters())
    print(f"{sum(p.numel() for p in parameters)} parameters on {device}")

    # Inference. A model of several inputs takes them as a list, in the manifest's order.
    torch.manual_seed(0)
    z = [random_input(inputs, device) for inputs in decoder.inputs]
    z = z if len(z) > 1 else z[0]
    with torch.no_grad():
        x = decoder(z, training=False)
    print(f"x: shape {tuple(x.shape)}, mean {x.float().mean():.6f}")

    # One step towards other data. Keras's layers have no train() and eval(): say it per call.
    target = torch.zeros_like(x)
    optimizer = torch.optim.SGD([p for p in parameters if p.requires_grad], lr=1e-3)
    loss = torch.nn.functional.mse_loss(decoder(z, training=True), target)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        after = torch.nn.functional.mse_loss(decoder(z, training=True), target)
    print(f"loss {loss:.6f}, after a step {after:.6f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", help="a .keras file of an export")
    try:
        main(parser.parse_args().path)
    except (AttributeError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise SystemExit(" ".join(f"client.py: {error}".split())) from None
