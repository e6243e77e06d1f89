//! Activations for which no format has a word, composed of words that all have.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// What can append operations to a graph.
pub(crate) trait Compose {
    /// What the sum of two values is called.
    const ADD: &'static str;

    /// Appends an operation without options; the name of what it gives.
    fn op(&mut self, op: &str, inputs: &[&str]) -> String;

    /// Appends one number; its name.
    fn number(&mut self, name: &str, value: f64) -> String;

    /// z·σ(z).
    fn silu(&mut self, z: &str) -> String {
        let sigmoid = self.op("Sigmoid", &[z]);
        self.op("Mul", &[z, &sigmoid])
    }

    /// z · tanh(softplus(z)).
    fn mish(&mut self, z: &str) -> String {
        let softplus = self.op("Softplus", &[z]);
        let tanh = self.op("Tanh", &[&softplus]);
        self.op("Mul", &[z, &tanh])
    }

    /// z/2 · (1 + erf(z/√2)).
    fn gelu(&mut self, z: &str) -> String {
        let root = self.number("root", FRAC_1_SQRT_2);
        let scaled = self.op("Mul", &[z, &root]);
        let erf = self.op("Erf", &[&scaled]);
        self.half_of(z, &erf)
    }

    /// z/2 · (1 + tanh u), u = √(2/π) · (z + 0.044715 z³).
    fn gelu_tanh(&mut self, z: &str) -> String {
        let (cubic, root) =
            (self.number("cubic", 0.044_715), self.number("root", FRAC_2_SQRT_PI * FRAC_1_SQRT_2));
        let square = self.op("Mul", &[z, z]);
        let cube = self.op("Mul", &[&square, z]);
        let cube = self.op("Mul", &[&cube, &cubic]);
        let sum = self.op(Self::ADD, &[z, &cube]);
        let u = self.op("Mul", &[&sum, &root]);
        let tanh = self.op("Tanh", &[&u]);
        self.half_of(z, &tanh)
    }

    /// z/2 · (1 + share), in the order in which TFLite knows it again as a gelu.
    fn half_of(&mut self, z: &str, share: &str) -> String {
        let (one, half) = (self.number("one", 1.0), self.number("half", 0.5));
        let halved = self.op("Mul", &[z, &half]);
        let sum = self.op(Self::ADD, &[share, &one]);
        self.op("Mul", &[&halved, &sum])
    }
}
