//! Forward, backward and proof of every layer of a convolutional network.
