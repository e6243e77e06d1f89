//! Weights that go out and come back, in the names and layouts of PyTorch and of Keras.

use gradus_export::layers::{
    Activation, BatchNormalization, Concatenate, Conv2D, Dense, Dropout, Flatten,
    GlobalAveragePooling2D, LeakyReLU, MaxPooling2D, Padding, ReLU, Residual, Sequential,
};
use gradus_export::{Export, Import, LoadError, ModuleNames, load_keras};
use gradus_models::{Stem, inception_like, resnet18, resnet50};
use gradus_tensor::{Context, Device, Fields as _, Path as Name};
use gradus_testing::Cases;
use gradus_train::{Model, Tensors, TensorsFile};
use std::fs;
use std::path::Path;

const IMAGE: [usize; 3] = [11, 9, 3];

fn chain() -> Sequential {
    let inner = Sequential::new().add(Conv2D::new(6, 2)).add(ReLU::new());
    Sequential::new()
        .add(Conv2D::new(4, 3).strides(2).padding(Padding::Same).activation(Activation::Relu))
        .add(BatchNormalization::new())
        .add(inner)
        .add(MaxPooling2D::new(2))
        .add(Dropout::new(0.25))
        .add(Flatten)
        .add(BatchNormalization::new().scale(false))
        .add(Dense::new(5).activation(Activation::Tanh))
        .add(Dense::new(3).activation(Activation::Softmax))
}

fn branched() -> Sequential {
    let convolution = |filters, size| Conv2D::new(filters, size).padding(Padding::Same);
    let long = Sequential::new().add(convolution(3, 1)).add(convolution(4, 3)).add(ReLU::new());
    let branches = Concatenate::new().branch(convolution(2, 5)).branch(long);
    let body = Sequential::new().add(convolution(6, 3)).add(BatchNormalization::new());
    let shortcut = Residual::new(convolution(7, 3)).shortcut(convolution(7, 1));
    Sequential::new()
        .add(branches)
        .add(Residual::new(body).activation(Activation::Relu))
        .add(shortcut)
        .add(GlobalAveragePooling2D::new())
        .add(Dense::new(2).activation(Activation::Softmax))
}

fn model(network: Sequential, seed: u64) -> Model {
    filled(network, IMAGE, seed)
}

fn filled(network: Sequential, image: [usize; 3], seed: u64) -> Model {
    let mut model = Model::build(network, image, Context::new(Device::Cpu, 1), seed).unwrap();
    let mut case = 0;
    // No statistic shall be the one that it begins with.
    model.fields_mut().visit_mut(&mut Name::default(), &mut |name, field| {
        let positive = name.as_str().ends_with("variance");
        let values = field.into_value().slice_mut::<f32>();
        let drawn = Cases::new("weights", case + 100 * seed as u32).normal(values.len());
        case += 1;
        for (value, drawn) in values.iter_mut().zip(drawn) {
            *value = if positive { drawn.abs() + 0.5 } else { drawn / 2.0 };
        }
    });
    model
}

fn values(model: &Model) -> Vec<Vec<u32>> {
    let mut all = Vec::new();
    model.network().visit(&mut Name::default(), &mut |_, field| {
        all.push(field.value().slice::<f32>().iter().map(|v| v.to_bits()).collect());
    });
    all
}

fn export(model: &Model) -> Export<'_> {
    Export::new(model.network(), model.image_shape())
}

#[test]
fn what_pytorch_gets_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    for network in [chain, branched] {
        let (one, mut two) = (model(network(), 1), model(network(), 2));
        export(&one).pytorch().write(&path).unwrap();
        assert_ne!(values(&one), values(&two));
        Import::into(&mut two).pytorch(&path, ModuleNames::Paths).unwrap();
        assert_eq!(values(&one), values(&two));
    }
}

