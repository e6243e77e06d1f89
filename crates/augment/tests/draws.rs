//! What is drawn, and what it may depend on.

use gradus_augment::{Compatibility, Error, ImageDataGenerator, ImageDataGeneratorBuilder, Params};
use gradus_random::{Key, Transform as _};
use ndarray::{Array3, Array4};

fn tutorial() -> ImageDataGeneratorBuilder {
    ImageDataGenerator::builder()
        .rotation_range(15.0)
        .rescale(1.0 / 255.0)
        .shear_range(0.1)
        .zoom_range(0.2)
        .horizontal_flip(true)
        .width_shift_range(0.1)
        .height_shift_range(0.1)
}

fn key(index: u32) -> Key {
    Key { seed: 42, epoch: 3, index }
}

#[test]
fn width_shift_moves_columns_and_keras_takes_it_from_the_height() {
    let draw = |compatibility, index| {
        let generator = ImageDataGenerator::builder().width_shift_range(0.1);
        generator.compatibility(compatibility).build().unwrap().draw(key(index), [1000, 50])
    };
    for index in 0..100 {
        let documented = draw(Compatibility::Documented, index);
        assert!(documented.tx.abs() <= 5.0 && documented.tx != 0.0 && documented.ty == 0.0);
        let keras = draw(Compatibility::Keras, index);
        assert_eq!((keras.tx, keras.ty), (0.0, documented.tx));
    }
}

#[test]
fn a_draw_is_a_function_of_the_key_alone() {
    let generator = tutorial().build().unwrap();
    let draw = |key| generator.draw(key, [128, 128]);
    assert_eq!(draw(key(5)), draw(key(5)));
    assert_ne!(draw(key(5)), draw(key(6)));
    assert_ne!(draw(key(5)), draw(Key { epoch: 4, ..key(5) }));
    assert_ne!(draw(key(5)), draw(Key { seed: 43, ..key(5) }));
}

/// The vertical flip falls alike with and without the horizontal one, which draws all the same; and
/// the number that rotation would have had is the shear's where rotation is off.
#[test]
fn flips_always_draw_and_options_that_are_off_do_not() {
    let flips = ImageDataGenerator::builder().horizontal_flip(true).vertical_flip(true);
    let vertical = ImageDataGenerator::builder().vertical_flip(true).build().unwrap();
    let flips = flips.build().unwrap();
    let rotation = ImageDataGenerator::builder().rotation_range(1.0).build().unwrap();
    let shear = ImageDataGenerator::builder().shear_range(1.0).build().unwrap();
    for index in 0..50 {
        let [both, lower] = [&flips, &vertical].map(|g| g.draw(key(index), [8, 8]));
        assert_eq!(both.flip_vertical, lower.flip_vertical);
        assert!(!lower.flip_horizontal);
        assert_eq!(rotation.draw(key(index), [8, 8]).theta, shear.draw(key(index), [8, 8]).shear);
    }
}

/// Uniform on [low, high] has mean (low + high)/2 and standard deviation (high − low)/√12; the mean
/// of 4000 draws lies within five standard errors but for one seed in a million.
#[test]
fn draws_fill_their_ranges_evenly() {
    let generator = tutorial().vertical_flip(true).build().unwrap();
    let draws: Vec<Params> = (0..4000).map(|i| generator.draw(key(i), [100, 200])).collect();
    let check = |what: &str, low: f64, high: f64, of: &dyn Fn(&Params) -> f64| {
        let values = draws.iter().map(of);
        assert!(values.clone().all(|v| low <= v && v <= high), "{what} leaves [{low}, {high}]");
        let (least, most) = values.clone().fold((high, low), |(a, b), v| (a.min(v), b.max(v)));
        let width = high - low;
        assert!(least - low < width / 100.0 && high - most < width / 100.0, "{what}: gaps");
        let mean = values.sum::<f64>() / 4000.0;
        let error = width / 12f64.sqrt() / 4000f64.sqrt();
        assert!((mean - (low + high) / 2.0).abs() < 5.0 * error, "{what}: mean {mean}");
    };
    check("theta", -15.0, 15.0, &|p| p.theta);
    check("tx", -20.0, 20.0, &|p| p.tx);
    check("ty", -10.0, 10.0, &|p| p.ty);
    check("shear", -0.1, 0.1, &|p| p.shear);
    check("zx", 0.8, 1.2, &|p| p.zx);
    check("zy", 0.8, 1.2, &|p| p.zy);
    for flipped in [|p: &Params| p.flip_horizontal, |p: &Params| p.flip_vertical] {
        let count = draws.iter().filter(|p| flipped(p)).count() as f64;
        assert!((count - 2000.0).abs() < 5.0 * 1000f64.sqrt(), "{count} of 4000 flipped");
    }
}

