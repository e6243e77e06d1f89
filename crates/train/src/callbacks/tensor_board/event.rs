//! What TensorBoard reads, as bytes.
//!
//! ```text
//! Form         protocol buffers: a field is (number << 3 | kind) and its value; kind 0 is a varint,
//!              1 eight bytes, 2 a length and that many bytes, 5 four bytes
//! Messages     Event { 1 wall_time double, 2 step int64, 3 file_version string, 5 summary }
//!              Summary { 1 value { 1 tag string, 8 tensor, 9 metadata } }
//!              SummaryMetadata { 1 plugin_data { 1 plugin_name string }, 4 data_class enum }
//!              TensorProto { 1 dtype enum, 2 tensor_shape { 2 dim { 1 size int64 } },
//!              4 tensor_content bytes, 8 string_val bytes }
//! Conventions  those of `tf.summary` in TensorFlow 2: every value is a tensor, and the plugin's name
//!              says what it is
//! Reference    event.proto, summary.proto and tensor.proto of tensorboard 2.21
//! ```

/// TensorFlow's numbers of types.
const FLOAT: u64 = 1;
const DOUBLE: u64 = 2;
const STRING: u64 = 7;

/// A value under a tag.
#[derive(Debug)]
pub(super) enum Summary {
    Scalar(f32),
    /// Rows of left edge, right edge and count.
    Histogram(Vec<[f64; 3]>),
    /// Markdown.
    Text(String),
    /// PNG files of that width and height.
    Images {
        size: [u32; 2],
        files: Vec<Vec<u8>>,
    },
}

/// The first event of a file.
pub(super) fn version(wall_time: f64) -> Vec<u8> {
    let mut event = Message::default();
    event.double(1, wall_time);
    event.bytes(3, b"brain.Event:2");
    event.0
}

/// One value of one step.
pub(super) fn event(wall_time: f64, step: u64, tag: &str, summary: &Summary) -> Vec<u8> {
    let mut value = Message::default();
    value.bytes(1, tag.as_bytes());
    value.message(8, &summary.tensor());
    value.message(9, &summary.metadata());
    let (mut wrapped, mut event) = (Message::default(), Message::default());
    wrapped.message(1, &value);
    event.double(1, wall_time);
    event.varint(2, step);
    event.message(5, &wrapped);
    event.0
}

impl Summary {
    fn metadata(&self) -> Message {
        // Scalars, tensors, and blobs, which are fetched one by one.
        let (plugin, class) = match self {
            Summary::Scalar(_) => ("scalars", 1),
            Summary::Histogram(_) => ("histograms", 2),
            Summary::Text(_) => ("text", 2),
            Summary::Images { .. } => ("images", 3),
        };
        let (mut data, mut metadata) = (Message::default(), Message::default());
        data.bytes(1, plugin.as_bytes());
        metadata.message(1, &data);
        metadata.varint(4, class);
        metadata
    }

    fn tensor(&self) -> Message {
        match self {
            Summary::Scalar(value) => numbers(FLOAT, &[], &value.to_le_bytes()),
            Summary::Histogram(rows) => {
                let content: Vec<u8> =
                    rows.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
                numbers(DOUBLE, &[rows.len(), 3], &content)
            }
            Summary::Text(text) => strings(&[], &[text.as_bytes()]),
            Summary::Images { size, files } => {
                let [width, height] = size.map(|n| n.to_string());
                let mut all = vec![width.as_bytes(), height.as_bytes()];
                all.extend(files.iter().map(Vec::as_slice));
                strings(&[all.len()], &all)
            }
        }
    }
}

fn tensor(dtype: u64, dims: &[usize]) -> Message {
    let (mut tensor, mut shape) = (Message::default(), Message::default());
    for dim in dims {
        let mut extent = Message::default();
        extent.varint(1, *dim as u64);
        shape.message(2, &extent);
    }
    tensor.varint(1, dtype);
    tensor.message(2, &shape);
    tensor
}

fn numbers(dtype: u64, dims: &[usize], content: &[u8]) -> Message {
    let mut tensor = tensor(dtype, dims);
    tensor.bytes(4, content);
    tensor
}

fn strings(dims: &[usize], values: &[&[u8]]) -> Message {
    let mut tensor = tensor(STRING, dims);
    values.iter().for_each(|value| tensor.bytes(8, value));
    tensor
}

/// A protocol buffer that grows.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn varint(&mut self, field: u64, value: u64) {
        self.raw_varint(field << 3);
        self.raw_varint(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.raw_varint(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.raw_varint(field << 3 | 2);
        self.raw_varint(value.len() as u64);
        self.0.extend(value);
    }

    fn message(&mut self, field: u64, value: &Message) {
        self.bytes(field, &value.0);
    }
}
