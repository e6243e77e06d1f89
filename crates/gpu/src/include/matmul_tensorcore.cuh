// A product of matrices in tiles on tensor cores: operands rounded to tf32 or bf16, sums in f32.
//
// The sources are those of matmul.cuh. A tile of a tf32 operand is copied to shared memory asynchronously
// as it is, and rounded when a warp takes its part; one of bf16 is copied so where it is bf16 in memory, and
// else goes through registers and is rounded on the way, so that half as much is shared. While the warps
// multiply one step's tiles, the next step's are under way to the other stage.
#pragma once
#include "matmul.cuh"
#include "stored.cuh"

// DEEP is the depth of one instruction. A row of a tile is longer than what it holds, by so much that eight
// rows, as ldmatrix reads them, or four, as tf32 does where k counts rows, lie in different banks.
struct Tf32 {
    typedef float Element;
    static constexpr int DEEP = 8, PAD_ALONG = 4, PAD_ACROSS = 8;
};
struct Bf16 {
    typedef bf16_bits Element;
    static constexpr int DEEP = 16, PAD_ALONG = 8, PAD_ACROSS = 8;
};

// HIGH x WIDE of the tile are one warp's, in instructions of 16 x 8.
template <class Format_, int ROWS_, int COLUMNS_, int HIGH_, int WIDE_> struct WarpTile {
    typedef Format_ Format;
    static constexpr int ROWS = ROWS_, COLUMNS = COLUMNS_, DEPTH = 32, HIGH = HIGH_, WIDE = WIDE_;
    static constexpr int ACROSS = COLUMNS / WIDE, THREADS = 32 * (ROWS / HIGH) * ACROSS;
};

// Four numbers, or one, on their way from a source to shared memory.
template <class Format, int EACH, class Number> struct Held;
template <int EACH> struct Held<Tf32, EACH, float> {
    __device__ void fetch(const float* from, const float* anywhere, float* to) {
        if (EACH == 4) tc::cp_async16(to, from ? from : anywhere, from ? 16 : 0);
        else tc::cp_async4(to, from ? from : anywhere, from ? 4 : 0);
    }
    __device__ void store(float*) const {}
};
template <int EACH> struct Held<Bf16, EACH, float> {
    float numbers[EACH];
    __device__ void fetch(const float* from, const float*, bf16_bits*) { fetch_from<EACH>(numbers, from); }
    __device__ void store(bf16_bits* to) const {
        if (EACH == 4)
            *(uint2*)to = make_uint2(tc::round_bf16(numbers[0], numbers[1 % EACH]),
                                     tc::round_bf16(numbers[2 % EACH], numbers[3 % EACH]));
        else *to = (bf16_bits)tc::round_bf16(numbers[0], 0.f);
    }
};
template <> struct Held<Bf16, 4, bf16_bits> {
    __device__ void fetch(const bf16_bits* from, const bf16_bits* anywhere, bf16_bits* to) {
        tc::cp_async8(to, from ? from : anywhere, from ? 8 : 0);
    }
    __device__ void store(bf16_bits*) const {}
};

