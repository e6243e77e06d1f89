"""Asks Keras for what gradus answered, and leaves gradus files of Keras: `keras_files.py CASES`.

Loads `model.keras` and `model.weights.h5` of every case, trains on the former, and writes
`back.keras`, `back.weights.h5` and, by Keras 2, `back.h5` with other weights, `back.npy` beside them:
what gradus shall answer with each; `same.keras` is the model as it was. Prints a section of Markdown,
and fails where an answer is off by more than 1e-5.
"""
import os
import pathlib
import sys
import warnings

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
warnings.filterwarnings("ignore")

import keras
import numpy as np
import tf_keras

from check_layers import LIMIT, difference

NETWORKS = ["dogs_vs_cats", "resnet18", "inception_like"]


def changed(model, seed):
    """Other weights, whose statistics stay positive."""
    random = np.random.default_rng(seed)
    model.set_weights([(w * (1 + 0.1 * random.random(w.shape))).astype(np.float32)
                       for w in model.get_weights()])
    return model


def trained(model, x):
    """One step with what it was compiled with; where it answers with classes."""
    if len(model.output_shape) != 2 or model.output_shape[-1] < 2:
        return False
    before = [w.copy() for w in model.get_weights()]
    targets = np.eye(model.output_shape[-1], dtype=np.float32)[np.arange(len(x)) % model.output_shape[-1]]
    loss = model.train_on_batch(x, targets)[0]
    return bool(np.isfinite(loss)) and any((a != b).any() for a, b in zip(before, model.get_weights()))


# What the layers of both have in common.
OPTIONS = ["name", "filters", "kernel_size", "strides", "padding", "dilation_rate", "groups", "use_bias",
           "units", "axis", "momentum", "epsilon", "center", "scale", "pool_size", "rate", "keepdims"]


def keras_2(model):
    """The same layers in Keras 2, or None where they are no chain or have other options."""
    if not isinstance(model, keras.Sequential):
        return None
    layers = []
    for layer in model.layers:
        config = layer.get_config()
        options = {name: config[name] for name in OPTIONS if name in config}
        # Functions of both go by the same names only where they mean the same.
        if "activation" in config:
            if config["activation"] not in ["linear", "relu", "elu", "selu", "sigmoid", "tanh", "softmax"]:
                return None
            options["activation"] = config["activation"]
        elif type(layer).__name__ in ["LeakyReLU", "ReLU", "ELU", "Softmax"]:
            return None
        layers.append(getattr(tf_keras.layers, type(layer).__name__)(**options))
    twin = tf_keras.Sequential(layers)
    twin.build((None, *model.input_shape[1:]))
    twin.set_weights(model.get_weights())
    return twin


def ask(folder, counts, worst):
    x, y = np.load(folder / "x.npy"), np.load(folder / "y.npy")
    model = keras.models.load_model(folder / "model.keras")
    found = {"model.keras": difference(model.predict(x, verbose=0), y)}
    twin = changed(keras.models.model_from_json(model.to_json()), 1)
    twin.load_weights(folder / "model.weights.h5")
    found["model.weights.h5"] = difference(twin.predict(x, verbose=0), y)
    if folder.name in NETWORKS:
        model.save(folder / "same.keras")
    counts["trained on"] = counts.get("trained on", 0) + trained(model, x)
    for name, off in found.items():
        counts[name] = counts.get(name, 0) + 1
        worst[name] = max(worst.get(name, 0), off)
    if max(found.values()) > LIMIT:
        print(folder.name, found, file=sys.stderr)
    changed(model, 2)
    model.save(folder / "back.keras")
    model.save_weights(folder / "back.weights.h5")
    np.save(folder / "back.npy", model.predict(x, verbose=0))
    old = keras_2(model)
    if old is not None:
        old.save(folder / "back.h5", save_format="h5")
        np.save(folder / "back2.npy", old.predict(x, verbose=0))
        counts["back.h5"] = counts.get("back.h5", 0) + 1
    return found


def main(cases):
    counts, worst, named = {}, {}, {}
    folders = sorted(path.parent for path in cases.glob("*/model.keras"))
    missing = set(NETWORKS) - {folder.name for folder in folders}
    assert not missing, f"no model.keras of {missing}"
    failed = 0
    for folder in folders:
        try:
            named[folder.name] = ask(folder, counts, worst)
        except Exception as error:
            failed += 1
            print(f"{folder.name}: {type(error).__name__}: {str(error)[-300:]}", file=sys.stderr)
    print(f"## Keras's own files\n\nKeras {keras.__version__}, tf_keras {tf_keras.__version__}; "
          f"{len(folders)} networks, {counts['trained on']} of which were trained on, as they were "
          "compiled.\n")
    print("| file | loaded | largest difference | " + " | ".join(NETWORKS) + " |")
    print("| --- |" + " ---: |" * (2 + len(NETWORKS)))
    for name, off in worst.items():
        each = " | ".join(f"{named[network][name]:.1e}" for network in NETWORKS if network in named)
        print(f"| {name} | {counts[name]} | {off:.1e} | {each} |")
    print(f"\nKeras 2 wrote {counts.get('back.h5', 0)} `.h5` for gradus to read.")
    return 0 if max(worst.values()) <= LIMIT and not failed else 1


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
