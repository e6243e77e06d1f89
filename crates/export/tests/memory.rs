//! What loading takes: of large files that are as they should be, and of small ones that are made to
//! take much. Never more than twice the file and 64 MiB; a counting allocator watches.

mod counting;
mod crafted;

use counting::{alone, bound, watched};
use crafted::{Address, Crafted};
use gradus_export::layers::{Conv2D, Dense, Flatten, GlobalAveragePooling2D, Sequential};
use gradus_export::{Export, Import, ModuleNames, load_keras};
use gradus_tensor::{Context, Device};
use gradus_train::Model;
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use zip::CompressionMethod::{Deflated, Stored};

fn context() -> Context {
    Context::new(Device::Cpu, 1)
}

const IMAGE: [usize; 3] = [64, 64, 3];

/// 100 MB of weights, most of it in one tensor.
fn large() -> Model {
    let network = Sequential::new().add(Flatten).add(Dense::new(2000)).add(Dense::new(10));
    Model::build(network, IMAGE, context(), 1).expect("the layers fit")
}

/// Loads a large file, which is as it should be.
fn loads(what: &str, file: &Path, load: impl FnOnce() -> Result<(), String>) {
    let size = fs::metadata(file).expect("a file").len() as usize;
    assert!(size > 95_000_000, "{what}: {size} bytes");
    let (loaded, taken) = watched(what, load);
    loaded.unwrap_or_else(|e| panic!("{what}: {e}"));
    eprintln!("{what}: {taken} bytes for {size}");
    assert!(taken <= bound(size), "{what}: {taken} bytes for {size}");
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[test]
fn large_files_of_ours_take_little_more_than_their_size() {
    let (_alone, folder) = (alone(), tempfile::tempdir().expect("a folder"));
    let (version, file) = (folder.path().join("1"), folder.path().join("file"));
    let model = large();
    model.save(folder.path()).expect("saved");
    model.save_file(&file).expect("saved");
    drop(model);
    let load = |path: &Path| Model::load(path, context()).map(drop).map_err(text);
    loads("a version", &version.join("model.safetensors"), || load(&version));
    loads("one file", &file, || load(&file));
}

#[test]
fn large_files_of_others_take_little_more_than_their_size() {
    let (_alone, folder) = (alone(), tempfile::tempdir().expect("a folder"));
    let path = |name: &str| folder.path().join(name);
    let mut model = large();
    let export = Export::new(model.network(), IMAGE);
    let (torch, h5, keras) = (path("torch"), path("h5"), path("keras"));
    export.pytorch().write(&torch).expect("saved");
    export.keras().write_weights(&h5).expect("saved");
    export.keras().write(&keras).expect("saved");
    let mut import = Import::into(&mut model);
    loads("PyTorch", &torch, || import.pytorch(&torch, ModuleNames::Paths).map_err(text));
    loads(".weights.h5", &h5, || import.keras(&h5).map_err(text));
    loads(".keras", &keras, || import.keras(&keras).map_err(text));
    drop(model);
    loads(".keras, with its layers", &keras, || {
        load_keras(&keras, context()).map(drop).map_err(text)
    });
}

/// Writes a `.keras` file of those layers and weights.
fn written(folder: &Path, layers: &str, weights: &[u8]) -> PathBuf {
    let path = folder.join("crafted.keras");
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let config = format!(
        r#"{{"class_name": "Sequential", "config": {{"layers": [
            {{"class_name": "InputLayer", "config": {{"batch_shape": [null, 4, 4, 1024]}}}},
            {{"class_name": "GlobalAveragePooling2D", "config": {{"name": "mean"}}}}{layers}]}}}}"#
    );
    let parts: [(&str, &[u8], _); 3] = [
        ("metadata.json", br#"{"keras_version": "3.15.1"}"#, Stored),
        ("config.json", config.as_bytes(), Deflated),
        ("model.weights.h5", weights, Stored),
    ];
    for (name, bytes, method) in parts {
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        archive.start_file(name, options).expect("memory takes all");
        archive.write_all(bytes).expect("memory takes all");
    }
    fs::write(&path, archive.finish().expect("memory takes all").into_inner()).expect("written");
    path
}

/// Layers that all take and give 1024 channels.
fn dense(layers: usize) -> String {
    let layer = |i| {
        format!(
            r#", {{"class_name": "Dense", "config": {{"name": "d{i}", "units": 1024,
                "use_bias": false}}}}"#
        )
    };
    (0..layers).map(layer).collect()
}

