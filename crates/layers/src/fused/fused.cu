// Layers that are done together; see ../fused.rs for what they are and what is saved.
//
// A thread takes a window at a time, in four channels or one, and stays with its channels. Backward, too: windows lie
// side by side, so that every pixel belongs to one at most, and nothing is added by two. What lies behind the last
// window, down or across, is a part of a window that nothing won.
// target compute_75
#include "dropout.cuh"
#include "normalization.cuh"
#include "windows.cuh"

// Marks a value that was dropped. The other bits are the tap that won.
#define DROPPED 0x80

// What dropout does with the layer's values: nothing where the threshold is 0 and the factor 1.
struct Drop {
    unsigned layer, threshold;
    float factor;
};

// Where window i lies, of so many down and across an image. There are fewer than 2³¹ pixels: the convolution's
// launcher has seen to that.
struct Place {
    unsigned image, p, q;

    __device__ __forceinline__ Place(unsigned i, int down, int across) {
        const unsigned row = i / (unsigned)across;
        q = i - row * (unsigned)across;
        image = row / (unsigned)down;
        p = row - image * (unsigned)down;
    }
    // The first pixel of the window.
    __device__ __forceinline__ size_t corner(const Windows& g) const {
        return (size_t)(image * g.h + p * g.r) * g.w + q * g.s;
    }
};

// dy behind dropout, in the order in which dropout multiplies.
__device__ __forceinline__ float behind_dropout(float dy, unsigned char code, float factor) {
    return dy * (code < DROPPED ? 1.f : 0.f) * factor;
}

// The largest of a window in V channels, normalized; the z that it came from; and which tap that is.
template <int V> struct Winner {
    Lanes<float, V> best, z;
    Lanes<unsigned char, V> tap;
};

// Windows are SIDE pixels high and wide, or as `g` says where that is 0. With SIDE the loops are unrolled, and all
// loads are on their way at once.
template <int V, int SIDE, class Number>
__device__ __forceinline__ Winner<V> pool(const Windows& g, const Normalize<V>& normalized,
                                          const Number* __restrict__ window) {
    const int high = SIDE ? SIDE : g.r, wide = SIDE ? SIDE : g.s;
    Winner<V> w{spread<V>(0.f), spread<V>(0.f), spread<V>((unsigned char)0)};
#pragma unroll
    for (int r = 0; r < high; ++r)
#pragma unroll
        for (int s = 0; s < wide; ++s) {
            const Lanes<float, V> z = load_f32<V>(window + ((size_t)r * g.w + s) * g.c);
#pragma unroll
            for (int l = 0; l < V; ++l) {
                const float value = normalized(z.at[l], l), best = w.best.at[l];
                // As max pooling has it: a NaN is not at most the best, so it wins, and then stays.
                const bool wins = r + s == 0 || (!(value <= best) && best == best);
                w.best.at[l] = wins ? value : best;
                w.z.at[l] = wins ? z.at[l] : w.z.at[l];
                w.tap.at[l] = wins ? (unsigned char)(r * wide + s) : w.tap.at[l];
            }
        }
    return w;
}

// y = dropout(pool(normalize(z))), and what is kept for backward; y = pool(normalize(z)) where `won` is null.
template <int V, int SIDE, class Number>
__device__ __forceinline__ void forward(const Windows& g, const Statistics& n, const Number* __restrict__ z,
                                        const StepScalars* now, const Drop& drop, float* __restrict__ y,
                                        Number* __restrict__ won, unsigned char* __restrict__ codes) {
    const int columns = g.c / V;
    const Walk walk(columns);
    if (walk.idle()) return;
    const int c = (int)(walk.first % columns) * V;
    const Normalize<V> normalized(n, c);
    const StepScalars step = drop.threshold ? *now : StepScalars{0, 0, 0.f};
    const unsigned windows = g.n * g.p * g.q, apart = (unsigned)(walk.step / columns);
    for (unsigned i = (unsigned)(walk.first / columns); i < windows; i += apart) {
        const Place at(i, g.p, g.q);
        Winner<V> w = pool<V, SIDE>(g, normalized, z + at.corner(g) * g.c + c);
        const size_t first = (size_t)i * g.c + c;
        if (won) {
            uint4 words = make_uint4(0, 0, 0, 0);
            if (drop.threshold) words = words_of_block(step, drop.layer, (unsigned)(first / 8));
#pragma unroll
            for (int l = 0; l < V; ++l) {
                const unsigned char kept = is_kept(words, (int)(first % 8) + l, drop.threshold);
                // As dropout multiplies, so that a dropped NaN is still a NaN.
                w.best.at[l] = w.best.at[l] * (float)kept * drop.factor;
                w.tap.at[l] = (unsigned char)(w.tap.at[l] | (kept ? 0 : DROPPED));
            }
            store(won + first, w.z);
            store(codes + first, w.tap);
        }
        store(y + first, w.best);
    }
}

