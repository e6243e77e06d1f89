//! Files from anywhere: mutated thousands of times, they are loaded or refused, and neither panic nor
//! hang nor take more memory than twice their size and 64 MiB. A counting allocator watches.
//!
//! `GRADUS_MUTATIONS` says how many a loader: 300 unless set; `cargo xtask full hostile` does 10 000.

mod counting;

use counting::watched;
use gradus_export::layers::{
    Activation, BatchNormalization, Conv2D, Dense, Dropout, Flatten, MaxPooling2D, Sequential,
};
use gradus_export::{Export, Import, ModuleNames, load_keras};
use gradus_tensor::{Context, Device};
use gradus_testing::Cases;
use gradus_train::Model;
use std::fs;
use std::io::{Cursor, Read as _, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

fn mutations() -> u32 {
    std::env::var("GRADUS_MUTATIONS").map_or(300, |n| n.parse().expect("a number"))
}

const IMAGE: [usize; 3] = [8, 8, 2];

fn model() -> Model {
    let network = Sequential::new()
        .add(Conv2D::new(3, 3).activation(Activation::Relu))
        .add(BatchNormalization::new())
        .add(MaxPooling2D::new(2))
        .add(Dropout::new(0.25))
        .add(Flatten)
        .add(Dense::new(2).activation(Activation::Softmax));
    Model::build(network, IMAGE, Context::new(Device::Cpu, 1), 1).expect("the layers fit")
}

fn context() -> Context {
    Context::new(Device::Cpu, 1)
}

/// Numbers that sizes should not be.
const EXTREMES: [u64; 9] = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 40, u64::MAX];

