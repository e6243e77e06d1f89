//! The proof of branches side by side.

use super::*;
use crate::residual::tests::Trial;
use crate::{
    Activation, BatchNormalization, Conv2D, Dropout, Flatten, MaxPooling2D, Padding, Sequential,
};
use gradus_tensor::Pool;
use gradus_tensor::ndarray::Array2;
use gradus_testing::{Cases, gradcheck};

fn conv(filters: usize, size: usize) -> Conv2D {
    Conv2D::new(filters, size).padding(Padding::Same).activation(Activation::Relu)
}

/// A block of an Inception network.
fn block() -> Concatenate {
    let pool = MaxPooling2D::new(3).strides(1).padding(Padding::Same);
    Concatenate::new()
        .branch(conv(2, 1))
        .branch(Sequential::new().add(conv(3, 1)).add(BatchNormalization::new()).add(conv(4, 3)))
        .branch(Sequential::new().add(pool).add(conv(1, 1)))
}

#[test]
fn the_gradient_is_the_derivative() {
    let mut cases = Cases::new("concatenate gradient", 0);
    let (x, r) = (cases.normal_f64(4 * 5), cases.normal_f64(4 * 5));
    let part =
        |x: &[f64], columns: usize| Array2::from_shape_vec((4, columns), x.to_vec()).unwrap();
    let of = |x: &[f64]| {
        let mut y = Array2::zeros((4, 5));
        definition::forward(part(&x[..8], 2).view(), 0, y.view_mut());
        definition::forward(part(&x[8..], 3).view(), 2, y.view_mut());
        y
    };
    let (dy, mut first, mut second) = (part(&r, 5), part(&x[..8], 2), part(&x[8..], 3));
    definition::backward(dy.view(), 0, first.view_mut());
    definition::backward(dy.view(), 2, second.view_mut());
    let gradient = [first.into_raw_vec_and_offset().0, second.into_raw_vec_and_offset().0].concat();
    let error = gradcheck(&x, &gradient, |x| of(x).iter().zip(&r).map(|(y, r)| y * r).sum());
    assert!(error < 1e-6, "{error}");
}

#[test]
fn the_engine_is_the_definition_with_any_number_of_threads() {
    for (case, (rows, before, columns, after)) in
        [(1, 0, 1, 0), (7, 3, 5, 2), (9000, 1, 3, 0), (3, 20_000, 7, 11)].into_iter().enumerate()
    {
        let mut cases = Cases::new("concatenate engine", case as u32);
        let all = before + columns + after;
        let random =
            |n: usize, values: Vec<f32>| Array2::from_shape_vec((rows, n), values).unwrap();
        let part = random(columns, cases.normal(rows * columns));
        let y = random(all, cases.normal(rows * all));
        let (mut expected, mut expected_part) = (y.clone(), part.clone());
        definition::forward(part.view(), before, expected.view_mut());
        definition::backward(y.view(), before, expected_part.view_mut());
        for threads in [1, 3] {
            let (pool, mut ours, mut ours_part) = (Pool::new(threads), y.clone(), part.clone());
            cpu::forward(&pool, part.view(), before, ours.view_mut());
            cpu::backward(&pool, y.view(), before, ours_part.view_mut());
            assert!(ours == expected && ours_part == expected_part, "case {case}, {threads}");
        }
    }
}

#[test]
fn branches_that_do_nothing_repeat_the_channels() {
    let twice = Concatenate::new().branch(Dropout::new(0.0)).branch(Dropout::new(0.0));
    let mut trial = Trial::new(twice, &[2, 3, 2, 3], 1);
    let (y, dx) = trial.train(true);
    let repeated: Vec<f32> = trial.x().chunks(3).flat_map(|c| [c, c].concat()).collect();
    assert_eq!(y, repeated);
    let sums = |c: &[f32]| (0..3).map(|i| c[i] + c[i + 3]).collect::<Vec<_>>();
    assert_eq!(dx, trial.r().chunks(6).flat_map(sums).collect::<Vec<_>>());
}

#[test]
fn the_chain_rule_goes_down_every_branch() {
    let error = Trial::new(block(), &[2, 5, 6, 3], 2).chain_rule();
    assert!(error < 1e-2, "{error}");
    let rows =
        Concatenate::new().branch(Flatten).branch(Sequential::new().add(conv(2, 3)).add(Flatten));
    let error = Trial::new(rows, &[2, 3, 4, 2], 2).chain_rule();
    assert!(error < 1e-2, "rows of numbers: {error}");
}

#[test]
fn a_first_layer_without_dx_learns_the_same() {
    for threads in [1, 3] {
        let (mut with, mut without) =
            (Trial::new(block(), &[2, 5, 6, 3], 1), Trial::new(block(), &[2, 5, 6, 3], threads));
        assert_eq!(with.train(true).0, without.train(false).0);
        assert_eq!(with.gradients(), without.gradients());
    }
}

#[test]
fn inference_of_a_smaller_batch_gives_the_same_rows() {
    let mut trial = Trial::new(block(), &[3, 5, 6, 3], 2);
    let whole = trial.infer(3);
    assert_eq!(trial.infer(2), whole[..whole.len() / 3 * 2]);
}

#[test]
fn the_description_rebuilds_the_branches() {
    let config = block().config();
    let again = Registry::default().layer(&config).unwrap();
    assert_eq!(again.config(), config);
    let names: Vec<&str> = again.children().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["branch_1", "branch_2", "branch_3"]);
    let trial = Trial::new(block(), &[1, 5, 5, 2], 1);
    let names: Vec<String> = trial.gradients().into_iter().map(|(name, _)| name).collect();
    assert_eq!([&names[0], &names[2]], ["branch_1.kernel", "branch_2.conv2d.kernel"]);
}

#[test]
fn branches_that_do_not_fit_are_refused_by_name() {
    let x = Shape::new(&[1, 5, 5, 3]);
    let chain = |block| Sequential::new().add(block).build_on(x, &Device::Cpu, 0).unwrap_err();
    let error = chain(block().branch(Conv2D::new(1, 3)));
    assert_eq!(error.layer, "concatenate");
    assert!(
        error.expected.contains("branch_1 makes (1, 5, 5, 2) and branch_4 (1, 3, 3, 1)"),
        "{error}"
    );
    assert_eq!(chain(block().branch(Conv2D::new(1, 6))).layer, "concatenate.branch_4");
    assert_eq!(chain(Concatenate::new()).layer, "concatenate");
}
