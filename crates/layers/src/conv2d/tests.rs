//! The proof: derivatives, engine against definition, Keras's own numbers.

pub(super) mod winograd;

use super::cpu::{Engine, Epilogue, Moments};
use super::*;
use crate::trial::Trial;
use crate::{Initializer, activation};
use gradus_tensor::ndarray::{Array1, Array4, ArrayD, Axis, Ix1, Ix4};
use gradus_tensor::simd::Isa;
use gradus_tensor::{Precision, Real};
use gradus_testing::{Cases, Golden, Tolerance, assert_close, gradcheck};

pub(super) fn array<T>(shape: Shape, values: Vec<T>) -> Array4<T> {
    let &[a, b, c, d] = shape.dims() else { panic!("{shape} is not of rank 4") };
    Array4::from_shape_vec((a, b, c, d), values).unwrap()
}

/// What a convolution reads, and what it makes of that.
#[derive(Clone)]
pub(super) struct Arrays<T> {
    pub(super) x: Array4<T>,
    pub(super) kernel: Array4<T>,
    pub(super) bias: Array1<T>,
    pub(super) dz: Array4<T>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Results<T> {
    pub(super) z: Array4<T>,
    pub(super) dx: Array4<T>,
    pub(super) dkernel: Array4<T>,
    pub(super) dbias: Array1<T>,
}

impl<T: Real> Results<T> {
    /// Full of what must be overwritten.
    fn stale(g: &Geometry) -> Self {
        let of = |shape: Shape| array(shape, vec![T::nan(); shape.len()]);
        let dbias = Array1::from_elem(g.k, T::nan());
        Self { z: of(g.y()), dx: of(g.x()), dkernel: of(g.kernel()), dbias }
    }
}

impl Arrays<f32> {
    pub(super) fn random(g: &Geometry, cases: &mut Cases) -> Self {
        let mut of = |shape: Shape| array(shape, cases.normal(shape.len()));
        let (x, kernel, dz) = (of(g.x()), of(g.kernel()), of(g.y()));
        Self { x, kernel, bias: cases.normal(g.k).into(), dz }
    }

    pub(super) fn in_f64(&self) -> Arrays<f64> {
        let of = |a: &Array4<f32>| a.mapv(f64::from);
        let (x, kernel, dz) = (of(&self.x), of(&self.kernel), of(&self.dz));
        Arrays { x, kernel, bias: self.bias.mapv(f64::from), dz }
    }

    fn by_engine(&self, g: &Geometry, isa: Isa, threads: usize) -> Results<f32> {
        self.by_engine_exact(g, isa, threads, false)
    }

    fn by_engine_exact(&self, g: &Geometry, isa: Isa, threads: usize, exact: bool) -> Results<f32> {
        let ws = &mut Context::new(Device::Cpu, threads).workspace;
        ws.exact = exact;
        ws.reserve(cpu::scratch(g), cpu::desk(g));
        ws.scratch.take(cpu::scratch(g)).fill(f32::NAN);
        ws.desks.take(threads * cpu::desk(g)).fill(f32::NAN);
        let mut results = Results::stale(g);
        let Results { z, dx, dkernel, dbias } = &mut results;
        let epilogue = Epilogue { bias: Some(self.bias.view()), relu: false };
        let (x, kernel, dz) = (self.x.view(), self.kernel.view(), self.dz.view());
        Engine::new(isa, ws, g).forward(x, kernel, epilogue, Moments::Unwanted, z.view_mut());
        let mut engine = Engine::new(isa, ws, g);
        engine.backward_input(dz, kernel, dx.view_mut());
        engine.backward_weight(x, dz, dkernel.view_mut());
        engine.backward_bias(dz, dbias.view_mut());
        results
    }
}

impl<T: Real> Arrays<T> {
    /// Whose products are the squares of the products of these, and whose bias is 0.
    pub(super) fn squared(&self) -> Self {
        let of = |a: &Array4<T>| a.mapv(|v| v * v);
        let (x, kernel, dz) = (of(&self.x), of(&self.kernel), of(&self.dz));
        Self { x, kernel, bias: Array1::zeros(self.bias.len()), dz }
    }