/// The same bytes with a few things wrong.
fn mutated(bytes: &[u8], random: &mut Cases) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..random.extent(1, 4) {
        if bytes.is_empty() {
            break;
        }
        // What a file says of itself stands more often at its beginning.
        let reach = if random.extent(0, 1) == 0 { bytes.len().min(2048) } else { bytes.len() };
        let (at, other) = (random.extent(0, reach - 1), random.extent(0, bytes.len() - 1));
        let length = random.extent(1, 64).min(bytes.len() - at.max(other));
        match random.extent(0, 6) {
            0 => bytes[at] ^= 1 << random.extent(0, 7),
            1 => bytes[at] = random.extent(0, 255) as u8,
            2 => {
                let width = random.one_of(&[1, 2, 4, 8]).min(bytes.len() - at);
                let extreme = random.one_of(&EXTREMES).to_le_bytes();
                bytes[at..at + width].copy_from_slice(&extreme[..width]);
            }
            3 => bytes.truncate(at),
            4 => bytes.copy_within(other..other + length, at),
            5 => drop(bytes.drain(at..at + length)),
            _ => {
                let again = bytes[other..other + length].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
    bytes
}

/// The same JSON with another value in some places.
fn mutated_text(text: &[u8], random: &mut Cases) -> Vec<u8> {
    const VALUES: [&str; 14] = [
        "0",
        "-1",
        "1",
        "2147483647",
        "4294967296",
        "18446744073709551615",
        "99999999999999999999",
        "1e308",
        "0.5",
        "null",
        "true",
        "[]",
        "{}",
        "\"same\"",
    ];
    let mut text = text.to_vec();
    for _ in 0..random.extent(1, 3) {
        let numbers: Vec<usize> = (0..text.len()).filter(|i| text[*i].is_ascii_digit()).collect();
        if numbers.is_empty() {
            break;
        }
        let start = numbers[random.extent(0, numbers.len() - 1)];
        let end = start + text[start..].iter().take_while(|b| b.is_ascii_digit()).count();
        let value = random.one_of(&VALUES).bytes().collect::<Vec<u8>>();
        let value = match random.extent(0, 9) {
            0 => [vec![b'['; 300], value, vec![b']'; 300]].concat(),
            1 => [b"[".to_vec(), value.clone(), b",".to_vec(), value, b"]".to_vec()].concat(),
            _ => value,
        };
        text.splice(start..end, value);
    }
    text
}

/// The same JSON with some words exchanged: layers that take others, and are called as others.
fn mutated_words(text: &[u8], random: &mut Cases) -> Vec<u8> {
    let mut text = String::from_utf8(text.to_vec()).expect("JSON");
    for _ in 0..random.extent(1, 4) {
        let quotes: Vec<usize> = text.match_indices('"').map(|(at, _)| at).collect();
        let words: Vec<(usize, usize)> =
            quotes.as_chunks::<2>().0.iter().map(|[start, end]| (start + 1, *end)).collect();
        // What a layer takes more often than anything else.
        let history =
            |(start, _): &(usize, usize)| text[..*start].ends_with("keras_history\": [\"");
        let histories: Vec<(usize, usize)> = words.iter().copied().filter(history).collect();
        let chosen = match random.extent(0, 2) > 0 && !histories.is_empty() {
            true => &histories,
            false => &words,
        };
        if chosen.is_empty() {
            break;
        }
        let [(start, end), (from, to)] =
            [(); 2].map(|()| chosen[random.extent(0, chosen.len() - 1)]);
        let word = text[from..to].to_owned();
        text.replace_range(start..end, &word);
    }
    text.into_bytes()
}

/// A safetensors file whose header has other values, and says rightly how long it is.
fn mutated_header(bytes: &[u8], random: &mut Cases) -> Vec<u8> {
    let (length, rest) = bytes.split_at(8);
    let length = u64::from_le_bytes(length.try_into().expect("eight bytes")) as usize;
    let (header, tensors) = rest.split_at(length);
    let header = mutated_text(header, random);
    [&(header.len() as u64).to_le_bytes()[..], &header, tensors].concat()
}

/// A `.keras` file one of whose parts is another, with the checksum that goes with it.
fn mutated_part(bytes: &[u8], random: &mut Cases) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).expect("a zip");
    let mut into = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let (chosen, deflated) = (random.one_of(&[1, 2]), random.extent(0, 3) == 0);
    for i in 0..archive.len() {
        let mut part = archive.by_index(i).expect("a part");
        let name = part.name().expect("a name").into_owned();
        let mut bytes = Vec::new();
        part.read_to_end(&mut bytes).expect("its bytes");
        if i == chosen {
            bytes = match (name.ends_with(".json"), random.extent(0, 1)) {
                (true, 0) => mutated_text(&bytes, random),
                (true, _) => mutated_words(&bytes, random),
                (false, _) => mutated(&bytes, random),
            };
        }
        let method = match deflated {
            true => zip::CompressionMethod::Deflated,
            false => zip::CompressionMethod::Stored,
        };
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        into.start_file(name, options).expect("memory takes all");
        into.write_all(&bytes).expect("memory takes all");
    }
    into.finish().expect("memory takes all").into_inner()
}

type Mutate = fn(&[u8], &mut Cases) -> Vec<u8>;

/// Loads mutations of `file`; `load` says whether it was loaded. Returns how many were.
fn attack(name: &str, file: &Path, mutate: &[Mutate], load: impl Fn() -> Result<(), String>) {
    let _alone = counting::alone();
    let whole = fs::read(file).expect("a file");
    load().unwrap_or_else(|e| panic!("{name}: the file itself is refused: {e}"));
    let (mut loaded, mut most) = (0, 0);
    for case in 0..mutations() {
        let mut random = Cases::new(name, case);
        let bytes = mutate[case as usize % mutate.len()](&whole, &mut random);
        fs::write(file, &bytes).expect("written");
        let size = bytes.len();
        drop(bytes);
        let load = || catch_unwind(AssertUnwindSafe(&load));
        let (outcome, taken) = watched(&format!("{name}, case {case}"), load);
        most = most.max(taken);
        let outcome = outcome.unwrap_or_else(|_| panic!("{name}, case {case}: it panicked"));
        loaded += u32::from(outcome.is_ok());
        assert!(taken <= counting::bound(size), "{name}, case {case}: {taken} bytes for {size}");
    }
    fs::write(file, &whole).expect("written");
    eprintln!("{name}: {loaded} of {} loaded, {most} bytes at most", mutations());
    assert!(loaded < mutations(), "{name}: nothing was refused");
}

