//! Where batches come from.
//!
//! The trainer knows nothing of files: it asks for this much, and `gradus-data`'s loader answers.
//! A source of your own, drawn on the fly perhaps, implements the same trait.

use crate::{Images, State};
use gradus_data::{DataLoader, Fitted, Problem};
use gradus_tensor::{Context, Device, Shape, Tensor};
use ndarray::{ArrayD, ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

/// Some images and what they are.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// N·H·W·C.
    pub images: Images<'a>,
    /// N·outputs: one-hot, class indices or numbers, as the loss takes them.
    pub targets: ArrayView2<'a, f32>,
    /// N: how much each sample counts in the loss; 1 each if absent.
    pub weights: Option<ArrayView1<'a, f32>>,
}

impl<'a> Batch<'a> {
    /// Samples that all count the same.
    #[must_use]
    pub fn new(images: impl Into<Images<'a>>, targets: ArrayView2<'a, f32>) -> Self {
        Self { images: images.into(), targets, weights: None }
    }

    /// N.
    #[must_use]
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Batches in the order of an epoch.
pub trait Batches {
    /// Samples of a whole epoch.
    fn samples(&self) -> usize;

    /// The most samples in one batch.
    fn batch_size(&self) -> usize;

    /// Height, width and channels of an image.
    fn image_shape(&self) -> [usize; 3];

    /// The names of the classes, in their order; none where targets are numbers.
    fn classes(&self) -> &[String];

    /// Columns of the targets: one for each class, unless overridden.
    fn outputs(&self) -> usize {
        self.classes().len()
    }

    /// Begins `epoch`, of which `steps` batches will be asked for, but for the first `done`: those
    /// were trained on before the run was resumed. What comes is what would have come after them.
    fn start(&mut self, epoch: u32, done: usize, steps: usize);

    /// The same for one who takes images as bytes, with what is to be done to each: the batches that
    /// [`Batches::start`] would bring may come so. They never do unless overridden.
    fn start_bytes(&mut self, epoch: u32, done: usize, steps: usize) {
        self.start(epoch, done, steps);
    }

    /// What the batches depend on, in words, with all options, and `, ` between them: a run is
    /// resumed on the same data only.
    fn fingerprint(&self) -> String {
        format!("{} samples, batches of {}", self.samples(), self.batch_size())
    }

    /// Batches of the epoch that are behind: those that were given, and those that were passed over
    /// because none of their images could be read. `None` where none ever is.
    fn position(&self) -> Option<usize> {
        None
    }

    /// What went wrong without ending the epoch: images that were skipped or replaced, once each.
    fn problems(&self) -> Vec<String> {
        Vec::new()
    }

    /// What a run that is resumed has to be given back: what was fitted, the problems so far.
    /// Nothing, unless overridden.
    fn state(&self) -> State {
        State::default()
    }

    /// Takes back what [`Batches::state`] gave.
    ///
    /// # Errors
    /// What is wrong, if that is not the state of such batches.
    fn restore(&mut self, state: State) -> Result<(), String> {
        let _ = state;
        Ok(())
    }

    /// The next batch of the epoch; `None` when there is none left.
    fn next_batch(&mut self) -> Option<Result<Batch<'_>, gradus_data::Error>>;

    /// Batches of a whole epoch: the last may be short.
    fn batches(&self) -> usize {
        self.samples().div_ceil(self.batch_size().max(1))
    }
}

/// Begins `epoch` as [`Batches::start`] does, with images as bytes where a GPU would rather have that.
pub(crate) fn start(data: &mut dyn Batches, cx: &Context, epoch: u32, [done, steps]: [usize; 2]) {
    match &cx.device {
        Device::Cuda(_) if cx.augment_on_gpu => data.start_bytes(epoch, done, steps),
        _ => data.start(epoch, done, steps),
    }
}

impl Batches for DataLoader {
    fn samples(&self) -> usize {
        self.len()
    }

