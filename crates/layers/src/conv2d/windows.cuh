// What a convolution reads, as matrices whose elements are looked up and never stored: no im2col.
#pragma once
#include "matmul.cuh"

// Positions of a window, and the taps within it: position (n, u, v) and tap (r, s) meet pixel
//   (n, u·step_down + r·apart_down + first_down, v·step_across + s·apart_across + first_across)
// of an image, or a zero around it. Forward, positions are the pixels of y and the image is x. Backward,
// positions are pixels of dx and the image is dz; where strides are not 1, the pixels of dx fall into
// phases that see different taps, and each is a convolution of its own.
struct Windows {
    int positions;                           // n·u·v
    int taps;                                // r·s·channels of a group
    int rows, columns, channels;             // of the image
    int step_down, step_across, apart_down, apart_across, first_down, first_across;
    Divisor of_image, of_line;               // positions of an image, u·v, and of a line of them, v
    Divisor depth, of_row;                   // channels of a group, and taps of a row, s
};

// More than any image has rows: what is so far outside stays outside with any tap added.
#define OUTSIDE (-(1 << 30))

// A matrix of positions x taps. Channels of a tap lie side by side.
template <class Number_> struct PatchesOf {
    typedef Number_ Number;
    struct Row { long long at; int h, w; };
    typedef Row Column;
    const Windows& g;
    const Number* image; // at the first channel of the group

    __device__ Row row(int i) const {
        const int n = quotient(g.of_image, i), pixel = i - n * (int)g.of_image.by;
        const int u = quotient(g.of_line, pixel), v = pixel - u * (int)g.of_line.by;
        const int h = u * g.step_down + g.first_down, w = v * g.step_across + g.first_across;
        return {(((long long)n * g.rows + h) * g.columns + w) * g.channels, i < g.positions ? h : OUTSIDE, w};
    }
    __device__ Column column(int j) const {
        const int tap = quotient(g.depth, j), c = j - tap * (int)g.depth.by;
        const int r = quotient(g.of_row, tap), s = tap - r * (int)g.of_row.by;
        const int h = r * g.apart_down, w = s * g.apart_across;
        return {((long long)h * g.columns + w) * g.channels + c, j < g.taps ? h : OUTSIDE, w};
    }
    __device__ const Number* at(const Row& row, const Column& column) const {
        const bool inside = (unsigned)(row.h + column.h) < (unsigned)g.rows &&
                            (unsigned)(row.w + column.w) < (unsigned)g.columns;
        return inside ? image + row.at + column.at : nullptr;
    }
    __device__ const Number* anywhere() const { return image; }
};
typedef PatchesOf<float> Patches;

// Backward: which pixels of dx a phase has, (n, u·step + first) down and across, and which taps of the
// kernel they see, r·apart + tap likewise.
struct Phase {
    int rows, columns, channels;             // of dx
    int step_down, step_across, first_down, first_across;
    int apart_down, apart_across, tap_down, tap_across;
    int taps_across, filters, depth;         // of the kernel: s, k, channels of a group
};

// A matrix of channels x taps of a phase: the kernel, whose filters lie side by side.
struct Turned {
    typedef float Number;
    typedef long long Row;
    typedef long long Column;
    const Windows& g;
    const Phase& phase;
    const float* kernel; // at the first filter of the group

    __device__ Row row(int c) const { return c < phase.depth ? (long long)c * phase.filters : -1; }
    __device__ Column column(int j) const {
        const int tap = quotient(g.depth, j), k = j - tap * (int)g.depth.by;
        const int down = quotient(g.of_row, tap), across = tap - down * (int)g.of_row.by;
        const int r = down * phase.apart_down + phase.tap_down;
        const int s = across * phase.apart_across + phase.tap_across;
        return j < g.taps ? ((long long)r * phase.taps_across + s) * phase.depth * phase.filters + k : -1;
    }
    __device__ const float* at(Row row, Column column) const {
        return row < 0 || column < 0 ? nullptr : kernel + row + column;
    }
    __device__ const float* anywhere() const { return kernel; }
};

// Where the pixels of a phase lie in dx.
struct Pixels {
    const Windows& g;
    const Phase& phase;
    float* base; // at the first channel of the group
    int rows;    // positions

    __device__ float* row(int i) const {
        const int n = quotient(g.of_image, i), pixel = i - n * (int)g.of_image.by;
        const int u = quotient(g.of_line, pixel), v = pixel - u * (int)g.of_line.by;
        const int h = u * phase.step_down + phase.first_down, w = v * phase.step_across + phase.first_across;
        return base + (((size_t)n * phase.rows + h) * phase.columns + w) * phase.channels;
    }
};
