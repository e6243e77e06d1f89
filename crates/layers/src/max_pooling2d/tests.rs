//! The proof of max pooling.

use super::*;
use crate::pooling::tests::{array, options_of, random_geometry};
use crate::trial::{agrees_with_keras, field};
use gradus_tensor::Pool;
use gradus_tensor::ndarray::Array4;
use gradus_testing::{Cases, Golden, gradcheck};

/// y, argmax and dx of the definition.
pub(super) fn definition<T: gradus_tensor::Real>(
    g: &Geometry,
    x: &Array4<T>,
    dy: &Array4<T>,
) -> (Array4<T>, Array4<u8>, Array4<T>) {
    let (mut y, mut dx) = (dy.clone(), x.clone());
    let mut argmax = dy.mapv(|_| 99);
    definition::forward(g, x.view(), y.view_mut(), argmax.view_mut());
    definition::backward(g, dy.view(), argmax.view(), dx.view_mut());
    (y, argmax, dx)
}

/// y, argmax and dx of the engine; y of inference is the same.
fn engine(
    isa: Isa,
    threads: usize,
    g: &Geometry,
    x: &Array4<f32>,
    dy: &Array4<f32>,
) -> (Array4<f32>, Array4<u8>, Array4<f32>) {
    let (pool, mut y, mut inferred, mut dx) = (Pool::new(threads), dy * 9.0, dy * 8.0, x * 9.0);
    let mut argmax = dy.mapv(|_| 99);
    cpu::forward(isa, &pool, g, x.view(), y.view_mut(), argmax.view_mut());
    cpu::infer(isa, &pool, g, x.view(), inferred.view_mut());
    cpu::backward(isa, &pool, g, dy.view(), argmax.view(), dx.view_mut());
    let bits = |a: &Array4<f32>| a.mapv(f32::to_bits);
    assert_eq!(bits(&y), bits(&inferred), "forward and infer, {g:?}");
    (y, argmax, dx)
}

#[test]
fn the_gradient_is_the_derivative() {
    for case in 0..20 {
        let mut cases = Cases::new("max pooling gradient", case);
        let mut g = random_geometry(&mut cases);
        g.c = 2;
        // Values in random order, far enough apart that no step of the check makes a tie.
        let noise = cases.normal(g.x().len());
        let mut order: Vec<usize> = (0..noise.len()).collect();
        order.sort_by(|&a, &b| noise[a].total_cmp(&noise[b]));
        let x: Vec<f64> = order.iter().map(|&rank| rank as f64 * 0.01).collect();
        let dy = array(g.y(), &cases.normal_f64(g.y().len()));
        let (_, _, dx) = definition(&g, &array(g.x(), &x), &dy);
        let error = gradcheck(&x, dx.as_slice().unwrap(), |x| {
            (definition(&g, &array(g.x(), x), &dy).0 * &dy).sum()
        });
        assert!(error < 1e-6, "{g:?}: {error}");
    }
}

#[test]
fn the_engine_is_the_definition_to_the_last_bit() {
    for case in 0..150 {
        let mut cases = Cases::new("max pooling engine", case);
        let g = random_geometry(&mut cases);
        let (x, dy) = (cases.normal(g.x().len()), cases.normal(g.y().len()));
        let (mut x, dy) = (array(g.x(), &x), array(g.y(), &dy));
        if case % 3 == 0 {
            // Mostly ties, as behind a relu.
            x.mapv_inplace(|v| v.round().max(0.0));
        }
        let expected = definition(&g, &x, &dy);
        for isa in Isa::available() {
            assert_eq!(engine(isa, 1, &g, &x, &dy), expected, "case {case}, {isa:?}: {g:?}");
            assert_eq!(engine(isa, 3, &g, &x, &dy), expected, "case {case}, 3 threads: {g:?}");
        }
    }
}

#[test]
fn rows_enough_for_several_tasks_are_pooled_alike() {
    let mut cases = Cases::new("max pooling tasks", 0);
    let (shape, padding) = (Shape::new(&[2, 63, 62, 32]), Padding::Same);
    for (window, stride) in [(2, 2), (3, 2)] {
        let g = Geometry::new(shape, [window; 2], [stride; 2], padding).unwrap();
        let (x, dy) = (cases.normal(g.x().len()), cases.normal(g.y().len()));
        let (x, dy) = (array(g.x(), &x), array(g.y(), &dy));
        assert_eq!(engine(Isa::detect(), 3, &g, &x, &dy), definition(&g, &x, &dy));
    }
}