    fn batch_size(&self) -> usize {
        DataLoader::batch_size(self)
    }

    fn image_shape(&self) -> [usize; 3] {
        DataLoader::image_shape(self)
    }

    fn classes(&self) -> &[String] {
        DataLoader::classes(self)
    }

    fn outputs(&self) -> usize {
        DataLoader::outputs(self)
    }

    fn start(&mut self, epoch: u32, done: usize, steps: usize) {
        DataLoader::start_at(self, epoch, done, Some(steps));
    }

    fn start_bytes(&mut self, epoch: u32, done: usize, steps: usize) {
        DataLoader::start_bytes_at(self, epoch, done, Some(steps));
    }

    fn next_batch(&mut self) -> Option<Result<Batch<'_>, gradus_data::Error>> {
        let batch = DataLoader::next_batch(self)?;
        Some(batch.map(|b| Batch {
            images: match b.bytes() {
                Some((pixels, maps)) => Images::Bytes { pixels, maps },
                None => Images::Floats(b.images()),
            },
            targets: b.targets(),
            weights: b.weights(),
        }))
    }

    fn fingerprint(&self) -> String {
        let (n, batch, seed) = (self.len(), DataLoader::batch_size(self), self.seed());
        let rows = DataLoader::fingerprint(self);
        let how = self.description();
        format!("{n} samples, batches of {batch}, seed: {seed}, rows: {rows:016x}, {how}")
    }

    fn position(&self) -> Option<usize> {
        Some(DataLoader::position(self))
    }

    fn problems(&self) -> Vec<String> {
        let problems = DataLoader::problems(self).iter().map(ToString::to_string);
        problems.chain(self.remark()).collect()
    }

    fn state(&self) -> State {
        let (mut tensors, mut fitted) = (Vec::new(), Vec::new());
        for (name, array) in self.fitted() {
            let values: Vec<f32> = array.iter().copied().collect();
            tensors.push(Tensor::from_slice(Shape::new(&[values.len()]), &values));
            fitted.push((name, array.shape().to_vec()));
        }
        let problems = DataLoader::problems(self).iter().cloned().map(Seen::from).collect();
        let values = serde_json::to_value(Remembered { problems, fitted });
        State { values: values.expect("plain values"), tensors }
    }

    fn restore(&mut self, state: State) -> Result<(), String> {
        let Remembered { problems, fitted } =
            serde_json::from_value(state.values).map_err(|e| e.to_string())?;
        if fitted.len() != state.tensors.len() {
            return Err(format!("{} tensors for {}", state.tensors.len(), fitted.len()));
        }
        let arrays = fitted.into_iter().zip(&state.tensors).map(|((name, shape), tensor)| {
            let array = ArrayD::from_shape_vec(shape, tensor.slice::<f32>().to_vec());
            Ok((name, array.map_err(|e| e.to_string())?))
        });
        let fitted = arrays.collect::<Result<Fitted, String>>()?;
        let problems = problems.into_iter().map(Problem::from).collect();
        DataLoader::restore(self, problems, fitted).map_err(|e| e.to_string())
    }
}

/// What a checkpoint keeps of a loader.
#[derive(Serialize, Deserialize)]
struct Remembered {
    problems: Vec<Seen>,
    /// Names and shapes; the numbers are tensors.
    fitted: Vec<(String, Vec<usize>)>,
}

/// A [`Problem`].
#[derive(Serialize, Deserialize)]
struct Seen {
    row: u32,
    name: String,
    reason: String,
    epoch: u32,
    times: u32,
}

impl From<Problem> for Seen {
    fn from(Problem { row, name, reason, epoch, times }: Problem) -> Self {
        Self { row, name, reason, epoch, times }
    }
}

impl From<Seen> for Problem {
    fn from(Seen { row, name, reason, epoch, times }: Seen) -> Self {
        Self { row, name, reason, epoch, times }
    }
}