/// A file in which the kernels of layers are those objects.
fn kernels(mut file: Crafted, kernels: &[Address]) -> Vec<u8> {
    let mut layers = Vec::new();
    for (i, kernel) in kernels.iter().enumerate() {
        let vars = file.group(&[("0".to_owned(), *kernel)]);
        let name = if i == 0 { "dense".to_owned() } else { format!("dense_{i}") };
        layers.push((name, file.group(&[("vars".to_owned(), vars)])));
    }
    let layers = file.group(&layers);
    let root = file.group(&[("layers".to_owned(), layers)]);
    file.finish(root)
}

/// What a file is refused with, in little memory.
fn refused(file: &Path) -> String {
    let size = fs::metadata(file).expect("a file").len() as usize;
    let load = || load_keras(file, context()).map(drop).map_err(text);
    let (loaded, taken) = watched("crafted", load);
    let error = loaded.expect_err("it should be refused");
    let error = error.chars().take(500).collect::<String>();
    assert!(taken <= bound(size), "{taken} bytes for {size}: {error}");
    error
}

const NUMBERS: usize = 1024 * 1024;

/// The crafted files of the other tests are files, as long as nothing is wrong with them.
#[test]
fn what_is_crafted_without_a_flaw_is_loaded() {
    let (_alone, folder) = (alone(), tempfile::tempdir().expect("a folder"));
    let mut file = Crafted::new();
    let numbers: Vec<u8> = (0..2 * NUMBERS).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let at = file.bytes(&numbers);
    let shape = [1024, 1024];
    let both = [at, at + 4 * NUMBERS as u64].map(|at| file.dataset(&shape, at));
    let path = written(folder.path(), &dense(2), &kernels(file, &both));
    let mut model = load_keras(&path, context()).expect("a model");
    let mut first = Vec::new();
    model.fields_mut().visit_mut(&mut Default::default(), &mut |_, field| {
        first.push(field.into_value().slice::<f32>()[0]);
    });
    assert_eq!(first, [0.0, NUMBERS as f32]);
}

#[test]
fn tensors_that_share_their_bytes_are_refused() {
    let (_alone, folder) = (alone(), tempfile::tempdir().expect("a folder"));
    let filled = |file: &mut Crafted| file.bytes(&vec![0; 4 * NUMBERS + 4000]);
    // One object by many names.
    let mut file = Crafted::new();
    let at = filled(&mut file);
    let one = file.dataset(&[1024, 1024], at);
    let path = written(folder.path(), &dense(400), &kernels(file, &[one; 400]));
    let error = refused(&path);
    assert!(error.contains("layers/dense_1/vars/0: more numbers than the file can"), "{error}");
    // Many objects, each of whose numbers begin four bytes behind those of the one before.
    let mut file = Crafted::new();
    let at = filled(&mut file);
    let many: Vec<_> = (0..400).map(|i| file.dataset(&[1024, 1024], at + 4 * i)).collect();
    let path = written(folder.path(), &dense(400), &kernels(file, &many));
    let error = refused(&path);
    assert!(error.contains("more numbers than the file can hold"), "{error}");
    // As many as the file could hold, behind which there is as much that is nothing.
    let mut file = Crafted::new();
    let at = filled(&mut file);
    filled(&mut file);
    let two = [at, at + 4000].map(|at| file.dataset(&[1024, 1024], at));
    let path = written(folder.path(), &dense(2), &kernels(file, &two));
    let error = refused(&path);
    assert!(error.contains("layers/dense/vars/0 and layers/dense_1/vars/0 overlap"), "{error}");
    // Numbers that stand with the object itself, which has many names.
    let mut file = Crafted::new();
    let one = file.compact(&vec![0.0; 1 << 13]);
    let path = written(folder.path(), "", &kernels(file, &[one; 2500]));
    let error = refused(&path);
    assert!(error.contains("more numbers than the file can hold"), "{error}");
}

#[test]
fn names_that_many_share_are_refused() {
    let (_alone, folder) = (alone(), tempfile::tempdir().expect("a folder"));
    let crafted = |long: usize, many: usize| {
        let mut file = Crafted::new();
        let object = file.compact(&[0.0]);
        let names = [vec![b'a'; long], vec![0]].concat();
        let root = file.group_of(&names, &vec![(0, object); many]);
        written(folder.path(), "", &file.finish(root))
    };
    let error = refused(&crafted(1 << 20, 5000));
    assert!(error.contains("longer names"), "{error}");
    let error = refused(&crafted(1000, 50_000));
    assert!(error.contains("more entries in a group"), "{error}");
}

