//! Weights as PyTorch keeps them: a safetensors file for `load_state_dict`.
//!
//! ```text
//! Names        weight, bias, running_mean, running_var, each behind the name of its module: the path
//!              of the layer here, or torchvision's name of it
//! Layouts      see `places`
//! Conventions  `num_batches_tracked` is passed over when reading, and PyTorch does without it when
//!              loading; a normalization here that has no gamma or beta has ones or zeros there, and
//!              a file with others does not fit
//! Reference    PyTorch's `state_dict`; torchvision's `resnet.py` and `vgg.py`
//! ```

use crate::places::{Kept, Leaf, Place, leaves, values};
use crate::{Error, Export, LoadError};
use gradus_layers::Sequential;
use gradus_train::Tensors;
use std::path::Path;

/// What the modules are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModuleNames {
    /// As the layers here: `conv2d_1.weight`, `residual.body.conv2d.weight`.
    #[default]
    Paths,
    /// As torchvision calls them: `layer1.0.conv1.weight` and `fc.weight` in a network of residual
    /// blocks, `features.0.weight` and `classifier.6.weight` in one like VGG.
    Torchvision,
}

/// The network as PyTorch's weights. Made by [`Export::pytorch`].
#[derive(Clone, Debug)]
pub struct Pytorch<'a> {
    export: Export<'a>,
    names: ModuleNames,
}

impl<'a> Export<'a> {
    /// As weights for PyTorch's `load_state_dict`, in a safetensors file.
    ///
    /// ```text
    /// model.load_state_dict(safetensors.torch.load_file("model.safetensors"))
    /// ```
    #[must_use]
    pub fn pytorch(&self) -> Pytorch<'a> {
        Pytorch { export: self.clone(), names: ModuleNames::default() }
    }
}

impl Pytorch<'_> {
    /// What the modules are called. Default: as the layers here.
    #[must_use]
    pub fn names(mut self, names: ModuleNames) -> Self {
        self.names = names;
        self
    }

    /// Writes the file, beside and renamed.
    ///
    /// # Errors
    /// If a layer has what PyTorch has no word for, or the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let network = self.export.network;
        let (values, mut tensors) = (values(network), Tensors::default());
        for place in places(network, self.export.image, self.names)? {
            let numbers = match &place.source {
                Kept::Field(field) => place.there(&values[field]),
                Kept::Always(value) => vec![*value; place.shape.iter().product()],
            };
            tensors.insert(&place.name, &place.shape, &numbers);
        }
        Ok(tensors.save(path)?)
    }
}

/// Where every tensor of the network stands.
pub(crate) fn places(
    network: &Sequential,
    image: [usize; 3],
    names: ModuleNames,
) -> Result<Vec<Place>, Error> {
    let leaves = leaves(network, image)?;
    let modules = match names {
        ModuleNames::Paths => leaves.iter().map(|leaf| leaf.path.clone()).collect(),
        ModuleNames::Torchvision => torchvision(&leaves)?,
    };
    let mut places = Vec::new();
    for (leaf, module) in leaves.iter().zip(&modules) {
        for (field, here) in &leaf.fields {
            places.push(Place::of_pytorch(leaf, module, field, *here)?);
        }
        places.extend(missing(leaf, module));
    }
    Ok(places)
}

/// Ones and zeros for a normalization that has only gamma or only beta.
fn missing(leaf: &Leaf, module: &str) -> Option<Place> {
    let has = |name: &str| leaf.fields.iter().find(|(field, _)| field == name);
    match (has("gamma"), has("beta")) {
        (Some((_, like)), None) => Some(Place::always(format!("{module}.bias"), 0.0, *like)),
        (None, Some((_, like))) => Some(Place::always(format!("{module}.weight"), 1.0, *like)),
        _ => None,
    }
}

/// What PyTorch keeps and nobody needs.
pub(crate) fn is_ignored(name: &str) -> bool {
    name.ends_with("num_batches_tracked")
}

/// torchvision's names of the modules.
fn torchvision(leaves: &[Leaf]) -> Result<Vec<String>, Error> {
    match leaves.iter().any(|leaf| leaf.path.starts_with("residual")) {
        true => resnet(leaves),
        false => vgg(leaves),
    }
}

fn resnet(leaves: &[Leaf]) -> Result<Vec<String>, Error> {
    let shortcut = |block: &str| {
        let way = format!("{block}.shortcut");
        leaves.iter().any(|leaf| leaf.path.starts_with(&way))
    };
    let (mut stage, mut index, mut before) = (1, 0, String::new());
    let mut modules = Vec::new();
    for leaf in leaves {
        let (block, inside) = leaf.path.split_once('.').unwrap_or((&leaf.path, ""));
        if !inside.is_empty() && block != before {
            // A block that changes the shape begins a stage; the first is the beginning anyway.
            (stage, index) = match before.as_str() {
                "" => (1, 0),
                _ if shortcut(block) => (stage + 1, 0),
                _ => (stage, index + 1),
            };
            before = block.to_owned();
        }
        let module = match inside {
            "" => of_stem(leaf),
            inside => in_block(inside).map(|name| format!("layer{stage}.{index}.{name}")),
        };
        modules.push(match (module, leaf.fields.is_empty()) {
            (Some(module), _) => module,
            (None, true) => String::new(),
            (None, false) => return Err(unknown(leaf, "ResNet")),
        });
    }
    Ok(modules)
}

