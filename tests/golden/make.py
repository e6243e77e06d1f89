"""Writes keras.safetensors: layers, losses, optimizers and schedules as the real Keras computes them.

    pip install "keras==3.15.1" jax safetensors && python tests/golden/make.py

Every case is a layer or loss in the words of its own get_config, its input, its weights, and what
comes out: y, and for a random dy the gradients of the sum of y * dy. An optimizer has its arguments,
five gradients of two variables, and these after each step; a schedule its rates at steps 0 to 29.
`noise` is what float32 loses beside float64. Two runs give the same bytes.
"""

import json
import os
import pathlib

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import keras
import numpy as np
from keras import layers as L
from safetensors.numpy import save_file

ACTIVATIONS = ["relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh", "softmax"]
IMAGE = (2, 7, 6, 4)

LAYERS = {
    "conv2d_valid": (L.Conv2D, dict(filters=3, kernel_size=3, activation="relu"), IMAGE),
    "conv2d_same_strides": (L.Conv2D, dict(filters=5, kernel_size=(3, 2), strides=2, padding="same"), IMAGE),
    "conv2d_dilated": (L.Conv2D, dict(filters=2, kernel_size=3, dilation_rate=2, use_bias=False), IMAGE),
    "conv2d_groups": (L.Conv2D, dict(filters=6, kernel_size=3, groups=2, padding="same"), IMAGE),
    "conv2d_depthwise": (L.Conv2D, dict(filters=4, kernel_size=3, groups=4, activation="silu"), IMAGE),
    "batch_normalization": (L.BatchNormalization, {}, IMAGE),
    "batch_normalization_rows": (L.BatchNormalization, dict(momentum=0.9, epsilon=1e-5), (5, 8)),
    "max_pooling2d": (L.MaxPooling2D, dict(pool_size=(3, 2), strides=2, padding="same"), IMAGE),
    "average_pooling2d": (L.AveragePooling2D, dict(pool_size=3, strides=2, padding="same"), IMAGE),
    "average_pooling2d_valid": (L.AveragePooling2D, dict(pool_size=2), IMAGE),
    "global_average_pooling2d": (L.GlobalAveragePooling2D, {}, IMAGE),
    "global_max_pooling2d": (L.GlobalMaxPooling2D, {}, IMAGE),
    "zero_padding2d": (L.ZeroPadding2D, dict(padding=((1, 2), (0, 3))), IMAGE),
    "flatten": (L.Flatten, {}, IMAGE),
    "dense": (L.Dense, dict(units=5, activation="tanh"), (3, 7)),
}
LAYERS |= {f"dense_{name}": (L.Dense, dict(units=5, activation=name), (3, 7)) for name in ACTIVATIONS}
LAYERS |= {f"activation_{name}": (L.Activation, dict(activation=name), IMAGE) for name in ACTIVATIONS}

K = keras.losses
LOSSES = {
    "categorical": (K.CategoricalCrossentropy, {}, "one_hot"),
    "categorical_logits_smoothed": (K.CategoricalCrossentropy, dict(from_logits=True, label_smoothing=0.1), "one_hot"),
    "sparse": (K.SparseCategoricalCrossentropy, {}, "index"),
    "sparse_logits": (K.SparseCategoricalCrossentropy, dict(from_logits=True), "index"),
    "binary": (K.BinaryCrossentropy, dict(label_smoothing=0.2), "binary"),
    "binary_logits": (K.BinaryCrossentropy, dict(from_logits=True), "binary"),
    "squared": (K.MeanSquaredError, {}, "numbers"),
}

