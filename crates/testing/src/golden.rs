//! Reference vectors from real Keras.
//!
//! The small ones lie beside the tests that read them, with the script that made them. The large
//! ones lie outside the project, in the folder that `GRADUS_TEST_DATA` names: a test that needs one
//! of these and finds none says *skipped* and passes.

use ndarray::{ArrayD, IxDyn};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A file below the folder of test data, or `None`, having said why, where it is not at hand.
///
/// # Panics
/// If `GRADUS_TEST_DATA` is set and the file is not there: a wrong folder shall not pass as none.
#[must_use]
pub fn test_data(relative: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("GRADUS_TEST_DATA").filter(|f| !f.is_empty()) else {
        eprintln!("skipped: GRADUS_TEST_DATA is not set, and the test needs {relative}");
        return None;
    };
    let path = PathBuf::from(folder).join(relative);
    assert!(path.exists(), "GRADUS_TEST_DATA is set, but {} is not there", path.display());
    Some(path)
}

/// One safetensors file of golden cases: tensors named `case/field`, parameters in its metadata.
#[derive(Debug)]
pub struct Golden {
    bytes: Vec<u8>,
    cases: serde_json::Map<String, Value>,
}

impl Golden {
    /// Opens `goldens/<name>.safetensors`, or says that it is skipped and gives `None`.
    ///
    /// # Panics
    /// If the file is not a golden file.
    #[must_use]
    pub fn open(name: &str) -> Option<Self> {
        test_data(&format!("goldens/{name}.safetensors")).map(Self::read)
    }

    /// Reads the golden file at `path`.
    ///
    /// # Panics
    /// If there is none, or it is not a golden file.
    #[must_use]
    pub fn read(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (_, metadata) = SafeTensors::read_metadata(&bytes).expect("a safetensors file");
        let text = metadata.metadata().as_ref().and_then(|m| m.get("golden"));
        let mut json: Value =
            serde_json::from_str(text.expect("a golden key")).expect("the golden key is JSON");
        let Value::Object(cases) = json["cases"].take() else { panic!("cases is an object") };
        Self { bytes, cases }
    }

    /// The names of the cases that begin with `prefix`, in order.
    ///
    /// # Panics
    /// If there is none: a test over no case asserts nothing.
    #[must_use]
    pub fn cases(&self, prefix: &str) -> Vec<&str> {
        let names: Vec<&str> =
            self.cases.keys().map(String::as_str).filter(|n| n.starts_with(prefix)).collect();
        assert!(!names.is_empty(), "no golden case begins with {prefix:?}");
        names
    }

    /// The parameters of a case.
    ///
    /// # Panics
    /// If there is no such case.
    #[must_use]
    pub fn params(&self, case: &str) -> &Value {
        self.cases.get(case).unwrap_or_else(|| panic!("no golden case {case:?}"))
    }

    /// The rounding floor of the reference itself for one field; 0 where none is given.
    #[must_use]
    pub fn noise(&self, case: &str, field: &str) -> f64 {
        self.params(case)["noise"][field].as_f64().unwrap_or(0.0)
    }

    /// Whether the case has that field.
    ///
    /// # Panics
    /// If the file is damaged.
    #[must_use]
    pub fn has(&self, case: &str, field: &str) -> bool {
        let file = SafeTensors::deserialize(&self.bytes).expect("a safetensors file");
        file.tensor(&format!("{case}/{field}")).is_ok()
    }

    /// A float32 tensor.
    ///
    /// # Panics
    /// If the case has no such field, or it holds another type.
    #[must_use]
    pub fn tensor(&self, case: &str, field: &str) -> ArrayD<f32> {
        let (shape, bytes) = self.raw(case, field, Dtype::F32);
        let words = bytes.as_chunks::<4>().0;
        let values = words.iter().map(|&w| f32::from_le_bytes(w)).collect();
        ArrayD::from_shape_vec(IxDyn(&shape), values).expect("as many values as the shape says")
    }

    /// An int32 tensor.
    ///
    /// # Panics
    /// If the case has no such field, or it holds another type.
    #[must_use]
    pub fn integers(&self, case: &str, field: &str) -> ArrayD<i32> {
        let (shape, bytes) = self.raw(case, field, Dtype::I32);
        let words = bytes.as_chunks::<4>().0;
        let values = words.iter().map(|&w| i32::from_le_bytes(w)).collect();
        ArrayD::from_shape_vec(IxDyn(&shape), values).expect("as many values as the shape says")
    }

    /// A uint8 tensor.
    ///
    /// # Panics
    /// If the case has no such field, or it holds another type.
    #[must_use]
    pub fn bytes(&self, case: &str, field: &str) -> ArrayD<u8> {
        let (shape, bytes) = self.raw(case, field, Dtype::U8);
        ArrayD::from_shape_vec(IxDyn(&shape), bytes.to_vec()).expect("as many values as the shape")
    }

    fn raw(&self, case: &str, field: &str, dtype: Dtype) -> (Vec<usize>, &[u8]) {
        let file = SafeTensors::deserialize(&self.bytes).expect("a safetensors file");
        let name = format!("{case}/{field}");
        let view = file.tensor(&name).unwrap_or_else(|e| panic!("golden {name}: {e}"));
        assert_eq!(view.dtype(), dtype, "golden {name}");
        (view.shape().to_vec(), view.data())
    }
}
