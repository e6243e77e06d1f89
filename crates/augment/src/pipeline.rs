//! Several changes of an image, one after the other, as one function for a data loader.
//!
//! ```text
//! Shapes       from: h·w·C, u8   into: h·w·C, f32, changed in place by every stage
//! Conventions  stages work on the scale 0-255: the stage that rescales comes last. Each stage draws
//!              numbers of its own, those of its place: putting one more behind changes none
//! Cost         one conversion to f32, and what the stages do; what they need to work in is kept for
//!              each thread, so that after the first image nothing is allocated
//! ```

use crate::ImageDataGenerator;
use crate::scratch;
use gradus_random::{Fitted, Key, OnFloats, Source, Transform};
use ndarray::{ArrayView3, ArrayViewMut3};
use std::fmt;
use std::sync::Arc;

/// One random change of an image in place: draws from the source, and applies.
///
/// Every closure of that signature is one, as long as it leaves the shape; the types of its
/// parameters have to be written out. In PyTorch: a module of `torchvision.transforms`.
pub trait Stage: Send + Sync {
    /// Changes `image` (height · width · channels, 0-255). Randomness comes from `source` alone.
    fn run(&self, source: Source<'_>, image: ArrayViewMut3<'_, f32>);

    /// What it does, with all its options, as [`Transform::description`] says. The name of the
    /// type, unless overridden.
    fn description(&self) -> String {
        std::any::type_name::<Self>().to_owned()
    }

    /// As [`Transform::keras_remark`].
    fn keras_remark(&self) -> Option<String> {
        None
    }

    /// As [`Transform::fitted`].
    fn fitted(&self) -> Fitted {
        Fitted::new()
    }

    /// The same stage with what [`Stage::fitted`] gave, for images of `size` (height, width,
    /// channels); none where it stays as it is.
    ///
    /// # Errors
    /// What is wrong, if that is not what such a stage fits.
    fn with_fitted(
        &self,
        fitted: Fitted,
        size: [usize; 3],
    ) -> Result<Option<Arc<dyn Stage>>, String> {
        let _ = size;
        match fitted.first() {
            None => Ok(None),
            Some((name, _)) => Err(format!("{} fits no {name}", self.description())),
        }
    }
}

impl<F: Fn(Source<'_>, ArrayViewMut3<'_, f32>) + Send + Sync> Stage for F {
    fn run(&self, source: Source<'_>, image: ArrayViewMut3<'_, f32>) {
        self(source, image);
    }

    /// A function does not say what it does.
    fn description(&self) -> String {
        "a function".to_owned()
    }
}

/// The whole generator, standardizing included.
impl Stage for ImageDataGenerator {
    fn run(&self, source: Source<'_>, image: ArrayViewMut3<'_, f32>) {
        let (height, width, _) = image.dim();
        let params = self.draw(source, [height, width]);
        scratch::with_copy(image, |from, into| self.apply(&params, from, into));
    }

    fn description(&self) -> String {
        Transform::description(self)
    }

    fn keras_remark(&self) -> Option<String> {
        Transform::keras_remark(self)
    }

    fn fitted(&self) -> Fitted {
        Transform::fitted(self)
    }

    fn with_fitted(
        &self,
        fitted: Fitted,
        size: [usize; 3],
    ) -> Result<Option<Arc<dyn Stage>>, String> {
        let mut generator = self.clone();
        generator.set_fitted(fitted, size)?;
        Ok(Some(Arc::new(generator)))
    }
}

/// A chain of stages: `torchvision.transforms.Compose`.
///
/// ```
/// use gradus_augment::{ColorJitter, ImageDataGenerator, Pipeline, RandomResizedCrop};
/// use gradus_random::{Key, Transform};
/// use ndarray::Array3;
///
/// # fn main() -> Result<(), gradus_augment::Error> {
/// let rescale = ImageDataGenerator::builder().rescale(1.0 / 255.0).horizontal_flip(true).build()?;
/// let transform = Pipeline::new()
///     .then(RandomResizedCrop::default())
///     .then(ColorJitter::new(0.4, 0.4, 0.4, 0.1)?)
///     .then(rescale)
///     .transform();
///
/// let photo = Array3::<u8>::from_elem((64, 64, 3), 200);
/// let mut image = Array3::<f32>::zeros((64, 64, 3));
/// transform.apply(Key { seed: 1, epoch: 0, index: 7 }.into(), photo.view(), image.view_mut());
/// assert!(image.iter().all(|x| (0.0..=1.0).contains(x)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Pipeline {
    stages: Vec<Arc<dyn Stage>>,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages: Vec<String> = self.stages.iter().map(|stage| stage.description()).collect();
        write!(f, "Pipeline [{}]", stages.join(", "))
    }
}