#[test]
fn numbers_lie_where_pytorch_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let model = model(chain(), 3);
    export(&model).pytorch().write(&path).unwrap();
    let file = TensorsFile::open(&path).unwrap();
    let there = |name: &str| {
        let shape = file.shape(name).unwrap().unwrap().to_vec();
        let mut values = vec![0.0; shape.iter().product()];
        file.read_into(name, &mut values).unwrap();
        (shape, values)
    };
    let here = |name: &str| {
        let mut found = Vec::new();
        model.network().visit(&mut Name::default(), &mut |path, field| {
            if path.as_str() == name {
                found = field.value().slice::<f32>().to_vec();
            }
        });
        found
    };
    let (shape, kernel) = there("sequential.conv2d.weight");
    assert_eq!(shape, [6, 4, 2, 2]);
    let ours = here("sequential.conv2d.kernel");
    for (k, c, r, s) in [(0, 0, 0, 0), (5, 3, 1, 1), (2, 1, 0, 1), (3, 2, 1, 0)] {
        let theirs = kernel[((k * 4 + c) * 2 + r) * 2 + s];
        assert_eq!(theirs, ours[((r * 2 + s) * 4 + c) * 6 + k]);
    }
    // What is flattened has 2 rows, 2 columns and 6 channels.
    let (shape, matrix) = there("dense.weight");
    assert_eq!(shape, [5, 24]);
    let ours = here("dense.kernel");
    let (_, bias) = there("batch_normalization_1.bias");
    let beta = here("batch_normalization_1.beta");
    for (y, x, c, unit) in [(0, 0, 0, 0), (1, 1, 5, 4), (0, 1, 1, 3), (1, 0, 4, 2)] {
        let (first, last) = ((c * 2 + y) * 2 + x, (y * 2 + x) * 6 + c);
        assert_eq!(matrix[unit * 24 + first], ours[last * 5 + unit]);
        assert_eq!(bias[first], beta[last]);
    }
    assert_eq!(there("batch_normalization_1.weight").1, [1.0; 24]);
    assert_eq!(there("dense_1.weight").1[7], here("dense_1.kernel")[2 * 3 + 1]);
}

#[test]
fn a_residual_network_comes_back_under_torchvision_s_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resnet18.safetensors");
    let build = |seed| {
        let context = Context::new(Device::Cpu, 1);
        Model::build(resnet18(Stem::Cifar, 4), [16, 16, 3], context, seed).unwrap()
    };
    let (one, mut two) = (build(1), build(2));
    export(&one).pytorch().names(ModuleNames::Torchvision).write(&path).unwrap();
    Import::into(&mut two).pytorch(&path, ModuleNames::Torchvision).unwrap();
    assert_eq!(values(&one), values(&two));
}

#[test]
fn a_residual_network_for_photos_goes_to_keras_with_its_padding() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resnet18.keras");
    let build = |seed| {
        let context = Context::new(Device::Cpu, 1);
        Model::build(resnet18(Stem::ImageNet, 4), [32, 32, 3], context, seed).unwrap()
    };
    let (one, mut two) = (build(1), build(2));
    export(&one).keras().write(&path).unwrap();
    Import::into(&mut two).keras(&path).unwrap();
    assert_eq!(values(&one), values(&two));
}

#[test]
fn zeros_before_a_maximum_of_negative_numbers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.keras");
    let pooled = |start: Sequential| {
        let pooling = MaxPooling2D::new(3).padding(Padding::from(1));
        let network = start.add(pooling).add(GlobalAveragePooling2D::new());
        export(&model(network, 1)).keras().write(&path).map_err(|e| e.to_string())
    };
    pooled(Sequential::new().add(ReLU::new())).unwrap();
    pooled(Sequential::new().add(ReLU::new().max_value(6.0))).unwrap();
    let error = pooled(Sequential::new().add(LeakyReLU::new())).unwrap_err();
    assert!(error.contains("zeros would count here"), "{error}");
}

