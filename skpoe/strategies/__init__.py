"""Variational strategies: how the modalities that are shown become a posterior."""

from .base import Strategy
from .product_of_experts import ProductOfExperts

__all__ = ["ProductOfExperts", "Strategy"]
