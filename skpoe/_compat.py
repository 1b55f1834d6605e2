"""Names of scikit-learn that are private, or that not every supported version has, in one place.

The private names stand unchanged in scikit-learn 1.6 to 1.9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.base import _clone_parametrized, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils._set_output import ADAPTERS_MANAGER, _get_output_config
from sklearn.utils.validation import _check_sample_weight

try:  # scikit-learn 1.7
    from sklearn.utils._repr_html.estimator import _VisualBlock
except ImportError:
    from sklearn.utils._estimator_html_repr import _VisualBlock

try:  # scikit-learn 1.9
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:
        """Nothing: this scikit-learn has no callbacks."""

        def _init_callback_context(self, **kwargs: Any) -> _NoContext:
            return _NoContext()

    class _NoContext:
        def subcontext(self, **kwargs: Any) -> _NoContext:
            return self

        def call_on_fit_task_begin(self, **kwargs: Any) -> _NoContext:
            return self

        def call_on_fit_task_end(self, **kwargs: Any) -> bool:
            return False

    def with_callbacks(method: Callable) -> Callable:
        """Return the method as it is."""
        return method


__all__ = [
    "ADAPTERS_MANAGER",
    "CallbackSupportMixin",
    "Interval",
    "StrOptions",
    "_VisualBlock",
    "_check_sample_weight",
    "_clone_parametrized",
    "_fit_context",
    "_get_output_config",
    "with_callbacks",
]