/// What stands before the blocks, and behind them.
fn of_stem(leaf: &Leaf) -> Option<String> {
    let name = match leaf.path.as_str() {
        "conv2d" => "conv1",
        "batch_normalization" => "bn1",
        "dense" => "fc",
        _ => return None,
    };
    Some(name.to_owned())
}

/// The name of `body.conv2d_1` or of `shortcut.conv2d` in its block.
fn in_block(inside: &str) -> Option<String> {
    let (way, layer) = inside.split_once('.')?;
    let (class, number) = match layer.rsplit_once('_') {
        Some((class, number)) if number.parse::<usize>().is_ok() => (class, number.parse().ok()?),
        _ => (layer, 0),
    };
    match (way, class) {
        ("body", "conv2d") => Some(format!("conv{}", number + 1)),
        ("body", "batch_normalization") => Some(format!("bn{}", number + 1)),
        ("shortcut", "conv2d") => Some("downsample.0".to_owned()),
        ("shortcut", "batch_normalization") => Some("downsample.1".to_owned()),
        _ => None,
    }
}

/// torchvision counts every module, activations among them. Of its networks that are a chain only
/// VGG's are called so: convolutions of 3×3 with poolings, one Flatten, and dense layers.
fn vgg(leaves: &[Leaf]) -> Result<Vec<String>, Error> {
    let (mut part, mut number) = ("features", 0);
    let mut modules = Vec::new();
    for leaf in leaves {
        if !is_of_vgg(leaf, part) {
            return Err(unknown(leaf, "VGG"));
        }
        if leaf.config.class_name == "Flatten" {
            (part, number) = ("classifier", 0);
            modules.push(String::new());
            continue;
        }
        modules.push(format!("{part}.{number}"));
        let linear = serde_json::Value::from("linear");
        let weighs = matches!(leaf.config.class_name.as_str(), "Conv2D" | "Dense");
        let activation = leaf.config.config.get("activation").unwrap_or(&linear);
        number += if weighs && *activation != linear { 2 } else { 1 };
    }
    match (part, leaves.last()) {
        ("features", Some(last)) => Err(unknown(last, "VGG")),
        _ => Ok(modules),
    }
}

/// Whether VGG has such a layer in that part.
fn is_of_vgg(leaf: &Leaf, part: &str) -> bool {
    let classes: &[&str] = match part {
        "features" => &["Conv2D", "BatchNormalization", "MaxPooling2D", "ReLU", "Flatten"],
        _ => &["Dense", "Dropout", "ReLU", "Softmax"],
    };
    let size = leaf.config.config.get("kernel_size");
    classes.contains(&leaf.config.class_name.as_str())
        && size.is_none_or(|size| *size == serde_json::json!([3, 3]))
        && !leaf.path.contains('.')
}

/// A layer for which torchvision's networks of that kind have no module.
fn unknown(leaf: &Leaf, kind: &str) -> Error {
    Error::Layer {
        layer: leaf.path.clone(),
        class_name: leaf.config.class_name.clone(),
        reason: format!(
            "torchvision's {kind} has no such module there; use the names of the layers"
        ),
    }
}

