//! RMSprop on the CPU: one pass over everything that belongs to a parameter.
//!
//! The pass waits for memory, so there is nothing to win by approximating the root or the
//! quotient, nor by fusing a product with a sum: each operation rounds as in the definition, and
//! the results have the same bits on every instruction set.

use super::{Rule, Variables};
use gradus_tensor::simd::Isa;
use gradus_tensor::{Chunks, Pool};

/// Values a task takes: 64 KiB of each stream, so that a large kernel is shared evenly and a bias
/// is not shared at all.
const CHUNK: usize = 16_384;

/// One step.
///
/// # Panics
/// If something has another length than the rule demands.
pub fn step(pool: &Pool, rule: &Rule, x: Variables<'_, f32>) {
    step_on(Isa::detect(), pool, rule, x);
}

/// One step on that instruction set.
///
/// # Panics
/// If something has another length than the rule demands, or the machine lacks the instructions.
pub fn step_on(isa: Isa, pool: &Pool, rule: &Rule, x: Variables<'_, f32>) {
    x.check(rule);
    let grads = x.grad;
    let (w, v) = (Chunks::new(x.value, CHUNK), Chunks::new(x.velocity, CHUNK));
    let (a, m) = (Chunks::new(x.average_gradient, CHUNK), Chunks::new(x.momentum, CHUNK));
    let chunk = |i: usize, value, velocity, average_gradient, momentum| {
        let value: &mut [f32] = value;
        let grad = &grads[i * CHUNK..][..value.len()];
        chunk(isa, rule, Variables { value, grad, velocity, average_gradient, momentum });
    };
    match (rule.centered, rule.momentum > 0.0) {
        (false, false) => pool.each((w, v), |i, (w, v)| chunk(i, w, v, &mut [], &mut [])),
        (true, false) => pool.each((w, v, a), |i, (w, v, a)| chunk(i, w, v, a, &mut [])),
        (false, true) => pool.each((w, v, m), |i, (w, v, m)| chunk(i, w, v, &mut [], m)),
        (true, true) => pool.each((w, v, a, m), |i, (w, v, a, m)| chunk(i, w, v, a, m)),
    }
}

gradus_tensor::vectorize! {
    fn chunk(rule: &Rule, x: Variables<'_, f32>) = chunk_body;
}

/// Plain loops over slices of one length, which the compiler makes as wide as the registers.
/// (Written over `V`, the same loop was turned into gathers: a sixth of the speed with AVX-512.)
#[inline(always)]
fn chunk_body<const L: usize, const FMA: bool>(rule: &Rule, x: Variables<'_, f32>) {
    match (rule.centered, rule.momentum > 0.0) {
        (false, false) => pass::<false, false>(rule, x),
        (true, false) => pass::<true, false>(rule, x),
        (false, true) => pass::<false, true>(rule, x),
        (true, true) => pass::<true, true>(rule, x),
    }
}

#[inline(always)]
fn pass<const CENTERED: bool, const MOMENTUM: bool>(rule: &Rule, x: Variables<'_, f32>) {
    let n = x.value.len();
    let (w, g, v) = (x.value, &x.grad[..n], &mut x.velocity[..n]);
    let a = &mut x.average_gradient[..if CENTERED { n } else { 0 }];
    let m = &mut x.momentum[..if MOMENTUM { n } else { 0 }];
    let [rho, rest] = [rule.rho, 1.0 - rule.rho].map(|value| value as f32);
    let [mu, epsilon] = [rule.momentum, rule.epsilon].map(|value| value as f32);
    for i in 0..n {
        v[i] = rho * v[i] + rest * (g[i] * g[i]);
        let mut spread = v[i];
        if CENTERED {
            a[i] = rho * a[i] + rest * g[i];
            spread -= a[i] * a[i];
            spread = if spread < 0.0 { 0.0 } else { spread };
        }
        let mut step = rule.learning_rate * g[i] / (spread + epsilon).sqrt();
        if MOMENTUM {
            m[i] = mu * m[i] + step;
            step = m[i];
        }
        w[i] -= step;
    }
}
