//! Input, output and everything between, for batches up to a size.

use crate::available::afford;
use crate::metrics::cuda::Judged;
use crate::{Batch, Error, Images};
use gradus_augment::input;
use gradus_data::PixelMap;
use gradus_layers::{Activation, Layer, Mode, Plan, Saved, Sequential, ShapeError, argmax};
use gradus_tensor::gpu::{CudaError, Feed, Gpu};
use gradus_tensor::{Context, Device, Shape, Spec, Tensor};
use ndarray::{ArrayView1, ArrayViewMut2, ArrayViewMut4};

/// The memory of a network at work. A smaller batch uses the front of it.
#[derive(Debug)]
pub struct Memory {
    /// N·H·W·C for the largest batch.
    largest: Shape,
    pub(crate) x: Tensor,
    pub(crate) targets: Tensor,
    /// N.
    pub(crate) weights: Tensor,
    pub(crate) y: Tensor,
    /// y behind the closing activation: probabilities, where y are logits.
    answers: Tensor,
    /// The same on the CPU.
    told: Tensor,
    /// `weights` on the CPU.
    counts: Vec<f32>,
    pub(crate) saved: Saved,
    /// How images, targets and weights come to a GPU.
    feeds: Option<[Feed; 3]>,
}

/// Memory that is planned and not yet made.
#[derive(Debug)]
pub struct Planned {
    input: Shape,
    targets: Shape,
    plan: Plan,
}

impl Planned {
    /// What batches of up to `input.batch()` need.
    ///
    /// # Errors
    /// If the network cannot take such an input, or does not end in one row for each sample.
    pub fn new(network: &Sequential, input: Shape, mode: Mode) -> Result<Self, ShapeError> {
        let plan = network.plan(Spec::f32(input), mode)?;
        if plan.output.shape.rank() != 2 {
            let output = plan.output.shape;
            let expected = format!("expected a network that ends in (N, classes), not {output}");
            return Err(ShapeError::new(input, expected));
        }
        Ok(Self { input, targets: plan.output.shape, plan })
    }

    /// The shape of y.
    #[must_use]
    pub fn output(&self) -> Shape {
        self.plan.output.shape
    }

    /// With targets of another shape than the outputs.
    #[must_use]
    pub fn with_targets(mut self, targets: Shape) -> Self {
        self.targets = targets;
        self
    }

    /// How much that is, in that context.
    #[must_use]
    pub fn bytes(&self, cx: &Context) -> u64 {
        let scratch = match cx.device {
            Device::Cpu => self.plan.scratch + cx.workspace.pool.threads() * self.plan.desk,
            Device::Cuda(_) => self.plan.gpu_scratch,
        };
        let floats = scratch + self.input.len() + self.input.batch();
        (4 * floats + 3 * self.plan.output.bytes() + self.plan.bytes()) as u64
    }

    /// Refuses what the machine cannot afford, together with that many bytes besides. What does not
    /// fit on a GPU shows when it is made.
    pub(crate) fn afford(&self, cx: &Context, besides: u64) -> Result<(), Error> {
        match cx.device {
            Device::Cpu => afford(self.bytes(cx) + besides, self.input.batch()),
            Device::Cuda(_) => Ok(()),
        }
    }

    /// Makes the memory.
    ///
    /// # Errors
    /// If a GPU has not as much, or the system gives none that it may reach.
    pub fn make(self, cx: &mut Context) -> Result<Memory, CudaError> {
        let Self { input, targets, plan } = self;
        plan.reserve(cx);
        let zeros = |spec| Tensor::zeros(spec, &cx.device);
        let weights = Spec::f32(Shape::new(&[input.batch()]));
        let feeds = |gpu: &Gpu| {
            let feed = |bytes| Feed::new(gpu, bytes);
            let [images, targets] = [input, targets].map(|shape| Spec::f32(shape).bytes());
            // Images come as floats, or as bytes behind their maps.
            let mapped = input.batch() * size_of::<PixelMap>() + input.len();
            Ok([feed(images.max(mapped))?, feed(targets)?, feed(weights.bytes())?])
        };
        let memory = Memory {
            largest: input,
            x: zeros(Spec::f32(input)),
            targets: zeros(Spec::f32(targets)),
            weights: zeros(weights),
            y: zeros(plan.output),
            answers: zeros(plan.output),
            told: Tensor::zeros(plan.output, &Device::Cpu),
            counts: vec![0.0; input.batch()],
            saved: Saved::allocate(&plan, &cx.device),
            feeds: match &cx.device {
                Device::Cpu => None,
                Device::Cuda(gpu) => Some(feeds(gpu)?),
            },
        };
        if let Device::Cuda(gpu) = &cx.device {
            gpu.check()?;
        }
        Ok(memory)
    }
}

impl Memory {
    /// Whether a batch of `n` fits.
    #[must_use]
    pub fn holds(&self, n: usize) -> bool {
        n <= self.largest.batch()
    }

    /// y, as the network gave it.
    #[must_use]
    pub fn output(&self) -> &Tensor {
        &self.y
    }

