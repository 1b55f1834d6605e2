import os

# small networks on busy machines are fastest on one thread; the array API is part of the contract
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import pytest
import torch

torch.set_num_threads(1)
collect_ignore = ["references"]  # what makes the references needs packages of its own


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)
