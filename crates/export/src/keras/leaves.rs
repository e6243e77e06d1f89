//! Where the weights of the layers that a file describes stand in it.
//!
//! ```text
//! Keras 3      layers/functional/layers/conv2d_1/vars/0: numbered by class, in each model anew
//! Keras 2      model_weights/base/conv1/kernel:0: the outermost of the models inside the model, and
//!              the layer's own name; outside of these model_weights/conv1/…/kernel:0
//! ```

use super::var;
use crate::places::{Place, joined};
use gradus_layers::Sequential;
use gradus_tensor::{Fields as _, Path, Shape};
use std::collections::{BTreeMap, BTreeSet};

/// A layer that has none inside.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaf {
    /// Its path in the network that is made of it.
    pub(super) path: String,
    /// What Keras 3 calls it among the weights: `functional/layers/conv2d_1`.
    pub(super) saved: String,
    /// Its name, and that of the outermost model inside the model, if it is in one.
    pub(super) name: String,
    pub(super) model: Option<String>,
}

/// All of a network.
#[derive(Debug, Default)]
pub(super) struct Leaves(pub(super) Vec<Leaf>);

/// Paths of tensors, and their shapes.
type Params = [(String, Shape)];

impl Leaf {
    /// The layer as that of a container, under that name in it.
    pub(super) fn within(mut self, container: &str) -> Self {
        self.path = match self.path.is_empty() {
            true => container.to_owned(),
            false => format!("{container}.{}", self.path),
        };
        self
    }