// z: n·h·w·c; y, won, codes: n·p·q·c. At least as many threads as vectors of channels. Nothing is dropped where the
// threshold is 0, and `now` is not read then.
extern "C" __global__ void fused_forward(Windows g, int lanes, const float* __restrict__ z,
                                         const float* __restrict__ mean, const float* __restrict__ rest,
                                         const float* __restrict__ variance, const float* __restrict__ gamma,
                                         const float* __restrict__ beta, float epsilon,
                                         const StepScalars* __restrict__ now, Drop drop, float* __restrict__ y,
                                         float* __restrict__ won, unsigned char* __restrict__ codes) {
    const Statistics n{mean, rest, variance, gamma, beta, epsilon};
    const bool two = g.r == 2 && g.s == 2;
    if (lanes == 4 && two) forward<4, 2>(g, n, z, now, drop, y, won, codes);
    else if (lanes == 4) forward<4, 0>(g, n, z, now, drop, y, won, codes);
    else if (two) forward<1, 2>(g, n, z, now, drop, y, won, codes);
    else forward<1, 0>(g, n, z, now, drop, y, won, codes);
}

// The same of a z in bf16, whose channels always go by fours; what won is one of them.
extern "C" __global__ void fused_forward_z16(Windows g, const bf16_bits* __restrict__ z,
                                             const float* __restrict__ mean, const float* __restrict__ rest,
                                             const float* __restrict__ variance, const float* __restrict__ gamma,
                                             const float* __restrict__ beta, float epsilon,
                                             const StepScalars* __restrict__ now, Drop drop, float* __restrict__ y,
                                             bf16_bits* __restrict__ won, unsigned char* __restrict__ codes) {
    const Statistics n{mean, rest, variance, gamma, beta, epsilon};
    if (g.r == 2 && g.s == 2) forward<4, 2>(g, n, z, now, drop, y, won, codes);
    else forward<4, 0>(g, n, z, now, drop, y, won, codes);
}

// Σ d and Σ d · (won − mean) of each chunk of pooled pixels, d being dy behind dropout: as batch normalization's own
// products, because all other dy are 0. One channel a thread: eight pixels of it are on their way at once.
extern "C" __global__ void __launch_bounds__(COLUMN_THREADS)
fused_products(const float* __restrict__ won, unsigned long long rows, int channels, int lanes, int chunk,
               const float* __restrict__ mean, const float* __restrict__ dy,
               const unsigned char* __restrict__ codes, float factor, float* __restrict__ partials) {
    const auto d = [=](size_t i) { return behind_dropout(dy[i], codes[i], factor); };
    products(won, rows, channels, lanes, chunk, mean, d, partials);
}

// The same of winners in bf16.
extern "C" __global__ void __launch_bounds__(COLUMN_THREADS)
fused_products_z16(const bf16_bits* __restrict__ won, unsigned long long rows, int channels, int lanes, int chunk,
                   const float* __restrict__ mean, const float* __restrict__ dy,
                   const unsigned char* __restrict__ codes, float factor, float* __restrict__ partials) {
    const auto d = [=](size_t i) { return behind_dropout(dy[i], codes[i], factor); };
    products(won, rows, channels, lanes, chunk, mean, d, partials);
}

// What a window gives to its pixels in V channels: d to the one with the tap that won.
template <int V> struct Share {
    Lanes<float, V> d;
    Lanes<unsigned char, V> tap;
};

// dz in the place of z for SIDE·SIDE pixels of a window, the first of which has tap `tap`; their sum is added to
// `total`. All loads are on their way at once.
template <int V, int SIDE, class Number>
__device__ __forceinline__ void tile(const Windows& g, const Gradient<V>& gradient, const Share<V>& share, bool relu,
                                     int tap, Number* z, Lanes<double, V>& total) {
    Lanes<float, V> v[SIDE][SIDE], sum = spread<V>(0.f);
#pragma unroll
    for (int i = 0; i < SIDE * SIDE; ++i)
        v[i / SIDE][i % SIDE] = load_f32<V>(z + ((size_t)(i / SIDE) * g.w + i % SIDE) * g.c);
#pragma unroll
    for (int r = 0; r < SIDE; ++r)
#pragma unroll
        for (int s = 0; s < SIDE; ++s) {
#pragma unroll
            for (int l = 0; l < V; ++l) {
                const float before = v[r][s].at[l];
                const float dy = share.tap.at[l] == tap + r * SIDE + s ? share.d.at[l] : 0.f;
                const float dz = relu && before <= 0.f ? 0.f : gradient(before, dy, l);
                v[r][s].at[l] = dz;
                sum.at[l] += dz;
            }
            store(z + ((size_t)r * g.w + s) * g.c, v[r][s]);
        }
#pragma unroll
    for (int l = 0; l < V; ++l) total.at[l] += sum.at[l];
}

// The share of a window from channel c on: none behind the last.
template <int V>
__device__ __forceinline__ Share<V> share_of(const Windows& g, const Place& window, int c,
                                             const float* __restrict__ dy, const unsigned char* __restrict__ codes,
                                             float factor) {
    Share<V> share{spread<V>(0.f), spread<V>((unsigned char)DROPPED)};
    if ((int)window.p >= g.p || (int)window.q >= g.q) return share;
    const size_t at = (size_t)((window.image * g.p + window.p) * g.q + window.q) * g.c + c;
    const Lanes<float, V> from = load<V>(dy + at);
    const Lanes<unsigned char, V> code = load<V>(codes + at);
#pragma unroll
    for (int l = 0; l < V; ++l) {
        share.d.at[l] = behind_dropout(from.at[l], code.at[l], factor);
        share.tap.at[l] = (unsigned char)(code.at[l] & (DROPPED - 1));
    }
    return share;
}

