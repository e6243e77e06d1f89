//! gradus: a small from-scratch deep learning stack.
