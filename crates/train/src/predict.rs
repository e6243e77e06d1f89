//! What a network answers, to one who owns it and to many who share it.
//!
//! ```text
//! Own          `model.predict(…)`: the model's own context and memory
//! Shared       `model.predictor(threads)`: a [`Predictor`] for each thread, with a context and memory
//!              of its own; the weights are the model's and lie there once. `infer` borrows the
//!              network shared, so that nobody can train it meanwhile
//! Bits         the same in both, whatever the number of threads and of predictors
//! ```

use crate::batches;
use crate::{Batches, Error, Images, Memory, Model, Planned, Progress, Verbosity};
use gradus_layers::{Layer as _, Mode, Sequential};
use gradus_tensor::{Context, Shape};
use ndarray::{Array2, ArrayView4, Axis};

/// One who asks a model that others ask at the same time: see [`Model::predictor`].
#[derive(Debug)]
pub struct Predictor<'a> {
    model: &'a Model,
    context: Context,
    memory: Option<Memory>,
}

impl Predictor<'_> {
    /// The probabilities of the classes for each image, as [`Model::predict`] gives them.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn predict(&mut self, images: ArrayView4<'_, f32>) -> Result<Array2<f32>, Error> {
        let Self { model, context, memory } = self;
        answer(&model.network, model.image, context, memory, images.into())
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Model {
        self.model
    }
}

impl Model {
    /// One who asks this model with that many threads of its own (0: as many as there are cores).
    /// Many may at the same time, one for each thread of a server, say, which is best served with
    /// one thread each:
    ///
    /// ```
    /// # use gradus_layers::{Dense, Flatten, Sequential};
    /// # use gradus_tensor::{Context, Device};
    /// # use gradus_train::Model;
    /// # use ndarray::Array4;
    /// # let network = Sequential::new().add(Flatten).add(Dense::new(2));
    /// # let model = Model::build(network, [4, 4, 1], Context::new(Device::Cpu, 1), 0)?;
    /// std::thread::scope(|scope| {
    ///     for _ in 0..4 {
    ///         scope.spawn(|| {
    ///             let mut predictor = model.predictor(1);
    ///             predictor.predict(Array4::zeros((1, 4, 4, 1)).view()).expect("an answer")
    ///         });
    ///     }
    /// });
    /// # Ok::<(), gradus_train::Error>(())
    /// ```
    ///
    /// Threads that outlive the function in which they start share an `Arc<Model>`.
    #[must_use]
    pub fn predictor(&self, threads: usize) -> Predictor<'_> {
        let mut context = Context::new(self.context.device.clone(), threads);
        context.workspace.exact = self.context.workspace.exact;
        context.precision = self.context.precision;
        context.fused = self.context.fused;
        Predictor { model: self, context, memory: None }
    }

    /// The probabilities of the classes for each image (N·H·W·C, already rescaled): N·classes.
    ///
    /// # Errors
    /// If the images are not of the size that the network was built for.
    pub fn predict(&mut self, images: ArrayView4<'_, f32>) -> Result<Array2<f32>, Error> {
        self.answer(images.into())
    }

    fn answer(&mut self, images: Images<'_>) -> Result<Array2<f32>, Error> {
        answer(&self.network, self.image, &mut self.context, &mut self.asked, images)
    }

    /// The answers for `steps` batches of the data, or all of them, in the order in which they come:
    /// open it with `shuffle(false)` to know which is which. N·outputs.
    ///
    /// # Errors
    /// If the images are not of the size that the network was built for, or cannot be read.
    ///
    /// # Panics
    /// Never: every batch has answers of the same width.
    pub fn predict_batches(
        &mut self,
        data: &mut dyn Batches,
        steps: Option<usize>,
    ) -> Result<Array2<f32>, Error> {
        self.predict_batches_verbose(data, steps, Verbosity::Silent)
    }

    /// The same, told on standard error: a bar on a terminal, one line at the end elsewhere. Keras's
    /// `verbose`.
    ///
    /// # Errors
    /// As [`Model::predict_batches`].
    ///
    /// # Panics
    /// As [`Model::predict_batches`].
    pub fn predict_batches_verbose(
        &mut self,
        data: &mut dyn Batches,
        steps: Option<usize>,
        verbose: Verbosity,
    ) -> Result<Array2<f32>, Error> {
        self.predict_batches_told(data, steps, Progress::new(1, verbose))
    }

    /// The same, told wherever `progress` tells.
    pub(crate) fn predict_batches_told(
        &mut self,
        data: &mut dyn Batches,
        steps: Option<usize>,
        mut progress: Progress,
    ) -> Result<Array2<f32>, Error> {
        let steps = steps.unwrap_or(data.batches());
        let mut answers: Option<Array2<f32>> = None;
        progress.start_pass(steps);
        batches::start(data, &self.context, 0, [0, steps]);
        while let Some(batch) = data.next_batch() {
            let images = batch?.images;
            let more = self.answer(images)?;
            progress.step(images.len(), || []);
            match &mut answers {
                None => answers = Some(more),
                Some(all) => all.append(Axis(0), more.view()).expect("as many columns"),
            }
        }
        progress.end_epoch(&[]);
        data.problems().iter().for_each(|problem| progress.message(problem));
        answers.ok_or(Error::NoBatches)
    }
}

