//! A photo's way from its file to the size of the network's input, stage by stage, on one core.
//!
//! ```text
//! cargo bench --bench decode_resize
//! ```
//!
//! Throughput is in images a second ("elements"). The photo is a drawing of 500 x 375 pixels as a
//! JPEG, whose file lies in the system's cache; it becomes 128 x 128. `decode` is reading and
//! decoding the file; the resizes begin with its pixels.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gradus::data::synthetic::{Class, Synthetic};
use gradus::data::{CropBox, Decoder, Interpolation, Resizer};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, resize};
use ndarray::Array3;
use std::path::{Path, PathBuf};

fn photo(folder: &Path) -> PathBuf {
    let drawing = Synthetic::default().size(500).draw(0, Class::Cat);
    let mut file = Vec::new();
    resize(&drawing, 500, 375, FilterType::Triangle)
        .write_with_encoder(JpegEncoder::new_with_quality(&mut file, 90))
        .expect("an RGB image can be a JPEG");
    let path = folder.join("photo.jpg");
    std::fs::write(&path, file).expect("the temporary folder takes a file");
    path
}

fn decode_resize(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = photo(folder.path());
    let mut group = c.benchmark_group("decode_resize");
    group.throughput(Throughput::Elements(1));
    let mut decoder = Decoder::default();
    group.bench_function("decode", |b| b.iter(|| decoder.read(&path).map(|image| image.dim())));

    let image = decoder.read(&path).expect("the file just written").to_owned();
    let (mut resizer, mut small) = (Resizer::default(), Array3::zeros((128, 128, 3)));
    let whole = CropBox::whole(375, 500);
    for filter in [
        Interpolation::Nearest,
        Interpolation::Box,
        Interpolation::Bilinear,
        Interpolation::Hamming,
        Interpolation::Bicubic,
        Interpolation::Lanczos,
    ] {
        let name = format!("{filter:?}").to_lowercase();
        group.bench_function(name, |b| {
            b.iter(|| resizer.resize(filter, image.view(), whole, small.view_mut()));
        });
    }
    group.finish();
}

criterion_group!(benches, decode_resize);
criterion_main!(benches);
