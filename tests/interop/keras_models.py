"""Leaves gradus models of Keras's own, whose layers branch: `keras_models.py CASES`.

Each becomes a folder in CASES/of_keras: `model.keras` by Keras 3 or `model.h5` by Keras 2, with other
weights and statistics than they begin with, `x.npy`, and what Keras answers in `y.npy`. gradus is to
load each, or to say which layer it has not: `refused.txt` holds what it shall say.
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

CLASSES = 5


def residual(k, image=(32, 24, 3)):
    """As ResNet: convolutions without padding of their own behind zeros, shortcuts of both kinds."""
    L = k.layers

    def normal(x, filters, size, strides=1):
        x = L.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)
        return L.BatchNormalization(epsilon=1.001e-5)(x)

    def block(x, filters, strides):
        alike = strides == 1 and x.shape[-1] == filters
        shortcut = x if alike else normal(x, filters, 1, strides)
        x = L.ReLU()(normal(x, filters, 3, strides))
        return L.Activation("relu")(L.Add()([shortcut, normal(x, filters, 3)]))

    x = inputs = k.Input(image)
    x = L.Conv2D(8, 7, 2)(L.ZeroPadding2D(3)(x))
    x = L.Activation("relu")(L.BatchNormalization()(x))
    x = L.MaxPooling2D(3, 2)(L.ZeroPadding2D(((0, 1), (1, 0)))(x))
    for filters, strides in [(8, 1), (8, 1), (16, 2), (16, 1), (16, 2)]:
        x = block(x, filters, strides)
    x = L.Dropout(0.3)(L.GlobalAveragePooling2D()(x))
    return k.Model(inputs, L.Dense(CLASSES, activation="softmax")(x))


def inception(k, image=(32, 24, 3)):
    """As Inception: windows of several sizes side by side, one of which splits again."""
    L = k.layers

    def normal(x, filters, size):
        x = L.Conv2D(filters, size, padding="same", use_bias=False)(x)
        return L.Activation("relu")(L.BatchNormalization(scale=False)(x))

    def block(x):
        split = normal(x, 4, 1)
        split = L.Concatenate()([normal(split, 4, (1, 3)), normal(split, 4, (3, 1))])
        pooled = normal(L.AveragePooling2D(3, 1, padding="same")(x), 4, 1)
        return L.Concatenate(axis=3)([normal(x, 4, 1), normal(normal(x, 4, 1), 6, 3), split, pooled])

    x = inputs = k.Input(image)
    x = L.MaxPooling2D(2)(normal(x, 8, 3))
    x = L.MaxPooling2D(2)(block(block(x)))
    x = L.Dense(7, activation="elu")(L.GlobalMaxPooling2D()(L.BatchNormalization()(x)))
    return k.Model(inputs, L.Dense(CLASSES, activation="softmax")(x))


def transfer(k, image=(32, 24, 3)):
    """A model inside the model, below a head that is one as well."""
    whole = residual(k, image)
    base = k.Model(whole.input, whole.layers[-4].output, name="base")
    base.trainable = False
    head = k.Sequential([k.layers.Dense(6, activation="relu"),
                         k.layers.Dense(CLASSES, activation="softmax")], name="head")
    inputs = k.Input(image)
    return k.Model(inputs, head(k.layers.GlobalAveragePooling2D()(base(inputs, training=False))))


def application(name, size=64):
    return lambda k: getattr(k.applications, name)(
        weights=None, input_shape=(size, size, 3), classes=CLASSES)


# Name, what builds it, what builds it by Keras 2 too, and which class gradus says that it has not.
MODELS = [
    ("residual", residual, True, None),
    ("inception", inception, True, None),
    ("transfer", transfer, True, None),
    ("ResNet50", application("ResNet50"), True, None),
    ("ResNet50V2", application("ResNet50V2"), False, None),
    ("ResNet101", application("ResNet101"), False, None),
    ("VGG16", application("VGG16"), False, None),
    ("DenseNet121", application("DenseNet121"), True, None),
    ("InceptionV3", application("InceptionV3", 75), False, None),
    ("MobileNet", application("MobileNet"), False, '"DepthwiseConv2D"'),
    ("MobileNetV2", application("MobileNetV2"), True, '"DepthwiseConv2D"'),
    ("Xception", application("Xception", 71), False, '"SeparableConv2D"'),
    ("EfficientNetB0", application("EfficientNetB0"), False, '"Rescaling"'),
    ("NASNetMobile", application("NASNetMobile"), False, '"SeparableConv2D"'),
    ("ConvNeXtTiny", application("ConvNeXtTiny"), False, '"Normalization"'),
]


def changed(model, random):
    """Other weights and statistics, of which all are positive that have to be."""
    weights = []
    for w in model.get_weights():
        noise = 0.05 * np.abs(random.standard_normal(w.shape)) if w.ndim == 1 else 0
        weights.append((w * (1 + 0.1 * random.random(w.shape)) + noise).astype(np.float32))
    model.set_weights(weights)


def leave(folder, k, build, refused):
    folder.mkdir(parents=True, exist_ok=True)
    k.backend.clear_session()
    model, random = build(k), np.random.default_rng(3)
    changed(model, random)
    x = random.random((2, *model.input_shape[1:])).astype(np.float32)
    y = model.predict(x, verbose=0)
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    model.save(folder / ("model.h5" if k is tf_keras else "model.keras"))
    if refused is not None:
        (folder / "refused.txt").write_text(refused)
    spread = float(np.ptp(y, axis=1).min())
    print(f"| {folder.name} | {model.count_params()} | {len(model.layers)} | {spread:.3f} |")


def main(cases):
    print(f"## Keras's own models\n\nKeras {keras.__version__}, tf_keras {tf_keras.__version__}; the "
          "spread is that of the probabilities that a model gives to the classes.\n")
    print("| model | numbers | layers | spread |")
    print("| --- | ---: | ---: | ---: |")
    for name, build, old, refused in MODELS:
        leave(cases / "of_keras" / name, keras, build, refused)
        if old:
            leave(cases / "of_keras" / f"{name}, Keras 2", tf_keras, build, refused)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
