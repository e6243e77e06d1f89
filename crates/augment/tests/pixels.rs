//! What must hold for every image and every parameter.

use gradus_augment::affine::{self, Affine, Interpolation, Sampling};
use gradus_augment::{
    Compatibility, FillMode, ImageDataGenerator, ImageDataGeneratorBuilder, Params,
};
use gradus_random::{Domain, Key};
use gradus_testing::{Cases, Tolerance, assert_close};
use ndarray::{Array3, ArrayView3, s};

fn new() -> ImageDataGeneratorBuilder {
    ImageDataGenerator::builder()
}

const MODES: [FillMode; 4] =
    [FillMode::Nearest, FillMode::Constant, FillMode::Reflect, FillMode::Wrap];

fn noise(shape: (usize, usize, usize), index: u32) -> Array3<u8> {
    let key = Key { seed: 0, epoch: 0, index };
    let mut rng = key.stream(Domain::named("test image"));
    Array3::from_shape_fn(shape, |_| rng.below(256) as u8)
}

fn applied(generator: &ImageDataGenerator, params: &Params, x: ArrayView3<'_, u8>) -> Array3<f32> {
    let mut y = Array3::from_elem(x.dim(), f32::NAN);
    generator.apply(params, x, y.view_mut());
    y
}

fn random_params(cases: &mut Cases) -> Params {
    let n = cases.normal_f64(6);
    let mut params = Params::default();
    (params.theta, params.shear) = (60.0 * n[0], 20.0 * n[1]);
    (params.tx, params.ty) = (15.0 * n[2], 15.0 * n[3]);
    (params.zx, params.zy) = ((0.4 * n[4]).exp(), (0.4 * n[5]).exp());
    params.flip_horizontal = cases.one_of(&[false, true]);
    params.flip_vertical = cases.one_of(&[false, true]);
    params
}

#[test]
fn the_engine_is_the_definition_on_odd_shapes() {
    for case in 0..400 {
        let mut cases = Cases::new("affine engine", case);
        let size = [cases.extent(1, 40), cases.extent(1, 40)];
        let x = noise((size[0], size[1], cases.extent(1, 5)), case);
        let params = random_params(&mut cases);
        let compatibility = cases.one_of(&[Compatibility::Documented, Compatibility::Keras]);
        let affine = Affine::new(&params, size, compatibility);
        let interpolation = cases.one_of(&[Interpolation::Nearest, Interpolation::Bilinear]);
        let sampling = Sampling { interpolation, fill_mode: cases.one_of(&MODES), cval: 17.5 };
        let (mut fast, mut plain) = (Array3::zeros(x.dim()), Array3::zeros(x.dim()));
        affine::apply(&affine, sampling, 1.0, x.view(), fast.view_mut());
        affine::definition(&affine, sampling, 1.0, x.view(), plain.view_mut());
        let what = format!("case {case}: {params}, {sampling:?}, {:?}", x.dim());
        let [fast, plain] = [&fast, &plain].map(|y| y.as_slice().expect("contiguous"));
        assert_close(&what, fast, plain, Tolerance::exact());
    }
}

#[test]
fn no_shape_shift_or_broken_number_reads_outside_the_image() {
    for shape in [(1, 1, 3), (1, 9, 3), (9, 1, 1), (2, 2, 4), (3, 2, 2), (0, 4, 3), (7, 5, 3)] {
        let x = noise(shape, 0);
        for fill_mode in MODES {
            for t in [0.5, -1e3, 1e9, -1e300, f64::INFINITY, f64::NAN] {
                let generator = new().fill_mode(fill_mode).build().unwrap();
                let mut params = Params::default();
                (params.tx, params.ty, params.theta) = (t, -t, 33.0);
                let y = applied(&generator, &params, x.view());
                if t.is_finite() {
                    assert!(
                        y.iter().all(|v| (0.0..=255.0).contains(v)),
                        "{shape:?} {fill_mode} {t}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_identity_leaves_every_pixel_untouched() {
    let x = noise((13, 8, 3), 1);
    let generator = new().build().unwrap();
    assert_eq!(applied(&generator, &Params::default(), x.view()), x.mapv(f32::from));
}

#[test]
fn views_that_are_not_contiguous_give_the_same_image() {
    let x = noise((20, 30, 3), 2);
    let part = x.slice(s![3..17, 5..28, ..]);
    let params = random_params(&mut Cases::new("views", 0));
    let generator = new().build().unwrap();
    let packed = part.to_owned();
    assert_eq!(applied(&generator, &params, part), applied(&generator, &params, packed.view()));
}

#[test]
fn flip_twice_is_identity() {
    let x = noise((11, 6, 3), 3);
    let generator = new().build().unwrap();
    for (horizontal, vertical) in [(true, false), (false, true), (true, true)] {
        let mut params = Params::default();
        (params.flip_horizontal, params.flip_vertical) = (horizontal, vertical);
        let once = applied(&generator, &params, x.view()).mapv(|v| v as u8);
        assert_ne!(once, x);
        assert_eq!(applied(&generator, &params, once.view()), x.mapv(f32::from));
    }
}

#[test]
fn a_flip_reverses_the_finished_image_exactly() {
    let x = noise((17, 23, 3), 4);
    let generator = new().fill_mode(FillMode::Reflect).build().unwrap();
    let mut params = random_params(&mut Cases::new("flips", 0));
    (params.flip_horizontal, params.flip_vertical) = (false, false);
    let plain = applied(&generator, &params, x.view());
    (params.flip_horizontal, params.flip_vertical) = (true, true);
    assert_eq!(applied(&generator, &params, x.view()), plain.slice(s![..;-1, ..;-1, ..]));
}

/// A quarter turn is exact on pixels and shows the sense of rotation and the centre.
#[test]
fn a_quarter_turn_is_counter_clockwise_about_the_middle() {
    let x = noise((9, 9, 1), 5);
    let generator = new().interpolation_order(0).build().unwrap();
    let mut params = Params::default();
    params.theta = 90.0;
    let turned = applied(&generator, &params, x.view());
    let expected = Array3::from_shape_fn((9, 9, 1), |(r, c, _)| f32::from(x[[c, 8 - r, 0]]));
    assert_eq!(turned, expected);
}

#[test]
fn a_half_turn_keeps_an_oblong_image_in_place_as_documented_and_not_as_keras_does_it() {
    let x = noise((5, 12, 3), 6);
    let mut params = Params::default();
    params.theta = 180.0;
    let turned = |compatibility| {
        let generator = new().interpolation_order(0).compatibility(compatibility);
        applied(&generator.build().unwrap(), &params, x.view())
    };
    let expected = x.mapv(f32::from).slice(s![..;-1, ..;-1, ..]).to_owned();
    assert_eq!(turned(Compatibility::Documented), expected);
    assert_ne!(turned(Compatibility::Keras), expected);
}

#[test]
fn both_meanings_agree_on_square_images() {
    let documented = new().build().unwrap();
    let keras = new().compatibility(Compatibility::Keras).build().unwrap();
    let x = noise((16, 16, 3), 7);
    for case in 0..20 {
        let params = random_params(&mut Cases::new("square", case));
        let [y, z] = [&documented, &keras].map(|g| applied(g, &params, x.view()));
        assert_eq!(y, z, "{params}");
    }
}
