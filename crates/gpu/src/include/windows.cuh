// Windows that slide over images: the sizes and rules of crates/layers/src/pooling.rs.
#pragma once
#include "prelude.cuh"

// x: n·h·w·c, y: n·p·q·c, windows of r·s, `down` and `across` apart, `top` rows and `left` columns of padding.
struct Windows {
    int n, h, w, c, r, s, p, q, down, across, top, left;
};

struct Span {
    int first, end;
};

// The taps, of `size`, that meet an image of `input` pixels, in a window that begins at padded position `start`.
__device__ __forceinline__ Span taps_met(int start, int before, int size, int input) {
    return {max(before - start, 0), min(size, input + before - start)};
}

// The windows, of `count`, that lie over a padded position: window i meets it with tap at − i·stride.
__device__ __forceinline__ Span windows_over(int at, int stride, int size, int count) {
    return {at < size ? 0 : (at - size) / stride + 1, min(at / stride + 1, count)};
}
