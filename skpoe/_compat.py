"""Every private name of scikit-learn that is needed, in one place.

They stand unchanged in scikit-learn 1.6 to 1.9.
"""

from sklearn.base import _clone_parametrized, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions

__all__ = ["Interval", "StrOptions", "_clone_parametrized", "_fit_context"]
