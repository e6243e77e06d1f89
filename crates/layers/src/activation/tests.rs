//! The proof of the activations.

use super::*;
use crate::trial::{Trial, agrees_with_keras};
use crate::{Config, Described, Layer, Registry, Sequential};
use gradus_tensor::ndarray::Array2;
use gradus_tensor::simd::Isa;
use gradus_tensor::{Pool, Shape};
use gradus_testing::{Cases, Golden, Tolerance, assert_close, gradcheck};

pub(super) const ALL: [Activation; 19] = [
    Activation::Linear,
    Activation::Relu,
    Activation::Relu6,
    Activation::LEAKY_RELU,
    Activation::LeakyRelu { negative_slope: 0.0 },
    Activation::ELU,
    Activation::Elu { alpha: 0.3 },
    Activation::Selu,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Silu,
    Activation::Mish,
    Activation::Sigmoid,
    Activation::HardSigmoid,
    Activation::Tanh,
    Activation::Softmax,
    Activation::Softplus,
    Activation::Softsign,
    Activation::Exponential,
];

/// y and dz of the definition.
fn definition<T: gradus_tensor::Real>(
    activation: Activation,
    z: &Array2<T>,
    dy: &Array2<T>,
) -> [Array2<T>; 2] {
    let (mut y, mut dz) = (z.clone(), dy.clone());
    definition::forward(activation, y.view_mut());
    let kept = if activation.needs_z() { z } else { &y };
    definition::backward(activation, kept.view(), dz.view_mut());
    [y, dz]
}

#[test]
fn the_gradient_is_the_derivative() {
    for activation in ALL {
        let mut cases = Cases::new("activation gradient", 0);
        let wide: Vec<f64> = cases.normal_f64(35).iter().map(|z| 4.0 * z).collect();
        let r = Array2::from_shape_vec((5, 7), cases.normal_f64(35)).unwrap();
        let of = |z: &[f64]| {
            let z = Array2::from_shape_vec((5, 7), z.to_vec()).unwrap();
            definition(activation, &z, &r)
        };
        let [_, dz] = of(&wide);
        let error = gradcheck(&wide, dz.as_slice().unwrap(), |z| (&of(z)[0] * &r).sum());
        assert!(error < 1e-6, "{activation:?}: {error}");
    }
}

#[test]
fn the_engine_is_the_definition() {
    for activation in ALL {
        for (case, (n, c)) in [(1, 1), (15, 2), (7, 33), (600, 65)].into_iter().enumerate() {
            let mut cases = Cases::new("activation engine", case as u32);
            let z = Array2::from_shape_vec((n, c), cases.normal(n * c)).unwrap() * 3.0;
            let dy = Array2::from_shape_vec((n, c), cases.normal(n * c)).unwrap();
            let exact = definition(activation, &z.mapv(f64::from), &dy.mapv(f64::from));
            let run = |isa, threads| {
                let (pool, mut y, mut dz) = (Pool::new(threads), z.clone(), dy.clone());
                cpu::forward_on(isa, &pool, activation, y.view_mut());
                let kept = if activation.needs_z() { &z } else { &y };
                cpu::backward_on(isa, &pool, activation, kept.view(), dz.view_mut());
                [y, dz]
            };
            for isa in Isa::available() {
                let what = format!("{activation:?} {n}·{c} {isa:?}");
                let alone = run(isa, 1);
                for (actual, exact) in alone.iter().zip(&exact) {
                    let (a, e) = (actual.as_slice().unwrap(), exact.as_slice().unwrap());
                    assert_close(&what, a, e, Tolerance::for_reduction(c));
                }
                assert_eq!(alone, run(isa, 3), "{what}: 1 thread, 3 threads");
            }
        }
    }
}

#[test]
fn a_lost_number_stays_visible() {
    for activation in ALL {
        for isa in Isa::available() {
            // Long enough for whole vectors and a remainder.
            let lost = Array2::from_elem((1, 37), f32::NAN);
            let (mut y, mut dz) = (lost.clone(), Array2::from_elem((1, 37), 1.0));
            cpu::forward_on(isa, &Pool::new(1), activation, y.view_mut());
            assert!(y.iter().all(|v| v.is_nan()), "{activation:?} on {isa:?}: {y}");
            cpu::backward_on(isa, &Pool::new(1), activation, y.view(), dz.view_mut());
            assert!(dz.iter().all(|v| *v != 0.0), "{activation:?} on {isa:?}: {dz}");
        }
    }
}

