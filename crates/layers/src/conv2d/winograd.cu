// Convolution in a quarter of the products, exact in f32 but for the rounding of its transforms: Winograd's
// F(4x4, 3x3). cuda/winograd.rs says when it pays, cpu/winograd.rs what the formulas are.
//
// | conv2d_winograd_* | makes                           | of                    | a thread takes  |
// | kernel            | the kernel at the 36 points     | kernel, for dx turned | channel, filter |
// | input             | the inputs of tiles there       | x, or dz              | tile, channels  |
// | products          | sums over channels: 36 matrices | inputs, kernel        | a part of one   |
// | output            | y, or dx                        | products              | tile, filters   |
// | gradient          | the gradients of tiles there    | dz                    | tile, filters   |
// | weight_products   | sums over tiles: 36 matrices    | inputs, gradients     | a part of one   |
// | kernel_gradient   | dkernel, or more of it          | weight_products       | channel, filter |
//
// A matrix for each of the 36 points, a row for each tile (or channel, of the kernel): so what a warp reads
// and writes lies side by side, and the products are those of matmul.cuh. The kernels named *_quads are for
// channels and filters that are multiples of 4.
// target compute_75
#include "matmul.cuh"
#include "winograd.cuh"

// As in cuda/winograd.rs.
typedef Tile<128, 64, 16, 8, 4> Wide;   // products, by quads
typedef Tile<64, 64, 16, 8, 4> Square;  // of weights, by quads
typedef Tile<64, 64, 16, 4, 4> Odd;     // one by one

// The tiles of this turn, counted over all images.
struct WinogradTiles {
    int first, count;
    int rows, columns, channels;         // of the images that are read
    int before_down, before_across;      // zeros before them
    int p, q, filters;                   // of the images that are made
    Divisor of_image, of_line;           // tiles of an image, and of a line of them
};

// A tile's image, and the row and column of its first output.
struct TilePlace { int image, row, column; };

__device__ __forceinline__ TilePlace place_of_tile(const WinogradTiles& g, int tile) {
    const int image = quotient(g.of_image, tile), rest = tile - image * (int)g.of_image.by;
    const int down = quotient(g.of_line, rest), across = rest - down * (int)g.of_line.by;
    return {image, down * WINOGRAD_OUTPUTS, across * WINOGRAD_OUTPUTS};
}

// What a thread takes: a row of the matrices, and the first of V neighbouring columns.
struct Piece { int row, column; };

template <int V> __device__ __forceinline__ Piece piece_of_thread(const Divisor& pieces) {
    const int index = (int)grid_thread(), row = quotient(pieces, index);
    return {row, (index - row * (int)pieces.by) * V};
}

// One by one, since a kernel has few numbers, and so there are more threads to wait for them.
extern "C" __global__ void __launch_bounds__(128)
conv2d_winograd_kernel(int channels, int filters, const Divisor pieces, int turned, const float* __restrict__ kernel,
                       float* __restrict__ into) {
    const Piece at = piece_of_thread<1>(pieces);
    if (at.row >= channels) return;
    const size_t matrix = (size_t)channels * filters, place = (size_t)at.row * filters + at.column;
    // Turned by 180 degrees, its channels are the filters of the kernel that is read.
    const float* from = kernel + (turned ? (size_t)at.column * channels + at.row : place);
    winograd_transform<Filter, 1>(
        [&](int r, int s) {
            const int tap = r * WINOGRAD_TAPS + s;
            return load<1>(from + (turned ? WINOGRAD_TAPS * WINOGRAD_TAPS - 1 - tap : tap) * matrix);
        },
        [&](int i, int j, const Lanes<float, 1>& v) { store(into + (i * WINOGRAD_INPUTS + j) * matrix + place, v); });
}

template <int V>
__device__ __forceinline__ void transform_input(const WinogradTiles& g, const Divisor& pieces, const float* x,
                                                float* into) {
    const Piece at = piece_of_thread<V>(pieces);
    if (at.row >= g.count) return;
    const TilePlace tile = place_of_tile(g, g.first + at.row);
    const int top = tile.row - g.before_down, left = tile.column - g.before_across;
    const float* image = x + (size_t)tile.image * g.rows * g.columns * g.channels + at.column;
    const size_t matrix = (size_t)g.count * g.channels;
    float* to = into + (size_t)at.row * g.channels + at.column;
    winograd_transform<Input, V>(
        [&](int i, int j) {
            const int h = top + i, w = left + j;
            const bool inside = (unsigned)h < (unsigned)g.rows && (unsigned)w < (unsigned)g.columns;
            return inside ? load<V>(image + ((size_t)h * g.columns + w) * g.channels) : spread<V>(0.f);
        },
        [&](int i, int j, const Lanes<float, V>& v) { store(to + (i * WINOGRAD_INPUTS + j) * matrix, v); });
}

