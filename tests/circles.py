"""Independent von Mises distributions on circles, by scipy alone: an oracle."""

import numpy as np
import torch
from scipy.special import ive


class Circles:
    """eta (S, N, circles, 2) is the mode times the concentration; results lead with (S, N)."""

    def __init__(self, eta):
        eta = np.asarray(eta)
        self.kappa = np.hypot(eta[..., 0], eta[..., 1])
        self.angle = np.arctan2(eta[..., 1], eta[..., 0])
        self.first = ive(1, self.kappa) / ive(0, self.kappa)
        self.second = ive(2, self.kappa) / ive(0, self.kappa)

    def _log_normalizer(self):
        return np.log(2 * np.pi * ive(0, self.kappa)) + self.kappa

    def log_prob(self, z):
        pairs = np.asarray(z).reshape(*z.shape[:-1], -1, 2)
        angle = np.arctan2(pairs[..., 1], pairs[..., 0])
        log = self.kappa * np.cos(angle - self.angle) - self._log_normalizer()
        return torch.from_numpy(log.sum(-1))

    def kl(self, other):
        inner = self.kappa - other.kappa * np.cos(self.angle - other.angle)
        log = other._log_normalizer() - self._log_normalizer()
        return torch.from_numpy((log + self.first * inner).sum(-1))

    def _around(self, radius):
        """Vectors of a length in the directions of the modes, circles side by side."""
        both = np.stack([radius * np.cos(self.angle), radius * np.sin(self.angle)], -1)
        return torch.from_numpy(both.reshape(*both.shape[:-2], -1))

    @property
    def mean(self):
        return self._around(self.first)

    @property
    def direction(self):
        return self._around((self.kappa > 0).astype(float))

    @property
    def covariance_matrix(self):
        along, across = 0.5 * (1 + self.second) - self.first**2, 0.5 * (1 - self.second)
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        blocks = np.zeros((*self.kappa.shape[:-1], *2 * [2 * self.kappa.shape[-1]]))
        for j in range(self.kappa.shape[-1]):
            turn = np.stack([cos[..., j], -sin[..., j], sin[..., j], cos[..., j]], -1)
            turn = turn.reshape(*turn.shape[:-1], 2, 2)
            size = np.stack([along[..., j], across[..., j]], -1)
            part = (turn * size[..., None, :]) @ turn.swapaxes(-1, -2)
            blocks[..., 2 * j : 2 * j + 2, 2 * j : 2 * j + 2] = part
        return torch.from_numpy(blocks)
