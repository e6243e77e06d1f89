//! The proof of average pooling.

use super::*;
use crate::pooling::tests::{array, options_of, random_geometry};
use crate::trial::agrees_with_keras;
use gradus_tensor::ndarray::Array4;
use gradus_tensor::{Pool, Real};
use gradus_testing::{Cases, Golden, gradcheck};

/// y and dx of the definition.
fn definition<T: Real>(g: &Geometry, x: &Array4<T>, dy: &Array4<T>) -> [Array4<T>; 2] {
    let (mut y, mut dx) = (dy.clone(), x.clone());
    definition::forward(g, x.view(), y.view_mut());
    definition::backward(g, dy.view(), dx.view_mut());
    [y, dx]
}

#[test]
fn the_gradient_is_the_derivative() {
    for case in 0..20 {
        let mut cases = Cases::new("average pooling gradient", case);
        let mut g = random_geometry(&mut cases);
        g.c = 2;
        let (x, dy) = (cases.normal_f64(g.x().len()), cases.normal_f64(g.y().len()));
        let dy = array(g.y(), &dy);
        let [_, dx] = definition(&g, &array(g.x(), &x), &dy);
        let error = gradcheck(&x, dx.as_slice().unwrap(), |x| {
            (&definition(&g, &array(g.x(), x), &dy)[0] * &dy).sum()
        });
        assert!(error < 1e-6, "{g:?}: {error}");
    }
}

#[test]
fn the_engine_is_the_definition_to_the_last_bit() {
    for case in 0..150 {
        let mut cases = Cases::new("average pooling engine", case);
        let g = random_geometry(&mut cases);
        let (x, dy) = (cases.normal(g.x().len()), cases.normal(g.y().len()));
        let (x, dy) = (array(g.x(), &x), array(g.y(), &dy));
        let expected = definition(&g, &x, &dy);
        for (isa, threads) in Isa::available().into_iter().flat_map(|isa| [(isa, 1), (isa, 3)]) {
            let (pool, mut y, mut dx) = (Pool::new(threads), &dy * 9.0, &x * 9.0);
            cpu::forward(isa, &pool, &g, x.view(), y.view_mut());
            cpu::backward(isa, &pool, &g, dy.view(), dx.view_mut());
            assert_eq!([y, dx], expected, "case {case}, {isa:?}, {threads} threads: {g:?}");
        }
    }
}

#[test]
fn padding_counts_neither_in_the_sum_nor_in_the_divisor() {
    let g = Geometry::new(Shape::new(&[1, 2, 2, 1]), [2; 2], [2; 2], Padding::from(1)).unwrap();
    let x = array(g.x(), &[1.0, 2.0, 3.0, 4.0]);
    let [y, dx] = definition(&g, &x, &array(g.y(), &[1.0; 4]));
    assert_eq!((y, dx.sum()), (x, 4.0), "each window meets one pixel");
}

#[test]
fn the_config_is_keras_s_and_comes_back() {
    let config = AveragePooling2D::new([3, 2]).strides(1).padding(Padding::Same).config();
    let json = serde_json::json!({"pool_size": [3, 2], "padding": "same", "strides": [1, 1]});
    assert_eq!(serde_json::Value::Object(config.config.clone()), json);
    let again = AveragePooling2D::from_config(&config, &Registry::default()).unwrap();
    assert_eq!(again.config(), config);
    let mut wrong = config;
    wrong.config.insert("pool_size".to_owned(), [0, 2].as_slice().into());
    let error = AveragePooling2D::from_config(&wrong, &Registry::default()).unwrap_err();
    assert!(error.to_string().contains("at least 1"), "{error}");
}

#[test]
fn average_pooling_agrees_with_keras() {
    let Some(golden) = Golden::open("pool") else {
        return;
    };
    let cases = golden.cases("avg_");
    assert_eq!(cases.len(), 24);
    for case in cases {
        let layer = AveragePooling2D::of(options_of(golden.params(case)));
        agrees_with_keras(&golden, case, layer);
    }
}