extern "C" __global__ void __launch_bounds__(128)
conv2d_winograd_input(const WinogradTiles g, const Divisor pieces, const float* __restrict__ x,
                      float* __restrict__ into) {
    transform_input<1>(g, pieces, x, into);
}
extern "C" __global__ void __launch_bounds__(128)
conv2d_winograd_input_quads(const WinogradTiles g, const Divisor pieces, const float* __restrict__ x,
                            float* __restrict__ into) {
    transform_input<4>(g, pieces, x, into);
}

// The blocks of a point are neighbours, and share its part of the kernel.
template <class T, bool QUADS>
__device__ __forceinline__ void make_products(int tiles, int channels, int filters, const float* inputs,
                                              const float* kernel, float* products) {
    const Place at = tile_of_block<T>(tiles, filters, channels);
    const size_t point = at.group;
    const Matrix left{inputs + point * tiles * channels, tiles, channels, channels};
    const Matrix right{kernel + point * channels * filters, channels, filters, filters};
    AlongDepth<T::ROWS, T::DEPTH, T::THREADS, QUADS, Matrix> a(left, at.row);
    AcrossDepth<T::COLUMNS, T::DEPTH, T::THREADS, QUADS, Matrix> b(right, at.column);
    float sum[T::HIGH][T::WIDE];
    multiply<T>(sum, a, b, at.begin, at.end);
    const Rows target{products + point * tiles * filters, tiles, filters};
    put<T, QUADS>(sum, target, filters, at.row, at.column, Epilogue{nullptr, 0});
}

extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_winograd_products(int tiles, int channels, int filters, const float* __restrict__ inputs,
                         const float* __restrict__ kernel, float* __restrict__ products) {
    make_products<Odd, false>(tiles, channels, filters, inputs, kernel, products);
}
extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_winograd_products_quads(int tiles, int channels, int filters, const float* __restrict__ inputs,
                               const float* __restrict__ kernel, float* __restrict__ products) {
    make_products<Wide, true>(tiles, channels, filters, inputs, kernel, products);
}

template <int V>
__device__ __forceinline__ void transform_output(const WinogradTiles& g, const Divisor& pieces,
                                                 const float* products, const Epilogue& epilogue, float* y) {
    const Piece at = piece_of_thread<V>(pieces);
    if (at.row >= g.count) return;
    const TilePlace tile = place_of_tile(g, g.first + at.row);
    const size_t matrix = (size_t)g.count * g.filters;
    const float* from = products + (size_t)at.row * g.filters + at.column;
    float* to = y + (((size_t)tile.image * g.p + tile.row) * g.q + tile.column) * g.filters + at.column;
    winograd_transform<Output, V>(
        [&](int i, int j) { return load<V>(from + (i * WINOGRAD_INPUTS + j) * matrix); },
        [&](int i, int j, Lanes<float, V> v) {
            if (tile.row + i >= g.p || tile.column + j >= g.q) return;
#pragma unroll
            for (int l = 0; l < V; ++l) v.at[l] = epilogue(v.at[l], at.column + l);
            store(to + ((size_t)i * g.q + j) * g.filters, v);
        });
}

extern "C" __global__ void __launch_bounds__(128)
conv2d_winograd_output(const WinogradTiles g, const Divisor pieces, const float* __restrict__ products,
                       const float* __restrict__ bias, int relu, float* __restrict__ y) {
    transform_output<1>(g, pieces, products, Epilogue{bias, relu}, y);
}
extern "C" __global__ void __launch_bounds__(128)
conv2d_winograd_output_quads(const WinogradTiles g, const Divisor pieces, const float* __restrict__ products,
                             const float* __restrict__ bias, int relu, float* __restrict__ y) {
    transform_output<4>(g, pieces, products, Epilogue{bias, relu}, y);
}

