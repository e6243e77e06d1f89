//! The same batches with and without a cache; a cache that does not fit is never believed.

use gradus_data::ndarray::{Array4, ArrayView3, ArrayViewMut3};
use gradus_data::{
    BadImages, Cache, DataLoader, Error, FlowFromDataframe, InMemory, Manifest, Source,
};
use gradus_data::{flow, flow_from_dataframe};
use gradus_random::Domain;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const N: usize = 23;

fn write(folder: &Path, n: usize, seed: u8) {
    let pixel = |x: u32, y: u32| image::Rgb([n as u8, (x * 9) as u8 ^ seed, (y * 7) as u8]);
    let image = image::RgbImage::from_fn(9 + n as u32, 7, pixel);
    image.save(folder.join(format!("{n}.png"))).unwrap();
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    (0..N).for_each(|n| write(folder.path(), n, 0));
    folder
}

fn frame() -> Manifest {
    let rows = (0..N).map(|n| [format!("{n}.png"), ["cat", "dog"][n % 2].into()]);
    Manifest::from_rows(&["filename", "class"], rows).unwrap()
}

fn noise(source: Source<'_>, from: ArrayView3<'_, u8>, mut into: ArrayViewMut3<'_, f32>) {
    let mut rng = source.stream(Domain::named("test"));
    into.zip_mut_with(&from, |y, &x| *y = f32::from(x) + rng.uniform() as f32);
}

fn describe<'a>(frame: &'a Manifest, folder: &Path) -> FlowFromDataframe<'a> {
    let flow = flow_from_dataframe(frame, folder).target_size(5, 6).batch_size(4).seed(3);
    flow.transform(noise)
}

fn bits(mut loader: DataLoader) -> Vec<u32> {
    let mut bits = Vec::new();
    for epoch in 0..2 {
        loader.start(epoch, None);
        while let Some(batch) = loader.next_batch() {
            let batch = batch.unwrap();
            bits.extend(batch.rows());
            bits.extend(batch.images().iter().chain(&batch.targets()).map(|v| v.to_bits()));
        }
    }
    bits
}

/// Whether a loader with that cache gives the same bits as one without, and what it remarks.
fn same(folder: &Path, cache: Cache) -> (bool, Vec<String>) {
    let frame = frame();
    let loader = describe(&frame, folder).cache(cache).workers(3).open().unwrap();
    let remarks = loader.found().remarks.clone();
    (bits(loader) == bits(describe(&frame, folder).workers(0).open().unwrap()), remarks)
}

fn disk(folder: &Path) -> (PathBuf, Cache) {
    let path = folder.join("images.cache");
    (path.clone(), Cache::Disk(path))
}

#[test]
fn batches_are_the_same_with_any_cache() {
    let folder = folder();
    for limit_bytes in [0, 5 * 5 * 6 * 3, usize::MAX] {
        assert_eq!(same(folder.path(), Cache::Memory { limit_bytes }), (true, vec![]));
    }
    let (path, cache) = disk(folder.path());
    assert_eq!(same(folder.path(), cache.clone()), (true, vec![]));
    let made = fs::read(&path).unwrap();
    assert_eq!(made.len(), 64 + N * 5 * 6 * 3 + 8 * N + 8);
    let changed = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(same(folder.path(), cache), (true, vec![]));
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), changed, "made once");
}

#[test]
fn a_cache_is_what_is_read_once_it_is_there() {
    let folder = folder();
    let (_, cache) = disk(folder.path());
    let frame = frame();
    let before = bits(describe(&frame, folder.path()).open().unwrap());
    for cache in [Cache::Memory { limit_bytes: usize::MAX }, cache] {
        let flow = describe(&frame, folder.path()).cache(cache).verify(true);
        let loader = flow.open().unwrap();
        (0..N).for_each(|n| fs::rename(name(&folder, n), name(&folder, n + 100)).unwrap());
        assert!(bits(loader) == before);
        (0..N).for_each(|n| fs::rename(name(&folder, n + 100), name(&folder, n)).unwrap());
    }
}

fn name(folder: &TempDir, n: usize) -> PathBuf {
    folder.path().join(format!("{n}.png"))
}