#[test]
fn descriptions_that_take_much_memory_are_refused() {
    let (_alone, folder) = (alone(), tempfile::tempdir().expect("a folder"));
    let weights = kernels(Crafted::new(), &[]);
    let refused = |layers: &str| {
        let path = written(folder.path(), layers, &weights);
        assert!(fs::metadata(&path).expect("a file").len() < 60_000, "it is to be small");
        refused(&path)
    };
    let many = |text: &str, bytes: usize| vec![text; bytes / text.len()].join(",");
    let maps = |bytes| many(r#"{"":0}"#, bytes);
    let error = refused(&format!(",{}", maps(5 << 20)));
    assert!(error.contains("of at most 4194304"), "{error}");
    let error = refused(&format!(",{}", maps(3_500_000)));
    assert!(error.contains("more than 5000 layers"), "{error}");
    // In what no layer here knows, and in what they know.
    let with = |option: &str, bytes: usize| {
        let options = format!(r#""name": "d", "units": 1, "{option}": [{}]"#, maps(bytes));
        format!(r#", {{"class_name": "Dense", "config": {{{options}}}}}"#)
    };
    let error = refused(&with("unknown", 3_500_000));
    assert!(error.contains("layers/dense/vars/0 is missing"), "{error}");
    let error = refused(&with("kernel_initializer", 440_000));
    assert!(error.contains("kernel_initializer of a layer is described in"), "{error}");
    let layer = with("kernel_initializer", 700).replace(", {", "{");
    let error = refused(&format!(",{}", many(&layer, 3_500_000)));
    assert!(error.contains("\"d\" is no name for layer 3"), "{error}");
    let named = |i| layer.replace("\"d\"", &format!("\"d{i}\""));
    let layers: Vec<String> = (0..4300).map(named).collect();
    let error = refused(&format!(",{}", layers.join(",")));
    assert!(error.contains("Dense"), "{error}");
    let taken = format!(
        r#", {{"class_name": "Dense", "config": {{"name": "d", "units": 1}},
            "inbound_nodes": [{}]}}"#,
        maps(440_000)
    );
    let error = refused(&taken);
    assert!(error.contains("d: what it takes is described in 513332 bytes"), "{error}");
}

/// What is deflated is unpacked into memory, once.
#[test]
fn what_is_deflated_takes_no_more_than_the_file() {
    let (_alone, folder) = (alone(), tempfile::tempdir().expect("a folder"));
    let network = Sequential::new()
        .add(Conv2D::new(2, 1))
        .add(GlobalAveragePooling2D::new())
        .add(Dense::new(2));
    let model = Model::build(network, [4, 4, 1024], context(), 1).expect("the layers fit");
    let path = folder.path().join("m.keras");
    Export::new(model.network(), [4, 4, 1024]).keras().write(&path).expect("saved");
    let bytes = fs::read(&path).expect("a file");
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).expect("a zip");
    let mut into = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for i in 0..archive.len() {
        let mut part = archive.by_index(i).expect("a part");
        let options = zip::write::SimpleFileOptions::default().compression_method(Deflated);
        into.start_file(part.name().expect("a name"), options).expect("memory takes all");
        std::io::copy(&mut part, &mut into).expect("memory takes all");
    }
    let name = folder.path().join("deflated.keras");
    fs::write(&name, into.finish().expect("memory takes all").into_inner()).expect("written");
    load_keras(&name, context()).expect("a model");
    // Zeros by the gigabyte.
    let mut zip = zip::ZipWriter::new(fs::File::create(&name).expect("a file"));
    let options = zip::write::SimpleFileOptions::default().compression_method(Deflated);
    zip.start_file("metadata.json", options)
        .and_then(|()| Ok(zip.write_all(b"{}")?))
        .expect("fits");
    zip.start_file("config.json", options).and_then(|()| Ok(zip.write_all(b"{}")?)).expect("fits");
    zip.start_file("model.weights.h5", options).expect("fits");
    (0..100).for_each(|_| zip.write_all(&vec![0; 1 << 20]).expect("fits"));
    zip.finish().expect("fits");
    let error = refused(&name);
    assert!(error.contains("model.weights.h5 has 104857600 bytes, of at most"), "{error}");
}
