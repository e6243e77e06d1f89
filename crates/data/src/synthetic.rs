//! Drawings of cats and dogs: data for tests, lessons and a first run, with no download.
//!
//! ```text
//! Cue          shape alone: ears, pupils, muzzle, whiskers, tongue and tail (`synthetic/head.rs`)
//! Not a cue    fur, eyes, collar, pose, place, size, tilt, backdrop, things in front, light, blur
//!              and noise: all of them are drawn before the class is looked at, so that drawing n
//!              as a cat and drawing n as a dog are the same scene with another animal in it
//! Hence        mean colours say nothing, a linear model of the pixels is right six times in ten,
//!              and a network has to find small shapes wherever they are
//! Random       a pure function of the seed and the number of the drawing, never of the threads
//! ```

mod body;
mod canvas;
mod chance;
mod coat;
mod files;
mod head;
mod looks;
mod scene;
mod shape;
mod texture;

pub use files::Written;

use crate::Error;
use body::{Animal, Pose};
use canvas::Frame;
use chance::Chance;
use gradus_random::{Domain, Key};
use image::RgbImage;
use looks::Looks;
use std::ops::RangeInclusive;

const CAMERA: Domain = Domain::named("drawing camera");
const SCENE: Domain = Domain::named("drawing scene");
const LOOKS: Domain = Domain::named("drawing looks");
const FEATURES: Domain = Domain::named("drawing features");

/// What to do about a part of no or one image, or of more than there are drawings.
const COUNT: &str = "give 2 images or more, one of each class, and at most 2³¹";

/// What a drawing shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Pointed ears, slit pupils, a short muzzle, whiskers, a long thin tail.
    Cat,
    /// Hanging or folded ears, round pupils, a long muzzle, a short tapering tail.
    Dog,
}

impl Class {
    /// Both classes, sorted as text: the order in which Keras numbers them.
    pub const ALL: [Self; 2] = [Self::Cat, Self::Dog];

    /// `cat` or `dog`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cat => "cat",
            Self::Dog => "dog",
        }
    }
}

/// A set of drawings, half of them cats and half of them dogs.
///
/// ```no_run
/// use gradus_data::synthetic::{Class, Synthetic};
/// let set = Synthetic::default().train(200).validation(50).size(64);
/// let written = set.write("drawings")?; // drawings/train/cat.0.jpg …, and two CSVs
/// println!("{} drawn, listed in {}", written.drawn, written.train.display());
/// set.draw(7, Class::Dog).save("dog.png").expect("a folder that can be written to");
/// # Ok::<(), gradus_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synthetic {
    train: u32,
    validation: u32,
    size: u32,
    seed: u64,
}

/// 1500 images to train, 500 to validate, about 160 pixels a side, seed 0.
impl Default for Synthetic {
    fn default() -> Self {
        Self { train: 1500, validation: 500, size: 160, seed: 0 }
    }
}

impl Synthetic {
    /// The sizes that can be drawn, in pixels.
    pub const SIZES: RangeInclusive<u32> = 16..=4096;

    /// How many images there are to train on, 2 or more; where it is odd, one more cat than dogs.
    #[must_use]
    pub fn train(mut self, images: u32) -> Self {
        self.train = images;
        self
    }

    /// How many images there are to validate on, 2 or more.
    #[must_use]
    pub fn validation(mut self, images: u32) -> Self {
        self.validation = images;
        self
    }

    /// About how many pixels a side has: height and width each lie between 0.8 and 1.25 times
    /// this, as the sizes of photos differ too.
    #[must_use]
    pub fn size(mut self, pixels: u32) -> Self {
        self.size = pixels;
        self
    }

    /// The seed: another one gives another set.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Drawing number `index`, with a cat or a dog in it.
    ///
    /// # Panics
    /// If the size is not in [`Synthetic::SIZES`].
    #[must_use]
    pub fn draw(&self, index: u32, class: Class) -> RgbImage {
        assert!(Self::SIZES.contains(&self.size), "size {} is not in 16..=4096", self.size);
        let key = Key { seed: self.seed, epoch: 0, index };
        let [mut camera, mut scene] = [CAMERA, SCENE].map(|d| Chance::new(key.stream(d)));
        let looks = Looks::draw(&mut Chance::new(key.stream(LOOKS)));
        let base = self.size as f32;
        let [height, width] = [(); 2].map(|()| (base * camera.between(0.8, 1.25)).round());
        let mut canvas = scene::backdrop([height as usize, width as usize], &mut scene);
        let pose = camera.pick(&Pose::ALL);
        let mut animal = Animal {
            frame: framing([height, width], pose, &mut camera),
            tilt: camera.around(0.25),
            looks: &looks,
            class,
            chance: Chance::new(key.stream(FEATURES)),
        };
        animal.paint(&mut canvas, pose);
        scene::foreground(&mut canvas, &mut scene);
        scene::photograph(&mut canvas, &mut camera);
        canvas.to_image()
    }

    /// Refuses what cannot be drawn.
    fn check(&self) -> Result<(), Error> {
        let counts = 2..=1 << 31;
        for (argument, found, allowed, remedy) in [
            ("train", self.train, counts.clone(), COUNT),
            ("validation", self.validation, counts, COUNT),
            ("size", self.size, Self::SIZES, "give 16 to 4096 pixels"),
        ] {
            if !allowed.contains(&found) {
                let found = found.to_string();
                return Err(Error::Argument { argument, found, remedy });
            }
        }
        Ok(())
    }
}

/// Where the animal is in the picture, how large, how turned, and which way it faces.
fn framing([height, width]: [f32; 2], pose: Pose, camera: &mut Chance) -> Frame {
    let least = height.min(width);
    let scale = least / pose.extent() * camera.between(0.85, 1.05);
    let at =
        [width * 0.5 + least * camera.around(0.13), height * 0.55 + least * camera.around(0.08)];
    let frame = Frame::new(at, scale, camera.around(0.2));
    if camera.happens(0.5) { frame.mirrored() } else { frame }
}

#[cfg(test)]
mod tests;