#[test]
fn a_model_of_keras_comes_back_with_its_layers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.keras");
    let mut one = model(chain(), 4);
    export(&one).keras().write(&path).unwrap();
    let mut two = load_keras(&path, Context::new(Device::Cpu, 1)).unwrap();
    assert_eq!((values(&one), two.image_shape()), (values(&two), IMAGE));
    let x = Cases::new("keras", 0).normal(2 * 11 * 9 * 3);
    let x = ndarray::Array4::from_shape_vec((2, 11, 9, 3), x).unwrap();
    assert_eq!(one.predict(x.view()).unwrap(), two.predict(x.view()).unwrap());
}

/// The layers as well: containers of the same form, whose names are Keras's.
#[test]
fn branches_come_back_from_keras_with_their_layers() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("1.keras"), folder.path().join("2.keras"));
    let image = [32, 32, 3];
    for (name, network) in [
        ("resnet18", resnet18(Stem::ImageNet, 4)),
        ("resnet18 for small images", resnet18(Stem::Cifar, 4)),
        ("resnet50", resnet50(Stem::ImageNet, 4)),
        ("inception_like", inception_like(4)),
        ("branched", branched()),
    ] {
        let mut one = filled(network, image, 7);
        Export::new(one.network(), image).keras().write(&first).unwrap();
        let mut two = load_keras(&first, Context::new(Device::Cpu, 1)).unwrap();
        let x = Cases::new("branches", 0).normal(2 * 32 * 32 * 3);
        let x = ndarray::Array4::from_shape_vec((2, 32, 32, 3), x).unwrap();
        let (a, b) = (one.predict(x.view()).unwrap(), two.predict(x.view()).unwrap());
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-6), "{name}: {a} {b}");
        // And once more: they are as they were, and their weights go into any such network.
        Export::new(two.network(), image).keras().write(&second).unwrap();
        let mut three = load_keras(&second, Context::new(Device::Cpu, 1)).unwrap();
        assert_eq!(values(&two), values(&three), "{name}");
        assert_eq!(three.predict(x.view()).unwrap(), b, "{name}");
        Import::into(&mut three).keras(&first).unwrap();
        assert_eq!(values(&two), values(&three), "{name}");
    }
}

#[test]
fn weights_of_keras_come_back_into_any_network() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, weights) = (folder.path().join("m.keras"), folder.path().join("m.weights.h5"));
    for network in [chain, branched] {
        let one = model(network(), 5);
        export(&one).keras().write(&whole).unwrap();
        export(&one).keras().write_weights(&weights).unwrap();
        for path in [&whole, &weights] {
            let mut two = model(network(), 6);
            Import::into(&mut two).keras(path).unwrap();
            assert_eq!(values(&one), values(&two));
        }
    }
    let error = load_keras(&weights, Context::new(Device::Cpu, 1)).unwrap_err();
    assert!(error.to_string().contains("weights and no layers"), "{error}");
}

fn problems(error: LoadError) -> Vec<String> {
    match error {
        LoadError::Mismatch { problems, .. } => problems,
        other => panic!("{other}"),
    }
}

#[test]
fn all_differences_are_told_at_once_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (torch, keras) = (folder.path().join("w.safetensors"), folder.path().join("w.weights.h5"));
    let other = Sequential::new().add(Conv2D::new(4, 5)).add(Flatten).add(Dense::new(3));
    let other = model(other, 1);
    export(&other).pytorch().write(&torch).unwrap();
    export(&other).keras().write_weights(&keras).unwrap();
    let mut ours = model(chain(), 2);
    let before = values(&ours);
    let found = problems(Import::into(&mut ours).pytorch(&torch, ModuleNames::Paths).unwrap_err());
    let has = |text: &str| assert!(found.iter().any(|p| p == text), "{text}: {found:?}");
    has("conv2d.weight is F32 [4, 3, 5, 5], expected F32 [4, 3, 3, 3]");
    has("batch_normalization.running_mean is missing");
    assert_eq!(found.iter().filter(|p| p.ends_with("is missing")).count(), 4 + 2 + 4 + 2);
    let found = problems(Import::into(&mut ours).keras(&keras).unwrap_err());
    assert!(found.iter().any(|p| p == "layers/batch_normalization/vars/3 is missing"), "{found:?}");
    assert_eq!(values(&ours), before);
}

