//! Nodes, constants and variables, one behind the other, under names that no two share.

use super::messages::{Attr, AttrValue, NodeDef, TensorProto, TensorShape, dtype};
use crate::compose::Compose;
use crate::graph::Weight;
use crate::names::Names;

/// Writes nodes down.
#[derive(Debug)]
pub(super) struct Writer {
    names: Names,
    pub(super) nodes: Vec<NodeDef>,
    /// Where weights go, if they are no constants: name and values.
    pub(super) variables: Option<Vec<(String, Weight)>>,
    /// What the values of the graph are called here, by number.
    pub(super) values: Vec<String>,
    /// The layer that is written: what names begin with.
    pub(super) scope: String,
}

impl Writer {
    /// Nothing yet.
    pub(super) fn new(variables: bool) -> Self {
        let variables = variables.then(Vec::new);
        let (names, nodes) = (Names::default(), Vec::new());
        Self { names, nodes, variables, values: Vec::new(), scope: String::new() }
    }

    /// Takes a name in the letters that TensorFlow allows.
    pub(super) fn take(&mut self, wanted: &str) -> String {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
        let mut name: String = wanted.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
        if !name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.') {
            name.insert(0, '.');
        }
        self.names.take(&name)
    }

    /// Appends a node of that name, which is taken.
    pub(super) fn push(&mut self, name: &str, op: &str, inputs: &[&str], attr: Vec<(&str, Attr)>) {
        let value = |(key, attr): (&str, Attr)| (key.to_owned(), AttrValue { value: Some(attr) });
        self.nodes.push(NodeDef {
            name: name.to_owned(),
            op: op.to_owned(),
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            attr: attr.into_iter().map(value).collect(),
        });
    }

    /// Appends an operation on floats, with options; the name of what it gives. What TensorFlow's
    /// register has no default for is to be given, and what has one that is not ours.
    pub(super) fn op_with(
        &mut self,
        op: &str,
        inputs: &[&str],
        mut attr: Vec<(&str, Attr)>,
    ) -> String {
        attr.push(("T", Attr::Type(dtype::FLOAT)));
        self.typed(op, inputs, attr)
    }

    /// Appends an operation whose types are among its options; the name of what it gives.
    pub(super) fn typed(&mut self, op: &str, inputs: &[&str], attr: Vec<(&str, Attr)>) -> String {
        let name = self.take(&format!("{}/{op}", self.scope));
        self.push(&name, op, inputs, attr);
        name
    }

    /// Appends a weight, as a constant or as a variable; its name.
    pub(super) fn weight(&mut self, weight: Weight) -> String {
        let name = self.take(&format!("{}/{}", self.scope, weight.name));
        let Some(variables) = &mut self.variables else {
            return self.floats(name, weight.shape.dims(), &weight.values);
        };
        let shape = Attr::Shape(TensorShape::known(weight.shape.dims()));
        variables.push((name.clone(), weight));
        let float = || ("dtype", Attr::Type(dtype::FLOAT));
        let handle = vec![float(), ("shape", shape), ("shared_name", Attr::word(&name))];
        self.push(&name, "VarHandleOp", &[], handle);
        let read = self.take(&format!("{name}/Read"));
        self.push(&read, "ReadVariableOp", &[&name], vec![float()]);
        read
    }

    /// Appends numbers that are no weights; their name.
    pub(super) fn table(&mut self, name: &str, extents: &[usize], values: &[f32]) -> String {
        let name = self.take(&format!("{}/{name}", self.scope));
        self.floats(name, extents, values)
    }

    fn floats(&mut self, name: String, extents: &[usize], values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, dtype::FLOAT, extents, bytes)
    }

    /// Appends integers of 32 bits; their name.
    pub(super) fn integers(&mut self, name: &str, extents: &[usize], values: &[i32]) -> String {
        let name = self.take(&format!("{}/{name}", self.scope));
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, dtype::INT32, extents, bytes)
    }

    fn constant(&mut self, name: String, kind: i32, extents: &[usize], bytes: Vec<u8>) -> String {
        let tensor_shape = Some(TensorShape::known(extents));
        let tensor = TensorProto {
            dtype: kind,
            tensor_shape,
            tensor_content: bytes,
            ..TensorProto::default()
        };
        self.push_constant(&name, tensor);
        name
    }

    /// Appends a tensor of that name, which is taken.
    pub(super) fn push_constant(&mut self, name: &str, tensor: TensorProto) {
        let kind = ("dtype", Attr::Type(tensor.dtype));
        self.push(name, "Const", &[], vec![kind, ("value", Attr::Tensor(tensor))]);
    }
}

impl Compose for Writer {
    const ADD: &'static str = "AddV2";

    fn op(&mut self, op: &str, inputs: &[&str]) -> String {
        self.op_with(op, inputs, vec![])
    }

    fn number(&mut self, name: &str, value: f64) -> String {
        self.table(name, &[], &[value as f32])
    }
}