// dz in the place of z, and its sums over a chunk of windows, a row of c for each chunk, unless `sums` is null.
template <int V, int SIDE, class Number>
__device__ __forceinline__ void backward(const Windows& g, int lanes, int chunk, const Statistics& n, bool relu,
                                         const float* __restrict__ dy, const unsigned char* __restrict__ codes,
                                         float factor, const float* __restrict__ dgamma,
                                         const float* __restrict__ dbeta, Number* __restrict__ z,
                                         float* __restrict__ sums) {
    const Strand me(lanes);
    const int c = ((int)blockIdx.x * lanes + me.lane) * V;
    Lanes<double, V> total = spread<V>(0.);
    if (c < g.c) {
        const Gradient<V> gradient(n, (size_t)g.n * g.h * g.w, c, dgamma, dbeta);
        const int down = ceil_div(g.h, g.r), across = ceil_div(g.w, g.s);
        const unsigned end = (unsigned)end_of_chunk((size_t)g.n * down * across, chunk);
        for (unsigned i = blockIdx.y * chunk + me.strand; i < end; i += me.strands) {
            const Place at(i, down, across);
            const Share<V> share = share_of<V>(g, at, c, dy, codes, factor);
            const int rows = min(g.r, g.h - (int)at.p * g.r), columns = min(g.s, g.w - (int)at.q * g.s);
            Number* corner = z + at.corner(g) * g.c + c;
            if (SIDE && rows == SIDE && columns == SIDE) {
                tile<V, SIDE ? SIDE : 1>(g, gradient, share, relu, 0, corner, total);
                continue;
            }
            for (int r = 0; r < rows; ++r)
                for (int s = 0; s < columns; ++s)
                    tile<V, 1>(g, gradient, share, relu, r * g.s + s, corner + ((size_t)r * g.w + s) * g.c, total);
        }
    }
    if (!sums) return;
    total = fold_strands(total, lanes, [](Lanes<double, V> a, const Lanes<double, V>& b) {
        for (int l = 0; l < V; ++l) a.at[l] += b.at[l];
        return a;
    });
    if (me.strand > 0 || c >= g.c) return;
    for (int l = 0; l < V; ++l) sums[(size_t)blockIdx.y * g.c + c + l] = (float)total.at[l];
}

// z: n·h·w·c; dy, codes: n·p·q·c. Blocks: groups of lanes, each of four channels or one (`width`), and chunks of
// windows, the parts behind the last ones included.
extern "C" __global__ void __launch_bounds__(COLUMN_THREADS, 3)
fused_backward(Windows g, int width, int lanes, int chunk, const float* __restrict__ mean,
               const float* __restrict__ rest, const float* __restrict__ variance, const float* __restrict__ gamma,
               float epsilon, int relu, const float* __restrict__ dy, const unsigned char* __restrict__ codes,
               float factor, const float* __restrict__ dgamma, const float* __restrict__ dbeta,
               float* __restrict__ z, float* __restrict__ sums) {
    const Statistics n{mean, rest, variance, gamma, nullptr, epsilon};
    const bool two = g.r == 2 && g.s == 2;
    if (width == 4 && two) backward<4, 2>(g, lanes, chunk, n, relu, dy, codes, factor, dgamma, dbeta, z, sums);
    else if (width == 4) backward<4, 0>(g, lanes, chunk, n, relu, dy, codes, factor, dgamma, dbeta, z, sums);
    else if (two) backward<1, 2>(g, lanes, chunk, n, relu, dy, codes, factor, dgamma, dbeta, z, sums);
    else backward<1, 0>(g, lanes, chunk, n, relu, dy, codes, factor, dgamma, dbeta, z, sums);
}

// The same in the place of a z in bf16, whose channels always go by fours. The sums are of dz before it is rounded.
extern "C" __global__ void __launch_bounds__(COLUMN_THREADS, 3)
fused_backward_z16(Windows g, int lanes, int chunk, const float* __restrict__ mean, const float* __restrict__ rest,
                   const float* __restrict__ variance, const float* __restrict__ gamma, float epsilon, int relu,
                   const float* __restrict__ dy, const unsigned char* __restrict__ codes, float factor,
                   const float* __restrict__ dgamma, const float* __restrict__ dbeta, bf16_bits* __restrict__ z,
                   float* __restrict__ sums) {
    const Statistics n{mean, rest, variance, gamma, nullptr, epsilon};
    if (g.r == 2 && g.s == 2) backward<4, 2>(g, lanes, chunk, n, relu, dy, codes, factor, dgamma, dbeta, z, sums);
    else backward<4, 0>(g, lanes, chunk, n, relu, dy, codes, factor, dgamma, dbeta, z, sums);
}
