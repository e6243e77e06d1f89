//! candle's side of `cargo xtask rivals`: the tutorial's network.
//!
//! `rivals_candle train --batch 15 --threads 2 --seconds 3`, or `infer`. The number of threads is
//! rayon's: `RAYON_NUM_THREADS`.

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{
    BatchNorm, BatchNormConfig, Conv2d, Dropout, Linear, Module, ModuleT, VarBuilder, VarMap,
    batch_norm, conv2d, linear, loss::cross_entropy, ops::softmax,
};
use serde_json::json;
use std::time::Instant;

const FILTERS: [usize; 4] = [3, 32, 64, 128];

struct Network {
    blocks: Vec<(Conv2d, BatchNorm)>,
    hidden: (Linear, BatchNorm),
    top: Linear,
}

impl Network {
    fn new(vb: &VarBuilder<'_>) -> Result<Self> {
        let options = BatchNormConfig { eps: 1e-3, momentum: 0.01, ..Default::default() };
        let block = |i: usize| {
            let (c, k) = (FILTERS[i], FILTERS[i + 1]);
            let convolution = conv2d(c, k, 3, Default::default(), vb.pp(format!("conv{i}")))?;
            Ok((convolution, batch_norm(k, options, vb.pp(format!("norm{i}")))?))
        };
        Ok(Self {
            blocks: (0..3).map(block).collect::<Result<_>>()?,
            hidden: (linear(25_088, 512, vb.pp("hidden"))?, batch_norm(512, options, vb.pp("norm"))?),
            top: linear(512, 2, vb.pp("top"))?,
        })
    }

    /// Logits.
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let mut x = x.clone();
        for (convolution, norm) in &self.blocks {
            x = norm.forward_t(&convolution.forward(&x)?.relu()?, train)?;
            // Pooling's gradient wants even extents: the odd row and column are dropped anyway.
            let (_, _, h, w) = x.dims4()?;
            x = x.narrow(2, 0, h / 2 * 2)?.narrow(3, 0, w / 2 * 2)?;
            x = Dropout::new(0.25).forward(&x.max_pool2d(2)?, train)?;
        }
        let (dense, norm) = &self.hidden;
        let x = norm.forward_t(&dense.forward(&x.flatten_from(1)?)?.relu()?, train)?;
        self.top.forward(&Dropout::new(0.5).forward(&x, train)?)
    }
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = words.iter().position(|word| word == name).expect(name);
        words[at + 1].parse::<f64>().expect("a number")
    };
    let (n, threads) = (option("--batch") as usize, option("--threads") as usize);
    let parameters = VarMap::new();
    let vb = VarBuilder::from_varmap(&parameters, DType::F32, &Device::Cpu);
    let network = Network::new(&vb)?;
    let variables = parameters.all_vars();
    let count: usize = variables.iter().map(|v| v.elem_count()).sum();
    println!("{}", json!({ "version": "candle 0.11", "parameters": count, "threads": threads }));
    let x = Tensor::rand(0f32, 1., (n, 3, 128, 128), &Device::Cpu)?;
    let classes: Vec<u32> = (0..n as u32).map(|i| i % 2).collect();
    let y = Tensor::from_vec(classes, n, &Device::Cpu)?;
    let mut velocity: Vec<Tensor> =
        variables.iter().map(|v| v.zeros_like()).collect::<Result<_>>()?;
    // candle has no RMSprop.
    let mut train = || {
        let loss = cross_entropy(&network.forward(&x, true)?, &y)?;
        let gradients = loss.backward()?;
        for (variable, velocity) in variables.iter().zip(&mut velocity) {
            if let Some(g) = gradients.get(variable) {
                *velocity = ((&*velocity * 0.9)? + (g.sqr()? * 0.1)?)?;
                let step = (g * 1e-3)?.div(&(velocity.sqrt()? + 1e-7)?)?;
                variable.set(&(variable.as_tensor() - step)?)?;
            }
        }
        loss.to_scalar::<f32>().map(drop)
    };
    let infer = || softmax(&network.forward(&x, false)?, D::Minus1)?.to_vec2::<f32>().map(drop);
    match words[1].as_str() {
        "train" => report("train", n, option("--seconds"), &mut train),
        _ => report("infer", n, option("--seconds"), &mut { infer }),
    }
}

fn report(
    measure: &str,
    images: usize,
    seconds: f64,
    call: &mut dyn FnMut() -> Result<()>,
) -> Result<()> {
    (0..2).try_for_each(|_| call())?;
    let (mut times, begin) = (Vec::new(), Instant::now());
    while times.len() < 3 || begin.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        call()?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let rate = images as f64 / times[times.len() / 2];
    println!("{}", json!({ "measure": measure, "rate": rate }));
    Ok(())
}
