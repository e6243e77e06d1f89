#!/usr/bin/env python3
"""Writes metrics.json: the figures of Keras's own metrics for small batches.

    pip install keras==3.15.1 jax numpy
    KERAS_BACKEND=jax python metrics.py
"""
import json
import os
import pathlib

os.environ.setdefault("KERAS_BACKEND", "jax")
import keras
import numpy as np
from keras import metrics as M

F = np.float32
rng = np.random.default_rng(7)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)).astype(F)


def sigmoid(z):
    return (1 / (1 + np.exp(-z))).astype(F)


def round_(a):
    """Few digits, so that ties and thresholds are met."""
    return np.round(a, 2).astype(F)


N = 16
binary = (round_(sigmoid(rng.normal(size=(N, 1)) * 2)), rng.integers(0, 2, (N, 1)).astype(F))
binary[0][:4, 0] = [0.5, 0.0, 1.0, 0.5]
labels = (round_(sigmoid(rng.normal(size=(N, 3)) * 2)), rng.integers(0, 2, (N, 3)).astype(F))
classes = (round_(softmax(rng.normal(size=(N, 6)) * 1.5)), np.eye(6, dtype=F)[rng.integers(0, 6, N)])
classes[0][3] = [0.25, 0.25, 0.25, 0.25, 0, 0]
classes[0][5] = 0
sparse = (classes[0], classes[1].argmax(1).astype(F)[:, None])
sorted_ = (np.linspace(0, 1, N, dtype=F)[:, None], (np.arange(N) >= 6).astype(F)[:, None])
negatives = (binary[0], np.zeros((N, 1), F))
DATA = dict(binary=binary, labels=labels, classes=classes, sparse=sparse, sorted=sorted_, negatives=negatives)
WEIGHTS = rng.uniform(0, 2, N).astype(F)
WEIGHTS[2] = 0

same = ["binary", "labels", "classes", "sorted", "negatives"]
METRICS = [
    ("binary_accuracy", {}, lambda: M.BinaryAccuracy(), ["binary", "labels", "sorted"]),
    ("binary_accuracy", {"threshold": 0.7}, lambda: M.BinaryAccuracy(threshold=0.7), ["binary", "labels"]),
    ("categorical_accuracy", {}, lambda: M.CategoricalAccuracy(), ["classes"]),
    ("sparse_categorical_accuracy", {}, lambda: M.SparseCategoricalAccuracy(), ["sparse"]),
    *[("top_k_categorical_accuracy", {"k": k}, lambda k=k: M.TopKCategoricalAccuracy(k), ["classes"]) for k in (1, 2, 5)],
    *[("sparse_top_k_categorical_accuracy", {"k": k}, lambda k=k: M.SparseTopKCategoricalAccuracy(k), ["sparse"]) for k in (1, 2, 5)],
    *[
        (name, options, lambda c=c, options=options: c(**{{"threshold": "thresholds"}.get(k, k): v for k, v in options.items()}), data)
        for name, c in (("precision", M.Precision), ("recall", M.Recall))
        for options, data in (
            ({}, same), ({"threshold": 0.25}, same), ({"class_id": 1}, ["labels", "classes"]), ({"top_k": 2}, ["labels", "classes"]),
            ({"top_k": 2, "threshold": 0.3}, ["classes"]), ({"top_k": 1, "class_id": 0}, ["classes"]),
        )
    ],
    *[
        ("f1_score", {"average": a, **t}, lambda a=a, t=t: M.F1Score(average=a, **t), ["labels", "classes"])
        for a in ("micro", "macro", "weighted") for t in ({}, {"threshold": 0.3})
    ],
    *[
        ("auc", {"curve": c, "num_thresholds": n}, lambda c=c, n=n: M.AUC(curve=c, num_thresholds=n), same)
        for c in ("ROC", "PR") for n in (200, 5)
    ],
]

cases = []
for name, options, make, data in METRICS:
    for which in data:
        p, t = DATA[which]
        for weighted in (False, True):
            metric = make()
            for part in (slice(0, 10), slice(10, N)):  # two batches, the second one short
                metric.update_state(t[part], p[part], sample_weight=WEIGHTS[part] if weighted else None)
            cases.append({"metric": name, **options, "data": which, "weighted": weighted, "result": float(metric.result())})

write = lambda a: [float(str(v)) for v in np.asarray(a, F).ravel()]
out = {
    "keras": keras.__version__,
    "weights": write(WEIGHTS),
    "data": {k: {"predictions": write(p), "targets": write(t)} for k, (p, t) in DATA.items()},
}
text = json.dumps(out)[:-1] + ', "cases": [\n' + ",\n".join(json.dumps(c) for c in cases) + "\n]}\n"
pathlib.Path(__file__).with_name("metrics.json").write_text(text)
print(len(cases), "cases")