#[test]
fn wrong_arguments_are_named() {
    let new = ImageDataGenerator::builder;
    let error = |builder: ImageDataGeneratorBuilder| builder.build().expect_err("a wrong argument");
    assert_eq!(
        error(new().rotation_range(-15.0)),
        Error::Range { argument: "rotation_range", found: -15.0 }
    );
    assert!(matches!(
        error(new().shear_range(f64::NAN)),
        Error::Range { argument: "shear_range", .. }
    ));
    assert_eq!(
        error(new().width_shift_range(f64::INFINITY)),
        Error::Range { argument: "width_shift_range", found: f64::INFINITY }
    );
    assert_eq!(
        error(new().height_shift_range(Vec::new())),
        Error::NoShift { argument: "height_shift_range" }
    );
    assert_eq!(error(new().zoom_range(1.0)), Error::ZoomRange { low: 0.0, high: 2.0 });
    assert_eq!(error(new().zoom_range([1.2, 0.8])), Error::ZoomRange { low: 1.2, high: 0.8 });
    assert_eq!(error(new().rescale(0.0)), Error::Rescale { found: 0.0 });
    assert!(matches!(error(new().cval(f32::NAN)), Error::Cval { .. }));
    assert_eq!(error(new().interpolation_order(3)), Error::InterpolationOrder { found: 3 });
}

#[test]
fn on_square_images_keras_meaning_exchanges_the_shifts_and_nothing_else() {
    let documented = tutorial().build().unwrap();
    let keras = tutorial().compatibility(Compatibility::Keras).build().unwrap();
    for index in 0..20 {
        let mut params = keras.draw(key(index), [16, 16]);
        (params.tx, params.ty) = (params.ty, params.tx);
        assert_eq!(documented.draw(key(index), [16, 16]), params);
    }
}

#[test]
fn the_transform_draws_and_applies() {
    let generator = tutorial().build().unwrap();
    let transform = generator.transform();
    let x = Array3::from_shape_fn((24, 18, 3), |(r, c, k)| (7 * r + 3 * c + 40 * k) as u8);
    let [mut y, mut z] = [(); 2].map(|()| Array3::zeros(x.dim()));
    transform.apply(key(9).into(), x.view(), y.view_mut());
    generator.apply(&generator.draw(key(9), [24, 18]), x.view(), z.view_mut());
    assert_eq!(y, z);
    assert_ne!(y, x.mapv(|byte| f32::from(byte) / 255.0));
}

#[test]
fn wrong_arguments_of_the_value_operations_are_named() {
    let new = ImageDataGenerator::builder;
    let error = |builder: ImageDataGeneratorBuilder| builder.build().expect_err("a wrong argument");
    assert_eq!(
        error(new().channel_shift_range(-1.0)),
        Error::Range { argument: "channel_shift_range", found: -1.0 }
    );
    for [low, high] in [[1.2, 0.8], [-0.1, 1.0], [0.5, f64::INFINITY]] {
        let range = Error::BrightnessRange { low, high };
        assert_eq!(error(new().brightness_range([low, high])), range);
    }
    assert_eq!(error(new().zca_epsilon(0.0)), Error::ZcaEpsilon { found: 0.0 });
}

#[test]
fn fit_refuses_no_images_and_images_too_large_for_a_matrix() {
    let mut zca = ImageDataGenerator::builder().zca_whitening(true).build().unwrap();
    let error = zca.fit(Array4::zeros((0, 8, 8, 3)).view(), false, 1, 0).unwrap_err();
    assert_eq!(error, Error::NothingToFit { images: 0, rounds: 1 });
    let error = zca.fit(Array4::zeros((1, 8, 8, 3)).view(), true, 0, 0).unwrap_err();
    assert_eq!(error, Error::NothingToFit { images: 1, rounds: 0 });
    let error = zca.fit(Array4::zeros((1, 128, 128, 3)).view(), false, 1, 0).unwrap_err();
    assert!(error.to_string().contains("49152 rows: the limit is 4096"), "{error}");
}

/// What is new draws last, so that everything before it is what it was without.
#[test]
fn value_operations_draw_after_all_others() {
    let plain = tutorial().build().unwrap();
    let more = tutorial().channel_shift_range(20.0).brightness_range([0.5, 1.5]).build().unwrap();
    for index in 0..50 {
        let mut drawn = more.draw(key(index), [64, 64]);
        assert!(drawn.channel_shift_intensity.is_some_and(|s| s.abs() <= 20.0));
        assert!(drawn.brightness.is_some_and(|f| (0.5..=1.5).contains(&f)));
        assert!(drawn.to_string().contains("brightness"));
        (drawn.channel_shift_intensity, drawn.brightness) = (None, None);
        assert_eq!(drawn, plain.draw(key(index), [64, 64]));
    }
}
