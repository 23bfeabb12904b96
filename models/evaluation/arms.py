"""The arms of every comparison: their names, and in words."""

REAL, METHOD = "real", "gelda"
ADJUSTED, SAME_HEAD = "logit_adjusted", "same_head"
LABEL_SHIFT, NEAREST_MEAN = "label_shift", "nearest_class_mean"
ONE_HOT, SHUFFLED, NO_SUBDOMAIN = "one_hot", "shuffled_vectors", "no_subdomain"

LABELS = {
    REAL: "real rows only",
    METHOD: "GeLDA",
    ADJUSTED: "real rows only, logit-adjusted",
    SAME_HEAD: "real rows only, the same head",
    "oversampling": "random oversampling",
    "smote": "SMOTE",
    "gaussian_1": "Gaussian ×1",
    "gaussian_2": "Gaussian ×2",
    "gaussian_shrunk": "Gaussian at shrunk means",
    "cell_gaussian": "Gaussian at predicted cell means",
    "cell_transport": "real rows moved between subdomains",
    LABEL_SHIFT: "post-hoc label shift",
    NEAREST_MEAN: "nearest class mean",
    ONE_HOT: "GeLDA, one-hot vectors",
    SHUFFLED: "GeLDA, shuffled vectors",
    NO_SUBDOMAIN: "GeLDA without subdomain vectors",
}

REDRAWN = (ONE_HOT, SHUFFLED, NO_SUBDOMAIN)
"""The method itself with less meaning in its vectors: not cheaper, but what they must beat."""