impl crate::Import<'_> {
    /// PyTorch's weights from a safetensors file, by these names of modules: what
    /// `safetensors.torch.save_file(model.state_dict(), path)` wrote.
    ///
    /// # Errors
    /// If the file is not such a file, or has not exactly the tensors of the network; then nothing is
    /// changed.
    pub fn pytorch(&mut self, path: impl AsRef<Path>, names: ModuleNames) -> Result<(), LoadError> {
        let places = places(self.model.network(), self.model.image_shape(), names)?;
        let file = gradus_train::TensorsFile::open(path)?;
        self.fill(&places, &file, is_ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_layers::{
        BatchNormalization, Concatenate, Conv2D, Dense, Flatten, GlobalAveragePooling2D, ReLU,
        Wanted,
    };
    use gradus_models::{Stem, resnet18, resnet34, resnet50, vgg11, vgg16};
    use gradus_tensor::{Device, Shape};
    use std::collections::BTreeMap;

    /// Name and extents of every tensor, of a network that is never made in full.
    fn named(mut network: Sequential) -> BTreeMap<String, Vec<usize>> {
        let wanted = Wanted::at_most(usize::MAX);
        let images = Shape::new(&[1, 224, 224, 3]);
        network.build_to_be_filled(images, &Device::Cpu, &wanted).unwrap();
        let places = places(&network, [224, 224, 3], ModuleNames::Torchvision).unwrap();
        places.into_iter().map(|place| (place.name, place.shape)).collect()
    }

    /// Counted in torchvision 0.27's `state_dict`, without `num_batches_tracked`.
    #[test]
    fn residual_networks_have_torchvision_s_names() {
        let small = named(resnet18(Stem::ImageNet, 1000));
        assert_eq!((small.len(), named(resnet34(Stem::ImageNet, 1000)).len()), (102, 182));
        assert_eq!(small["conv1.weight"], [64, 3, 7, 7]);
        assert_eq!(small["layer1.1.conv2.weight"], [64, 64, 3, 3]);
        assert_eq!(small["layer2.0.downsample.0.weight"], [128, 64, 1, 1]);
        assert_eq!(small["layer4.1.bn2.running_var"], [512]);
        assert_eq!(small["fc.weight"], [1000, 512]);
        let large = named(resnet50(Stem::ImageNet, 1000));
        assert_eq!(large.len(), 267);
        assert_eq!(large["layer1.0.downsample.1.running_mean"], [256]);
        assert_eq!(large["layer3.5.conv3.weight"], [1024, 256, 1, 1]);
        assert_eq!(large["layer4.0.conv2.weight"], [512, 512, 3, 3]);
    }

    #[test]
    fn vgg_has_torchvision_s_names() {
        let names = |network| named(network).into_keys().collect::<Vec<_>>();
        let eleven = names(vgg11(1000));
        let numbers = [0, 3, 6, 8, 11, 13, 16, 18].map(|i| format!("features.{i}"));
        let modules = numbers.into_iter().chain([0, 3, 6].map(|i| format!("classifier.{i}")));
        let mut expected: Vec<String> =
            modules.flat_map(|m| [format!("{m}.bias"), format!("{m}.weight")]).collect();
        expected.sort();
        assert_eq!(eleven, expected);
        let sixteen = named(vgg16(1000));
        assert_eq!(
            (sixteen.len(), &sixteen["features.28.weight"][..]),
            (32, &[512, 512, 3, 3][..])
        );
        assert_eq!(sixteen["classifier.0.weight"], [4096, 25088]);
    }

    #[test]
    fn a_chain_that_is_no_vgg_is_refused_under_torchvision_s_names() {
        let refused = |mut network: Sequential| {
            network.build_on(Shape::new(&[1, 12, 12, 3]), &Device::Cpu, 0).unwrap();
            let places = places(&network, [12, 12, 3], ModuleNames::Torchvision);
            places.unwrap_err().to_string()
        };
        let end = |network: Sequential| network.add(Flatten).add(Dense::new(2));
        let five = refused(end(Sequential::new().add(Conv2D::new(2, 3)).add(Conv2D::new(2, 5))));
        assert!(five.contains("conv2d_1: this Conv2D") && five.contains("VGG has no"), "{five}");
        let inner = Sequential::new().add(Conv2D::new(2, 3));
        assert!(refused(end(Sequential::new().add(inner))).starts_with("sequential.conv2d: "));
        let pooled = Sequential::new().add(Conv2D::new(2, 3)).add(GlobalAveragePooling2D::new());
        assert!(refused(pooled).starts_with("global_average_pooling2d: "));
        assert!(refused(Sequential::new().add(Conv2D::new(2, 3))).starts_with("conv2d: "));
        let late = end(Sequential::new()).add(BatchNormalization::new());
        assert!(refused(late).starts_with("batch_normalization: "));
        let normalized = Sequential::new().add(Conv2D::new(2, 3)).add(BatchNormalization::new());
        let names: Vec<String> = named(end(normalized.add(ReLU::new()))).into_keys().collect();
        assert_eq!(names[..3], ["classifier.0.bias", "classifier.0.weight", "features.0.bias"]);
        assert_eq!(names[4..6], ["features.1.bias", "features.1.running_mean"]);
    }

    #[test]
    fn what_flattens_in_another_order_is_refused_where_it_cannot_be_put_right() {
        let branches = Concatenate::new().branch(Flatten).branch(Flatten);
        let mut network = Sequential::new().add(branches).add(Dense::new(2));
        network.build_on(Shape::new(&[1, 3, 3, 2]), &Device::Cpu, 0).unwrap();
        let error = places(&network, [3, 3, 2], ModuleNames::Paths).unwrap_err();
        assert!(error.to_string().starts_with("dense: this Dense cannot be exported"), "{error}");
        let mut network = Sequential::new().add(Flatten).add(BatchNormalization::new());
        network.build_on(Shape::new(&[1, 3, 3, 2]), &Device::Cpu, 0).unwrap();
        assert_eq!(places(&network, [3, 3, 2], ModuleNames::Paths).unwrap().len(), 4);
    }
}
