//! Images a second on one core, from JPEG files to the batches of the tutorial, and where the time
//! goes.
//!
//! ```text
//! cargo bench --bench pipeline                                with files of its own
//! GRADUS_BENCH_IMAGES=DIR cargo bench --bench pipeline        with those of pipeline_keras.py
//! python benches/pipeline_keras.py DIR                        writes them, and does Keras's work
//! ```
//!
//! The whole of `flow_from_dataframe`: read, decode, resize to 128 x 128, augment, batches of 15,
//! in the calling thread (`workers(0)`). What is counted is processor time where Linux tells it, so
//! that other programs on the machine do little harm; elsewhere the clock. The stages are taken
//! one by one, each the median over all images.

#![allow(clippy::print_stdout, reason = "a program for people prints what it has to say")]

use gradus::augment::ImageDataGenerator;
use gradus::data::{
    Cache, DataLoader, Decoder, Interpolation, Manifest, Transform, flow_from_dataframe,
};
use gradus::random::Key;
use image::codecs::jpeg::JpegEncoder;
use ndarray::Array3;
use std::f32::consts::TAU;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const IMAGES: u32 = 600;
const ROUNDS: u32 = 7;
const SIZE: usize = 128;

fn main() {
    let drawn = tempfile::tempdir().expect("a folder");
    let folder = std::env::var_os("GRADUS_BENCH_IMAGES").map_or_else(
        || {
            (0..IMAGES).for_each(|index| draw(drawn.path(), index));
            drawn.path().to_path_buf()
        },
        PathBuf::from,
    );
    let files = files(&folder);
    println!("{} files, {ROUNDS} rounds; median (least to most)", files.len());
    report("flow_from_dataframe", &files, open(&folder, &files, None));
    let cache = Some(Cache::Memory { limit_bytes: usize::MAX });
    report("the same with a cache in memory", &files, open(&folder, &files, cache));
    stages(&files);
}

fn tutorial() -> impl Transform + use<> {
    let builder = ImageDataGenerator::builder()
        .rotation_range(15.0)
        .rescale(1.0 / 255.0)
        .shear_range(0.1)
        .zoom_range(0.2)
        .horizontal_flip(true)
        .width_shift_range(0.1)
        .height_shift_range(0.1);
    builder.build().expect("valid").transform()
}

fn open(folder: &Path, files: &[PathBuf], cache: Option<Cache>) -> DataLoader {
    let name = |file: &PathBuf| file.file_name().unwrap_or_default().display().to_string();
    let row = |file| format!("{0},{1}\n", name(file), &name(file)[..3]);
    let manifest = tempfile::NamedTempFile::new().expect("a file");
    let rows: String = files.iter().map(row).collect();
    fs::write(&manifest, format!("filename,category\n{rows}")).expect("a file");
    let frame = Manifest::read(manifest.path()).expect("just written");
    let mut flow = flow_from_dataframe(&frame, folder)
        .y_col("category")
        .target_size(SIZE, SIZE)
        .batch_size(15)
        .workers(0)
        .transform(tutorial());
    if let Some(cache) = cache {
        flow = flow.cache(cache);
    }
    flow.open().expect("images")
}

/// Images a second of whole epochs; the first one warms up, and fills the cache.
fn report(name: &str, files: &[PathBuf], mut loader: DataLoader) {
    let rates = (0..=ROUNDS).map(|round| {
        let start = Stopwatch::start();
        loader.start(round, None);
        let mut seen = 0;
        while let Some(batch) = loader.next_batch() {
            seen += batch.expect("readable images").len();
        }
        assert_eq!(seen, files.len(), "an epoch gives every image once");
        seen as f64 / start.seconds()
    });
    let mut rates: Vec<f64> = rates.skip(1).collect();
    rates.sort_by(f64::total_cmp);
    let [least, median, most] = [0, rates.len() / 2, rates.len() - 1].map(|i| rates[i]);
    println!("{name:34} {median:7.0} images/s ({least:.0} to {most:.0})");
}

/// What one image costs in each stage.
fn stages(files: &[PathBuf]) {
    let mut times = [(); 3].map(|()| Vec::new());
    let (mut decoder, mut resized) = (Decoder::default(), Array3::zeros((SIZE, SIZE, 3)));
    let (mut image, transform) = (Array3::zeros((SIZE, SIZE, 3)), tutorial());
    for epoch in 0..ROUNDS {
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
    for (name, mut times) in ["read and decode", "resize", "augment"].into_iter().zip(times) {
        times.sort();
        let median: Duration = times[times.len() / 2];
        println!("{name:34} {:7.1} µs", median.as_secs_f64() * 1e6);
    }
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

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("GRADUS_BENCH_IMAGES is a folder");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

/// Waves with noise, about 200 x 180 pixels, quality 88: what `pipeline_keras.py` draws, but with
/// chroma at full resolution, as this encoder writes it.
fn draw(folder: &Path, index: u32) {
    let mut rng = Key { seed: 0, epoch: 0, index }.stream(gradus::random::Domain::named("bench"));
    let (class, f) = [("cat", 0.05), ("dog", 0.11)][index as usize % 2];
    let mut uniform = |from: f64, to: f64| rng.between(from, to) as f32;
    let (w, h) = (uniform(180.0, 221.0) as u32, uniform(160.0, 201.0) as u32);
    let phases = [(); 3].map(|()| [uniform(0.0, TAU.into()), uniform(0.0, TAU.into())]);
    let pixels = image::RgbImage::from_fn(w, h, |x, y| {
        image::Rgb(std::array::from_fn(|c| {
            let [along_x, along_y] = phases[c];
            let across = (f * x as f32 * (c + 1) as f32 * 0.5 + along_x).sin();
            let wave = across * (f * y as f32 + along_y).cos();
            // The sum of twelve uniform numbers is near enough to a normal one.
            let noise: f32 = (0..12).map(|_| uniform(-0.5, 0.5)).sum();
            (127.0 + 90.0 * wave + 12.0 * noise) as u8
        }))
    });
    let file = File::create(folder.join(format!("{class}.{index}.jpg"))).expect("a file");
    JpegEncoder::new_with_quality(BufWriter::new(file), 88).encode_image(&pixels).expect("a file");
}