    /// What the reader of Keras 2's files calls it.
    fn old_name(&self) -> String {
        match &self.model {
            Some(model) => format!("{model}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

impl Leaves {
    /// Two layers that a file cannot tell apart, if there are any: by their path here or, of Keras 2,
    /// by their names there.
    pub(super) fn same(&self, old: bool) -> Option<&Leaf> {
        let (mut paths, mut names) = (BTreeSet::new(), BTreeSet::new());
        self.0.iter().find(|leaf| {
            let new = paths.insert(leaf.path.as_str());
            !new || !names.insert(leaf.old_name()) && old
        })
    }

    /// Where the tensors of the network stand. Of one that was not made in full, because a file has
    /// too few numbers for it, `asked` are those that were asked for.
    pub(super) fn places(&self, network: &Sequential, asked: &Params, three: bool) -> Vec<Place> {
        let mut made = Vec::new();
        network.visit(&mut Path::default(), &mut |path, field| {
            made.push((path.to_string(), field.value().shape()));
        });
        let (made, asked) = (by_layer(&made), by_layer(asked));
        let mut places = Vec::new();
        for leaf in &self.0 {
            let made = made.get(leaf.path.as_str()).map_or(&[][..], Vec::as_slice);
            let asked = asked.get(leaf.path.as_str()).map_or(&[][..], Vec::as_slice);
            let whole = made.iter().all(|(_, shape)| !shape.is_empty());
            let fields = if whole && asked.len() <= made.len() { made } else { asked };
            places.extend(fields.iter().enumerate().map(|(i, (field, shape))| {
                let name = match three {
                    true => var(&leaf.saved, i),
                    false => format!("{}.{field}", leaf.old_name()),
                };
                Place::same(name, joined(&leaf.path, field), *shape)
            }));
        }
        places
    }

    /// Keras 2's name of a tensor: `model_weights/base/conv1/kernel:0` is `base/conv1.kernel`, and
    /// `model_weights/conv2d_1/…/kernel:0` is `conv2d_1.kernel`.
    pub(super) fn naming(&self) -> impl Fn(&str) -> Option<String> + use<> {
        let models: BTreeSet<String> =
            self.0.iter().filter_map(|leaf| leaf.model.clone()).collect();
        let names: BTreeSet<String> = self.0.iter().map(Leaf::old_name).collect();
        move |path| {
            let (path, field) = of_keras_2(path)?;
            // Names have slashes in them, too: the longest that is one.
            let starts = path.rmatch_indices('/').map(|(at, _)| path.split_at(at));
            for (start, rest) in std::iter::once((path, "")).chain(starts) {
                if names.contains(start) {
                    return Some(format!("{start}.{field}"));
                }
                let own = rest.match_indices('/').map(|(at, _)| format!("{start}{}", &rest[at..]));
                let mut own = own.filter(|_| models.contains(start));
                if let Some(name) = own.find(|name| names.contains(name)) {
                    return Some(format!("{name}.{field}"));
                }
            }
            Some(first(path, field))
        }
    }
}

/// Tensors by their layers: the names of their fields, and their shapes.
fn by_layer(params: &Params) -> BTreeMap<&str, Vec<(&str, Shape)>> {
    let mut layers: BTreeMap<&str, Vec<(&str, Shape)>> = BTreeMap::new();
    for (path, shape) in params {
        let (layer, field) = path.rsplit_once('.').unwrap_or(("", path));
        layers.entry(layer).or_default().push((field, *shape));
    }
    layers
}

/// The groups below `model_weights`, and the field: `conv2d_1/…` and `kernel`. None of what an
/// optimizer keeps.
fn of_keras_2(path: &str) -> Option<(&str, &str)> {
    let path = path.strip_prefix("model_weights/").unwrap_or(path);
    let (groups, last) = path.rsplit_once('/')?;
    let first = groups.split('/').next()?;
    let others = ["optimizer_weights", "top_level_model_weights"];
    (!others.contains(&first)).then(|| (groups, last.split(':').next().unwrap_or(last)))
}

/// A tensor by the first of its groups.
fn first(groups: &str, field: &str) -> String {
    format!("{}.{field}", groups.split('/').next().unwrap_or(groups))
}

/// `model_weights/conv2d_1/…/kernel:0` as `conv2d_1.kernel`, whatever the layers are.
pub(super) fn by_first_group(path: &str) -> Option<String> {
    of_keras_2(path).map(|(groups, field)| first(groups, field))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(name: &str, model: Option<&str>) -> Leaf {
        let (path, model) = (name.to_owned(), model.map(str::to_owned));
        Leaf { path, name: name.to_owned(), model, ..Leaf::default() }
    }

    #[test]
    fn keras_2_files_weights_by_the_outermost_model_and_the_layer() {
        let plain = [leaf("dense", None), leaf("blk/conv", None)];
        let inside = [leaf("conv", Some("base")), leaf("blk/conv", Some("base"))];
        let naming = Leaves([&plain[..], &inside].concat()).naming();
        for (path, name) in [
            ("dense/dense/kernel:0", "dense.kernel"),
            ("dense/kernel:0", "dense.kernel"),
            ("dense/older_name/kernel:0", "dense.kernel"),
            ("blk/conv/blk/conv/bias:0", "blk/conv.bias"),
            ("base/conv/kernel:0", "base/conv.kernel"),
            ("base/scope/conv/kernel:0", "base/conv.kernel"),
            ("base/blk/conv/kernel:0", "base/blk/conv.kernel"),
            ("other/thing/kernel:0", "other.kernel"),
        ] {
            assert_eq!(naming(&format!("model_weights/{path}")).as_deref(), Some(name), "{path}");
        }
        assert_eq!(naming("optimizer_weights/dense/kernel:0"), None);
        assert_eq!(by_first_group("model_weights/a/b/kernel:0").as_deref(), Some("a.kernel"));
    }

    #[test]
    fn layers_of_one_name_are_told() {
        let twice = |models: [Option<&str>; 2]| {
            let mut two = models.map(|model| leaf("dense", model));
            two[1].path = "other".to_owned();
            Leaves(two.into())
        };
        assert!(twice([Some("a"), Some("b")]).same(true).is_none());
        assert!(twice([Some("a"); 2]).same(true).is_some());
        assert!(twice([Some("a"); 2]).same(false).is_none());
        let paths = Leaves(vec![leaf("a", None), leaf("a", Some("b"))]);
        assert!(paths.same(false).is_some());
    }
}
