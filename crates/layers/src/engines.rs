//! How the work of a network is done: which algorithm a layer's engine picks, and which layers are
//! done together.
//!
//! ```text
//! Conventions  for training with inputs of the shape that is asked about. Algorithms are those of
//!              the CPU; `Model::set_exact` and the sizes of a short batch change none of the names
//!              but `winograd`, which is then `direct`
//! ```
//!
//! It stands beside the [`Summary`](crate::Summary), which is Keras's to the character.

use crate::{Flow, Layer, Mode, Sequential, ShapeError};
use gradus_tensor::{Shape, Spec};
use std::any::Any;
use std::fmt;

/// Algorithms by layer, and links of layers. Printed, it is a line for each.
///
/// ```
/// use gradus_layers::{Conv2D, Engines, Sequential, tensor::{Device, Shape}};
/// let mut model = Sequential::new().add(Conv2D::new(32, 3)).add(Conv2D::new(64, 3));
/// model.build_on(Shape::new(&[1, 32, 32, 3]), &Device::Cpu, 0)?;
/// let engines = Engines::of(&model, Shape::new(&[15, 32, 32, 3]))?;
/// assert_eq!(engines.to_string(), " Algorithms: direct: conv2d; winograd: conv2d_1");
/// # Ok::<(), gradus_layers::ShapeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Engines {
    /// Paths of layers with what their engine picks, in the order of the chain.
    algorithms: Vec<(String, &'static str)>,
    /// First and last path of layers that are done together.
    links: Vec<[String; 2]>,
}

impl Engines {
    /// How `model`, which is built, is trained on inputs of this shape, batch extent included.
    ///
    /// # Errors
    /// If a layer cannot take what the one before it gives.
    pub fn of(model: &Sequential, input: Shape) -> Result<Self, ShapeError> {
        let mut engines = Self::default();
        engines.look_into(model, input, "")?;
        Ok(engines)
    }

    /// Paths of layers with what their engine picks, where there is a choice.
    #[must_use]
    pub fn algorithms(&self) -> &[(String, &'static str)] {
        &self.algorithms
    }

    /// First and last path of layers that are done together.
    #[must_use]
    pub fn links(&self) -> &[[String; 2]] {
        &self.links
    }

    /// The layers inside a container that is given an x of this shape, and those inside them.
    fn look_into(
        &mut self,
        container: &dyn Layer,
        mut x: Shape,
        prefix: &str,
    ) -> Result<(), ShapeError> {
        let children = container.children();
        let chain = (container as &dyn Any).downcast_ref::<Sequential>();
        let mut linked = 0;
        for (i, (name, layer)) in children.iter().enumerate() {
            let path = format!("{prefix}{name}");
            if let Some(chain) = chain.filter(|_| i >= linked) {
                let plan = chain.plan_link(i, Spec::f32(x), Mode::Train)?;
                linked = i + plan.layers;
                if plan.layers > 1 {
                    let last = format!("{prefix}{}", children[linked - 1].0);
                    self.links.push([path.clone(), last]);
                }
            }
            if let Some(algorithm) = layer.algorithm(x) {
                self.algorithms.push((path.clone(), algorithm));
            }
            self.look_into(*layer, x, &format!("{path}."))?;
            if container.flow() == Flow::Chain {
                x = layer.output_shape(x).map_err(|e| e.within(name))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Engines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut picked: Vec<(&str, Vec<&str>)> = Vec::new();
        for (path, algorithm) in &self.algorithms {
            match picked.iter_mut().find(|(known, _)| known == algorithm) {
                Some((_, paths)) => paths.push(path),
                None => picked.push((algorithm, vec![path])),
            }
        }
        let picked = picked.iter().map(|(name, paths)| format!("{name}: {}", paths.join(", ")));
        let links = self.links.iter().map(|[first, last]| format!("{first} to {last}"));
        let [picked, links] = [picked.collect::<Vec<_>>(), links.collect()];
        let lines = [(" Algorithms: ", picked), (" Done together: ", links)];
        let lines = lines.iter().filter(|(_, what)| !what.is_empty());
        let lines: Vec<String> =
            lines.map(|(head, what)| head.to_string() + &what.join("; ")).collect();
        f.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Activation, BatchNormalization, Concatenate, Conv2D, Dropout, Flatten, MaxPooling2D,
    };
    use gradus_tensor::Device;

    fn stage(filters: usize) -> Sequential {
        Sequential::new()
            .add(Conv2D::new(filters, 3).activation(Activation::Relu))
            .add(BatchNormalization::new())
            .add(MaxPooling2D::new(2))
            .add(Dropout::new(0.25))
    }

    fn engines(mut model: Sequential) -> Engines {
        model.build_on(Shape::new(&[1, 40, 40, 32]), &Device::Cpu, 0).expect("it fits");
        Engines::of(&model, Shape::new(&[15, 40, 40, 32])).expect("it fits")
    }

    #[test]
    fn algorithms_and_links_are_told_and_one_switch_turns_links_off() {
        let model = || stage(64).add(Conv2D::new(8, 3).groups(8)).add(Flatten);
        let told =
            " Algorithms: winograd: conv2d; grouped: conv2d_1\n Done together: conv2d to dropout";
        assert_eq!(engines(model()).to_string(), told);
        let mut alone = model();
        alone.set_fused(false);
        assert!(engines(alone).links().is_empty());
    }

    #[test]
    fn layers_within_branches_have_paths_and_a_network_without_choices_has_no_lines() {
        let branches = Concatenate::new().branch(stage(16)).branch(Conv2D::new(32, 4).strides(2));
        let found = engines(Sequential::new().add(branches));
        let [first, last] = &found.links()[0];
        let branch = first.strip_suffix("conv2d").expect("the first of its chain");
        assert_eq!(last, &format!("{branch}dropout"));
        assert_eq!(found.algorithms().len(), 2);
        assert_eq!(engines(Sequential::new().add(Flatten)).to_string(), "");
    }
}
