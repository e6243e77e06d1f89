//! Held against real Keras: `apply_transform` and `standardize` of `ImageDataGenerator`.
//!
//! Where an image holds whole numbers 0-255, the engine sees the very same image in bytes, too. No
//! tolerance: every pixel of every transform is Keras's to the last bit.

use gradus_augment::affine::{self, Affine, Interpolation, Sampling};
use gradus_augment::{Compatibility, ImageDataGenerator, Params};
use gradus_random::{Mt19937, Source};
use gradus_testing::{Golden, Tolerance, assert_close};
use ndarray::{Array3, ArrayD, Ix3};

/// The parameters of a case.
fn params(golden: &Golden, case: &str) -> Params {
    let mut params = Params::default();
    for (name, value) in golden.params(case)["params"].as_object().expect("a dictionary") {
        let number = || value.as_f64().unwrap_or_else(|| panic!("{name} is {value}"));
        match name.as_str() {
            "theta" => params.theta = number(),
            "tx" => params.tx = number(),
            "ty" => params.ty = number(),
            "shear" => params.shear = number(),
            "zx" => params.zx = number(),
            "zy" => params.zy = number(),
            "flip_horizontal" => params.flip_horizontal = value == true,
            "flip_vertical" => params.flip_vertical = value == true,
            "brightness" => params.brightness = Some(number()),
            "channel_shift_intensity" => params.channel_shift_intensity = Some(number()),
            _ => panic!("unknown parameter {name}"),
        }
    }
    params
}

fn sampling(golden: &Golden, case: &str) -> Sampling {
    let case = golden.params(case);
    Sampling {
        interpolation: match case["order"].as_u64() {
            Some(0) => Interpolation::Nearest,
            _ => Interpolation::Bilinear,
        },
        fill_mode: case["fill_mode"].as_str().unwrap_or("nearest").parse().expect("a fill mode"),
        cval: case["cval"].as_f64().unwrap_or(0.0) as f32,
    }
}

fn image(array: ArrayD<f32>) -> Array3<f32> {
    array.into_dimensionality::<Ix3>().expect("height, width, channels")
}

fn bytes(image: &Array3<f32>) -> Array3<u8> {
    image.mapv(|v| {
        assert!(v.fract() == 0.0 && (0.0..=255.0).contains(&v), "{v} is no byte");
        v as u8
    })
}

/// A generator that looks at images as the case does.
fn generator(golden: &Golden, case: &str) -> ImageDataGenerator {
    let Sampling { interpolation, fill_mode, cval } = sampling(golden, case);
    let builder = ImageDataGenerator::builder().compatibility(Compatibility::Keras);
    let builder = builder.interpolation_order(u8::from(interpolation == Interpolation::Bilinear));
    builder.fill_mode(fill_mode).cval(cval).build().expect("valid")
}

/// `apply_transform` of one image, from bytes and from floats.
fn transform(golden: &Golden, case: &str, x: &Array3<f32>) {
    let (generator, params) = (generator(golden, case), params(golden, case));
    let expected = image(golden.tensor(case, "y"));
    let mut out = Array3::zeros(x.dim());
    generator.apply_transform(&params, x.view(), out.view_mut());
    assert_eq!(out, expected, "{case} from floats");
    if x.iter().all(|v| v.fract() == 0.0 && (0.0..=255.0).contains(v)) {
        out.fill(f32::NAN);
        generator.apply_transform(&params, bytes(x).view(), out.view_mut());
        assert_eq!(out, expected, "{case} from bytes");
    }
    if params.channel_shift_intensity.is_none() && params.brightness.is_none() {
        let (height, width, _) = x.dim();
        let affine = Affine::new(&params, [height, width], Compatibility::Keras);
        let sampling = sampling(golden, case);
        affine::definition(&affine, sampling, 1.0, x.view(), out.view_mut());
        assert_eq!(out, expected, "{case} by the definition");
    }
}

