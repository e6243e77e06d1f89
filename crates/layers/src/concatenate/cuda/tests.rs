//! The kernels equal the definition to the last bit.

use super::super::{Concatenate, definition};
use crate::trial::kernels_agree;
use crate::{AveragePooling2D, MaxPooling2D, Padding, Sequential, ZeroPadding2D};
use gradus_tensor::ndarray::Array2;
use gradus_tensor::{Device, Shape, Tensor};
use gradus_testing::{Cases, gpu};

#[test]
fn the_kernels_are_the_definition_to_the_last_bit() {
    let Some(gpu) = gpu() else { return };
    let device = Device::Cuda(gpu.clone());
    for (case, (rows, before, columns, after)) in
        [(1, 0, 1, 0), (7, 3, 5, 2), (900, 1, 3, 0), (5, 8, 12, 4), (5, 8, 12, 3)]
            .into_iter()
            .enumerate()
    {
        let mut cases = Cases::new("concatenate kernels", case as u32);
        let all = before + columns + after;
        let part = Array2::from_shape_vec((rows, columns), cases.normal(rows * columns)).unwrap();
        let y = Array2::from_shape_vec((rows, all), cases.normal(rows * all)).unwrap();
        let (mut expected, mut expected_part) = (y.clone(), part.clone());
        definition::forward(part.view(), before, expected.view_mut());
        definition::backward(y.view(), before, expected_part.view_mut());

        let there = |a: &Array2<f32>| {
            let (rows, columns) = a.dim();
            Tensor::from_slice(Shape::new(&[rows, columns]), a.as_slice().unwrap()).on(&device)
        };
        let (part, y) = (there(&part), there(&y));
        let (mut ours, mut ours_part) = (y.clone(), part.clone());
        let place = [before, columns, all];
        super::forward(&gpu, place, part.gpu(), ours.gpu_mut());
        super::backward(&gpu, place, y.gpu(), ours_part.gpu_mut());
        gpu.synchronize().unwrap();
        let [ours, ours_part] = [ours, ours_part].map(|tensor| tensor.on(&Device::Cpu));
        assert_eq!(ours.slice::<f32>(), expected.as_slice().unwrap(), "case {case}");
        assert_eq!(ours_part.slice::<f32>(), expected_part.as_slice().unwrap(), "case {case}");
    }
}

#[test]
fn branches_on_a_gpu_are_the_branches() {
    let block = || {
        let max = MaxPooling2D::new(3).strides(1).padding(Padding::Same);
        let average = AveragePooling2D::new(2).strides(1).padding(Padding::Same);
        let cropped =
            Sequential::new().add(ZeroPadding2D::new(1)).add(MaxPooling2D::new(3).strides(1));
        Concatenate::new().branch(max).branch(average).branch(cropped)
    };
    for c in [4, 3] {
        kernels_agree("concatenate", block, Shape::new(&[2, 5, 4, c]), 30);
    }
}