// An operand whose rows are those of the tile, while k walks along its columns: shared as [LENGTH][DEPTH].
template <class Format, int LENGTH, int DEPTH, int THREADS, bool QUADS, class Source> struct WarpAlong {
    typedef typename Format::Element Element;
    static constexpr int EACH = QUADS ? 4 : 1, ACROSS = DEPTH / EACH, DOWN = THREADS / ACROSS;
    static constexpr int COUNT = LENGTH / DOWN, PITCH = DEPTH + Format::PAD_ALONG, SHARED = LENGTH * PITCH;
    static_assert(THREADS % ACROSS == 0 && LENGTH % DOWN == 0, "the threads cover the tile");

    const Source& source;
    typename Source::Row rows[COUNT];
    Held<Format, EACH, typename Source::Number> held[COUNT];

    __device__ WarpAlong(const Source& from, int first) : source(from) {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) rows[i] = source.row(first + threadIdx.x / ACROSS + i * DOWN);
    }
    __device__ static Element* place(Element* tile, int i) {
        return tile + (threadIdx.x / ACROSS + i * DOWN) * PITCH + threadIdx.x % ACROSS * EACH;
    }
    __device__ void fetch(Element* tile, int k) {
        const typename Source::Column column = source.column(k + threadIdx.x % ACROSS * EACH);
#pragma unroll
        for (int i = 0; i < COUNT; ++i)
            held[i].fetch(source.at(rows[i], column), source.anywhere(), place(tile, i));
    }
    __device__ void store(Element* tile) const {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) held[i].store(place(tile, i));
    }
    // 16 rows by DEEP of the tile as mma takes them: rows i to i + 7 and the eight behind at the lower half
    // of DEEP, then at the upper.
    __device__ static void take(unsigned (&r)[4], const Element* tile, int i, int k) {
        const int lane = threadIdx.x % 32;
        tc::ldmatrix_x4(r, tile + (i + lane % 16) * PITCH + k + lane / 16 * (Format::DEEP / 2));
        round(r, Format());
    }
    __device__ static void round(unsigned (&r)[4], Tf32) {
#pragma unroll
        for (int e = 0; e < 4; ++e) r[e] = tc::to_tf32(__uint_as_float(r[e]));
    }
    __device__ static void round(unsigned (&)[4], Bf16) {}
};

// An operand whose columns are those of the tile (for A: its rows), while k walks along its rows: shared as
// [DEPTH][LENGTH].
template <class Format, int LENGTH, int DEPTH, int THREADS, bool QUADS, class Source> struct WarpAcross {
    typedef typename Format::Element Element;
    static constexpr int EACH = QUADS ? 4 : 1, ACROSS = LENGTH / EACH, DOWN = THREADS / ACROSS;
    static constexpr int COUNT = DEPTH / DOWN, PITCH = LENGTH + Format::PAD_ACROSS, SHARED = DEPTH * PITCH;
    static_assert(THREADS % ACROSS == 0 && DEPTH % DOWN == 0, "the threads cover the tile");

    const Source& source;
    typename Source::Column column;
    Held<Format, EACH, typename Source::Number> held[COUNT];

    __device__ WarpAcross(const Source& from, int first)
        : source(from), column(from.column(first + threadIdx.x % ACROSS * EACH)) {}
    __device__ static Element* place(Element* tile, int i) {
        return tile + (threadIdx.x / ACROSS + i * DOWN) * PITCH + threadIdx.x % ACROSS * EACH;
    }
    __device__ void fetch(Element* tile, int k) {
#pragma unroll
        for (int i = 0; i < COUNT; ++i)
            held[i].fetch(source.at(source.row(k + threadIdx.x / ACROSS + i * DOWN), column), source.anywhere(),
                          place(tile, i));
    }
    __device__ void store(Element* tile) const {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) held[i].store(place(tile, i));
    }
    // As in WarpAlong.
    __device__ static void take(unsigned (&r)[4], const float* tile, int i, int k) {
        const int group = threadIdx.x % 32 / 4, of_group = threadIdx.x % 4;
#pragma unroll
        for (int e = 0; e < 4; ++e)
            r[e] = tc::to_tf32(tile[(k + of_group + e / 2 * 4) * PITCH + i + group + e % 2 * 8]);
    }
    __device__ static void take(unsigned (&r)[4], const bf16_bits* tile, int i, int k) {
        const int lane = threadIdx.x % 32;
        tc::ldmatrix_x4_trans(r, tile + (k + lane % 8 + lane / 16 * 8) * PITCH + i + lane / 8 % 2 * 8);
    }
};

__device__ __forceinline__ void mma(Tf32, float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    tc::mma_m16n8k8_tf32(d, a, b);
}
__device__ __forceinline__ void mma(Bf16, float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    tc::mma_m16n8k16_bf16(d, a, b);
}

