//! Published networks as composition of layers.
