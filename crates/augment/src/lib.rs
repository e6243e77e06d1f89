//! Random changes that keep the label: ImageDataGenerator and its parts.
