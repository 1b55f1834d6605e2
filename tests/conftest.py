import os

# small networks on busy machines are fastest on one thread; the array API is part of the contract
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import pytest
import torch
from hypothesis import HealthCheck, Phase, settings

torch.set_num_threads(1)
collect_ignore = ["references"]  # what makes the references needs packages of its own

# the suite tries few examples, always the same; the command in CONTRIBUTING.md tries many others
_ALWAYS = {
    "database": None,
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "report_multiple_bugs": False,
    "phases": [Phase.explicit, Phase.generate, Phase.shrink],
}
settings.register_profile("suite", max_examples=4, derandomize=True, **_ALWAYS)
settings.register_profile("thorough", max_examples=200, print_blob=True, **_ALWAYS)
settings.load_profile("suite")


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)
