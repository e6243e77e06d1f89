"""Reads what the callback TensorBoard wrote with TensorBoard's own reader: `events.py CASES`.

Holds every figure against the history of the same run. Prints a section of Markdown.
"""
import csv
import pathlib
import sys

import tensorboard
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util


def events(folder):
    reader = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    reader.Reload()
    found = {}
    for tag in reader.Tags()["tensors"]:
        plugin = reader.SummaryMetadata(tag).plugin_data.plugin_name
        values = [(e.step, tensor_util.make_ndarray(e.tensor_proto)) for e in reader.Tensors(tag)]
        found.setdefault(plugin, {})[tag] = values
    return found


def main(cases):
    folder = cases / "dogs_vs_cats"
    rows = list(csv.DictReader((folder / "history.csv").open()))
    train, validation = events(folder / "logs/train"), events(folder / "logs/validation")
    checked = 0
    for column in rows[0]:
        if column == "epoch":
            continue
        of = validation if column.startswith("val_") else train
        name = column.removeprefix("val_").replace("lr", "learning_rate")
        written = of["scalars"][f"epoch_{name}"]
        assert [step for step, _ in written] == [int(row["epoch"]) for row in rows], column
        for (_, value), row in zip(written, rows):
            assert abs(float(value) - float(row[column])) <= 1e-6 * abs(float(row[column])), column
            checked += 1
    histograms, images = train["histograms"], train["images"]["batch"]
    assert all(value.shape == (30, 3) for values in histograms.values() for _, value in values)
    assert all(value[2].startswith(b"\x89PNG") for _, value in images)
    assert b"conv2d (Conv2D)" in train["text"]["model"][0][1].item()
    print(f"## TensorBoard\n\ntensorboard {tensorboard.__version__} reads {checked} figures, those of the "
          f"history; histograms of {len(histograms)} tensors, images and the summary.")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