impl Pipeline {
    /// A chain of no stages: bytes as floats, 0-255.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With that stage after all others.
    #[must_use]
    pub fn then(mut self, stage: impl Stage + 'static) -> Self {
        self.stages.push(Arc::new(stage));
        self
    }

    /// `into` = the image `from`, through all stages.
    ///
    /// # Panics
    /// If `from` and `into` differ in shape.
    pub fn apply(
        &self,
        source: Source<'_>,
        from: ArrayView3<'_, u8>,
        mut into: ArrayViewMut3<'_, f32>,
    ) {
        assert_eq!(from.dim(), into.dim(), "an image and its transform have the same shape");
        into.zip_mut_with(&from, |y, &x| *y = f32::from(x));
        self.run(source, into);
    }

    /// The image, through all stages in place.
    fn run(&self, mut source: Source<'_>, mut image: ArrayViewMut3<'_, f32>) {
        for (place, stage) in (0..).zip(&self.stages) {
            stage.run(at(place, source.reborrow()), image.view_mut());
        }
    }

    /// The chain, to be handed to a data loader.
    ///
    /// It panics if its images differ in shape.
    #[must_use]
    pub fn transform(self) -> impl Transform + Clone {
        self
    }
}

impl Transform for Pipeline {
    fn apply(&self, source: Source<'_>, from: ArrayView3<'_, u8>, into: ArrayViewMut3<'_, f32>) {
        Pipeline::apply(self, source, from, into);
    }

    fn on_floats(&self) -> Option<&dyn OnFloats> {
        Some(self)
    }

    fn description(&self) -> String {
        format!("{self:?}")
    }

    fn keras_remark(&self) -> Option<String> {
        self.stages.iter().find_map(|stage| stage.keras_remark())
    }

    /// Of all stages, each name behind the number of its stage: `2.mean`.
    fn fitted(&self) -> Fitted {
        let stages = self.stages.iter().enumerate();
        let named = |place, (name, array)| (format!("{place}.{name}"), array);
        stages.flat_map(|(i, s)| s.fitted().into_iter().map(move |it| named(i, it))).collect()
    }

    fn set_fitted(&mut self, fitted: Fitted, size: [usize; 3]) -> Result<(), String> {
        let mut of_stages: Vec<Fitted> = self.stages.iter().map(|_| Fitted::new()).collect();
        for (name, array) in fitted {
            let place = name.split_once('.').and_then(|(i, name)| Some((i.parse().ok()?, name)));
            let (i, of_stage): (usize, _) = place.ok_or_else(|| format!("{name} has no stage"))?;
            let stage = of_stages.get_mut(i).ok_or_else(|| format!("there is no stage {i}"))?;
            stage.push((of_stage.to_owned(), array));
        }
        let mut stages = self.stages.clone();
        for (stage, fitted) in stages.iter_mut().zip(of_stages) {
            if let Some(other) = stage.with_fitted(fitted, size)? {
                *stage = other;
            }
        }
        self.stages = stages;
        Ok(())
    }
}

impl OnFloats for Pipeline {
    fn apply(
        &self,
        source: Source<'_>,
        from: ArrayView3<'_, f32>,
        mut into: ArrayViewMut3<'_, f32>,
    ) {
        into.assign(&from);
        self.run(source, into);
    }
}

/// The source of the stage at that place, so that two of a kind draw different numbers. The first
/// draws what it would draw alone.
fn at(place: u64, source: Source<'_>) -> Source<'_> {
    match source {
        Source::Key(key) => {
            let seed = key.seed ^ place.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            Source::Key(Key { seed, ..key })
        }
        numpy => numpy,
    }
}
