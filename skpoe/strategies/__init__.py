"""Variational strategies: how the modalities that are shown become a posterior."""

from .base import Strategy
from .joint_encoder import JointEncoder
from .product_of_experts import ProductOfExperts, ProductWithStandIns
from .set_encoder import SetEncoder
from .subset_encoders import SubsetEncoders

__all__ = [
    "JointEncoder",
    "ProductOfExperts",
    "ProductWithStandIns",
    "SetEncoder",
    "Strategy",
    "SubsetEncoders",
]
