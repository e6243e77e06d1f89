//! Held against real Keras: `apply_transform` and `standardize` of `ImageDataGenerator`.
//!
//! The images are whole numbers 0–255 in f32, so the engine sees the very same image in bytes. No
//! tolerance: every pixel of every case is Keras's to the last bit.
//! Cases with a brightness or a channel shift belong to other rooms.

use gradus_augment::affine::{self, Affine, Interpolation, Sampling};
use gradus_augment::{Compatibility, ImageDataGenerator, Params};
use gradus_testing::{Golden, Tolerance, assert_close};
use ndarray::{Array3, ArrayD, Ix3};

/// The parameters of a case, or `None` where it asks for more than the affine and the flips.
fn params(golden: &Golden, case: &str) -> Option<Params> {
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
            "brightness" | "channel_shift_intensity" => return None,
            _ => panic!("unknown parameter {name}"),
        }
    }
    Some(params)
}

fn sampling(golden: &Golden, case: &str) -> Sampling {
    let case = golden.params(case);
    Sampling {
        interpolation: match case["order"].as_u64() {
            Some(0) => Interpolation::Nearest,
            _ => Interpolation::Bilinear,
        },
        fill_mode: case["fill_mode"].as_str().expect("a word").parse().expect("a fill mode"),
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

/// Runs one case through definition and engine; false where it is another room's.
fn check(golden: &Golden, case: &str, x: &Array3<f32>) -> bool {
    let Some(params) = params(golden, case) else {
        return false;
    };
    let sampling = sampling(golden, case);
    let y = image(golden.tensor(case, "y"));
    let (height, width, _) = x.dim();
    let affine = Affine::new(&params, [height, width], Compatibility::Keras);
    let expected = y.as_slice().expect("contiguous");
    let mut out = Array3::zeros(x.dim());

    affine::definition(&affine, sampling, 1.0, x.view(), out.view_mut());
    assert_close(case, out.as_slice().expect("contiguous"), expected, Tolerance::exact());

    out.fill(f32::NAN);
    affine::apply(&affine, sampling, 1.0, bytes(x).view(), out.view_mut());
    assert_close(case, out.as_slice().expect("contiguous"), expected, Tolerance::exact());
    true
}

#[test]
fn affine_flips_fill_modes_and_orders_agree_with_keras() {
    let Some(golden) = Golden::open("augment") else {
        return;
    };
    let mut ours = 0;
    for name in ["i37x53", "i128x128"] {
        let x = image(golden.tensor(&format!("_image_{name}"), "x"));
        for case in golden.cases(&format!("{name}.")) {
            ours += usize::from(check(&golden, case, &x));
        }
    }
    assert_eq!(ours, 2 * 31, "cases of the affine room");
}

#[test]
fn a_gray_image_agrees_with_keras() {
    let Some(golden) = Golden::open("augment") else {
        return;
    };
    let x = image(golden.tensor("gray_full_nearest", "x"));
    assert!(check(&golden, "gray_full_nearest", &x));
}

#[test]
fn rescale_alone_agrees_with_keras_to_the_last_bit() {
    let Some(golden) = Golden::open("augment") else {
        return;
    };
    let [x, y] = ["x", "y"].map(|field| image(golden.tensor("standardize_rescale", field)));
    let generator = ImageDataGenerator::builder().rescale(1.0 / 255.0).build().expect("valid");
    let mut out = Array3::zeros(x.dim());
    generator.apply(&Params::default(), bytes(&x).view(), out.view_mut());
    assert_eq!(out, y);
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
        let params = params(&golden, case).expect("affine and flips only");
        generator.apply(&params, resized.view(), out.view_mut());
        assert_eq!(out, image(golden.tensor(case, "y")), "{case}: {params}");
    }
}
