//! Published networks as composition of layers.
//!
//! One function for each network: it names the layers in order and does nothing else. What comes
//! back is not built yet; `build_on` makes its parameters.

mod dogs_vs_cats;

pub use dogs_vs_cats::dogs_vs_cats;
pub use gradus_layers as layers;
