//! HDF5 files with Keras's weights in them, written.

use hdf5_pure::{FileBuilder, GroupBuilder};
use std::collections::BTreeMap;
use std::io;

/// Tensors in groups, to be written.
#[derive(Debug, Default)]
pub(super) struct Group(BTreeMap<String, Node>);

#[derive(Debug)]
enum Node {
    Group(Group),
    Tensor { shape: Vec<u64>, values: Vec<f32> },
}

impl Group {
    /// Adds a tensor under a path such as `layers/conv2d/vars/0`.
    pub(super) fn insert(&mut self, path: &str, shape: Vec<usize>, values: Vec<f32>) {
        match path.split_once('/') {
            None => {
                let shape = shape.into_iter().map(|extent| extent as u64).collect();
                self.0.insert(path.to_owned(), Node::Tensor { shape, values });
            }
            Some((first, rest)) => {
                let inner = self.0.entry(first.to_owned());
                if let Node::Group(inner) = inner.or_insert_with(|| Node::Group(Self::default())) {
                    inner.insert(rest, shape, values);
                }
            }
        }
    }

    /// The file.
    pub(super) fn into_bytes(self) -> io::Result<Vec<u8>> {
        let mut file = FileBuilder::new();
        for (name, node) in self.0 {
            match node {
                Node::Group(inner) => {
                    let mut group = file.create_group(&name);
                    inner.write(&mut group);
                    file.add_group(group.finish());
                }
                Node::Tensor { shape, values } => {
                    file.create_dataset(&name).with_f32_data(&values).with_shape(&shape);
                }
            }
        }
        file.finish().map_err(io::Error::other)
    }

    fn write(self, into: &mut GroupBuilder) {
        for (name, node) in self.0 {
            match node {
                Node::Group(inner) => {
                    let mut group = into.create_group(&name);
                    inner.write(&mut group);
                    into.add_group(group.finish());
                }
                Node::Tensor { shape, values } => {
                    into.create_dataset(&name).with_f32_data(&values).with_shape(&shape);
                }
            }
        }
    }
}
