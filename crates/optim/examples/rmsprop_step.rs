//! RMSprop on a parameter of your own, without a network: w goes where (w − 3)² is least.
//!
//! ```text
//! cargo run --package gradus-optim --example rmsprop_step
//! ```

#![allow(clippy::print_stdout, reason = "a program for people prints what it has to say")]

use gradus_optim::{Optimizer, RMSprop};
use gradus_tensor::{Context, Device, Param, Shape, fields};

/// Whatever has named parameters can be trained.
struct Points {
    w: Param,
}

fields! { Points: param w }

fn main() {
    let mut cx = Context::new(Device::Cpu, 0);
    let mut points = Points { w: Param::zeros(Shape::new(&[1000]), &Device::Cpu) };
    let mut optimizer = RMSprop::new();
    optimizer.build(&points, &cx.device);
    cx.step.learning_rate = 0.01;
    for step in 0..1000 {
        let Param { value, grad, .. } = &mut points.w;
        let (w, dw) = (value.slice::<f32>(), grad.slice_mut::<f32>());
        dw.iter_mut().zip(w).for_each(|(dw, w)| *dw = 2.0 * (w - 3.0));
        if step % 200 == 0 {
            println!("step {step:4}: w = {:.4}", w[0]);
        }
        optimizer.step(&mut cx, &mut points);
        cx.step.step += 1;
    }
    println!("at last:   w = {:.4}", points.w.value.slice::<f32>()[0]);
}