#[test]
fn ties_go_to_the_first_and_a_nan_beats_everything() {
    let (nan, low) = (f32::NAN, f32::NEG_INFINITY);
    let g = Geometry::new(Shape::new(&[1, 2, 2, 1]), [2; 2], [2; 2], Padding::Valid).unwrap();
    for (x, winner) in [
        ([1.0, 1.0, 1.0, 1.0], 0),
        ([0.0, 1.0, 1.0, 1.0], 1),
        ([0.0, -0.0, 1.0, 1.0], 2),
        ([-0.0, 0.0, -1.0, 0.0], 0),
        ([-4.0, -3.0, -2.0, -1.0], 3),
        ([low, low, low, low], 0),
        ([5.0, nan, 9.0, nan], 1),
        ([nan, 5.0, f32::INFINITY, 1.0], 0),
        ([low, 5.0, 1.0, nan], 3),
    ] {
        let (x, dy) = (array(g.x(), &x), array(g.y(), &[1.0]));
        let value = x.as_slice().unwrap()[winner].to_bits();
        for isa in Isa::available() {
            for (y, argmax, dx) in [definition(&g, &x, &dy), engine(isa, 1, &g, &x, &dy)] {
                assert_eq!((y[[0; 4]].to_bits(), argmax[[0; 4]]), (value, winner as u8), "{x}");
                assert_eq!((dx.as_slice().unwrap()[winner], dx.sum()), (1.0, 1.0), "{x}");
            }
        }
    }
}

#[test]
fn padding_never_wins() {
    // Four windows of 3·3 around each corner of an image of −∞: each finds a real pixel.
    let g = Geometry::new(Shape::new(&[1, 2, 2, 1]), [3; 2], [1; 2], Padding::Same).unwrap();
    let (x, dy) = (array(g.x(), &[f32::NEG_INFINITY; 4]), array(g.y(), &[1.0; 4]));
    let (y, argmax, dx) = engine(Isa::detect(), 1, &g, &x, &dy);
    assert_eq!((y, argmax.into_raw_vec_and_offset().0), (x, vec![4, 3, 1, 0]));
    assert_eq!(dx.as_slice().unwrap(), [4.0, 0.0, 0.0, 0.0]);
}

#[test]
fn shapes_and_options_that_do_not_fit_are_refused() {
    let layer = MaxPooling2D::new([2, 3]);
    assert_eq!(layer.output_shape(Shape::new(&[5, 9, 9, 4])).unwrap().dims(), [5, 4, 3, 4]);
    for wrong in [&[5, 9, 9][..], &[5, 1, 9, 4], &[5, 9, 2, 4], &[5, 9, 9, 0]] {
        assert!(layer.output_shape(Shape::new(wrong)).is_err(), "{wrong:?}");
    }
    let config = |option: &str, value: serde_json::Value| {
        let mut config = layer.config();
        config.config.insert(option.to_owned(), value);
        MaxPooling2D::from_config(&config, &Registry::default())
    };
    assert!(config("pool_size", [16, 16].as_slice().into()).is_ok());
    for (option, value, word) in [
        ("pool_size", [16, 17].as_slice().into(), "at most 256"),
        ("strides", [0, 1].as_slice().into(), "at least 1"),
        ("data_format", "channels_first".into(), "channels_last"),
        ("padding", "full".into(), "full"),
    ] {
        let error = config(option, value).unwrap_err().to_string();
        assert!(error.contains("MaxPooling2D") && error.contains(word), "{error}");
    }
}

#[test]
fn the_config_is_keras_s_and_comes_back() {
    let expected = r#"{"pool_size":[2,2],"padding":"valid","strides":[2,2]}"#;
    let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
    assert_eq!(serde_json::Value::from(MaxPooling2D::new(2).config().config), expected);
    let config = MaxPooling2D::new([3, 2]).strides(1).padding(Padding::Same).config();
    let again = MaxPooling2D::from_config(&config, &Registry::default()).unwrap();
    assert_eq!(again.config(), config);
}

#[test]
fn max_pooling_agrees_with_keras() {
    let Some(golden) = Golden::open("pool") else {
        return;
    };
    let cases = golden.cases("max_");
    assert_eq!(cases.len(), 58);
    for case in cases {
        let layer = MaxPooling2D::of(options_of(golden.params(case)));
        // Nothing is computed for y; dx adds up to nine numbers.
        let y = agrees_with_keras(&golden, case, layer);
        assert_eq!(y.slice::<f32>(), field(&golden, case, "y").slice::<f32>(), "{case}");
    }
}
