"""Data for studies: images with holes, worlds with exact answers, missingness made to order."""

from .digits import load_digits_halves, load_digits_pixels
from .linear_gaussian import LinearGaussianWorld, make_linear_gaussian
from .missingness import drop_entries, drop_modalities
from .mnist import load_mnist_halves, load_mnist_pixels
from .transformers import DropEntries, DropModalities

__all__ = [
    "DropEntries",
    "DropModalities",
    "LinearGaussianWorld",
    "drop_entries",
    "drop_modalities",
    "load_digits_halves",
    "load_digits_pixels",
    "load_mnist_halves",
    "load_mnist_pixels",
    "make_linear_gaussian",
]
