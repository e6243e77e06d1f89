//! Where the numbers of a network stand in the files of other programs.
//!
//! ```text
//! Layouts      ours and Keras's: kernels (R, S, C, K) and (in, units); PyTorch's: (K, C, R, S) and
//!              (units, in)
//! Flatten      ours and Keras's goes through H, W, C in that order, PyTorch's through C, H, W: what
//!              follows it, up to the dense layer that takes it, has its inputs in that other order
//! ```

use crate::import::Source;
use crate::{Error, LoadError};
use gradus_layers::{Config, Flow, Layer, Sequential};
use gradus_tensor::{Field, Path, Shape};
use std::collections::BTreeMap;

/// A layer that has no layers inside.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) path: String,
    pub(crate) config: Config,
    /// What it owns, by name.
    pub(crate) fields: Vec<(String, Shape)>,
    /// What its inputs were.
    features: Features,
}

/// What the columns of an activation stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Features {
    /// Channels.
    Plain,
    /// All pixels of all channels of an image of that height, width and number of channels.
    Flattened([usize; 3]),
    /// Several of that kind beside each other.
    Mixed,
}

/// The layers of a network that have none inside, in their order.
pub(crate) fn leaves(network: &Sequential, image: [usize; 3]) -> Result<Vec<Leaf>, Error> {
    let [h, w, c] = image;
    let mut leaves = Vec::new();
    let x = (Shape::new(&[1, h, w, c]), Features::Plain);
    walk(network, &mut Path::default(), x, &mut leaves)?;
    Ok(leaves)
}

type X = (Shape, Features);

fn walk(layer: &dyn Layer, path: &mut Path, x: X, leaves: &mut Vec<Leaf>) -> Result<X, Error> {
    let children = layer.children();
    let (shape, mut features) = x;
    let y = layer.output_shape(shape)?;
    if children.is_empty() {
        leaves.push(leaf(layer, path, features));
        return Ok((y, behind(&layer.config().class_name, shape, features)));
    }
    if layer.flow() == Flow::Chain {
        let mut x = x;
        for (name, inner) in children {
            x = path.within(name, |path| walk(inner, path, x, leaves))?;
        }
        return Ok(x);
    }
    let (mut ends, alone) = (Vec::new(), children.len() == 1);
    for (name, inner) in children {
        ends.push(path.within(name, |path| walk(inner, path, x, leaves))?.1);
    }
    let adds = layer.config().class_name == "Residual";
    if adds && alone {
        // The way around the body.
        ends.push(features);
    }
    // What is added has to be of one kind; what is put beside each other is channels, or else mixed.
    let same = ends.iter().all(|end| *end == ends[0]);
    let fits = adds || alone || ends[0] == Features::Plain;
    features = if same && fits { ends[0] } else { Features::Mixed };
    Ok((y, features))
}

fn leaf(layer: &dyn Layer, path: &Path, features: Features) -> Leaf {
    let mut fields = Vec::new();
    layer.visit(&mut Path::default(), &mut |name, field: Field<'_>| {
        fields.push((name.to_string(), field.value().shape()));
    });
    Leaf { path: path.to_string(), config: layer.config(), fields, features }
}

/// What the outputs of a layer of that class are.
fn behind(class: &str, x: Shape, features: Features) -> Features {
    match (class, x.dims()) {
        ("Flatten", &[_, h, w, c]) if h * w > 1 && c > 1 => Features::Flattened([h, w, c]),
        ("Flatten", &[_, _]) => features,
        ("Flatten" | "Dense" | "GlobalAveragePooling2D" | "GlobalMaxPooling2D", _) => {
            Features::Plain
        }
        _ => features,
    }
}

/// How the numbers of a tensor lie there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Same,
    /// (R, S, C, K) as (K, C, R, S).
    Kernel,
    /// (in, units) as (units, in), where the inputs are a flattened image of that height, width and
    /// number of channels, or channels: \[1, 1, in\].
    Matrix([usize; 3]),
    /// One for each pixel of each channel of such an image.
    Vector([usize; 3]),
}

/// Where one tensor stands.
#[derive(Debug)]
pub(crate) struct Place {
    /// Its name there.
    pub(crate) name: String,
    /// Its extents there.
    pub(crate) shape: Vec<usize>,
    pub(crate) source: Kept,
    order: Order,
    here: Shape,
}

/// What stands there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kept {
    /// A tensor of the network, by its path.
    Field(String),
    /// The same number everywhere: the other program has no layer without.
    Always(f32),
}

impl Place {
    /// One that lies there as it lies here.
    pub(crate) fn same(name: String, field: String, here: Shape) -> Self {
        let shape = here.dims().to_vec();
        Self { name, shape, source: Kept::Field(field), order: Order::Same, here }
    }