/// The model and a file of it.
fn written(write: impl FnOnce(&Model, &Path)) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model");
    write(&model(), &path);
    (folder, path)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[test]
fn the_description_of_a_model_may_be_anything() {
    let folder = tempfile::tempdir().expect("a folder");
    let version = model().save(folder.path()).expect("saved");
    let load = || Model::load(&version, context()).map(drop).map_err(text);
    attack("model.json", &version.join("model.json"), &[mutated_text, mutated], load);
}

#[test]
fn the_weights_of_a_model_may_be_anything() {
    let folder = tempfile::tempdir().expect("a folder");
    let version = model().save(folder.path()).expect("saved");
    let load = || Model::load(&version, context()).map(drop).map_err(text);
    let file = version.join("model.safetensors");
    attack("model.safetensors", &file, &[mutated, mutated_header], load);
}

#[test]
fn a_model_in_one_file_may_be_anything() {
    let (_folder, path) = written(|model, path| model.save_file(path).expect("saved"));
    let load = || Model::load(&path, context()).map(drop).map_err(text);
    attack("one file", &path, &[mutated, mutated_header], load);
}

#[test]
fn weights_of_pytorch_may_be_anything() {
    let (_folder, path) = written(|model, path| {
        Export::new(model.network(), IMAGE).pytorch().write(path).expect("saved");
    });
    let load = || {
        let names = ModuleNames::Paths;
        Import::into(&mut model()).pytorch(&path, names).map_err(text)
    };
    attack("PyTorch", &path, &[mutated, mutated_header], load);
}

#[test]
fn weights_of_keras_may_be_anything() {
    let (_folder, path) = written(|model, path| {
        Export::new(model.network(), IMAGE).keras().write_weights(path).expect("saved");
    });
    attack(".weights.h5", &path, &[mutated], || {
        Import::into(&mut model()).keras(&path).map_err(text)
    });
}

#[test]
fn a_model_of_keras_may_be_anything() {
    let (_folder, path) = written(|model, path| {
        Export::new(model.network(), IMAGE).keras().write(path).expect("saved");
    });
    let load = || load_keras(&path, context()).map(drop).map_err(text);
    attack(".keras", &path, &[mutated, mutated_part, mutated_part], load);
}

/// A file that Keras itself wrote, which h5py lays out in another way.
fn of_keras(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keras");
    written(|_, path| _ = fs::copy(folder.join(name), path).expect("a copy"))
}

/// One of those whose layers branch.
fn with_branches(name: &str) -> (tempfile::TempDir, PathBuf) {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keras/branches.zip");
    let mut all = zip::ZipArchive::new(fs::File::open(all).expect("a file")).expect("a zip");
    let mut bytes = Vec::new();
    all.by_name(name).expect("a part").read_to_end(&mut bytes).expect("its bytes");
    written(|_, path| fs::write(path, bytes).expect("written"))
}

#[test]
fn branches_of_keras_2_may_be_anything() {
    let (_folder, path) = with_branches("branches2.h5");
    let load = || load_keras(&path, context()).map(drop).map_err(text);
    attack("Keras 2's branches", &path, &[mutated, mutated, mutated_text], load);
}

#[test]
fn branches_of_keras_3_may_be_anything() {
    let (_folder, path) = with_branches("branches3.keras");
    let load = || load_keras(&path, context()).map(drop).map_err(text);
    attack("Keras 3's branches", &path, &[mutated_part], load);
}

#[test]
fn what_keras_2_wrote_may_be_anything() {
    let (_folder, path) = of_keras("keras2.h5");
    let load = || load_keras(&path, context()).map(drop).map_err(text);
    attack("Keras 2's .h5", &path, &[mutated, mutated, mutated_text], load);
}

#[test]
fn what_keras_3_wrote_may_be_anything() {
    let (_folder, path) = of_keras("keras3.keras");
    let load = || load_keras(&path, context()).map(drop).map_err(text);
    attack("Keras 3's .keras", &path, &[mutated_part], load);
}