/// A `.keras` file with the layers of one model and the weights of another.
fn mixed(layers: &Path, weights: &Path, into: &Path) {
    let mut archive = zip::ZipWriter::new(fs::File::create(into).unwrap());
    for (from, names) in
        [(layers, &["metadata.json", "config.json"][..]), (weights, &["model.weights.h5"])]
    {
        let mut from = zip::ZipArchive::new(fs::File::open(from).unwrap()).unwrap();
        for name in names {
            archive.raw_copy_file(from.by_name(name).unwrap()).unwrap();
        }
    }
    archive.finish().unwrap();
}

#[test]
fn layers_of_more_numbers_than_the_file_has_are_told_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let network = |filters| {
        let start = Sequential::new().add(Conv2D::new(filters, 3)).add(BatchNormalization::new());
        start.add(Flatten).add(Dense::new(2))
    };
    let few = Sequential::new().add(Conv2D::new(2, 3)).add(Dropout::new(0.5)).add(Flatten);
    export(&model(network(5), 1)).keras().write(path("many")).unwrap();
    export(&model(few.add(Dense::new(2)), 1)).keras().write(path("few")).unwrap();
    mixed(&path("many"), &path("few"), &path("mixed"));
    let error = load_keras(path("mixed"), Context::new(Device::Cpu, 1)).unwrap_err();
    let found = problems(error);
    let has = |text: &str| assert!(found.iter().any(|p| p == text), "{text}: {found:?}");
    has("layers/conv2d/vars/0 is F32 [3, 3, 3, 2], expected F32 [3, 3, 3, 5]");
    (0..4).for_each(|i| has(&format!("layers/batch_normalization/vars/{i} is missing")));
    has("layers/dense/vars/0 is F32 [126, 2], expected F32 [315, 2]");
    assert_eq!(found.last().unwrap(), "the layers have 792 numbers, the file at most 310");
    has("layers/conv2d/vars/1 is F32 [2], expected F32 [5]");
    assert_eq!(found.len(), 8, "{found:?}");
}

/// Tensors by name, as a file of PyTorch.
fn written(path: &Path, tensors: &[(&str, &[usize], &[f32])]) {
    let mut file = Tensors::default();
    tensors.iter().for_each(|(name, shape, values)| file.insert(name, shape, values));
    file.save(path).unwrap();
}

#[test]
fn a_network_that_torchvision_has_not_is_refused_in_words_of_the_way_in() {
    let error = Import::into(&mut model(chain(), 1))
        .pytorch("nothing.safetensors", ModuleNames::Torchvision)
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("sequential.conv2d: this Conv2D cannot be filled: "), "{error}");
}