O = keras.optimizers
OPTIMIZERS = {
    "sgd": (O.SGD, dict(learning_rate=0.1)),
    "sgd_momentum_clipnorm": (O.SGD, dict(learning_rate=0.1, momentum=0.9, clipnorm=0.5)),
    "sgd_nesterov_decay": (O.SGD, dict(learning_rate=0.1, momentum=0.8, nesterov=True, weight_decay=0.02)),
    "rmsprop": (O.RMSprop, {}),
    "rmsprop_centered_clipvalue": (O.RMSprop, dict(centered=True, rho=0.8, clipvalue=0.3)),
    "rmsprop_momentum": (O.RMSprop, dict(learning_rate=0.01, momentum=0.9, epsilon=1e-4)),
    "rmsprop_everything": (
        O.RMSprop, dict(centered=True, momentum=0.5, weight_decay=0.01, global_clipnorm=0.7)),
    "adam": (O.Adam, {}),
    "adam_clipvalue": (O.Adam, dict(learning_rate=0.01, beta_1=0.8, beta_2=0.95, clipvalue=0.2)),
    "amsgrad": (O.Adam, dict(learning_rate=0.01, amsgrad=True, epsilon=1e-5)),
    "adamw": (O.AdamW, {}),
    "adamw_clipnorm": (O.AdamW, dict(learning_rate=0.01, weight_decay=0.1, clipnorm=0.4)),
    "nadam": (O.Nadam, {}),
    "nadam_global_clipnorm": (O.Nadam, dict(learning_rate=0.01, global_clipnorm=0.6)),
    "adagrad": (O.Adagrad, dict(learning_rate=0.1)),
    "adagrad_decay": (O.Adagrad, dict(learning_rate=0.1, weight_decay=0.05)),
    "adadelta": (O.Adadelta, dict(learning_rate=1.0)),
    "adadelta_clipnorm": (O.Adadelta, dict(learning_rate=1.0, rho=0.9, clipnorm=0.5)),
    "adamax": (O.Adamax, {}),
    "lion": (O.Lion, {}),
    "lion_decay": (O.Lion, dict(learning_rate=0.01, beta_1=0.8, weight_decay=0.1)),
}

S = O.schedules
SCHEDULES = {
    "exponential": (S.ExponentialDecay, dict(initial_learning_rate=0.1, decay_steps=7, decay_rate=0.5)),
    "exponential_staircase": (
        S.ExponentialDecay,
        dict(initial_learning_rate=0.1, decay_steps=7, decay_rate=0.5, staircase=True)),
    "inverse_time": (S.InverseTimeDecay, dict(initial_learning_rate=0.1, decay_steps=4, decay_rate=0.6)),
    "piecewise": (S.PiecewiseConstantDecay, dict(boundaries=[5, 17], values=[0.1, 0.03, 0.004])),
    "polynomial": (
        S.PolynomialDecay,
        dict(initial_learning_rate=0.1, decay_steps=20, end_learning_rate=0.01, power=2.0)),
    "polynomial_cycle": (S.PolynomialDecay, dict(initial_learning_rate=0.1, decay_steps=9, cycle=True)),
    "cosine": (S.CosineDecay, dict(initial_learning_rate=0.1, decay_steps=20, alpha=0.05)),
    "cosine_warmup": (
        S.CosineDecay,
        dict(initial_learning_rate=0.01, decay_steps=15, warmup_target=0.1, warmup_steps=8)),
    "cosine_restarts": (
        S.CosineDecayRestarts,
        dict(initial_learning_rate=0.1, first_decay_steps=6, t_mul=1.5, m_mul=0.8, alpha=0.01)),
}


def weight_name(variable):
    return variable.path.split("/")[-1]


def layer_case(build, options, shape, rng):
    """The tensors of one layer, computed in the width that Keras is set to."""
    layer = build(**options, dtype=keras.backend.floatx())
    layer.build(shape)
    tensors = {"x": rng.normal(size=shape)}
    for variable in layer.weights:
        drawn = rng.normal(size=variable.shape)
        positive = weight_name(variable) == "moving_variance"
        tensors[weight_name(variable)] = abs(drawn) + 0.5 if positive else drawn
    for name in list(tensors):
        tensors[name] = tensors[name].astype(np.float32)
    width = keras.backend.floatx()
    given = {name: value.astype(width) for name, value in tensors.items()}
    trained = [given[weight_name(v)] for v in layer.trainable_variables]
    state = [given[weight_name(v)] for v in layer.non_trainable_variables]
    training = isinstance(layer, L.BatchNormalization)

    def run(trained, x):
        kwargs = dict(training=True) if training else {}
        return layer.stateless_call(trained, state, x, **kwargs)

    y, pull, after = jax.vjp(run, trained, given["x"], has_aux=True)
    dy = rng.normal(size=y.shape).astype(np.float32)
    # Keras on JAX computes some functions, tanh among them, in float32 whatever it is asked for.
    grads, dx = pull(dy.astype(y.dtype))
    results = {"y": y, "dx": dx}
    results |= {f"d{weight_name(v)}": g for v, g in zip(layer.trainable_variables, grads)}
    if training:
        results |= {f"after_{weight_name(v)}": a for v, a in zip(layer.non_trainable_variables, after)}
    config = keras.saving.serialize_keras_object(layer)
    return tensors | {"dy": dy}, results, dict(class_name=config["class_name"], config=config["config"])


