// Convolution as products of matrices that are never stored, exact in f32; see ../conv2d.rs for the formulas.
//
// | pass            | A                           | B                | C                | k walks       |
// | forward         | patches of x                | kernel           | y                | taps, channels |
// | backward_input  | patches of dz, by phases    | kernel, turned   | dx               | taps, filters  |
// | backward_weight | patches of x, on their side | dz               | dkernel          | pixels of dz   |
//
// Where C has few tiles, blocks share the sum over k, and matmul_add_parts adds what they leave. The
// kernels named *_quads are for channels and filters (of a group) that are multiples of 4.
// target compute_75
#include "moments.cuh"
#include "windows.cuh"

// As in cuda.rs. One by one, a thread keeps the places of more rows, and has fewer registers for sums.
typedef Tile<128, 64, 16, 8, 4> Wide;   // by quads
typedef Tile<64, 64, 16, 4, 4> Square;  // one by one
typedef Tile<128, 32, 16, 4, 4> Narrow; // for up to 32 columns, by quads
typedef Tile<64, 32, 16, 4, 4> Slim;    // one by one
typedef Tile<32, 32, 16, 4, 4> Small;   // for up to 32 rows and columns

// The epilogue of all sums, so that they can be written and judged.
template <class T>
__device__ __forceinline__ void finish(float (&sum)[T::HIGH][T::WIDE], const Place& at, int columns,
                                       const Epilogue& epilogue) {
#pragma unroll
    for (int j = 0; j < T::WIDE; ++j) {
        const int column = at.column + threadIdx.x % T::ACROSS * T::WIDE + j;
        const float own = epilogue.bias && column < columns ? epilogue.bias[column] : 0.f;
#pragma unroll
        for (int i = 0; i < T::HIGH; ++i) sum[i][j] = epilogue.with(own, sum[i][j]);
    }
}

// Leaves the moments of this block's tile of y. A strand has HIGH rows, one below the other.
template <class T>
__device__ __forceinline__ void judge(const float (&y)[T::HIGH][T::WIDE], const Place& at, int rows, int columns,
                                      int filters, float* moments) {
    typedef Judged<T::COLUMNS, T::ROWS / T::HIGH> Strands;
    static_assert(Strands::FLOATS <= 2 * T::STAGE, "there is so much shared memory");
    Strands tile(dynamic_shared<float>());
    const int strand = threadIdx.x / T::ACROSS, wide = threadIdx.x % T::ACROSS * T::WIDE;
    const int count = rows_before(rows, at.row + strand * T::HIGH, 1, T::HIGH);
    const auto column = [=](int j) { return wide + j; };
    tile.template take<T::HIGH, T::WIDE>(strand, count, column, [&](int i, int j) { return y[i][j]; });
    const int first = at.group * columns;
    tile.write(moments, first + at.column, filters, first + columns, at.row / T::ROWS, ceil_div(rows, T::ROWS));
}

// y, or this block's part of the sum in parts that lie `apart` one from the next. The moments of y's filters, of
// each tile's rows, where that is not null.
template <class T, bool QUADS>
__device__ __forceinline__ void forward(const Windows& g, int filters, int groups, const float* x,
                                        const float* kernel, const float* bias, int relu, float* y,
                                        unsigned long long apart, float* moments) {
    const int columns = filters / groups, depth = g.depth.by;
    const Place at = tile_of_block<T>(g.positions, columns, g.taps);
    const Patches patches{g, x + at.group * depth};
    const Matrix weights{kernel + at.group * columns, g.taps, columns, filters};
    AlongDepth<T::ROWS, T::DEPTH, T::THREADS, QUADS, Patches> a(patches, at.row);
    AcrossDepth<T::COLUMNS, T::DEPTH, T::THREADS, QUADS, Matrix> b(weights, at.column);
    float sum[T::HIGH][T::WIDE];
    multiply<T>(sum, a, b, at.begin, at.end);
    const Rows target{y + blockIdx.z * apart + at.group * columns, g.positions, filters};
    finish<T>(sum, at, columns, Epilogue{bias ? bias + at.group * columns : nullptr, relu});
    put<T, QUADS>(sum, target, columns, at.row, at.column, Epilogue{nullptr, 0});
    if (moments) judge<T>(sum, at, g.positions, columns, filters, moments);
}

extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_forward(const Windows g, int filters, int groups, const float* __restrict__ x,
               const float* __restrict__ kernel, const float* __restrict__ bias, int relu, float* __restrict__ y,
               unsigned long long apart, float* __restrict__ moments) {
    forward<Square, false>(g, filters, groups, x, kernel, bias, relu, y, apart, moments);
}
extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_forward_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                     const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                     float* __restrict__ y, unsigned long long apart, float* __restrict__ moments) {
    forward<Wide, true>(g, filters, groups, x, kernel, bias, relu, y, apart, moments);
}
extern "C" __global__ void __launch_bounds__(128, 3)
conv2d_forward_narrow(const Windows g, int filters, int groups, const float* __restrict__ x,
                      const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                      float* __restrict__ y, unsigned long long apart, float* __restrict__ moments) {
    forward<Slim, false>(g, filters, groups, x, kernel, bias, relu, y, apart, moments);
}
extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_forward_narrow_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                            const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                            float* __restrict__ y, unsigned long long apart, float* __restrict__ moments) {
    forward<Narrow, true>(g, filters, groups, x, kernel, bias, relu, y, apart, moments);
}