/// `standardize` of one image. What has a mean in it is Keras's but for the rounding of its sums in
/// f32: one unit in the last place of the mean.
fn standardize(golden: &Golden, case: &str) {
    let args = &golden.params(case)["args"];
    let on = |name: &str| args[name] == true;
    let rescale = args["rescale"].as_f64().unwrap_or(1.0) as f32;
    let generator = ImageDataGenerator::builder()
        .rescale(rescale)
        .samplewise_center(on("samplewise_center"))
        .samplewise_std_normalization(on("samplewise_std_normalization"));
    let [x, y] = ["x", "y"].map(|field| image(golden.tensor(case, field)));
    let mut out = Array3::zeros(x.dim());
    let generator = generator.build().expect("valid");
    generator.apply(&Params::default(), bytes(&x).view(), out.view_mut());
    let summed = on("samplewise_center");
    let ulp = if summed { f64::from(255.0 * rescale * f32::EPSILON / 2.0) } else { 0.0 };
    let tolerance = Tolerance { abs: ulp, rel: if summed { 4e-7 } else { 0.0 } };
    let [out, y] = [&out, &y].map(|image| image.as_slice().expect("contiguous"));
    assert_close(case, out, y, tolerance);
}

/// What Keras draws from seed s, row s, stored in f32.
fn draws(golden: &Golden, case: &str) {
    let generator = ImageDataGenerator::builder()
        .rotation_range(15.0)
        .shear_range(0.1)
        .zoom_range(0.2)
        .horizontal_flip(true)
        .width_shift_range(0.1)
        .height_shift_range(0.1)
        .compatibility(Compatibility::Keras);
    let generator = generator.build().expect("valid");
    let rows = golden.tensor(case, "rows");
    assert_eq!(rows.shape(), [64, 7]);
    for (seed, row) in (0..).zip(rows.outer_iter()) {
        let p = generator.draw(Source::Mt19937(&mut Mt19937::new(seed)), [128, 100]);
        let drawn = [p.theta, p.tx, p.ty, p.shear, p.zx, p.zy, f64::from(p.flip_horizontal)];
        assert!(row.iter().eq(drawn.map(|v| v as f32).iter()), "seed {seed}: {p:?} {row}");
    }
}

#[test]
fn every_case_of_the_file_is_keras_s() {
    let Some(golden) = Golden::open("augment") else {
        return;
    };
    let mut kinds = [0; 5];
    for case in golden.cases("") {
        let kind = match case {
            // No cases themselves, but the images of others.
            "_image_i37x53" | "_image_i128x128" => 0,
            "random_draws_tutorial" => {
                draws(&golden, case);
                1
            }
            _ if case.starts_with("standardize_") => {
                standardize(&golden, case);
                2
            }
            _ if golden.has(case, "x") => {
                transform(&golden, case, &image(golden.tensor(case, "x")));
                3
            }
            _ => {
                let name = golden.params(case)["image"].as_str().expect("an image");
                transform(&golden, case, &image(golden.tensor(&format!("_image_{name}"), "x")));
                4
            }
        };
        kinds[kind] += 1;
    }
    assert_eq!(kinds, [2, 1, 3, 9, 72], "images, draws, standardize, odd ranges, transforms");
}

/// The last two steps of the tutorial's path file → resize → affine → rescale.
#[test]
fn the_tutorial_s_images_agree_with_keras_to_the_last_bit() {
    let Some(golden) = Golden::open("image_io") else {
        return;
    };
    let generator = ImageDataGenerator::builder().rescale(1.0 / 255.0).build().expect("valid");
    for case in golden.cases("pipeline.") {
        let resized = golden.bytes(case, "resized").into_dimensionality::<Ix3>().expect("a photo");
        let mut out = Array3::zeros(resized.dim());
        let params = params(&golden, case);
        generator.apply(&params, resized.view(), out.view_mut());
        assert_eq!(out, image(golden.tensor(case, "y")), "{case}: {params}");
    }
}