    pub(super) fn by_definition(&self, g: &Geometry) -> Results<T> {
        let mut results = Results::stale(g);
        let Results { z, dx, dkernel, dbias } = &mut results;
        let (x, kernel, dz) = (self.x.view(), self.kernel.view(), self.dz.view());
        definition::forward(g, x, kernel, Some(self.bias.view()), z.view_mut());
        definition::backward_input(g, dz, kernel, dx.view_mut());
        definition::backward_weight(g, x, dz, dkernel.view_mut());
        definition::backward_bias(g, dz, dbias.view_mut());
        results
    }
}

/// A geometry that fits: odd extents, strides beyond the kernel, holes, all paddings, groups.
pub(super) fn random_geometry(cases: &mut Cases) -> Geometry {
    loop {
        // Half of them in one group, which is what networks mostly do.
        let groups = cases.one_of(&[1, 1, 1, 2, 3, 17]);
        let (channels, filters) = match groups {
            1 => {
                let channels = cases.one_of(&[1, 2, 3, 5, 8, 16, 17, 33]);
                (channels, cases.one_of(&[1, 2, 3, 7, 8, 16, 19, 32, 33, 50, 70]))
            }
            // One channel and one filter are done in another way than several.
            _ => (cases.one_of(&[1, 1, 2, 5]), groups * cases.one_of(&[1, 1, 2, 9])),
        };
        let kernel = [cases.extent(1, 5), cases.extent(1, 5)];
        let strides = [cases.extent(1, 4), cases.extent(1, 4)];
        let dilation = cases.one_of(&[[1, 1], [1, 1], [2, 1], [1, 2], [3, 2]]);
        let [n, h, w] = [3, 21, 33].map(|most| cases.extent(1, most));
        let explicit = [(); 2].map(|()| [cases.extent(0, 4), cases.extent(0, 4)]);
        let explicit = Padding::Explicit(explicit);
        let padding = cases.one_of(&[Padding::Valid, Padding::Same, explicit]);
        let reach = [0, 1].map(|i| (kernel[i] - 1) * dilation[i] + 1);
        let kernel = Shape::new(&[kernel[0], kernel[1], channels, filters]);
        // Half of them at stride 1, too.
        let strides = cases.one_of(&[strides, [1, 1]]);
        let x = Shape::new(&[n, h, w, channels * groups]);
        if padding.flaw(reach).is_none()
            && let Ok(g) = Geometry::grouped(groups, x, kernel, strides, padding, dilation)
        {
            return g;
        }
    }
}

pub(super) fn assert_results(
    what: &str,
    actual: &Results<f32>,
    expected: &Results<f64>,
    g: &Geometry,
) {
    let close = |name: &str, a: &[f32], e: &[f64], length: usize| {
        assert_close(&format!("{what}: {name}"), a, e, Tolerance::for_reduction(length));
    };
    let pixels = g.n * g.p * g.q;
    let flat = |a: &Array4<f32>| a.as_slice().unwrap().to_vec();
    close("z", &flat(&actual.z), expected.z.as_slice().unwrap(), g.taps() + 1);
    close("dx", &flat(&actual.dx), expected.dx.as_slice().unwrap(), g.r * g.s * g.k / g.groups);
    close("dkernel", &flat(&actual.dkernel), expected.dkernel.as_slice().unwrap(), pixels);
    let (a, e) = (actual.dbias.as_slice().unwrap(), expected.dbias.as_slice().unwrap());
    close("dbias", a, e, pixels);
}

#[test]
fn the_gradients_are_the_derivatives() {
    let [valid, same, explicit] =
        [Padding::Valid, Padding::Same, Padding::Explicit([[1, 2], [0, 1]])];
    for (case, (groups, h, w, [r, s], strides, padding, dilation)) in [
        (1, 4, 5, [3, 3], [1, 1], valid, [1, 1]),
        (1, 5, 4, [3, 2], [1, 1], same, [1, 1]),
        (1, 6, 7, [3, 3], [2, 3], same, [1, 1]),
        (1, 6, 7, [2, 3], [2, 1], valid, [2, 2]),
        (1, 3, 3, [1, 1], [2, 2], valid, [1, 1]),
        (1, 4, 5, [3, 2], [2, 1], explicit, [1, 1]),
        (2, 4, 5, [3, 2], [1, 2], explicit, [1, 1]),
        (3, 4, 5, [2, 2], [1, 1], same, [2, 1]),
    ]
    .into_iter()
    .enumerate()
    {
        let filters = if groups == 1 { 3 } else { groups };
        let (x, kernel) = (Shape::new(&[2, h, w, 2 * groups]), Shape::new(&[r, s, 2, filters]));
        let g = Geometry::grouped(groups, x, kernel, strides, padding, dilation).unwrap();
        let at = Arrays::random(&g, &mut Cases::new("conv2d gradient", case as u32)).in_f64();
        let analytic = at.by_definition(&g);
        // The loss is Σ z · dz, so that ∂loss/∂z is dz.
        let loss = |x: &Array4<f64>, kernel: &Array4<f64>, bias: &Array1<f64>| {
            let mut z = Array4::zeros(at.dz.dim());
            definition::forward(&g, x.view(), kernel.view(), Some(bias.view()), z.view_mut());
            (z * &at.dz).sum()
        };
        let errors = [
            gradcheck(at.x.as_slice().unwrap(), analytic.dx.as_slice().unwrap(), |x| {
                loss(&array(g.x(), x.to_vec()), &at.kernel, &at.bias)
            }),
            gradcheck(at.kernel.as_slice().unwrap(), analytic.dkernel.as_slice().unwrap(), |k| {
                loss(&at.x, &array(g.kernel(), k.to_vec()), &at.bias)
            }),
            gradcheck(at.bias.as_slice().unwrap(), analytic.dbias.as_slice().unwrap(), |b| {
                loss(&at.x, &at.kernel, &Array1::from(b.to_vec()))
            }),
        ];
        assert!(errors.iter().all(|e| *e < 1e-6), "{g:?}: dx, dkernel, dbias off by {errors:?}");
    }
}

#[test]
fn the_engine_is_the_definition_on_every_instruction_set() {
    for case in 0..120 {
        let mut cases = Cases::new("conv2d engine", case);
        let g = random_geometry(&mut cases);
        let arrays = Arrays::random(&g, &mut cases);
        let expected = arrays.in_f64().by_definition(&g);
        for isa in Isa::available() {
            let what = format!("case {case} on {isa:?}, {g:?}");
            let alone = arrays.by_engine(&g, isa, 1);
            assert_results(&what, &alone, &expected, &g);
            assert_eq!(alone, arrays.by_engine(&g, isa, 3), "{what}: 1 and 3 threads differ");
        }
    }
}

#[test]
fn the_width_of_the_registers_changes_no_bit() {
    let mut fused = Isa::available();
    fused.retain(|isa| *isa != Isa::Baseline);
    let (x, kernel) = (Shape::new(&[3, 40, 33, 17]), Shape::new(&[3, 3, 17, 75]));
    let g = Geometry::new(x, kernel, [1, 1], Padding::Same, [1, 1]).unwrap();
    let arrays = Arrays::random(&g, &mut Cases::new("conv2d widths", 0));
    let expected = arrays.in_f64().by_definition(&g);
    let results: Vec<_> = fused.iter().map(|isa| arrays.by_engine(&g, *isa, 2)).collect();
    for (isa, result) in fused.iter().zip(&results) {
        assert_results(&format!("{isa:?}"), result, &expected, &g);
        assert_eq!(*result, results[0], "{isa:?} and {:?}", fused[0]);
    }
}

#[test]
fn scratch_for_a_batch_is_enough_for_a_smaller_one() {
    let kernel = Shape::new(&[3, 3, 2, 3]);
    let sizes = [1, 2, 3, 4, 5, 6, 15, 17].map(|n| {
        let x = Shape::new(&[n, 4, 6, 2]);
        cpu::scratch(&Geometry::new(x, kernel, [1, 1], Padding::Same, [1, 1]).unwrap())
    });
    assert!(sizes.is_sorted(), "{sizes:?}");
}

#[test]
fn the_layer_applies_and_undoes_its_activation() {
    for activation in [Activation::Linear, Activation::Relu, Activation::Softmax, Activation::Silu]
    {
        let layer = Conv2D::new(5, [3, 2]).strides(2).padding(Padding::Same).activation(activation);
        let mut cases = Cases::new("conv2d layer", 0);
        let x_spec = Spec::f32(Shape::new(&[2, 7, 6, 3]));
        let (mut layer, mut cx) = (layer, Context::new(Device::Cpu, 2));
        layer.build(x_spec.shape, &mut Init::new(&Device::Cpu, 1)).unwrap();
        layer.bias.value.slice_mut().copy_from_slice(&cases.normal(5));
        let plan = layer.plan(x_spec, Mode::Train).unwrap();
        plan.reserve(&mut cx);
        let mut saved = Saved::allocate(&plan, &Device::Cpu);
        let tensor = |spec: Spec, cases: &mut Cases| {
            Tensor::from_slice(spec.shape, &cases.normal(spec.shape.len()))
        };
        let (x, mut dy) = (tensor(x_spec, &mut cases), tensor(plan.output, &mut cases));
        let (mut y, mut dx) = (dy.clone(), x.clone());
        layer.forward(&mut cx, &x, &mut y, &mut saved);

        let g = layer.planned(&x);
        let (kernel, bias) = (layer.kernel.value.clone(), layer.bias.value.clone());
        let mut expected = Tensor::zeros(plan.output, &Device::Cpu);
        let z = expected.view_mut::<f32, Ix4>();
        definition::forward(&g, x.view(), kernel.view(), Some(bias.view()), z);
        activation::definition::forward(activation, expected.rows_mut::<f32>());
        let tolerance = Tolerance::for_reduction(g.taps() + 1);
        assert_close("y", y.slice::<f32>(), expected.slice::<f32>(), tolerance);

        let mut dz = dy.clone();
        let kept = saved.tensors.first().unwrap_or(&y);
        assert_eq!(saved.tensors.len(), usize::from(activation.needs_z()), "z where it is needed");
        activation::definition::backward(activation, kept.rows::<f32>(), dz.rows_mut());
        let arrays = Arrays::<f32> {
            x: x.view::<f32, Ix4>().to_owned(),
            kernel: kernel.view::<f32, Ix4>().to_owned(),
            bias: bias.view::<f32, Ix1>().to_owned(),
            dz: dz.view::<f32, Ix4>().to_owned(),
        };
        layer.backward(&mut cx, &x, &y, &mut dy, Some(&mut dx), &mut saved);
        let actual = Results::<f32> {
            z: array(g.y(), expected.slice().to_vec()),
            dx: dx.view::<f32, Ix4>().to_owned(),
            dkernel: layer.kernel.grad.view::<f32, Ix4>().to_owned(),
            dbias: layer.bias.grad.view::<f32, Ix1>().to_owned(),
        };
        let mut expected = arrays.in_f64().by_definition(&g);
        expected.z = actual.z.mapv(f64::from);
        assert_results(&format!("{activation:?}"), &actual, &expected, &g);
    }
}

#[test]
fn relu_in_the_epilogue_lets_nan_through() {
    let (x, kernel) = (Shape::new(&[1, 1, 3, 1]), Shape::new(&[1, 1, 1, 17]));
    let g = Geometry::new(x, kernel, [1, 1], Padding::Valid, [1, 1]).unwrap();
    let (x, kernel) = (array(x, vec![f32::NAN, 2.0, -2.0]), array(kernel, vec![1.0; 17]));
    for isa in Isa::available() {
        let ws = &mut Context::new(Device::Cpu, 1).workspace;
        ws.reserve(cpu::scratch(&g), cpu::desk(&g));
        let mut y = array(g.y(), vec![9.0; g.y().len()]);
        let epilogue = Epilogue { bias: None, relu: true };
        let (engine, moments) = (Engine::new(isa, ws, &g), Moments::Unwanted);
        engine.forward(x.view(), kernel.view(), epilogue, moments, y.view_mut());
        let [lost, twice, zero] = y.as_slice().unwrap().as_chunks::<17>().0 else { panic!("3") };
        assert!(lost.iter().all(|v| v.is_nan()), "{isa:?}: {lost:?}");
        assert_eq!((twice, zero), (&[2.0; 17], &[0.0; 17]), "{isa:?}");
    }
}

/// Geometry and arrays of a golden case. Without a bias it is zero, and so is its gradient unread.
fn golden_case(golden: &Golden, case: &str) -> (Geometry, Arrays<f32>) {
    let params = golden.params(case);
    let of = |field| -> Array4<f32> { golden.tensor(case, field).into_dimensionality().unwrap() };
    let (x, kernel, dz) = (of("x"), of("kernel"), of("dy"));
    let strides = serde_json::from_value(params["strides"].clone()).unwrap();
    let padding = serde_json::from_value(params["padding"].clone()).unwrap();
    let dilation = [params["dilation"].as_u64().unwrap() as usize; 2];
    let shape = |a: &Array4<f32>| Shape::new(a.shape());
    let g = Geometry::new(shape(&x), shape(&kernel), strides, padding, dilation).unwrap();
    let bias = match golden.has(case, "bias") {
        true => golden.tensor(case, "bias").into_dimensionality().unwrap(),
        false => Array1::zeros(g.k),
    };
    (g, Arrays { x, kernel, bias, dz })
}

#[test]
fn convolution_agrees_with_keras() {
    let Some(golden) = Golden::open("conv2d") else {
        return;
    };
    let names = golden.cases("n");
    assert_eq!(names.len(), 32);
    for case in names {
        let (g, arrays) = golden_case(&golden, case);
        let mut all = vec![("definition".to_owned(), arrays.by_definition(&g))];
        for isa in Isa::available() {
            all.push((format!("{isa:?}"), arrays.by_engine(&g, isa, 2)));
        }
        if let Some(gpu) = gradus_testing::gpu() {
            let by_kernels = cuda::tests::by_kernels(&gpu, Precision::F32, &g, &arrays);
            all.push(("kernels".to_owned(), by_kernels));
        }
        for (by, Results { z, dx, dkernel, dbias }) in all {
            let expect = |field: &str, actual: &[f32]| {
                let expected: ArrayD<f32> = golden.tensor(case, field);
                let tolerance = Tolerance::golden(golden.noise(case, field));
                let what = format!("{case}/{field} by {by}");
                assert_close(&what, actual, expected.as_slice().unwrap(), tolerance);
            };
            expect("y", z.as_slice().unwrap());
            expect("dx", dx.as_slice().unwrap());
            expect("dkernel", dkernel.as_slice().unwrap());
            if golden.has(case, "dbias") {
                expect("dbias", dbias.as_slice().unwrap());
            }
        }
    }
}

#[test]
fn a_layer_is_rebuilt_from_its_config() {
    let layer = Conv2D::new(8, [3, 5]).strides([2, 1]).padding(Padding::Same).use_bias(false);
    let config = layer.dilation_rate(1).activation(Activation::Relu).config();
    let json = serde_json::json!({
        "filters": 8, "kernel_size": [3, 5], "strides": [2, 1], "padding": "same",
        "dilation_rate": [1, 1], "activation": "relu", "use_bias": false,
    });
    assert_eq!(serde_json::Value::Object(config.config.clone()), json);
    let registry = Registry::default();
    assert_eq!(Conv2D::from_config(&config, &registry).unwrap().config(), config);
    for (option, wrong) in [
        ("filters", serde_json::json!(0)),
        ("strides", serde_json::json!([1, 0])),
        ("padding", serde_json::json!("full")),
        ("data_format", serde_json::json!("channels_first")),
        ("groups", serde_json::json!(3)),
        ("padding", serde_json::json!([[3, 0], [0, 0]])),
    ] {
        let mut config = config.clone();
        config.config.insert(option.to_owned(), wrong);
        let error = Conv2D::from_config(&config, &registry).unwrap_err();
        assert!(error.to_string().starts_with("the config of Conv2D does not fit"), "{error}");
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let mut layer = Conv2D::new(4, 3);
    let said =
        |layer: &Conv2D, x: &[usize]| layer.output_shape(Shape::new(x)).unwrap_err().expected;
    assert_eq!(said(&layer, &[2, 9]), "expected images: (N, H, W, C)");
    assert_eq!(said(&layer, &[2, 2, 9, 1]), "expected at least 3·3 pixels");
    layer.build(Shape::new(&[1, 9, 9, 3]), &mut Init::new(&Device::Cpu, 0)).unwrap();
    assert_eq!(said(&layer, &[2, 9, 9, 4]), "expected 3 channels: (N, H, W, C)");
    assert_eq!(layer.output_shape(Shape::new(&[2, 9, 8, 3])).unwrap().dims(), [2, 7, 6, 4]);
}

#[test]
fn the_activation_can_be_taken_off() {
    let mut head = Conv2D::new(4, 1).activation(Activation::Softmax);
    let taken = head.closing_activation().map(std::mem::take);
    assert_eq!(taken, Some(Activation::Softmax));
    assert_eq!(head.options.activation, Activation::Linear);
}

/// PyTorch's numbers, by hand: a 3·3 image under `padding=1, stride=2` and under two groups.
#[test]
fn explicit_padding_and_groups_do_what_pytorch_does() {
    let x =
        Tensor::from_slice(Shape::new(&[1, 3, 3, 1]), &[1.0f32, 2., 3., 4., 5., 6., 7., 8., 9.]);
    let ones = Initializer::Ones;
    let layer = Conv2D::new(1, 3).strides(2).padding(1).kernel_initializer(ones);
    let y = Trial::new(layer, x.shape(), 1).forward(&x);
    assert_eq!(y.slice::<f32>(), [12.0, 16.0, 24.0, 28.0]);
    let x = Tensor::from_slice(Shape::new(&[1, 1, 1, 4]), &[1.0f32, 2.0, 10.0, 20.0]);
    let layer = Conv2D::new(4, 1).groups(2).kernel_initializer(ones).bias_initializer(ones);
    let config = layer.config();
    assert_eq!(config.config["groups"], 2);
    assert_eq!(Conv2D::from_config(&config, &Registry::default()).unwrap().config(), config);
    let mut trial = Trial::new(layer, x.shape(), 1);
    assert_eq!(trial.forward(&x).slice::<f32>(), [4.0, 4.0, 31.0, 31.0]);
    let other = trial.layer.output_shape(Shape::new(&[1, 1, 1, 6])).unwrap_err();
    assert_eq!(other.expected, "expected 4 channels, 2 groups: (N, H, W, C)");
}

#[test]
fn a_frozen_convolution_gives_dx_alone() {
    let x = Tensor::from_slice(Shape::new(&[1, 2, 2, 1]), &[1.0f32, 2.0, 3.0, 4.0]);
    let layer = Conv2D::new(1, 2).kernel_initializer(Initializer::Ones).trainable(false);
    assert_eq!(layer.config().config["trainable"], false);
    let mut trial = Trial::new(layer, x.shape(), 1);
    let y = trial.forward(&x);
    let one = Tensor::from_slice(y.shape(), &[1.0f32]);
    assert_eq!(trial.backward(&x, &y, &one).slice::<f32>(), [1.0; 4]);
    assert_eq!(trial.layer.kernel.grad.slice::<f32>(), [0.0; 4]);
    trial.layer.set_trainable(true);
    let _ = trial.backward(&x, &y, &one);
    assert_eq!(trial.layer.kernel.grad.slice::<f32>(), x.slice::<f32>());
}