// The pixels of dx that are of a phase.
template <class T, bool QUADS>
__device__ __forceinline__ void backward_input(const Windows& g, const Phase& phase, const float* dz,
                                               const float* kernel, float* dx, unsigned long long apart) {
    const int filters = g.depth.by;
    const Place at = tile_of_block<T>(g.positions, phase.depth, g.taps);
    const Patches patches{g, dz + at.group * filters};
    const Turned turned{g, phase, kernel + at.group * filters};
    AlongDepth<T::ROWS, T::DEPTH, T::THREADS, QUADS, Patches> a(patches, at.row);
    AlongDepth<T::COLUMNS, T::DEPTH, T::THREADS, QUADS, Turned> b(turned, at.column);
    float sum[T::HIGH][T::WIDE];
    multiply<T>(sum, a, b, at.begin, at.end);
    const Pixels target{g, phase, dx + blockIdx.z * apart + at.group * phase.depth, g.positions};
    put<T, QUADS>(sum, target, phase.depth, at.row, at.column, Epilogue{nullptr, 0});
}

extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_backward_input(const Windows g, const Phase phase, const float* __restrict__ dz,
                      const float* __restrict__ kernel, float* __restrict__ dx, unsigned long long apart) {
    backward_input<Square, false>(g, phase, dz, kernel, dx, apart);
}
extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_backward_input_quads(const Windows g, const Phase phase, const float* __restrict__ dz,
                            const float* __restrict__ kernel, float* __restrict__ dx, unsigned long long apart) {
    backward_input<Wide, true>(g, phase, dz, kernel, dx, apart);
}
extern "C" __global__ void __launch_bounds__(128, 3)
conv2d_backward_input_narrow(const Windows g, const Phase phase, const float* __restrict__ dz,
                             const float* __restrict__ kernel, float* __restrict__ dx, unsigned long long apart) {
    backward_input<Slim, false>(g, phase, dz, kernel, dx, apart);
}
extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_backward_input_narrow_quads(const Windows g, const Phase phase, const float* __restrict__ dz,
                                   const float* __restrict__ kernel, float* __restrict__ dx,
                                   unsigned long long apart) {
    backward_input<Narrow, true>(g, phase, dz, kernel, dx, apart);
}

template <class T, bool QUADS>
__device__ __forceinline__ void backward_weight(const Windows& g, int filters, int groups, const float* x,
                                                const float* dz, float* dkernel, unsigned long long apart) {
    const int columns = filters / groups, depth = g.depth.by;
    const Place at = tile_of_block<T>(g.taps, columns, g.positions);
    const Patches patches{g, x + at.group * depth};
    const Matrix gradients{dz + at.group * columns, g.positions, columns, filters};
    AcrossDepth<T::ROWS, T::DEPTH, T::THREADS, QUADS, Patches> a(patches, at.row);
    AcrossDepth<T::COLUMNS, T::DEPTH, T::THREADS, QUADS, Matrix> b(gradients, at.column);
    float sum[T::HIGH][T::WIDE];
    multiply<T>(sum, a, b, at.begin, at.end);
    const Rows target{dkernel + blockIdx.z * apart + at.group * columns, g.taps, filters};
    put<T, QUADS>(sum, target, columns, at.row, at.column, Epilogue{nullptr, 0});
}

extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_backward_weight(const Windows g, int filters, int groups, const float* __restrict__ x,
                       const float* __restrict__ dz, float* __restrict__ dkernel, unsigned long long apart) {
    backward_weight<Square, false>(g, filters, groups, x, dz, dkernel, apart);
}
extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_backward_weight_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                             const float* __restrict__ dz, float* __restrict__ dkernel, unsigned long long apart) {
    backward_weight<Wide, true>(g, filters, groups, x, dz, dkernel, apart);
}
extern "C" __global__ void __launch_bounds__(64)
conv2d_backward_weight_small(const Windows g, int filters, int groups, const float* __restrict__ x,
                             const float* __restrict__ dz, float* __restrict__ dkernel, unsigned long long apart) {
    backward_weight<Small, false>(g, filters, groups, x, dz, dkernel, apart);
}
extern "C" __global__ void __launch_bounds__(64)
conv2d_backward_weight_small_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                                   const float* __restrict__ dz, float* __restrict__ dkernel,
                                   unsigned long long apart) {
    backward_weight<Small, true>(g, filters, groups, x, dz, dkernel, apart);
}