def loss_case(build, options, kind, rng):
    n, k = 4, 1 if kind == "binary" else 3
    scores = rng.normal(size=(n, k))
    if kind == "one_hot" or kind == "index":
        classes = rng.integers(0, 3, size=n)
        target = np.eye(3)[classes] if kind == "one_hot" else classes[:, None].astype(float)
    else:
        target = rng.integers(0, 2, size=(n, k)) if kind == "binary" else rng.normal(size=(n, k))
    if not options.get("from_logits") and kind != "numbers":
        scores = np.exp(scores)
        scores /= scores.sum(axis=1, keepdims=True) if k > 1 else 1 + scores
    given = dict(y_pred=scores, y_true=target, sample_weight=rng.uniform(0.2, 2, size=n))
    given = {name: value.astype(np.float32) for name, value in given.items()}
    wide = {name: value.astype(keras.backend.floatx()) for name, value in given.items()}
    loss = build(**options, dtype=keras.backend.floatx())
    truth = wide["y_true"][:, 0] if kind == "index" else wide["y_true"]
    value, gradient = jax.value_and_grad(lambda p: loss(truth, p, wide["sample_weight"]))(wide["y_pred"])
    results = {"loss": np.asarray(value)[None], "dy_pred": gradient}
    return given, results, dict(class_name=build.__name__, config=options)


def optimizer_case(build, options, rng):
    shapes = {"kernel": (3, 4), "bias": (4,)}
    given = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    given |= {f"grad_{name}": rng.normal(size=(5, *shape)) for name, shape in shapes.items()}
    given = {name: value.astype(np.float32) for name, value in given.items()}
    width = keras.backend.floatx()
    variables = [keras.Variable(given[name].astype(width), dtype=width) for name in shapes]
    optimizer = build(**options)
    optimizer.build(variables)
    after = []
    for step in range(5):
        grads = [keras.ops.array(given[f"grad_{name}"][step], dtype=width) for name in shapes]
        optimizer.apply(grads, variables)
        after.append([np.asarray(variable.value) for variable in variables])
    results = {f"after_{name}": np.stack(values) for name, values in zip(shapes, zip(*after))}
    return given, results, dict(class_name=build.__name__, config=options)


def schedule_case(build, options, rng):
    schedule = build(**options)
    rates = np.array([schedule(step) for step in range(30)])
    return {}, {"rates": rates}, dict(class_name=build.__name__, config=options)


def main():
    tensors, cases = {}, {}
    listed = [(f"layer.{n}", layer_case, *c) for n, c in LAYERS.items()]
    listed += [(f"loss.{n}", loss_case, *c) for n, c in LOSSES.items()]
    listed += [(f"optimizer.{n}", optimizer_case, *c) for n, c in OPTIMIZERS.items()]
    listed += [(f"schedule.{n}", schedule_case, *c) for n, c in SCHEDULES.items()]
    for seed, (name, make, *arguments) in enumerate(listed):
        both = []
        for width in ["float64", "float32"]:
            keras.backend.set_floatx(width)
            jax.config.update("jax_enable_x64", width == "float64")
            both.append(make(*arguments, np.random.default_rng(seed)))
        (given, exact, about), (_, rounded, _) = both
        noise = {f: float(abs(np.asarray(rounded[f]) - exact[f]).max()) for f in exact}
        cases[name] = about | {"noise": noise}
        for field, value in (given | exact).items():
            tensors[f"{name}/{field}"] = np.asarray(value, dtype=np.float32)
    versions = {m.__name__: m.__version__ for m in (keras, jax, np)}
    text = json.dumps({"cases": cases, "versions": versions}, sort_keys=True)
    path = pathlib.Path(__file__).with_name("keras.safetensors")
    save_file(dict(sorted(tensors.items())), path, metadata={"golden": text})
    print(path, path.stat().st_size, "bytes,", len(cases), "cases")


main()
