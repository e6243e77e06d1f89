//! Images in memory. Which of them fit may depend on who came first; what they hold does not.

use super::Store;
use crate::Dataset;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) struct Memory {
    images: Vec<OnceLock<Box<[u8]>>>,
    /// How many more images fit.
    room: AtomicUsize,
}

impl Memory {
    pub(super) fn new(dataset: &dyn Dataset, limit_bytes: usize) -> Self {
        let bytes: usize = dataset.size().iter().product();
        Self {
            images: (0..dataset.len()).map(|_| OnceLock::new()).collect(),
            room: AtomicUsize::new(limit_bytes / bytes.max(1)),
        }
    }
}

impl Store for Memory {
    fn get(&self, index: usize, into: &mut [u8]) -> bool {
        let image = self.images[index].get();
        image.inspect(|image| into.copy_from_slice(image)).is_some()
    }

    fn put(&self, index: usize, image: &[u8]) {
        let claim = |room: usize| room.checked_sub(1);
        if self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim).is_ok() {
            // Where another worker was faster its image is the same, and the room is free again.
            if self.images[index].set(image.into()).is_err() {
                self.room.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InMemory;
    use ndarray::Array4;

    #[test]
    fn no_more_is_kept_than_the_limit_says() {
        let dataset = InMemory::new(Array4::zeros((3, 1, 2, 3)), vec![0; 3], &["a"]).unwrap();
        let memory = Memory::new(&dataset, 17);
        let mut image = [0; 6];
        memory.put(1, &[1; 6]);
        memory.put(1, &[1; 6]);
        assert!(!memory.get(0, &mut image) && memory.get(1, &mut image));
        assert_eq!(image, [1; 6]);
        memory.put(0, &[2; 6]);
        memory.put(2, &[3; 6]);
        assert!(memory.get(0, &mut image) && !memory.get(2, &mut image));
    }
}
