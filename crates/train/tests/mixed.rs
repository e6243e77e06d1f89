//! Batches that are mixed on their way, of data of which not every image can be read.

use gradus_data::ndarray::{
    Array4, ArrayView3, ArrayViewMut1, ArrayViewMut2, ArrayViewMut3, ArrayViewMut4,
};
use gradus_data::{BadImages, DataLoader, Dataset, Error, InMemory, Sample, Source, flow};
use gradus_layers::{
    Activation, CategoricalCrossentropy, Dense, Flatten, Sequential, SparseCategoricalCrossentropy,
};
use gradus_optim::RMSprop;
use gradus_tensor::{Context, Device};
use gradus_train::{Batches, Error as Fault, Fit, Mixed, Model, Verbosity};
use std::path::Path;

type Images<'a> = ArrayViewMut4<'a, f32>;
type Targets<'a> = ArrayViewMut2<'a, f32>;
type Weights<'a> = ArrayViewMut1<'a, f32>;

/// Twelve images of one pixel, of which the rows 4, 5 and 6 cannot be read.
struct Holes {
    classes: Vec<String>,
    labels: Vec<u32>,
}

impl Dataset for Holes {
    fn len(&self) -> usize {
        12
    }

    fn size(&self) -> [usize; 3] {
        [1, 1, 1]
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn labels(&self) -> &[u32] {
        &self.labels
    }

    fn read(&self, index: usize, into: &mut Sample) -> Result<(), Error> {
        if (4..7).contains(&index) {
            let source = std::io::Error::other("a hole");
            return Err(Error::Io { path: Path::new("hole").to_owned(), cause: source });
        }
        into.image.fill(index as u8);
        Ok(())
    }
}

/// The same without holes, and with indices as targets.
struct Indices {
    classes: Vec<String>,
    labels: Vec<u32>,
}

impl Dataset for Indices {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn size(&self) -> [usize; 3] {
        [1, 1, 1]
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn labels(&self) -> &[u32] {
        &self.labels
    }

    fn read(&self, index: usize, into: &mut Sample) -> Result<(), Error> {
        into.image.fill(index as u8);
        Ok(())
    }

    fn outputs(&self) -> usize {
        1
    }

    fn target(&self, index: usize, _: ArrayView3<'_, f32>, mut into: ArrayViewMut1<'_, f32>) {
        into[0] = self.labels[index] as f32;
    }
}

/// In order and in batches of two, so that rows 4 and 5 are a batch of which nothing is left.
fn loader() -> DataLoader {
    let cast = |_: Source<'_>, from: ArrayView3<'_, u8>, mut into: ArrayViewMut3<'_, f32>| {
        into.zip_mut_with(&from, |y, &x| *y = f32::from(x));
    };
    let holes = Holes {
        classes: vec!["a".to_owned(), "b".to_owned()],
        labels: (0..12).map(|row| row % 2).collect(),
    };
    let flow = flow(holes).batch_size(2).shuffle(false).workers(0).transform(cast);
    flow.bad_images(BadImages::Skip).open().unwrap()
}

/// The first pixel and the step of each batch from `done` on.
fn steps(done: usize) -> Vec<(f32, u32)> {
    let (mut loader, mut all) = (loader(), Vec::new());
    let mut seen = Vec::new();
    let note = |source: Source<'_>, _: Images<'_>, _: Targets<'_>, _: Option<Weights<'_>>| {
        let Source::Key(key) = source else { unreachable!("a batch draws from a key") };
        seen.push(key.index);
    };
    let mut mixed = Mixed::new(&mut loader, note);
    mixed.start(0, done, 6);
    while let Some(batch) = mixed.next_batch() {
        let gradus_train::Images::Floats(images) = batch.unwrap().images else {
            panic!("a mixed batch is of floats")
        };
        all.push(images[[0, 0, 0, 0]]);
    }
    all.into_iter().zip(seen).collect()
}

#[test]
fn a_batch_has_the_same_step_wherever_the_epoch_is_taken_up() {
    let whole = steps(0);
    assert_eq!(whole.iter().map(|batch| batch.0).collect::<Vec<_>>(), [0.0, 2.0, 7.0, 8.0, 10.0]);
    for done in 1..6 {
        let rest = steps(done);
        assert_eq!(rest, whole[whole.len() - rest.len()..], "taken up at {done}");
    }
}

#[test]
fn batches_can_be_changed_on_their_way() {
    let mut seen = Vec::new();
    let trained = |seen: Option<&mut Vec<(u32, u32, usize)>>| {
        let images = Array4::from_shape_fn((8, 1, 1, 1), |(i, ..)| (i % 2) as u8);
        let images = InMemory::new(images, vec![0, 1, 0, 1, 0, 1, 0, 1], &["a", "b"]).unwrap();
        let mut pixels = flow(images).batch_size(3).shuffle(false).workers(0).open().unwrap();
        let network =
            Sequential::new().add(Flatten).add(Dense::new(2).activation(Activation::Softmax));
        let mut model = Model::build(network, [1, 1, 1], Context::new(Device::Cpu, 1), 7).unwrap();
        model.compile(RMSprop::new(), CategoricalCrossentropy::new()).unwrap();
        let fit = Fit { epochs: 2, verbose: Verbosity::Silent, ..Fit::default() };
        let history = match seen {
            None => model.fit(&mut pixels, fit),
            Some(seen) => {
                let negative = |source: Source<'_>,
                                mut x: Images<'_>,
                                _: Targets<'_>,
                                _: Option<Weights<'_>>| {
                    let Source::Key(key) = source else { unreachable!("a batch has a key") };
                    seen.push((key.epoch, key.index, x.dim().0));
                    x.mapv_inplace(|pixel| -pixel);
                };
                model.fit(&mut Mixed::new(&mut pixels, negative), fit)
            }
        };
        history.unwrap().last("loss").unwrap()
    };
    assert_ne!(trained(None), trained(Some(&mut seen)));
    assert_eq!(seen, [(0, 0, 3), (0, 1, 3), (0, 2, 2), (1, 0, 3), (1, 1, 3), (1, 2, 2)]);
}

/// Four images of one pixel in one batch, of classes 0 and 2 in turn, and the error of a fit whose
/// targets are half of one and half of the next.
fn mixed_indices(names: &[&str]) -> Fault {
    let last = names.len() as u32 - 1;
    let labels = vec![0, last, 0, last];
    let classes: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut source = flow(Indices { classes, labels }).workers(0).open().unwrap();
    let half = |_: Source<'_>, _: Images<'_>, mut y: Targets<'_>, _: Option<Weights<'_>>| {
        y.fill(0.5 * last as f32);
    };
    let mut mixed = Mixed::new(&mut source, half);
    let network =
        Sequential::new().add(Flatten).add(Dense::new(names.len()).activation(Activation::Softmax));
    let mut model = Model::build(network, [1, 1, 1], Context::new(Device::Cpu, 1), 7).unwrap();
    model.compile(RMSprop::new(), SparseCategoricalCrossentropy::new()).unwrap();
    model.fit(&mut mixed, Fit { verbose: Verbosity::Silent, ..Fit::default() }).unwrap_err()
}

#[test]
fn indices_of_classes_are_not_mixed() {
    let error = mixed_indices(&["a", "b"]);
    assert!(matches!(error, Fault::MixedLabel { found: 0.5, .. }), "{error}");
    // Half way between a and c lies b: a whole number, and wrong.
    let error = mixed_indices(&["a", "b", "c"]);
    let expected = matches!(&error, Fault::Data(Error::Argument { argument: "class_mode", .. }));
    assert!(expected, "{error}");
}