#[test]
fn activations_have_keras_s_names() {
    for activation in ALL {
        let json = serde_json::to_value(activation).unwrap();
        assert_eq!(serde_json::from_value::<Activation>(json).unwrap(), activation);
    }
    let named = |name: &str| name.parse::<Activation>();
    assert_eq!(named("swish"), Ok(Activation::Silu));
    assert_eq!(named("leaky_relu"), Ok(Activation::LEAKY_RELU));
    assert!(named("rely").unwrap_err().starts_with("no activation is called \"rely\": use one of"));
    assert_eq!(serde_json::to_value(Activation::HardSigmoid).unwrap(), "hard_sigmoid");
    let other = serde_json::to_value(Activation::LeakyRelu { negative_slope: 0.1 }).unwrap();
    let layer = serde_json::json!({"class_name": "LeakyReLU", "config": {"negative_slope": 0.1}});
    assert_eq!(other, layer);
}

/// A layer of that class with those options, through the registry.
fn layer(class_name: &str, options: serde_json::Value) -> Result<Box<dyn Layer>, String> {
    let config = Config::new(class_name, &options);
    Registry::default().layer(&config).map_err(|e| e.to_string())
}

#[test]
fn activations_are_layers_too() {
    use serde_json::json;
    let x = Tensor::from_slice(Shape::new(&[1, 3]), &[-1.0f32, 2.0, 8.0]);
    for (class, options, y) in [
        ("Activation", json!({"activation": "relu"}), [0.0, 2.0, 8.0]),
        ("ReLU", json!({"max_value": 6.0, "negative_slope": 0.0}), [0.0, 2.0, 6.0]),
        ("ReLU", json!({"max_value": null, "negative_slope": 0.5}), [-0.5, 2.0, 8.0]),
        ("LeakyReLU", json!({}), [-0.3, 2.0, 8.0]),
        ("LeakyReLU", json!({"alpha": 0.25}), [-0.25, 2.0, 8.0]),
        ("ELU", json!({"alpha": 2.0}), [2.0 * (-1.0f32).exp_m1(), 2.0, 8.0]),
    ] {
        let chain = Sequential::new().add_named("activation", layer(class, options).unwrap());
        let actual = Trial::new(chain, x.shape(), 1).infer(&x);
        assert_close(class, actual.slice::<f32>(), &y, Tolerance::for_reduction(1));
    }
    for (class, options, word) in [
        ("ReLU", json!({"threshold": 1.0}), "threshold: 1.0"),
        ("ReLU", json!({"max_value": 4.0}), "only max_value 6"),
        ("LeakyReLU", json!({"negative_slope": -1.0}), "negative_slope -1"),
        ("ELU", json!({"alpha": 0.0}), "alpha 0"),
        ("Softmax", json!({"axis": 1}), "axis 1"),
        ("Activation", json!({"activation": "rely"}), "rely"),
    ] {
        let error = layer(class, options).unwrap_err();
        assert!(error.contains(word), "{error}");
    }
    assert_eq!(ReLU::new().max_value(6.0).activation(), Activation::Relu6);
}

#[test]
fn a_closing_softmax_is_handed_over_and_still_described() {
    let mut chain = Sequential::new().add(Softmax::new());
    let config = chain.config();
    chain.split_head(|head| head == Activation::Softmax);
    assert_eq!(chain.head(), Activation::Softmax);
    let again = Sequential::from_config(&chain.config(), &Registry::default()).unwrap();
    assert_eq!(again.config(), config);
    assert_eq!(ReLU::new().closing_activation(), Some(&mut Activation::Relu));
}

#[test]
fn activations_agree_with_keras() {
    let Some(golden) = Golden::open("dense_activation") else { return };
    let cases = golden.cases("act_");
    assert_eq!(cases.len(), 15);
    for case in cases.into_iter().chain(["softmax_extreme"]) {
        let params = golden.params(case);
        let activation: Activation = params["name"].as_str().unwrap().parse().unwrap();
        if let Some(slope) = params["slope"].as_f64() {
            assert_eq!(activation, Activation::LeakyRelu { negative_slope: slope });
        }
        agrees_with_keras(&golden, case, ActivationLayer::new(activation));
    }
}

#[test]
fn every_golden_case_belongs_to_one_room() {
    let Some(golden) = Golden::open("dense_activation") else { return };
    let count = |prefix| golden.cases(prefix).len();
    // The dense layer and flatten hold theirs in their own rooms.
    let rooms = ["act_", "softmax_extreme", "dense_", "flatten_"].map(count);
    assert_eq!((rooms, count("")), ([15, 1, 5, 1], 22));
}
