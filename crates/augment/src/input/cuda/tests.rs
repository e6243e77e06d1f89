//! The kernel gives the pictures of the CPU, to the last bit.

use super::apply;
use crate::affine::{Affine, Interpolation, Sampling};
use crate::{Compatibility, FillMode, ImageDataGenerator, Params, input};
use gradus_random::{Key, PixelMap, Transform};
use gradus_tensor::gpu::{DeviceBuffer, Gpu};
use gradus_testing::{Cases, gpu};
use ndarray::{Array4, ArrayView4, Axis};

const MODES: [FillMode; 4] =
    [FillMode::Nearest, FillMode::Constant, FillMode::Reflect, FillMode::Wrap];

fn noise(cases: &mut Cases, shape: [usize; 4]) -> Array4<u8> {
    let values = cases.normal(shape.iter().product());
    let bytes = values.iter().map(|v| (128.0 + 90.0 * v) as u8).collect();
    Array4::from_shape_vec(shape, bytes).expect("as many")
}

/// The pictures that the kernel makes, which does nothing else and nothing beyond them.
fn on_the_gpu(gpu: &Gpu, maps: &[PixelMap], from: ArrayView4<'_, u8>) -> Array4<f32> {
    const BEHIND: usize = 3;
    let (n, h, w, c) = from.dim();
    let values = from.len();
    let bytes = from.as_standard_layout();
    let mut table = DeviceBuffer::zeroed(gpu, size_of_val(maps));
    let mut there = DeviceBuffer::zeroed(gpu, values);
    let mut into = DeviceBuffer::zeroed(gpu, 4 * (values + BEHIND));
    table.upload(maps);
    there.upload(bytes.as_slice().expect("contiguous"));
    into.upload(&vec![-7.0f32; values + BEHIND]);
    apply(gpu, [h, w, c], table.view(n), there.view(values), into.view_mut(values));
    let mut found = vec![0.0; values + BEHIND];
    into.download(&mut found);
    gpu.synchronize().expect("a sound device");
    assert_eq!(found.split_off(values), [-7.0; BEHIND], "what lies behind is left alone");
    Array4::from_shape_vec(from.dim(), found).expect("as many")
}

/// The pictures that the CPU makes by the same maps.
fn on_the_cpu(maps: &[PixelMap], from: ArrayView4<'_, u8>) -> Array4<f32> {
    let mut into = Array4::from_elem(from.dim(), f32::NAN);
    for ((map, from), into) in maps.iter().zip(from.outer_iter()).zip(into.outer_iter_mut()) {
        input::apply(map, from, into);
    }
    into
}

#[track_caller]
fn assert_same(what: &str, found: &Array4<f32>, expected: &Array4<f32>) {
    for ((place, found), expected) in found.indexed_iter().zip(expected) {
        assert_eq!(found.to_bits(), expected.to_bits(), "{what}: {found} {expected} at {place:?}");
    }
}

/// Any of the options that a device is told, with what has to be fitted.
fn generator(cases: &mut Cases, images: ArrayView4<'_, u8>) -> ImageDataGenerator {
    let mut builder = ImageDataGenerator::builder()
        .rotation_range(cases.one_of(&[0.0, 15.0, 180.0]))
        .width_shift_range(cases.one_of(&[0.0, 0.1, 0.9]))
        .height_shift_range(cases.one_of(&[0.0, 0.3]))
        .shear_range(cases.one_of(&[0.0, 0.1, 40.0]))
        .zoom_range(cases.one_of(&[0.0, 0.2, 0.9]))
        .horizontal_flip(cases.one_of(&[false, true]))
        .vertical_flip(cases.one_of(&[false, true]))
        .rescale(cases.one_of(&[1.0, 1.0 / 255.0, -0.37]))
        .featurewise_center(cases.one_of(&[false, true]))
        .featurewise_std_normalization(cases.one_of(&[false, true]))
        .fill_mode(cases.one_of(&MODES))
        .cval(17.3)
        .interpolation_order(cases.one_of(&[0, 1]))
        .compatibility(cases.one_of(&[Compatibility::Documented, Compatibility::Keras]));
    if cases.one_of(&[false, true]) {
        builder = builder.brightness_range([0.3, 1.9]);
    }
    let mut generator = builder.build().expect("a generator");
    generator.fit(images, false, 1, 0).expect("enough images");
    generator
}