// Outputs beyond the image have no gradient.
template <int V>
__device__ __forceinline__ void transform_gradient(const WinogradTiles& g, const Divisor& pieces, const float* dz,
                                                   float* into) {
    const Piece at = piece_of_thread<V>(pieces);
    if (at.row >= g.count) return;
    const TilePlace tile = place_of_tile(g, g.first + at.row);
    const size_t matrix = (size_t)g.count * g.filters;
    const float* from = dz + (((size_t)tile.image * g.p + tile.row) * g.q + tile.column) * g.filters + at.column;
    float* to = into + (size_t)at.row * g.filters + at.column;
    winograd_transform<OutputGradient, V>(
        [&](int i, int j) {
            const bool inside = tile.row + i < g.p && tile.column + j < g.q;
            return inside ? load<V>(from + ((size_t)i * g.q + j) * g.filters) : spread<V>(0.f);
        },
        [&](int i, int j, const Lanes<float, V>& v) { store(to + (i * WINOGRAD_INPUTS + j) * matrix, v); });
}

extern "C" __global__ void __launch_bounds__(128)
conv2d_winograd_gradient(const WinogradTiles g, const Divisor pieces, const float* __restrict__ dz,
                         float* __restrict__ into) {
    transform_gradient<1>(g, pieces, dz, into);
}
extern "C" __global__ void __launch_bounds__(128)
conv2d_winograd_gradient_quads(const WinogradTiles g, const Divisor pieces, const float* __restrict__ dz,
                               float* __restrict__ into) {
    transform_gradient<4>(g, pieces, dz, into);
}

// Blocks along z share the sum over the tiles of this turn, and leave a part each: matmul_add_parts adds them.
template <class T, bool QUADS>
__device__ __forceinline__ void make_weight_products(int tiles, int channels, int filters, const float* inputs,
                                                     const float* gradients, float* sums) {
    const Place at = tile_of_block<T>(channels, filters, tiles);
    const size_t point = at.group, matrix = (size_t)channels * filters;
    const Matrix left{inputs + point * tiles * channels, tiles, channels, channels};
    const Matrix right{gradients + point * tiles * filters, tiles, filters, filters};
    AcrossDepth<T::ROWS, T::DEPTH, T::THREADS, QUADS, Matrix> a(left, at.row);
    AcrossDepth<T::COLUMNS, T::DEPTH, T::THREADS, QUADS, Matrix> b(right, at.column);
    float sum[T::HIGH][T::WIDE];
    multiply<T>(sum, a, b, at.begin, at.end);
    const Rows target{sums + (blockIdx.z * WINOGRAD_POINTS + point) * matrix, channels, filters};
    put<T, QUADS>(sum, target, filters, at.row, at.column, Epilogue{nullptr, 0});
}

extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_winograd_weight_products(int tiles, int channels, int filters, const float* __restrict__ inputs,
                                const float* __restrict__ gradients, float* __restrict__ sums) {
    make_weight_products<Odd, false>(tiles, channels, filters, inputs, gradients, sums);
}
extern "C" __global__ void __launch_bounds__(128, 3)
conv2d_winograd_weight_products_quads(int tiles, int channels, int filters, const float* __restrict__ inputs,
                                      const float* __restrict__ gradients, float* __restrict__ sums) {
    make_weight_products<Square, true>(tiles, channels, filters, inputs, gradients, sums);
}

// What the tiles of this turn give is added to that of the turns before, if any.
extern "C" __global__ void __launch_bounds__(128)
conv2d_winograd_kernel_gradient(int channels, int filters, const Divisor pieces, const float* __restrict__ sums,
                                int more, float* __restrict__ dkernel) {
    const Piece at = piece_of_thread<1>(pieces);
    if (at.row >= channels) return;
    const size_t matrix = (size_t)channels * filters, place = (size_t)at.row * filters + at.column;
    winograd_transform<FilterGradient, 1>(
        [&](int i, int j) { return load<1>(sums + (i * WINOGRAD_INPUTS + j) * matrix + place); },
        [&](int r, int s, const Lanes<float, 1>& v) {
            float* to = dkernel + (r * WINOGRAD_TAPS + s) * matrix + place;
            *to = more ? *to + v.at[0] : v.at[0];
        });
}
