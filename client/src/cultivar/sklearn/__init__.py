"""GeLDA with imbalanced-learn's interface, in this process or at a service.

from cultivar.sklearn import GeldaSampler

X2, y2 = GeldaSampler(random_state=0).fit_resample(X, y)
"""

try:
    import imblearn as _imblearn  # noqa: F401 (asked for here, so that its absence has a sentence)
except ImportError as _error:
    raise ImportError(
        "cultivar.sklearn needs the packages scikit-learn and imbalanced-learn: "
        "pip install 'cultivar[sklearn]'"
    ) from _error

from cultivar.sklearn._sampler import GeldaSampler

__all__ = ["GeldaSampler"]