    /// Every tensor of the network, there under its path here and as it lies here.
    pub(crate) fn all_of(network: &Sequential) -> Vec<Self> {
        let mut places = Vec::new();
        gradus_tensor::Fields::visit(network, &mut Path::default(), &mut |path, field| {
            places.push(Self::same(path.to_string(), path.to_string(), field.value().shape()));
        });
        places
    }

    /// The tensor of the network, by its path, unless it has none.
    pub(crate) fn field(&self) -> Option<&str> {
        match &self.source {
            Kept::Field(field) => Some(field),
            Kept::Always(_) => None,
        }
    }

    /// One of PyTorch: field `field` of `leaf`, in module `module`.
    pub(crate) fn of_pytorch(
        leaf: &Leaf,
        module: &str,
        field: &str,
        here: Shape,
    ) -> Result<Self, Error> {
        let class_name = leaf.config.class_name.clone();
        let refuse = |reason: String| {
            let (layer, class_name) = (leaf.path.clone(), class_name.clone());
            Error::Layer { layer, class_name, reason }
        };
        let name = match field {
            "kernel" | "gamma" => "weight",
            "bias" | "beta" => "bias",
            "moving_mean" => "running_mean",
            "moving_variance" => "running_var",
            other => return Err(refuse(format!("PyTorch has no word for its {other}"))),
        };
        let image = match leaf.features {
            Features::Plain => None,
            Features::Flattened(image) => Some(image),
            Features::Mixed => {
                let reason = "it takes flattened images beside each other, which PyTorch flattens \
                              in another order: put one Flatten behind the Concatenate";
                return Err(refuse(reason.to_owned()));
            }
        };
        let dims = here.dims();
        let (order, shape) = match (field, dims) {
            ("kernel", &[r, s, c, k]) => (Order::Kernel, vec![k, c, r, s]),
            ("kernel", &[inputs, units]) => {
                (Order::Matrix(image.unwrap_or([1, 1, inputs])), vec![units, inputs])
            }
            // Of a dense layer the outputs are in order, whatever its inputs are.
            _ if class_name != "Dense"
                && image.is_some_and(|i| i.iter().product::<usize>() == here.len()) =>
            {
                (Order::Vector(image.unwrap_or_default()), dims.to_vec())
            }
            _ => (Order::Same, dims.to_vec()),
        };
        let source = Kept::Field(joined(&leaf.path, field));
        Ok(Self { name: format!("{module}.{name}"), shape, source, order, here })
    }

    /// What a normalization of PyTorch has although ours does without.
    pub(crate) fn always(name: String, value: f32, like: Shape) -> Self {
        let place = Self::same(name, String::new(), like);
        Self { source: Kept::Always(value), ..place }
    }

    /// The numbers as they lie there.
    pub(crate) fn there(&self, here: &[f32]) -> Vec<f32> {
        let mut there = vec![0.0; here.len()];
        self.pairs(|h, t| there[t] = here[h]);
        there
    }

    /// Reads the numbers as they lie here: at once, where they lie the same there.
    pub(crate) fn read(&self, source: &dyn Source, here: &mut [f32]) -> Result<(), LoadError> {
        if self.order == Order::Same {
            return source.read(&self.name, here);
        }
        let mut there = vec![0.0; here.len()];
        source.read(&self.name, &mut there)?;
        self.pairs(|h, t| here[h] = there[t]);
        Ok(())
    }

    /// Calls `f` with the place of each number here and there.
    fn pairs(&self, mut f: impl FnMut(usize, usize)) {
        match (self.order, self.here.dims()) {
            (Order::Kernel, &[r, s, c, k]) => {
                for i in 0..r * s * c * k {
                    let (tap, channels) = (i / (c * k), i % (c * k));
                    f(i, (channels % k * c + channels / k) * r * s + tap);
                }
            }
            (Order::Matrix(image), &[inputs, units]) => {
                for (i, unit) in (0..inputs).flat_map(|i| (0..units).map(move |unit| (i, unit))) {
                    f(i * units + unit, unit * inputs + channels_first(i, image));
                }
            }
            (Order::Vector(image), _) => {
                (0..self.here.len()).for_each(|i| f(i, channels_first(i, image)));
            }
            _ => (0..self.here.len()).for_each(|i| f(i, i)),
        }
    }
}

/// Where number `i` of an image in the order H, W, C is in the order C, H, W.
fn channels_first(i: usize, [h, w, c]: [usize; 3]) -> usize {
    i % c * h * w + i / c
}

pub(crate) fn joined(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

/// Every tensor of the network by its path, copied out.
pub(crate) fn values(network: &Sequential) -> BTreeMap<String, Vec<f32>> {
    let mut values = BTreeMap::new();
    gradus_tensor::Fields::visit(network, &mut Path::default(), &mut |path, field| {
        values.insert(path.to_string(), field.value().numbers::<f32>().into_owned());
    });
    values
}