#[test]
fn the_kernel_gives_the_generator_s_pictures_to_the_last_bit() {
    let Some(gpu) = gpu() else { return };
    for case in 0..80 {
        let mut cases = Cases::new("input kernel", case);
        let shape = [
            cases.extent(1, 4),
            cases.extent(1, 24),
            cases.extent(1, 24),
            cases.one_of(&[1, 2, 3, 3, 4]),
        ];
        let images = noise(&mut cases, shape);
        let generator = generator(&mut cases, images.view());
        let [_, h, w, c] = shape;
        let drawer = generator.on_device([h, w, c]).expect("all of it fits a map");
        let key = |index: usize| Key { seed: case.into(), epoch: 3, index: index as u32 };
        let maps: Vec<PixelMap> =
            (0..shape[0]).map(|i| drawer.pixel_map(key(i).into(), [h, w])).collect();
        let mut expected = Array4::zeros(shape);
        for (i, into) in expected.outer_iter_mut().enumerate() {
            let from = images.index_axis(Axis(0), i);
            Transform::apply(&generator, key(i).into(), from, into);
        }
        let what = format!("case {case}, {shape:?}, {generator:?}");
        assert_same(&what, &on_the_cpu(&maps, images.view()), &expected);
        assert_same(&what, &on_the_gpu(&gpu, &maps, images.view()), &expected);
    }
}

/// Half and quarter turns, whole shifts and exact zooms: places on pixels, on seams, on ties.
#[test]
fn places_on_the_seam_of_two_pixels_go_to_the_same_one() {
    let Some(gpu) = gpu() else { return };
    let mut cases = Cases::new("input seams", 0);
    for size in [[4, 4], [5, 7], [1, 6], [2, 1], [8, 3]] {
        let images = noise(&mut cases, [1, size[0], size[1], 3]);
        for (theta, t, zoom) in [
            (180.0, 0.0, 1.0),
            (90.0, 0.0, 1.0),
            (0.0, 9.5, 1.0),
            (0.0, -12.0, 2.0),
            (-90.0, 3.0, 0.5),
            (180.0, 0.5, 3.0),
            // On a seam or beside it, by how the sums are rounded.
            (0.0, 0.0, 1.2),
            (0.0, 0.7, 2.7),
            (0.0, 1.3, 2.8),
        ] {
            for fill_mode in MODES {
                for interpolation in [Interpolation::Nearest, Interpolation::Bilinear] {
                    let mut params = Params::default();
                    (params.theta, params.tx, params.ty) = (theta, t, -t);
                    (params.zx, params.zy, params.flip_vertical) = (zoom, zoom, true);
                    let affine = Affine::new(&params, size, Compatibility::Documented);
                    let map = affine.map(Sampling { interpolation, fill_mode, cval: 3.5 });
                    let what = format!("{size:?}, {params}, {fill_mode}, {interpolation:?}");
                    let expected = on_the_cpu(&[map], images.view());
                    assert_same(&what, &on_the_gpu(&gpu, &[map], images.view()), &expected);
                }
            }
        }
    }
}

#[test]
fn wherever_a_map_leads_a_pixel_of_the_image_shows() {
    let Some(gpu) = gpu() else { return };
    let mut cases = Cases::new("input far away", 0);
    let images = noise(&mut cases, [1, 5, 6, 3]);
    for fill_mode in MODES {
        for far in [0.5, -1e3, 1e9, -1e17, 1e300, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            for order in [0, 1] {
                let map = PixelMap {
                    row: [0.7, 0.1, far],
                    column: [far, 0.9, -0.3],
                    fill_mode: fill_mode.code(),
                    interpolation_order: order,
                    cval: 9.25,
                    ..PixelMap::default()
                };
                let found = on_the_gpu(&gpu, &[map], images.view());
                let expected = on_the_cpu(&[map], images.view());
                assert_same(&format!("{fill_mode}, {far}, order {order}"), &found, &expected);
            }
        }
    }
}

#[test]
fn no_image_and_no_pixel_of_many_is_left_out() {
    let Some(gpu) = gpu() else { return };
    // More images than a grid has rows, more pixels than it has threads.
    for shape in [[super::MOST_ROWS + 6, 1, 2, 1], [1, 1000, 600, 1]] {
        let images = Array4::from_shape_fn(shape, |(n, r, c, _)| (n * 7 + r * 31 + c) as u8);
        let map = |n: usize| PixelMap { rescale: (n + 1) as f32, ..PixelMap::default() };
        let maps: Vec<PixelMap> = (0..shape[0]).map(map).collect();
        let expected = on_the_cpu(&maps, images.view());
        let found = on_the_gpu(&gpu, &maps, images.view());
        assert!(found == expected, "{shape:?}");
    }
}

#[test]
fn what_needs_the_whole_image_first_is_left_to_the_cpu() {
    let fits = |builder: crate::ImageDataGeneratorBuilder| {
        builder.build().expect("a generator").on_device([8, 8, 3]).is_some()
    };
    let new = ImageDataGenerator::builder;
    assert!(fits(new()) && fits(new().brightness_range([0.5, 1.5]).rescale(0.1)));
    assert!(!fits(new().channel_shift_range(10.0)));
    assert!(!fits(new().samplewise_center(true)));
    assert!(!fits(new().zca_whitening(true)));
    assert!(!fits(new().preprocessing_function(|_| ())));
    let outside = new().fill_mode(FillMode::Constant).cval(-3.0);
    assert!(fits(outside.clone()) && !fits(outside.brightness_range([0.5, 1.5])));
    let generator = new().build().expect("a generator");
    assert!(generator.on_device([8, 8, 5]).is_none(), "five channels");
}
