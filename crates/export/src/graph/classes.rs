//! What each class of layers comes to.

use super::{Op, Pool, Value, Walk, Weight};
use crate::Error;
use gradus_layers::zero_padding2d::Borders;
use gradus_layers::{Activation, Config, ELU, Layer, LeakyReLU, Padding, ReLU, Registry, Softmax};
use gradus_layers::{Described, conv2d, pooling};
use gradus_tensor::{Path, Shape};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Options of `Conv2D` and `Dense`, as far as inference needs them.
#[derive(Deserialize)]
struct Linear {
    #[serde(default)]
    activation: Activation,
}

#[derive(Deserialize)]
struct Convolution {
    strides: [usize; 2],
    padding: Padding,
    dilation_rate: [usize; 2],
    #[serde(default = "one")]
    groups: usize,
}

fn one() -> usize {
    1
}

#[derive(Deserialize)]
struct Normalization {
    epsilon: f64,
}

#[derive(Deserialize)]
struct Pooling {
    pool_size: [usize; 2],
    padding: Padding,
    strides: Option<[usize; 2]>,
}

#[derive(Deserialize)]
struct Global {
    #[serde(default)]
    keepdims: bool,
}

#[derive(Deserialize)]
struct Zeros {
    padding: Borders,
}

#[derive(Deserialize)]
struct Chain {
    layers: Vec<Config>,
}

impl Walk {
    /// Appends what `layer` does to x. `config` is what its container says of it: that alone knows
    /// of a closing activation that was split off.
    pub(super) fn layer(
        &mut self,
        layer: &dyn Layer,
        config: &Config,
        x: Value,
    ) -> Result<Value, Error> {
        use Pool::{Average, Max};
        match config.class_name.as_str() {
            "Sequential" => self.chain(layer, config, x),
            "Residual" => self.residual(layer, config, x),
            "Concatenate" => self.branches(layer, config, x),
            "Conv2D" => self.conv2d(layer, config, x),
            "Dense" => self.dense(layer, config, x),
            "BatchNormalization" => self.batch_normalization(layer, config, x),
            "MaxPooling2D" => self.pool(Max, layer, config, x),
            "AveragePooling2D" => self.pool(Average, layer, config, x),
            "GlobalMaxPooling2D" => self.global_pool(Max, layer, config, x),
            "GlobalAveragePooling2D" => self.global_pool(Average, layer, config, x),
            "ZeroPadding2D" => {
                let Zeros { padding: Borders(borders) } = self.options(config)?;
                let y = self.output_shape(layer, x)?;
                Ok(self.push(Op::ZeroPadding2D(borders), vec![x], y))
            }
            "Flatten" => {
                let y = self.output_shape(layer, x)?;
                Ok(self.push(Op::Flatten, vec![x], y))
            }
            "Dropout" => Ok(x),
            "Activation" => {
                let Linear { activation } = self.options(config)?;
                Ok(self.activate(activation, x))
            }
            "ReLU" => self.activation_layer(ReLU::from_config, ReLU::activation, config, x),
            "LeakyReLU" => {
                self.activation_layer(LeakyReLU::from_config, LeakyReLU::activation, config, x)
            }
            "ELU" => self.activation_layer(ELU::from_config, ELU::activation, config, x),
            "Softmax" => {
                self.activation_layer(Softmax::from_config, Softmax::activation, config, x)
            }
            _ => Err(self.refuse(
                config,
                "other programs do not know this class; compose it from gradus's own layers",
            )),
        }
    }

    fn chain(&mut self, chain: &dyn Layer, config: &Config, x: Value) -> Result<Value, Error> {
        let Chain { layers } = self.options(config)?;
        let mut layers = chain.children().into_iter().zip(&layers);
        layers.try_fold(x, |x, ((name, layer), config)| self.within(name, layer, config, x))
    }

    fn residual(&mut self, block: &dyn Layer, config: &Config, x: Value) -> Result<Value, Error> {
        let Linear { activation } = self.options(config)?;
        let mut ways = self.each(block, x)?;
        // Without a shortcut of its own the other way is x itself.
        ways.resize(2, x);
        let y = self.output_shape(block, x)?;
        let sum = self.push(Op::Add, ways, y);
        Ok(self.activate(activation, sum))
    }

    fn branches(&mut self, block: &dyn Layer, _: &Config, x: Value) -> Result<Value, Error> {
        let parts = self.each(block, x)?;
        let y = self.output_shape(block, x)?;
        Ok(self.push(Op::Concatenate, parts, y))
    }

    /// What each of the layers inside makes of x.
    fn each(&mut self, block: &dyn Layer, x: Value) -> Result<Vec<Value>, Error> {
        let children = block.children().into_iter();
        children.map(|(name, layer)| self.within(name, layer, &layer.config(), x)).collect()
    }