#[test]
fn tensors_by_their_names_here_fill_any_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for network in [chain, branched] {
        let (one, mut two) = (model(network(), 1), model(network(), 2));
        one.save_file(path("saved")).unwrap();
        // Whatever wrote them: nothing is said about the network.
        let mut bare = Tensors::default();
        one.network().visit(&mut Name::default(), &mut |name, field| {
            let shape = field.value().shape();
            bare.insert(name.as_str(), shape.dims(), field.value().slice());
        });
        bare.save(path("bare")).unwrap();
        for file in ["saved", "bare"] {
            Import::into(&mut two).safetensors(path(file)).unwrap();
            assert_eq!(values(&one), values(&two));
            two = model(network(), 2);
        }
    }
    let (mut ours, zeros) = (model(chain(), 2), [0.0; 108]);
    let before = values(&ours);
    written(
        &path("other"),
        &[
            ("conv2d.kernel", &[3, 3, 3, 4], &zeros),
            ("conv2d.bias", &[1, 4], &zeros[..4]),
            ("more", &[1], &zeros[..1]),
            ("optim.step", &[1], &zeros[..1]),
        ],
    );
    let found = problems(Import::into(&mut ours).safetensors(path("other")).unwrap_err());
    let has = |text: &str| assert!(found.iter().any(|p| p == text), "{text}: {found:?}");
    has("conv2d.bias is F32 [1, 4], expected F32 [4]");
    has("batch_normalization_1.moving_variance is missing");
    has("more is unexpected");
    assert_eq!(found.iter().filter(|p| p.ends_with("is missing")).count(), 4 + 2 + 3 + 2 + 2);
    assert_eq!((found.len(), values(&ours)), (15, before));
}

#[test]
fn a_scale_that_the_layer_does_without_has_to_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let network = Sequential::new()
        .add(BatchNormalization::new().scale(false))
        .add(GlobalAveragePooling2D::new());
    let mut model = model(network, 1);
    let with = |weight: f32| {
        let three = |value: f32| [value; 3];
        let named = ["bias", "running_mean", "running_var"];
        let names = named.map(|name| format!("batch_normalization.{name}"));
        let values = three(0.25);
        let mut tensors: Vec<(&str, &[usize], &[f32])> =
            names.iter().map(|name| (name.as_str(), &[3][..], &values[..])).collect();
        let (weight, tracked) = (three(weight), [7.0]);
        tensors.push(("batch_normalization.weight", &[3], &weight));
        tensors.push(("batch_normalization.num_batches_tracked", &[1], &tracked));
        written(&path, &tensors);
    };
    with(1.0);
    Import::into(&mut model).pytorch(&path, ModuleNames::Paths).unwrap();
    assert!(values(&model).iter().flatten().all(|bits| *bits == 0.25f32.to_bits()));
    with(2.0);
    let error = Import::into(&mut model).pytorch(&path, ModuleNames::Paths).unwrap_err();
    assert!(problems(error)[0].contains("is not 1 everywhere"));
}

#[test]
fn padding_by_numbers_becomes_a_layer_of_zeros() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.keras");
    let network = || {
        Sequential::new()
            .add(
                Conv2D::new(4, 3).strides(2).padding(Padding::from(1)).activation(Activation::Relu),
            )
            .add(MaxPooling2D::new(3).strides(2).padding(Padding::from(1)))
            .add(Flatten)
            .add(Dense::new(2))
    };
    let mut one = model(network(), 8);
    export(&one).keras().write(&path).unwrap();
    let mut two = load_keras(&path, Context::new(Device::Cpu, 1)).unwrap();
    let names: Vec<String> =
        two.summary().rows().iter().map(|row| row.class_name.clone()).collect();
    let pad = "ZeroPadding2D";
    assert_eq!(names, [pad, "Conv2D", pad, "MaxPooling2D", "Flatten", "Dense"]);
    let x = Cases::new("padding", 0).normal(11 * 9 * 3);
    let x = ndarray::Array4::from_shape_vec((1, 11, 9, 3), x).unwrap();
    let (a, b) = (one.predict(x.view()).unwrap(), two.predict(x.view()).unwrap());
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5), "{a} {b}");
}

#[test]
fn what_keras_has_no_word_for_is_named() {
    let pooling = MaxPooling2D::new(3).padding(Padding::from(1));
    let network = Sequential::new().add(Conv2D::new(2, 3)).add(pooling);
    let model = model(network.add(GlobalAveragePooling2D::new()), 1);
    let folder = tempfile::tempdir().unwrap();
    let error = export(&model).keras().write(folder.path().join("m.keras")).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("max_pooling2d: this MaxPooling2D") && text.contains("zeros"), "{text}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
