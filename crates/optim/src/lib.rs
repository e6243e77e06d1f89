//! How parameters move, and how fast: optimizers and learning-rate schedules.
//!
//! One room for each optimizer: `<optimizer>.rs` is the lecture (formula, plain definition, proof),
//! the folder beside it holds its engines. An optimizer meets a model as [`Fields`] only, so it
//! knows no layer; it reads the learning rate of the step from the context, so it knows no
//! [`Schedule`] either.
//!
//! ```
//! use gradus_optim::{Optimizer, RMSprop};
//! use gradus_tensor::{Context, Device, Param, Shape, fields};
//!
//! // A parabola with its bottom at 3: loss (x − 3)², gradient 2(x − 3).
//! struct Parabola { x: Param }
//! fields! { Parabola: param x }
//! let mut model = Parabola { x: Param::zeros(Shape::new(&[1]), &Device::Cpu) };
//!
//! let mut optimizer = RMSprop::new();
//! optimizer.build(&model, &Device::Cpu);
//! let mut cx = Context::new(Device::Cpu, 1);
//! for step in 0..400 {
//!     cx.step.learning_rate = 0.1 * 0.98f32.powi(step);
//!     model.x.grad.slice_mut::<f32>()[0] = 2.0 * (model.x.value.slice::<f32>()[0] - 3.0);
//!     optimizer.step(&mut cx, &mut model);
//! }
//! assert!((model.x.value.slice::<f32>()[0] - 3.0).abs() < 1e-3);
//! ```
//!
//! [`Fields`]: gradus_tensor::Fields

pub mod rmsprop;

mod optimizer;
mod schedule;
mod state;

pub use gradus_tensor as tensor;
pub use optimizer::Optimizer;
pub use rmsprop::RMSprop;
pub use schedule::{Constant, Schedule};
pub use state::State;