    fn conv2d(&mut self, layer: &dyn Layer, config: &Config, x: Value) -> Result<Value, Error> {
        let Convolution { strides, padding, dilation_rate, groups } = self.options(config)?;
        let [kernel, bias] = self.weights(layer, config, ["kernel", "bias"])?;
        let kernel = self.built(config, kernel)?;
        let geometry = conv2d::Geometry::grouped(
            groups,
            x.shape,
            kernel.shape,
            strides,
            padding,
            dilation_rate,
        );
        let geometry = geometry.map_err(|e| e.within(self.path.as_str()))?;
        let op = Op::Conv2D { geometry, padding, kernel, bias };
        let z = self.push(op, vec![x], geometry.y());
        let Linear { activation } = self.options(config)?;
        Ok(self.activate(activation, z))
    }

    fn dense(&mut self, layer: &dyn Layer, config: &Config, x: Value) -> Result<Value, Error> {
        let [kernel, bias] = self.weights(layer, config, ["kernel", "bias"])?;
        let kernel = self.built(config, kernel)?;
        let y = self.output_shape(layer, x)?;
        if kernel.shape.batch() != x.shape.last() {
            let reason = format!("expected (N, {}), for which it was built", kernel.shape.batch());
            return Err(gradus_layers::ShapeError::new(x.shape, reason)
                .within(self.path.as_str())
                .into());
        }
        let z = self.push(Op::Dense { kernel, bias }, vec![x], y);
        let Linear { activation } = self.options(config)?;
        Ok(self.activate(activation, z))
    }

    fn batch_normalization(
        &mut self,
        layer: &dyn Layer,
        config: &Config,
        x: Value,
    ) -> Result<Value, Error> {
        let Normalization { epsilon } = self.options(config)?;
        let names = ["gamma", "beta", "moving_mean", "moving_variance"];
        let [gamma, beta, moving_mean, moving_variance] = self.weights(layer, config, names)?;
        let moving_mean = self.built(config, moving_mean)?;
        let moving_variance = self.built(config, moving_variance)?;
        let y = self.output_shape(layer, x)?;
        let all = |name, value| {
            let shape = moving_mean.shape;
            move || Weight { name, shape, values: vec![value; shape.len()] }
        };
        // A layer without γ or β has ones and zeros: no format lets them out.
        let (gamma, beta) =
            (gamma.unwrap_or_else(all("gamma", 1.0)), beta.unwrap_or_else(all("beta", 0.0)));
        let epsilon = epsilon as f32;
        let op = Op::BatchNormalization { epsilon, gamma, beta, moving_mean, moving_variance };
        Ok(self.push(op, vec![x], y))
    }

    fn pool(
        &mut self,
        kind: Pool,
        layer: &dyn Layer,
        config: &Config,
        x: Value,
    ) -> Result<Value, Error> {
        let Pooling { pool_size, padding, strides } = self.options(config)?;
        self.output_shape(layer, x)?;
        let strides = strides.unwrap_or(pool_size);
        let geometry = pooling::Geometry::new(x.shape, pool_size, strides, padding)?;
        Ok(self.push(Op::Pool { kind, geometry, padding }, vec![x], geometry.y()))
    }

    fn global_pool(
        &mut self,
        kind: Pool,
        layer: &dyn Layer,
        config: &Config,
        x: Value,
    ) -> Result<Value, Error> {
        let Global { keepdims } = self.options(config)?;
        let y = self.output_shape(layer, x)?;
        Ok(self.push(Op::GlobalPool { kind, keepdims }, vec![x], y))
    }

    fn activation_layer<L>(
        &mut self,
        from_config: fn(&Config, &Registry) -> Result<L, gradus_layers::ConfigError>,
        activation: fn(&L) -> Activation,
        config: &Config,
        x: Value,
    ) -> Result<Value, Error> {
        let layer = from_config(config, &Registry::empty());
        let layer = layer.map_err(|e| self.refuse(config, e.to_string()))?;
        Ok(self.activate(activation(&layer), x))
    }

    fn options<T: DeserializeOwned>(&self, config: &Config) -> Result<T, Error> {
        config.options().map_err(|e| self.refuse(config, e.to_string()))
    }

    fn output_shape(&self, layer: &dyn Layer, x: Value) -> Result<Shape, Error> {
        Ok(layer.output_shape(x.shape).map_err(|e| e.within(self.path.as_str()))?)
    }

    /// Those of the layer's weights that it has. One that is not asked for is one that would be lost.
    fn weights<const N: usize>(
        &self,
        layer: &dyn Layer,
        config: &Config,
        names: [&'static str; N],
    ) -> Result<[Option<Weight>; N], Error> {
        let mut found = [const { None }; N];
        let mut unknown = None;
        layer.visit(&mut Path::default(), &mut |path, field| {
            let tensor = field.value();
            match names.iter().position(|name| *name == path.as_str()) {
                Some(i) => {
                    let (name, values) = (names[i], tensor.numbers().into_owned());
                    found[i] = Some(Weight { name, shape: tensor.shape(), values });
                }
                None => unknown = Some(path.as_str().to_owned()),
            }
        });
        match unknown {
            None => Ok(found),
            Some(name) => Err(self.refuse(config, format!("its weight {name} is not known"))),
        }
    }

    fn built(&self, config: &Config, weight: Option<Weight>) -> Result<Weight, Error> {
        weight.ok_or_else(|| self.refuse(config, "it has no weights; build or load the network"))
    }
}
