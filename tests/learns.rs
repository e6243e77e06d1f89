//! A small network learns drawings by heart: the whole chain, from JPEG files to weights, moves the
//! right way.

use gradus::data::synthetic::Synthetic;
use gradus::prelude::*;
use gradus::train::{Mode, Verbosity};

#[test]
fn a_small_network_learns_forty_drawings_by_heart() {
    let folder = tempfile::tempdir().expect("a folder");
    Synthetic::default().train(40).validation(4).size(40).write(folder.path()).expect("a set");
    let frame = Manifest::read(folder.path().join("dogs_vs_cats-train.csv")).expect("a manifest");
    let rescale = ImageDataGenerator::builder().rescale(1.0 / 255.0).build().expect("a generator");
    let mut data = flow_from_dataframe(&frame, folder.path())
        .y_col("category")
        .target_size(32, 32)
        .batch_size(10)
        .transform(rescale.transform())
        .open()
        .expect("a loader");
    assert_eq!(data.classes(), ["cat", "dog"]);

    let network = Sequential::new()
        .add(Conv2D::new(8, 3).activation(Activation::Relu))
        .add(BatchNormalization::new())
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(16, 3).activation(Activation::Relu))
        .add(BatchNormalization::new())
        .add(MaxPooling2D::new(2))
        .add(Flatten)
        .add(Dense::new(2).activation(Activation::Softmax));
    let context = Context::new(Device::Cpu, 2);
    let mut model = Model::build(network, [32, 32, 3], context, 1).expect("the layers fit");
    model.compile(RMSprop::default(), CategoricalCrossentropy::new()).expect("compiled");
    let fit = Fit { epochs: 25, verbose: Verbosity::Silent, ..Fit::default() };
    let history = model.fit(&mut data, fit).expect("25 epochs");

    let first = history.column("loss").expect("a loss")[0].expect("a value");
    let (_, loss) = history.best("loss", Mode::Min).expect("a loss");
    assert!(first > 0.5, "forty drawings are not learnt in one epoch: {first}");
    assert!(loss < 0.1, "the loss only came down to {loss}");
    assert_eq!(history.best("accuracy", Mode::Max).expect("an accuracy").1, 1.0);
}
