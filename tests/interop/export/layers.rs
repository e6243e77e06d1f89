//! Small networks that hold every layer, with every option that changes what it does.

use super::Case;
use anyhow::Result;
use gradus::layers::{ActivationLayer, ELU, GlobalMaxPooling2D, LeakyReLU, Sequential, Softmax};
use gradus::prelude::*;
use gradus::tensor::{Fields as _, Path as FieldPath, Shape};
use gradus_testing::Cases;
use ndarray::Array4;

const IMAGE: [usize; 3] = [9, 11, 4];

/// Shows all of them, but for random windows that are larger than the image.
pub(crate) fn each(mut show: impl FnMut(Case<'_>) -> Result<()>) -> Result<()> {
    let named = activations().chain(normalizations()).chain(blocks()).chain(whole_images());
    for (i, (name, mut network)) in named.chain(convolutions()).chain(poolings()).enumerate() {
        let mut random = Cases::new("interop", i as u32);
        let [h, w, c] = IMAGE;
        if network.build_on(Shape::new(&[1, h, w, c]), &Device::Cpu, 0).is_err() {
            continue;
        }
        fill(&mut network, &mut random);
        let images = Array4::from_shape_vec((3, h, w, c), random.normal(3 * h * w * c))?;
        show(Case { name: &name, network: &network, images: images.view(), labels: &[] })?;
    }
    Ok(())
}

/// Random weights and statistics.
fn fill(network: &mut Sequential, random: &mut Cases) {
    network.visit_mut(&mut FieldPath::default(), &mut |path, field| {
        let ends = |name| path.as_str().ends_with(name);
        let (variance, scale) = (ends("variance"), if ends("kernel") { 0.4 } else { 1.0 });
        let values = field.into_value().slice_mut::<f32>();
        let normal = random.normal(values.len());
        for (value, normal) in values.iter_mut().zip(normal) {
            *value = if variance { 0.3 + normal.abs() } else { scale * normal };
        }
    });
}

/// Each activation behind a convolution, behind a dense layer and alone.
fn activations() -> impl Iterator<Item = (String, Sequential)> {
    let activations = [
        ("linear", Activation::Linear),
        ("relu", Activation::Relu),
        ("relu6", Activation::Relu6),
        ("leaky_relu", Activation::LEAKY_RELU),
        ("leaky_relu_03", Activation::LeakyRelu { negative_slope: 0.3 }),
        ("elu", Activation::ELU),
        ("elu_05", Activation::Elu { alpha: 0.5 }),
        ("selu", Activation::Selu),
        ("gelu", Activation::Gelu),
        ("gelu_tanh", Activation::GeluTanh),
        ("silu", Activation::Silu),
        ("mish", Activation::Mish),
        ("sigmoid", Activation::Sigmoid),
        ("hard_sigmoid", Activation::HardSigmoid),
        ("tanh", Activation::Tanh),
        ("softmax", Activation::Softmax),
        ("softplus", Activation::Softplus),
        ("softsign", Activation::Softsign),
        ("exponential", Activation::Exponential),
    ];
    let behind = activations.into_iter().flat_map(|(name, activation)| {
        let convolution = Sequential::new().add(Conv2D::new(3, 3).activation(activation));
        let dense = Sequential::new().add(Flatten).add(Dense::new(5).activation(activation));
        let alone = Sequential::new().add(ActivationLayer::new(activation));
        [("conv2d", convolution), ("dense", dense), ("alone", alone)]
            .map(|(place, network)| (format!("activation-{name}-{place}"), network))
    });
    let layers = [
        ("relu", Sequential::new().add(ReLU::new())),
        ("relu6", Sequential::new().add(ReLU::new().max_value(6.0))),
        ("leaky_relu", Sequential::new().add(LeakyReLU::new())),
        ("elu", Sequential::new().add(ELU::new().alpha(0.7))),
        ("softmax", Sequential::new().add(Softmax::new())),
    ];
    behind.chain(layers.map(|(name, network)| (format!("layer-{name}"), network)))
}

/// Normalization of images and of rows, with and without γ and β.
fn normalizations() -> impl Iterator<Item = (String, Sequential)> {
    let options = [(true, true), (true, false), (false, true), (false, false)];
    options.into_iter().flat_map(|(center, scale)| {
        let layer = || BatchNormalization::new().center(center).scale(scale).epsilon(0.01);
        let images = Sequential::new().add(layer());
        let rows = Sequential::new().add(Flatten).add(layer()).add(Dense::new(3).use_bias(false));
        [("images", images), ("rows", rows)]
            .map(|(place, network)| (format!("normalization-{place}-{center}-{scale}"), network))
    })
}

/// Residuals, branches, and blocks within blocks.
fn blocks() -> impl Iterator<Item = (String, Sequential)> {
    let same = |filters| Conv2D::new(filters, 3).padding(Padding::Same);
    let chain = || Sequential::new().add(same(4)).add(BatchNormalization::new()).add(same(4));
    let rows = Concatenate::new()
        .branch(Sequential::new().add(GlobalAveragePooling2D::new()).add(Dense::new(3)))
        .branch(Sequential::new().add(Flatten).add(Dense::new(2).activation(Activation::Tanh)));
    let images = Concatenate::new()
        .branch(same(3))
        .branch(MaxPooling2D::new(3).strides(1).padding(Padding::Same))
        .branch(Residual::new(chain()).activation(Activation::Relu));
    let shortcut = Residual::new(same(6)).shortcut(Conv2D::new(6, 1));
    let deep = Sequential::new()
        .add(images)
        .add(Dropout::new(0.5))
        .add(Residual::new(same(11)).activation(Activation::Relu))
        .add(Sequential::new().add(Flatten).add(Dense::new(4).activation(Activation::Softmax)));
    let blocks = [
        ("residual", Sequential::new().add(Residual::new(chain()))),
        ("shortcut", Sequential::new().add(shortcut)),
        ("rows", Sequential::new().add(rows)),
        ("deep", deep),
    ];
    blocks.into_iter().map(|(name, network)| (format!("block-{name}"), network))
}

/// Poolings over whole images, flattening, zeros, and next to nothing.
fn whole_images() -> impl Iterator<Item = (String, Sequential)> {
    let average = |keep| Sequential::new().add(GlobalAveragePooling2D::new().keepdims(keep));
    let max = |keep| Sequential::new().add(GlobalMaxPooling2D::new().keepdims(keep));
    let behind = Flatten;
    let networks = [
        ("global-average", average(false)),
        ("global-average-kept", average(true)),
        ("global-average-flat", average(true).add(behind).add(Dense::new(2))),
        ("global-max", max(false)),
        ("global-max-kept", max(true)),
        ("flatten", Sequential::new().add(Flatten)),
        ("flatten-normalized", flat()),
        ("zeros", Sequential::new().add(ZeroPadding2D::new([[1, 2], [0, 3]]))),
        ("zeros-convolved", Sequential::new().add(ZeroPadding2D::new(1)).add(Conv2D::new(2, 3))),
        ("dropout-only", Sequential::new().add(Dropout::new(0.5))),
    ];
    networks.into_iter().map(|(name, network)| (name.to_owned(), network))
}

/// Flattened images whose rows are normalized before a dense layer sees them.
fn flat() -> Sequential {
    let chain = Sequential::new().add(Conv2D::new(5, 3)).add(Flatten);
    chain.add(BatchNormalization::new()).add(Dense::new(3).activation(Activation::Softmax))
}

/// Random windows, strides, dilations, groups and paddings.
fn convolutions() -> impl Iterator<Item = (String, Sequential)> {
    (0..40).map(|i| {
        let mut random = Cases::new("interop convolutions", i);
        let groups = random.one_of(&[1, 1, 2, 4]);
        let filters = groups * random.extent(1, 3);
        let size = [random.extent(1, 4), random.extent(1, 4)];
        let strides = [random.extent(1, 3), random.extent(1, 3)];
        let dilation = if random.extent(0, 2) == 0 { [2, random.extent(1, 2)] } else { [1, 1] };
        let padding = padding(&mut random, size);
        let layer = Conv2D::new(filters, size).strides(strides).padding(padding).groups(groups);
        let layer = layer.dilation_rate(dilation).use_bias(random.extent(0, 3) > 0);
        (format!("conv2d-{i}"), Sequential::new().add(layer))
    })
}

/// Random windows, strides and paddings.
fn poolings() -> impl Iterator<Item = (String, Sequential)> {
    (0..40).map(|i| {
        let mut random = Cases::new("interop poolings", i);
        let size = [random.extent(1, 4), random.extent(1, 4)];
        let strides = [random.extent(1, 4), random.extent(1, 4)];
        let padding = padding(&mut random, size);
        let network = match i % 2 {
            0 => Sequential::new().add(MaxPooling2D::new(size).strides(strides).padding(padding)),
            _ => {
                Sequential::new().add(AveragePooling2D::new(size).strides(strides).padding(padding))
            }
        };
        (format!("pooling-{i}"), network)
    })
}

fn padding(random: &mut Cases, size: [usize; 2]) -> Padding {
    let sides = size.map(|reach| [(); 2].map(|()| random.extent(0, reach - 1)));
    random.one_of(&[Padding::Valid, Padding::Same, Padding::Explicit(sides)])
}
