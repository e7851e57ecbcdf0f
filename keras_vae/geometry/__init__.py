"""Curved spaces that latents may live in."""