#[test]
fn another_size_or_a_changed_file_makes_it_anew() {
    let folder = folder();
    let (path, cache) = disk(folder.path());
    let frame = frame();
    let small = describe(&frame, folder.path()).target_size(2, 2).cache(cache.clone());
    small.open().unwrap();
    let stale = format!("The cache {} was of other images", path.display());
    let is_stale = |(same, remarks): (bool, Vec<String>)| {
        assert!(same);
        assert!(remarks.len() == 1 && remarks[0].starts_with(&stale), "{remarks:?}");
    };
    is_stale(same(folder.path(), cache.clone()));
    // Other pixels, in a file that may well have the same length.
    write(folder.path(), 7, 0x55);
    let file = fs::File::options().write(true).open(name(&folder, 7)).unwrap();
    file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(9)).unwrap();
    is_stale(same(folder.path(), cache.clone()));
    assert_eq!(same(folder.path(), cache), (true, vec![]));
}

#[test]
fn a_damaged_cache_is_made_anew_and_a_damaged_image_in_it_is_read_from_its_file() {
    let folder = folder();
    let (path, cache) = disk(folder.path());
    same(folder.path(), cache.clone());
    let whole = fs::read(&path).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        bytes
    };
    let longer = [whole.clone(), vec![0]].concat();
    let damages = [flipped(3), flipped(20), flipped(60), flipped(whole.len() - 12), longer, vec![]];
    let cuts = [10, 64, 100, whole.len() - 1].map(|n| whole[..n].to_vec());
    for damaged in damages.into_iter().chain(cuts) {
        fs::write(&path, &damaged).unwrap();
        let (same, remarks) = same(folder.path(), cache.clone());
        assert!(same && remarks.len() == 1, "{remarks:?}");
        assert!(remarks[0].contains("is damaged") && remarks[0].ends_with("it is made anew."));
        assert!(fs::read(&path).unwrap() == whole);
    }
    fs::write(&path, flipped(64 + 200)).unwrap();
    assert_eq!(same(folder.path(), cache.clone()), (true, vec![]));
    let frame = frame();
    let mut loader = describe(&frame, folder.path()).cache(cache).open().unwrap();
    assert_eq!(loader.remark(), None);
    for epoch in 0..2 {
        loader.start(epoch, None);
        while let Some(batch) = loader.next_batch() {
            batch.unwrap();
        }
        let remark = loader.remark().unwrap();
        assert!(remark.contains("1 image(s) are damaged"), "{remark}");
    }
}

#[test]
fn bad_images_stay_bad_in_a_cache() {
    let folder = folder();
    fs::write(name(&folder, 5), "no image").unwrap();
    let (_, cache) = disk(folder.path());
    let frame = frame();
    for _ in 0..2 {
        let flow = describe(&frame, folder.path()).cache(cache.clone());
        let loader = flow.bad_images(BadImages::Skip).verify(true).open().unwrap();
        assert_eq!((loader.len(), loader.found().ignored.len()), (N - 1, 1));
    }
    let mut loader = describe(&frame, folder.path()).cache(cache).shuffle(false).open().unwrap();
    loader.start(0, None);
    assert!(loader.next_batch().unwrap().is_ok());
    let error = loader.next_batch().unwrap().map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Image { line: Some(7), .. }), "{error}");
}

#[test]
fn several_make_and_read_one_cache_at_once() {
    let folder = folder();
    let (_, cache) = disk(folder.path());
    std::thread::scope(|scope| {
        let crew: Vec<_> =
            (0..4).map(|_| scope.spawn(|| same(folder.path(), cache.clone()).0)).collect();
        assert!(crew.into_iter().all(|thread| thread.join().unwrap()));
    });
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, N + 1, "nothing temporary is left");
}

#[test]
fn a_folder_that_is_not_there_and_a_data_set_without_files_are_errors() {
    let (folder, frame) = (folder(), frame());
    let cache = Cache::Disk(folder.path().join("no such folder/x"));
    let error = describe(&frame, folder.path()).cache(cache).open().map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    let dataset = InMemory::new(Array4::zeros((2, 1, 1, 3)), vec![0, 0], &["a"]).unwrap();
    let error = flow(dataset).cache(disk(folder.path()).1).open().map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Argument { argument: "cache", .. }), "{error}");
}
