//! The files of events, read back by a reader that is written from the formats alone.

use gradus_data::{DataLoader, InMemory, flow, ndarray::Array4};
use gradus_layers::{Activation, CategoricalCrossentropy, Dense, Flatten, Sequential};
use gradus_optim::RMSprop;
use gradus_tensor::{Context, Device};
use gradus_train::{
    Callback, Checkpoint, Control, Error, Fit, History, Model, Run, TensorBoard, Verbosity,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// CRC-32C bit by bit, the reversed polynomial 0x82f63b78; then masked.
fn masked_crc(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The events of a file of records, their checksums checked.
fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_at(12);
        assert_eq!(masked_crc(&head[..8]).to_le_bytes(), head[8..]);
        let length = u64::from_le_bytes(head[..8].try_into().unwrap()) as usize;
        let (event, rest) = rest.split_at(length);
        assert_eq!(masked_crc(event).to_le_bytes(), rest[..4]);
        events.push(event.to_vec());
        bytes = &rest[4..];
    }
    events
}

/// The fields of a protocol buffer: number, and bytes; a varint is its eight bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let value = match key & 7 {
            0 => varint(&mut bytes).to_le_bytes().to_vec(),
            kind => {
                let length = if kind == 1 { 8 } else { varint(&mut bytes) as usize };
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                value.to_vec()
            }
        };
        found.push((key >> 3, value));
    }
    found
}

fn field(message: &[u8], number: u64) -> Vec<u8> {
    fields(message).into_iter().find(|(n, _)| *n == number).map(|(_, v)| v).unwrap_or_default()
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap_or_default())
}

/// One value of one step, without the time of day.
#[derive(Clone, Debug, PartialEq)]
struct Value {
    step: u64,
    tag: String,
    plugin: String,
    /// TensorProto.
    tensor: Vec<u8>,
}

impl Value {
    fn scalar(&self) -> f32 {
        assert_eq!((self.plugin.as_str(), number(&field(&self.tensor, 1))), ("scalars", 1));
        f32::from_le_bytes(field(&self.tensor, 4).try_into().unwrap())
    }

    fn strings(&self) -> Vec<Vec<u8>> {
        assert_eq!(number(&field(&self.tensor, 1)), 7);
        let all = fields(&self.tensor).into_iter();
        all.filter(|(number, _)| *number == 8).map(|(_, value)| value).collect()
    }
}

/// What stands in the only file of a run.
fn read(run: &Path) -> Vec<Value> {
    let files: Vec<_> = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("one file, not {files:?}") };
    assert!(file.to_str().unwrap().contains("tfevents"));
    let events = records(&fs::read(file).unwrap());
    assert_eq!(field(&events[0], 3), b"brain.Event:2");
    let mut times = events.iter().map(|e| f64::from_le_bytes(field(e, 1).try_into().unwrap()));
    assert!(times.all(|time| (1.7e9..1e11).contains(&time)));
    let value = |event: &Vec<u8>| {
        let value = field(&field(event, 5), 1);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let plugin = text(field(&field(&field(&value, 9), 1), 1));
        let (tag, tensor) = (text(field(&value, 1)), field(&value, 8));
        Value { step: number(&field(event, 2)), tag, plugin, tensor }
    };
    events[1..].iter().map(value).collect()
}

fn figures(values: &[Value], tag: &str) -> Vec<(u64, f32)> {
    values.iter().filter(|v| v.tag == tag).map(|v| (v.step, v.scalar())).collect()
}

fn data() -> DataLoader {
    let images = Array4::from_shape_fn((20, 3, 4, 3), |(i, ..)| if i % 2 == 0 { 40 } else { 200 });
    let labels = (0..20).map(|i| i % 2).collect();
    let images = InMemory::new(images, labels, &["dark", "bright"]).unwrap();
    flow(images).batch_size(6).open().unwrap()
}

fn model() -> Model {
    let network = Sequential::new().add(Flatten).add(Dense::new(2).activation(Activation::Softmax));
    let mut model = Model::build(network, [3, 4, 3], Context::new(Device::Cpu, 1), 7).unwrap();
    model.compile(RMSprop::new().learning_rate(1e-4), CategoricalCrossentropy::new()).unwrap();
    model
}

fn fit(fit: Fit<'_>) -> Result<History, Error> {
    let mut validation = data();
    let (verbose, validation_data) = (Verbosity::Silent, Some(&mut validation as _));
    model().fit(&mut data(), Fit { epochs: 4, verbose, validation_data, ..fit })
}

fn board(folder: &Path) -> TensorBoard {
    TensorBoard::new(folder).histogram_freq(2).update_freq(3).batch_images(2)
}

#[test]
fn the_figures_are_those_of_the_history_under_keras_names() {
    let folder = tempfile::tempdir().unwrap();
    let history =
        fit(Fit { callbacks: vec![Box::new(board(folder.path()))], ..Fit::default() }).unwrap();
    let train = read(&folder.path().join("train"));
    let validation = read(&folder.path().join("validation"));
    let expected = |column: &str| -> Vec<(u64, f32)> {
        let values = history.column(column).unwrap();
        (0..).zip(values.iter().map(|v| v.unwrap() as f32)).collect()
    };
    assert_eq!(figures(&train, "epoch_loss"), expected("loss"));
    assert_eq!(figures(&train, "epoch_accuracy"), expected("accuracy"));
    assert_eq!(figures(&train, "epoch_learning_rate"), expected("lr"));
    assert_eq!(figures(&validation, "epoch_loss"), expected("val_loss"));
    assert_eq!(figures(&validation, "epoch_accuracy"), expected("val_accuracy"));
    // Four batches an epoch.
    let steps = figures(&validation, "evaluation_loss_vs_iterations").into_iter().map(|v| v.0);
    assert_eq!(steps.collect::<Vec<_>>(), [4, 8, 12, 16]);
    let steps = figures(&train, "batch_loss").into_iter().map(|v| v.0);
    assert_eq!(steps.collect::<Vec<_>>(), [3, 6, 9, 12, 15]);
}

