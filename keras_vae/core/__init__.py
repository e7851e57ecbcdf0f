"""What every part of the package may use, and which knows nothing of models."""