/// What the network answers, in a memory that is made, or made larger, where it has to be.
fn answer(
    network: &Sequential,
    image: [usize; 3],
    context: &mut Context,
    memory: &mut Option<Memory>,
    images: Images<'_>,
) -> Result<Array2<f32>, Error> {
    let (n, h, w, c) = images.dim();
    if [h, w, c] != image {
        return Err(Error::Images { expected: image, found: [h, w, c] });
    }
    if n == 0 {
        return Err(Error::NoBatches);
    }
    let memory = match memory {
        Some(made) if made.holds(n) => made,
        memory => {
            let planned = Planned::new(network, Shape::new(&[n, h, w, c]), Mode::Infer)?;
            planned.afford(context, 0)?;
            memory.insert(planned.make(context)?)
        }
    };
    memory.load(images);
    let Memory { x, y, saved, .. } = &mut *memory;
    network.infer(context, x, y, saved);
    memory.answer(network.head(), context);
    memory.tell();
    context.check()?;
    Ok(memory.answered().rows::<f32>().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_layers::{
        Activation, BatchNormalization, Conv2D, Dense, Dropout, Flatten, MaxPooling2D,
    };
    use gradus_tensor::Device;
    use gradus_testing::Cases;
    use ndarray::Array4;
    use std::sync::{Arc, Barrier};

    /// Layers that are done together, and some that are not.
    fn model() -> Model {
        let network = Sequential::new()
            .add(Conv2D::new(8, 3).activation(Activation::Relu))
            .add(BatchNormalization::new())
            .add(MaxPooling2D::new(2))
            .add(Dropout::new(0.25))
            .add(Conv2D::new(16, 3))
            .add(Flatten)
            .add(Dense::new(5).activation(Activation::Softmax));
        Model::build(network, [19, 17, 3], Context::new(Device::Cpu, 2), 3).unwrap()
    }

    fn images(n: usize, case: u32) -> Array4<f32> {
        let mut cases = Cases::new("shared images", case);
        Array4::from_shape_vec((n, 19, 17, 3), cases.normal(n * 19 * 17 * 3)).unwrap()
    }

    #[test]
    fn many_threads_ask_one_model_and_get_the_bits_that_one_gets() {
        let mut alone = model();
        // Batches of changing size, so that memory is made anew and used in part.
        let batches: Vec<Array4<f32>> =
            [3, 1, 7, 2, 7, 4].into_iter().zip(0..).map(|(n, case)| images(n, case)).collect();
        let expected: Vec<Array2<f32>> =
            batches.iter().map(|batch| alone.predict(batch.view()).unwrap()).collect();
        assert!(expected[0] != expected[1] && expected[0].iter().all(|p| p.is_finite()));
        let (shared, start) = (Arc::new(model()), Barrier::new(4));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (model, batches, expected, start) =
                    (shared.clone(), &batches, &expected, &start);
                scope.spawn(move || {
                    let mut predictor = model.predictor(1 + thread % 2);
                    start.wait();
                    // Each begins at another batch: at no time do all compute the same.
                    for i in (0..24).map(|i| (i + thread) % batches.len()) {
                        let found = predictor.predict(batches[i].view()).unwrap();
                        assert!(found == expected[i], "thread {thread}, batch {i}");
                    }
                });
            }
        });
    }

    #[test]
    fn a_predictor_refuses_what_its_model_refuses_and_is_as_exact() {
        let mut model = model();
        model.set_exact(true);
        let expected = model.predict(images(2, 9).view()).unwrap();
        let mut predictor = model.predictor(1);
        assert_eq!(predictor.predict(images(2, 9).view()).unwrap(), expected);
        let wrong = predictor.predict(Array4::zeros((1, 4, 4, 3)).view());
        assert!(matches!(wrong, Err(Error::Images { found: [4, 4, 3], .. })));
        let none = predictor.predict(Array4::zeros((0, 19, 17, 3)).view());
        assert!(matches!(none, Err(Error::NoBatches)));
        assert_eq!(predictor.model().image_shape(), [19, 17, 3]);
    }
}
