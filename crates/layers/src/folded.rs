//! Batch normalization folded into the products beside it, for inference.
//!
//! ```text
//! Formula      normalization with fixed statistics is y = s·x + t for each channel, with
//!              s = γ / √(σ² + ε) and t = β − μ·s
//! Behind a     W' = W·s and b' = b·s + t, where the layer has no activation of its own; one that
//! product      follows the normalization as a layer becomes the product's
//! Before a     W'[.., c, k] = W[.., c, k]·s[c] and b'[k] = b[k] + Σ W[.., c, k]·t[c]. Dropout, which
//! product      does nothing in inference, may lie between; zeros around an image may not, for they
//!              would have to be −t/s
//! Conventions  W' and b' are computed in f64 and rounded once: y is off by rounding
//! Source       Jacob et al., "Quantization and Training of Neural Networks", CVPR 2018, section 3.2
//! ```
//!
//! What is neither behind nor before such a product, as in the tutorial's blocks (convolution, relu,
//! normalization, pooling), stays a layer, which [`fused`](crate::fused) does in the same pass.

#[cfg(test)]
mod tests;

use crate::activation::only_activation;
use crate::{Activation, BatchNormalization, Conv2D, Dense, Dropout, Layer};
use gradus_tensor::{Param, Shape};
use std::any::Any;

/// What a layer that makes products is made of.
pub(crate) struct Product<'a> {
    /// Filters or units last; channels or inputs before them.
    pub(crate) kernel: &'a mut Param,
    pub(crate) bias: &'a mut Param,
    pub(crate) use_bias: &'a mut bool,
    pub(crate) activation: &'a mut Activation,
    /// Whether each output sees all channels, and nothing that is not in x.
    pub(crate) whole: bool,
}

/// s and t of each channel.
pub(crate) type Affine = [Vec<f64>; 2];

/// Folds what can be folded in a chain: how many normalizations are gone.
pub(crate) fn fold(layers: &mut Vec<Box<dyn Layer>>, names: &mut Vec<String>) -> usize {
    let (mut gone, mut at) = (0, 0);
    while at < layers.len() {
        match behind(layers, at) || before(layers, at) {
            true => {
                layers.remove(at);
                names.remove(at);
                absorb_activation(layers, names, at);
                gone += 1;
            }
            false => at += 1,
        }
    }
    gone
}

/// Folds the normalization at that place into the product before it.
fn behind(layers: &mut [Box<dyn Layer>], at: usize) -> bool {
    let (front, rest) = layers.split_at_mut(at);
    let (Some(last), Some(normalization)) = (front.last_mut(), normalization(&*rest[0])) else {
        return false;
    };
    match product(&mut **last) {
        Some(mut product) if *product.activation == Activation::Linear => {
            product.scale_outputs(&normalization.affine());
            true
        }
        _ => false,
    }
}

/// Folds the normalization at that place into the product that comes next.
fn before(layers: &mut [Box<dyn Layer>], at: usize) -> bool {
    let (front, rest) = layers.split_at_mut(at + 1);
    let is_dropout = |layer: &dyn Layer| (layer as &dyn Any).is::<Dropout>();
    let next = rest.iter_mut().find(|layer| !is_dropout(&***layer));
    let (Some(normalization), Some(next)) = (normalization(&*front[at]), next) else {
        return false;
    };
    match product(&mut **next) {
        Some(mut product) if product.whole => {
            product.scale_inputs(&normalization.affine());
            true
        }
        _ => false,
    }
}

/// Takes a layer that is only an activation into the product before it.
fn absorb_activation(layers: &mut Vec<Box<dyn Layer>>, names: &mut Vec<String>, at: usize) {
    let (front, rest) = layers.split_at_mut(at);
    let activation = rest.first().and_then(|layer| only_activation(&**layer));
    let last = front.last_mut().and_then(|layer| product(&mut **layer));
    if let (Some(activation), Some(product)) = (activation, last)
        && *product.activation == Activation::Linear
    {
        *product.activation = activation;
        layers.remove(at);
        names.remove(at);
    }
}

fn normalization(layer: &dyn Layer) -> Option<&BatchNormalization> {
    (layer as &dyn Any).downcast_ref()
}

fn product(layer: &mut dyn Layer) -> Option<Product<'_>> {
    // Asked twice, because what is borrowed in one branch stays so in the other.
    match (layer as &dyn Any).is::<Conv2D>() {
        true => (layer as &mut dyn Any).downcast_mut::<Conv2D>().map(Conv2D::product),
        false => (layer as &mut dyn Any).downcast_mut::<Dense>().map(Dense::product),
    }
}

impl Product<'_> {
    /// y' = s·y + t.
    fn scale_outputs(&mut self, [scale, shift]: &Affine) {
        let filters = scale.len();
        self.kernel.value.edit::<f32>(|kernel| {
            for row in kernel.chunks_exact_mut(filters) {
                row.iter_mut().zip(scale).for_each(|(w, s)| *w = (f64::from(*w) * s) as f32);
            }
        });
        self.with_bias(filters, |bias| {
            for ((b, s), t) in bias.iter_mut().zip(scale).zip(shift) {
                *b = (f64::from(*b) * s + t) as f32;
            }
        });
    }

    /// y of s·x + t.
    fn scale_inputs(&mut self, [scale, shift]: &Affine) {
        let shape = self.kernel.value.shape();
        let filters = *shape.dims().last().expect("a kernel has filters or units");
        let mut sums = vec![0.0; filters];
        self.kernel.value.edit::<f32>(|kernel| {
            for (row, c) in kernel.chunks_exact_mut(filters).zip((0..scale.len()).cycle()) {
                for (w, sum) in row.iter_mut().zip(&mut sums) {
                    *sum += f64::from(*w) * shift[c];
                    *w = (f64::from(*w) * scale[c]) as f32;
                }
            }
        });
        self.with_bias(filters, |bias| {
            bias.iter_mut().zip(&sums).for_each(|(b, sum)| *b = (f64::from(*b) + sum) as f32);
        });
    }

    /// Changes the bias; zeros become one where there was none.
    fn with_bias(&mut self, filters: usize, change: impl FnOnce(&mut [f32])) {
        if self.bias.is_empty() {
            let device = self.kernel.value.device();
            *self.bias = Param::zeros(Shape::new(&[filters]), &device);
            *self.use_bias = true;
        }
        self.bias.value.edit(change);
    }
}
