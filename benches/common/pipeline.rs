//! From JPEG files to the batches of the tutorial in the calling thread, and what a stage takes.

use crate::tutorial::tutorial;
use gradus::data::{
    Cache, DataLoader, Decoder, Interpolation, Manifest, Transform, flow_from_dataframe,
};
use gradus::random::Key;
use ndarray::Array3;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SIZE: usize = 128;
const BATCH: usize = 15;

/// What is done to an image.
fn augmentation() -> impl Transform + use<> {
    tutorial().build().expect("valid").transform()
}

/// The files of a folder, whose names begin with their class: `cat.0.jpg`.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of images");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

/// The tutorial's loader over those files, without threads.
pub(crate) fn open(folder: &Path, files: &[PathBuf], cache: Option<Cache>) -> DataLoader {
    let name = |file: &PathBuf| file.file_name().unwrap_or_default().display().to_string();
    let rows = files.iter().map(|file| [name(file), name(file)[..3].to_owned()]);
    let frame = Manifest::from_rows(&["filename", "category"], rows).expect("rows");
    let mut flow = flow_from_dataframe(&frame, folder)
        .y_col("category")
        .target_size(SIZE, SIZE)
        .batch_size(BATCH)
        .workers(0)
        .transform(augmentation());
    if let Some(cache) = cache {
        flow = flow.cache(cache);
    }
    flow.open().expect("images")
}

/// Images a second of one epoch.
pub(crate) fn epoch(loader: &mut DataLoader, number: u32) -> f64 {
    let start = Stopwatch::start();
    loader.start(number, None);
    let mut seen = 0;
    while let Some(batch) = loader.next_batch() {
        seen += batch.expect("readable images").len();
    }
    f64::from(u32::try_from(seen).expect("not that many")) / start.seconds()
}

/// How long one image takes in each stage, the median over all files that many times.
pub(crate) fn stages(files: &[PathBuf], rounds: u32) -> [(&'static str, Duration); 3] {
    let mut times = [(); 3].map(|()| Vec::new());
    let (mut decoder, mut resized) = (Decoder::default(), Array3::zeros((SIZE, SIZE, 3)));
    let (mut image, transform) = (Array3::zeros((SIZE, SIZE, 3)), augmentation());
    for epoch in 0..rounds {
        for (file, index) in files.iter().zip(0..) {
            let mut last = Instant::now();
            let mut lap = |stage: usize| {
                let now = Instant::now();
                times[stage].push(now - last);
                last = now;
            };
            let original = decoder.read(file).expect("an image");
            lap(0);
            Interpolation::Nearest.resize(original, resized.view_mut());
            lap(1);
            let key = Key { seed: 1, epoch, index };
            transform.apply(key.into(), resized.view(), image.view_mut());
            lap(2);
        }
    }
    let median = times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    let [decode, resize, augment] = median;
    [("decode", decode), ("resize", resize), ("augment", augment)]
}

/// Counts the processor time of this thread, or the time of day.
struct Stopwatch {
    processor: Option<Duration>,
    clock: Instant,
}

impl Stopwatch {
    fn start() -> Self {
        Self { processor: processor(), clock: Instant::now() }
    }

    fn seconds(&self) -> f64 {
        let processor = processor().zip(self.processor).map(|(now, start)| now - start);
        processor.unwrap_or_else(|| self.clock.elapsed()).as_secs_f64()
    }
}

fn processor() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
}