    /// Copies images in, and shortens everything to their number.
    pub(crate) fn load(&mut self, images: Images<'_>) {
        let (n, h, w, c) = images.dim();
        if n != self.x.shape().batch() {
            self.set_batch(n);
        }
        let of_x = "the shape of x";
        match (&mut self.feeds, images) {
            (Some([feed, ..]), Images::Bytes { pixels, maps }) => {
                let x = self.x.gpu_mut();
                let fill = |slot: &mut [u8]| {
                    ArrayViewMut4::from_shape(pixels.raw_dim(), slot).expect(of_x).assign(&pixels);
                };
                feed.lend(maps, pixels.len(), fill, |gpu, maps, bytes| {
                    input::cuda::apply(gpu, [h, w, c], maps, bytes, x);
                });
            }
            (feeds, images) => {
                write(&mut self.x, feeds.as_mut().map(|feeds| &mut feeds[0]), |x| {
                    images.write(ArrayViewMut4::from_shape((n, h, w, c), x).expect(of_x));
                });
            }
        }
    }

    fn set_batch(&mut self, n: usize) {
        self.x.set_shape(self.largest.with_batch(n));
        self.saved.set_batch(n);
        for tensor in [&mut self.y, &mut self.answers, &mut self.told] {
            tensor.set_shape(self.saved.output());
        }
        self.targets.set_shape(self.targets.shape().with_batch(n));
        self.weights.set_shape(Shape::new(&[n]));
    }

    /// Copies the targets and weights of the same batch in; a sample also counts as much as its
    /// class, where classes have weights.
    pub(crate) fn load_targets(&mut self, batch: &Batch<'_>, class_weight: &[f32]) {
        let n = batch.targets.dim().0;
        let counts = &mut self.counts[..n];
        match &batch.weights {
            Some(given) => counts.iter_mut().zip(given).for_each(|(w, given)| *w = *given),
            None => counts.fill(1.0),
        }
        if !class_weight.is_empty() {
            for (weight, target) in counts.iter_mut().zip(batch.targets.rows()) {
                *weight *= weight_of(target, class_weight);
            }
        }
        let [targets, weights] = match &mut self.feeds {
            Some([_, targets, weights]) => [Some(targets), Some(weights)],
            None => [None, None],
        };
        write(&mut self.targets, targets, |into| {
            let into = ArrayViewMut2::from_shape(batch.targets.raw_dim(), into);
            into.expect("the shape of the targets").assign(&batch.targets);
        });
        write(&mut self.weights, weights, |into| into.copy_from_slice(counts));
    }

    /// How much each sample of the batch counts.
    pub(crate) fn weights(&self) -> ArrayView1<'_, f32> {
        ArrayView1::from(&self.counts[..self.weights.len()])
    }

    /// What [`Memory::tell`] brought last.
    pub(crate) fn answered(&self) -> &Tensor {
        &self.told
    }

    /// Works out what the network answers: y with its closing activation `head`, one row a sample.
    /// A GPU keeps it to itself until [`Memory::tell`].
    pub(crate) fn answer(&mut self, head: Activation, cx: &Context) {
        self.answers.copy_from(&self.y);
        head.forward(cx, &mut self.answers);
    }

    /// Brings the answers to the CPU: a GPU is waited for.
    pub(crate) fn tell(&mut self) {
        self.told.copy_from(&self.answers);
    }

    /// The answers, targets and weights of the batch, where the network is.
    pub(crate) fn judged(&self) -> Judged<'_> {
        Judged { predictions: &self.answers, targets: &self.targets, weights: &self.weights }
    }
}

/// Writes a tensor by `fill`, through the feed if it lies on a GPU.
fn write(tensor: &mut Tensor, feed: Option<&mut Feed>, fill: impl FnOnce(&mut [f32])) {
    match feed {
        None => fill(tensor.slice_mut()),
        Some(feed) => tensor.write_through(feed, fill),
    }
}

/// How much a sample counts by the weights of the classes: that of its class, or where a target is
/// mixed of several the mean of theirs by their shares. A sample of no class counts as it is.
fn weight_of(target: ArrayView1<'_, f32>, class_weight: &[f32]) -> f32 {
    let mean = |shares: ArrayView1<'_, f32>| {
        shares.iter().zip(class_weight).map(|(share, weight)| share * weight).sum()
    };
    match target.len() {
        1 if class_weight.len() == 2 && (0.0..=1.0).contains(&target[0]) => {
            mean(ArrayView1::from(&[1.0 - target[0], target[0]]))
        }
        // Several labels of which each may be true are no shares: as in Keras the first counts.
        2.. if target.iter().all(|t| *t >= 0.0) && (target.sum() - 1.0).abs() < 1e-3 => {
            mean(target)
        }
        _ => class(target).and_then(|class| class_weight.get(class)).copied().unwrap_or(1.0),
    }
}

/// The class that a target says: the largest of several, or the number itself.
pub(crate) fn class(target: ArrayView1<'_, f32>) -> Option<usize> {
    match target.len() {
        1 => (target[0] >= 0.0).then_some(target[0] as usize),
        _ => Some(argmax(target)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixed_target_counts_by_the_shares_of_its_classes() {
        let weight = |target: &[f32], class_weight: &[f32]| {
            weight_of(ArrayView1::from(target), class_weight)
        };
        for (target, expected) in [
            (&[0.0, 1.0, 0.0][..], 0.1),
            (&[0.75, 0.0, 0.25], 0.75 * 3.0 + 0.25 * 8.0),
            // Two labels, both true: the first, as in Keras.
            (&[0.0, 1.0, 1.0], 0.1),
            (&[2.0], 8.0),
            (&[-1.0], 1.0),
        ] {
            assert_eq!(weight(target, &[3.0, 0.1, 8.0]), expected, "{target:?}");
        }
        for (target, expected) in [(0.0, 3.0), (1.0, 0.1), (0.25, 0.75 * 3.0 + 0.025)] {
            assert_eq!(weight(&[target], &[3.0, 0.1]), expected, "{target}");
        }
    }
}
