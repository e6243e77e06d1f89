//! The weights of a manifest reach the loss: a row that weighs nothing teaches nothing.

use gradus::data::synthetic::Synthetic;
use gradus::layers::Sequential;
use gradus::prelude::*;
use gradus::tensor::{Fields, Path as Name};
use gradus::train::Verbosity;
use std::path::Path;

const SIDE: usize = 16;

/// A network in which a sample meets the others in the loss alone.
fn network() -> Sequential {
    Sequential::new()
        .add(Conv2D::new(4, 3).activation(Activation::Relu))
        .add(Flatten)
        .add(Dense::new(2).activation(Activation::Softmax))
}

/// A row: the number of an image of that class, its class, and what it weighs.
type Row = (&'static str, usize, &'static str, &'static str);

/// The weights of the network after one step on these rows, and the loss of the step.
fn trained(data: &Path, rows: &[Row], class_weight: Vec<f32>) -> (Vec<f32>, f64) {
    let read = Manifest::read(data.join("dogs_vs_cats-train.csv")).expect("a manifest");
    let (names, classes) = (read.column("filename"), read.column("category"));
    let pairs = names.expect("names").zip(classes.expect("classes"));
    let images: Vec<(&str, &str)> = pairs.collect();
    let image = |class: &str, i: usize| {
        let of_class = images.iter().filter(|image| image.1 == class).map(|image| image.0);
        of_class.into_iter().nth(i).expect("as many images")
    };
    let rows = rows.iter().map(|(of, i, class, weight)| [image(of, *i), *class, *weight]);
    let frame = Manifest::from_rows(&["filename", "category", "weight"], rows).expect("rows");
    let mut loader = flow_from_dataframe(&frame, data)
        .y_col("category")
        .weight_col("weight")
        .classes(["cat", "dog"])
        .target_size(SIDE, SIDE)
        .batch_size(4)
        .shuffle(false)
        .transform(ImageDataGenerator::builder().rescale(1.0 / 255.0).build().unwrap().transform())
        .open()
        .expect("a loader");
    let mut model = Model::build(network(), [SIDE, SIDE, 3], Context::new(Device::Cpu, 1), 5)
        .expect("the layers fit");
    let sgd = gradus::optim::SGD::new().learning_rate(0.1);
    model.compile(sgd, CategoricalCrossentropy::new()).expect("compiled");
    let fit = Fit { class_weight, verbose: Verbosity::Silent, ..Fit::default() };
    let history = model.fit(&mut loader, fit).expect("a step");
    let mut weights = Vec::new();
    model.network().visit(&mut Name::default(), &mut |_, field| {
        weights.extend_from_slice(field.value().slice::<f32>());
    });
    (weights, history.last("loss").expect("a loss"))
}

#[test]
fn a_row_that_weighs_nothing_teaches_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    Synthetic::default().train(16).validation(2).size(16).write(data).expect("a set");
    let others = [("cat", 0, "cat", "1"), ("dog", 0, "dog", "0.5"), ("dog", 1, "dog", "1")];
    let with = |row: Row| trained(data, &[others[0], others[1], others[2], row], Vec::new());
    let none = with(("cat", 1, "cat", "0"));
    assert_eq!(none, with(("dog", 2, "dog", "0")), "another image in its place");
    assert_eq!(none, with(("dog", 2, "cat", "0")), "of another class");
    assert_ne!(none.0, with(("cat", 1, "cat", "0.001")).0, "a small weight is one");

    // The mean is over the rows and not over their weights, as in Keras: three of four are left.
    let alone = trained(data, &others, Vec::new());
    assert!((none.1 / (0.75 * alone.1) - 1.0).abs() < 1e-6, "{} and {}", none.1, alone.1);
}

#[test]
fn a_class_that_weighs_nothing_teaches_nothing_whatever_its_rows_weigh() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    Synthetic::default().train(16).validation(2).size(16).write(data).expect("a set");
    let with = |row: Row, class_weight: [f32; 2]| {
        trained(data, &[("cat", 0, "cat", "1"), row], class_weight.to_vec())
    };
    let none = with(("dog", 0, "dog", "3"), [1.0, 0.0]);
    assert_eq!(none, with(("dog", 1, "dog", "7"), [1.0, 0.0]));
    let (doubled, doubled_by_row) =
        (with(("dog", 0, "dog", "1"), [1.0, 2.0]), with(("dog", 0, "dog", "2"), [1.0, 1.0]));
    assert_eq!(doubled, doubled_by_row, "both weights are multiplied");
    assert_ne!(none.0, doubled.0);
}
