//! How a SavedModel fills its variables when it is loaded.
//!
//! `save/restore_all` reads every tensor of the bundle by its name and assigns it; the saver says
//! that it is to be run, with the bundle's path in `save/Const`.

use super::messages::{
    Attr, BytesList, CollectionDef, ListValue, SaverDef, TensorProto, TensorShape, VariableDef,
    dtype,
};
use super::writer::Writer;
use prost::Message as _;
use std::collections::BTreeMap;

/// Appends what fills the variables of these names, sorted.
pub(super) fn restore(writer: &mut Writer, names: &[&str]) -> SaverDef {
    let text = |shape: Option<usize>, words: &[&str]| TensorProto {
        dtype: dtype::STRING,
        tensor_shape: Some(TensorShape::known(shape.as_slice())),
        string_val: words.iter().map(|&word| word.to_owned()).collect(),
        ..TensorProto::default()
    };
    let string = || ("dtype", Attr::Type(dtype::STRING));
    let scalar = || ("shape", Attr::Shape(TensorShape::default()));
    writer.push_constant("save/filename/input", text(None, &["model"]));
    for (name, default) in
        [("save/filename", "save/filename/input"), ("save/Const", "save/filename")]
    {
        writer.push(name, "PlaceholderWithDefault", &[default], vec![string(), scalar()]);
    }
    writer.push_constant("save/names", text(Some(names.len()), names));
    writer.push_constant("save/slices", text(Some(names.len()), &vec![""; names.len()]));
    let types = ListValue { r#type: vec![dtype::FLOAT; names.len()], i: Vec::new() };
    let inputs = ["save/Const", "save/names", "save/slices"];
    writer.push("save/RestoreV2", "RestoreV2", &inputs, vec![("dtypes", Attr::List(types))]);
    for (i, name) in names.iter().enumerate() {
        let value =
            if i == 0 { "save/RestoreV2".to_owned() } else { format!("save/RestoreV2:{i}") };
        let float = vec![("dtype", Attr::Type(dtype::FLOAT))];
        writer.push(&assign(i), "AssignVariableOp", &[name, &value], float);
    }
    let after: Vec<String> = (0..names.len()).map(|i| format!("^{}", assign(i))).collect();
    let after: Vec<&str> = after.iter().map(String::as_str).collect();
    writer.push("save/restore_all", "NoOp", &after, vec![]);
    SaverDef {
        filename_tensor_name: "save/Const:0".to_owned(),
        save_tensor_name: "save/Const:0".to_owned(),
        restore_op_name: "save/restore_all".to_owned(),
        version: 2,
    }
}

/// What tells loaders of the variables of these names.
pub(super) fn collections(names: &[&str]) -> BTreeMap<String, CollectionDef> {
    let describe = |(i, name): (usize, &&str)| {
        let read = format!("{name}/Read:0");
        let variable = VariableDef {
            variable_name: format!("{name}:0"),
            initializer_name: assign(i),
            snapshot_name: read.clone(),
            is_resource: true,
            initial_value_name: read,
            trainable: !name.contains("/moving_"),
        };
        (variable.trainable, variable.encode_to_vec())
    };
    let all: Vec<(bool, Vec<u8>)> = names.iter().enumerate().map(describe).collect();
    let list = |only_trainable: bool| {
        let chosen = all.iter().filter(|(trainable, _)| *trainable || !only_trainable);
        let value = chosen.map(|(_, bytes)| bytes.clone()).collect();
        CollectionDef { bytes_list: Some(BytesList { value }) }
    };
    [("variables", list(false)), ("trainable_variables", list(true))]
        .map(|(name, list)| (name.to_owned(), list))
        .into()
}

fn assign(i: usize) -> String {
    format!("save/Assign_{i}")
}