#[test]
fn histograms_images_and_the_summary_are_there() {
    let folder = tempfile::tempdir().unwrap();
    fit(Fit { callbacks: vec![Box::new(board(folder.path()))], ..Fit::default() }).unwrap();
    let train = read(&folder.path().join("train"));
    let of = |tag: &str| train.iter().filter(|v| v.tag == tag).collect::<Vec<_>>();
    let kernels = of("dense/kernel_0");
    assert_eq!(kernels.iter().map(|v| v.step).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(of("dense/bias_0").len(), 2);
    let content = field(&kernels[0].tensor, 4);
    let numbers = content.chunks_exact(8).map(|v| f64::from_le_bytes(v.try_into().unwrap()));
    let counts: f64 = numbers.skip(2).step_by(3).sum();
    assert_eq!((content.len(), counts), (8 * 3 * 30, 72.0));

    let images = of("batch");
    assert_eq!(images.iter().map(|v| v.step).collect::<Vec<_>>(), [0, 1, 2, 3]);
    let strings = images[0].strings();
    assert_eq!((strings.len(), &strings[0][..], &strings[1][..]), (4, &b"4"[..], &b"3"[..]));
    let shown = image::load_from_memory(&strings[2]).unwrap().into_rgb8();
    assert!(shown.pixels().all(|p| p.0 == [40; 3]) || shown.pixels().all(|p| p.0 == [200; 3]));

    let text = String::from_utf8(of("model")[0].strings().remove(0)).unwrap();
    assert!(text.starts_with("```\nModel: ") && text.contains("dense (Dense)"), "{text}");
}

/// Raises the flag after so many steps.
struct StopAfter<'a>(u64, &'a AtomicBool);

impl Callback for StopAfter<'_> {
    fn step_end(&mut self, run: &Run<'_>, _: &mut Control) -> Result<(), Error> {
        self.1.store(run.model.updates() == self.0, Ordering::Relaxed);
        Ok(())
    }
}

/// A run with a checkpoint that is stopped after so many steps, if it comes so far.
fn run(folder: &Path, stop: u64) -> Result<History, Error> {
    let flag = AtomicBool::new(false);
    let checkpoint = Checkpoint::new(folder.join("checkpoint")).resume(true);
    fit(Fit {
        callbacks: vec![Box::new(board(&folder.join("logs"))), Box::new(StopAfter(stop, &flag))],
        checkpoint: Some(checkpoint),
        interrupt: Some(&flag),
        ..Fit::default()
    })
}

fn both(folder: &Path) -> [Vec<Value>; 2] {
    ["train", "validation"].map(|run| read(&folder.join("logs").join(run)))
}

/// The only file of a run.
fn file_of(folder: &Path) -> PathBuf {
    fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn a_resumed_run_leaves_the_files_of_one_that_was_not() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run(whole.path(), 99).unwrap();
    for stop in [2, 7, 8, 13] {
        let error = run(parts.path(), stop).unwrap_err();
        assert!(matches!(error, Error::Interrupted { .. }), "{error}");
        // What a process that was killed later wrote after its checkpoint.
        let file = file_of(&parts.path().join("logs/train"));
        let mut bytes = fs::read(&file).unwrap();
        bytes.extend_from_slice(&bytes.clone()[..bytes.len() / 2]);
        fs::write(&file, bytes).unwrap();
    }
    run(parts.path(), 99).unwrap();
    assert_eq!(both(parts.path()), both(whole.path()));
}

#[test]
fn a_file_that_is_gone_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), 8).unwrap_err();
    fs::remove_dir_all(folder.path().join("logs")).unwrap();
    run(folder.path(), 99).unwrap();
    let [train, validation] = both(folder.path());
    let epochs =
        |values| figures(values, "epoch_loss").into_iter().map(|v| v.0).collect::<Vec<_>>();
    assert_eq!((epochs(&train), epochs(&validation)), (vec![1, 2, 3], vec![1, 2, 3]));
}

#[test]
fn a_second_run_adds_a_file_and_leaves_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let once = || fit(Fit { callbacks: vec![Box::new(board(folder.path()))], ..Fit::default() });
    once().unwrap();
    let first = fs::read(file_of(&folder.path().join("train"))).unwrap();
    once().unwrap();
    let files: Vec<_> = fs::read_dir(folder.path().join("train")).unwrap().collect();
    assert_eq!(files.len(), 2);
    let same = |file: &std::io::Result<fs::DirEntry>| {
        fs::read(file.as_ref().unwrap().path()).unwrap() == first
    };
    assert!(files.iter().any(same));
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("logs");
    fs::write(&file, "a file").unwrap();
    let error = fit(Fit { callbacks: vec![Box::new(board(&file))], ..Fit::default() }).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("TensorBoard: ") && text.contains("logs/train"), "{text}");
}