// A warp's part of a tile of C: instruction (i, j) has rows 16i and columns 8j, four numbers each thread.
template <class T> struct WarpSums {
    static constexpr int DOWN = T::HIGH / 16, SIDE = T::WIDE / 8;
    float of[DOWN][SIDE][4];

    __device__ WarpSums() {
#pragma unroll
        for (int i = 0; i < DOWN; ++i)
#pragma unroll
            for (int j = 0; j < SIDE; ++j)
#pragma unroll
                for (int e = 0; e < 4; ++e) of[i][j][e] = 0.f;
    }
    // Adds the products of one step's tiles.
    template <class A, class B>
    __device__ void add(const typename A::Element* tile_a, const typename B::Element* tile_b) {
        const int warp = threadIdx.x / 32, high = warp / T::ACROSS * T::HIGH, wide = warp % T::ACROSS * T::WIDE;
#pragma unroll
        for (int k = 0; k < T::DEPTH; k += T::Format::DEEP) {
            unsigned a[DOWN][4], b[SIDE][2];
#pragma unroll
            for (int i = 0; i < DOWN; ++i) A::take(a[i], tile_a, high + 16 * i, k);
#pragma unroll
            for (int j = 0; j < SIDE; j += 2) { // eight columns at the lower, then at the upper half of DEEP
                unsigned r[4];
                B::take(r, tile_b, wide + 8 * j, k);
                b[j][0] = r[0], b[j][1] = r[2], b[j + 1][0] = r[1], b[j + 1][1] = r[3];
            }
#pragma unroll
            for (int i = 0; i < DOWN; ++i)
#pragma unroll
                for (int j = 0; j < SIDE; ++j) mma(typename T::Format(), of[i][j], a[i], b[j]);
        }
    }
};

// sums = the products of k in begin..end, both multiples of the depth or the end of the sources.
template <class T, class A, class B>
__device__ __forceinline__ void multiply(WarpSums<T>& sums, A& a, B& b, int begin, int end) {
    typedef typename T::Format::Element Element;
    Element* stages = dynamic_shared<Element>();
    if (begin >= end) return;
    a.fetch(stages, begin), b.fetch(stages + A::SHARED, begin);
    tc::cp_async_commit();
    for (int k = begin, step = 0; k < end; k += T::DEPTH, ++step) {
        Element *now = stages + step % 2 * (A::SHARED + B::SHARED), *next = stages + (step + 1) % 2 * (A::SHARED + B::SHARED);
        a.store(now), b.store(now + A::SHARED);
        tc::cp_async_wait<0>();
        __syncthreads(); // this step's tiles are there, and nobody reads the other stage any more
        if (k + T::DEPTH < end) a.fetch(next, k + T::DEPTH), b.fetch(next + A::SHARED, k + T::DEPTH);
        tc::cp_async_commit();
        sums.template add<A, B>(now, now + A::SHARED);
    }
}

// Writes a warp's part of the tile at (first_row, first_column) of C, as `put` in matmul.cuh does. What is bf16 in
// memory is written by PAIRS.
template <bool PAIRS, class T, class Target>
__device__ __forceinline__ void put(const WarpSums<T>& sums, const Target& target, int columns, int first_row,
                                    int first_column, const Epilogue& epilogue) {
    const int warp = threadIdx.x / 32, group = threadIdx.x % 32 / 4, of_group = threadIdx.x % 4;
    const int high = first_row + warp / T::ACROSS * T::HIGH + group;
    const int wide = first_column + warp % T::ACROSS * T::WIDE + 2 * of_group;
#pragma unroll
    for (int i = 0; i < 2 * WarpSums<T>::DOWN; ++i) {
        if (high + 8 * i >= target.rows) break;
        auto* to = target.row(high + 8 * i);
#pragma unroll
        for (int j = 0; j < WarpSums<T>::SIDE; ++j) {
            const int column = wide + 8 * j;
            const float *pair = sums.of[i / 2][j] + i % 2 * 2;
            if (PAIRS) {
                if (column < columns) put_pair(to + column, epilogue(pair[0], column), epilogue(pair[1], column + 1));
            } else {
                if (column < columns) to[column] = epilogue(pair[0], column);
                if (column + 1 < columns) to[column + 1] = epilogue(pair[1], column + 1);
            }
        }
    }
}
