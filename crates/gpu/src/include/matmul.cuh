// A product of matrices in tiles, exact in f32: the loop that convolution and dense layers share.
//
//   C(m, n) = sum over k of A(m, k) B(k, n)
//
// One block makes a tile of C. It walks k in steps: while the threads multiply one step's tiles of A and
// B in shared memory, the next step's numbers are on their way into registers. A thread keeps HIGH x WIDE
// numbers of C in registers, so that each number read from shared memory serves several products.
//
// Nothing has to lie in memory as a matrix. A source says where element (row, column) lies:
//   Number                              what it is in memory: float, or bf16_bits for tensor cores
//   Row row(int), Column column(int)    what can be worked out from one index alone, once
//   const Number* at(Row, Column)       the address, or null for a zero: padding, and beyond the edges
//   const Number* anywhere()            an address that may be read, aligned as quads are if they are used
// Columns 4j to 4j + 3 of a source lie side by side if it is read by QUADS.
#pragma once
#include "prelude.cuh"

// Division by a number that the host knows, as a multiplication (Granlund, Montgomery, PLDI 1994). The
// same as in crates/layers/src/matmul/cuda.rs.
struct Divisor { unsigned by, factor, shift; };

__device__ __forceinline__ int quotient(const Divisor& d, int n) {
    return (int)((__umulhi((unsigned)n, d.factor) + (unsigned)n) >> d.shift);
}

template <int ROWS_, int COLUMNS_, int DEPTH_, int HIGH_, int WIDE_> struct Tile {
    static constexpr int ROWS = ROWS_, COLUMNS = COLUMNS_, DEPTH = DEPTH_, HIGH = HIGH_, WIDE = WIDE_;
    static constexpr int ACROSS = COLUMNS / WIDE, THREADS = ROWS / HIGH * ACROSS;
    static constexpr int A_FLOATS = DEPTH * ROWS, STAGE = DEPTH * (ROWS + COLUMNS); // two stages are shared
};

// Where element (k, i) of a tile in shared memory lies. Quads stay together; those of different k lie in
// different banks, so that a warp may write columns of the tile as well as rows.
template <int LENGTH, int DEPTH> __device__ __forceinline__ int tile_place(int k, int i) {
    constexpr int apart = 128 / DEPTH, most = LENGTH < 32 ? LENGTH - 4 : 28;
    return k * LENGTH + (i ^ (k / 4 * apart & most));
}

// A number or a quad from an address, or zeros.
template <int EACH> __device__ __forceinline__ void fetch_from(float (&held)[EACH], const float* from) {
    if (EACH == 4) {
        const float4 quad = from ? *(const float4*)from : make_float4(0.f, 0.f, 0.f, 0.f);
        held[0] = quad.x, held[1 % EACH] = quad.y, held[2 % EACH] = quad.z, held[3 % EACH] = quad.w;
    } else {
        held[0] = from ? *from : 0.f;
    }
}

// An operand whose rows are those of the tile, while k walks along its columns.
template <int LENGTH, int DEPTH, int THREADS, bool QUADS, class Source> struct AlongDepth {
    static constexpr int EACH = QUADS ? 4 : 1, ACROSS = DEPTH / EACH, DOWN = THREADS / ACROSS;
    static constexpr int COUNT = ceil_div(LENGTH, DOWN);
    static_assert(THREADS % ACROSS == 0 && (LENGTH % DOWN == 0 || COUNT == 1), "the threads cover the tile");

    const Source& source;
    typename Source::Row rows[COUNT];
    float held[COUNT][EACH];

    __device__ AlongDepth(const Source& from, int first) : source(from) {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) rows[i] = source.row(first + down(i));
    }
    __device__ static int down(int i) { return threadIdx.x / ACROSS + i * DOWN; }

    __device__ void fetch(int k) {
        const typename Source::Column column = source.column(k + threadIdx.x % ACROSS * EACH);
#pragma unroll
        for (int i = 0; i < COUNT; ++i) fetch_from<EACH>(held[i], source.at(rows[i], column));
    }
    __device__ void store(float* tile) const {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            if (LENGTH % DOWN != 0 && down(i) >= LENGTH) break;
#pragma unroll
            for (int e = 0; e < EACH; ++e)
                tile[tile_place<LENGTH, DEPTH>(threadIdx.x % ACROSS * EACH + e, down(i))] = held[i][e];
        }
    }
};

// An operand whose columns are those of the tile (for A: its rows), while k walks along its rows.
template <int LENGTH, int DEPTH, int THREADS, bool QUADS, class Source> struct AcrossDepth {
    static constexpr int EACH = QUADS ? 4 : 1, ACROSS = LENGTH / EACH, DOWN = THREADS / ACROSS;
    static constexpr int COUNT = ceil_div(DEPTH, DOWN);
    static_assert(THREADS % ACROSS == 0 && (DEPTH % DOWN == 0 || COUNT == 1), "the threads cover the tile");

    const Source& source;
    typename Source::Column column;
    float held[COUNT][EACH];

    __device__ AcrossDepth(const Source& from, int first)
        : source(from), column(from.column(first + threadIdx.x % ACROSS * EACH)) {}
    __device__ static int down(int i) { return threadIdx.x / ACROSS + i * DOWN; }

    __device__ void fetch(int k) {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) fetch_from<EACH>(held[i], source.at(source.row(k + down(i)), column));
    }
    __device__ void store(float* tile) const {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            if (DEPTH % DOWN != 0 && down(i) >= DEPTH) break;
            float* to = tile + tile_place<LENGTH, DEPTH>(down(i), threadIdx.x % ACROSS * EACH);
            if (QUADS) *(float4*)to = make_float4(held[i][0], held[i][1 % EACH], held[i][2 % EACH], held[i][3 % EACH]);
            else *to = held[i][0];
        }
    }
};

// COUNT neighbours of a row k of a tile, from i on.
template <int LENGTH, int DEPTH, int COUNT>
__device__ __forceinline__ void read_tile(float (&to)[COUNT], const float* tile, int k, int i) {
#pragma unroll
    for (int e = 0; e < COUNT; e += 4) {
        const float* from = tile + tile_place<LENGTH, DEPTH>(k, i + e);
        if (COUNT % 4 == 0) {
            const float4 quad = *(const float4*)from;
            to[e] = quad.x, to[(e + 1) % COUNT] = quad.y, to[(e + 2) % COUNT] = quad.z, to[(e + 3) % COUNT] = quad.w;
        } else if (COUNT == 2) {
            const float2 pair = *(const float2*)from;
            to[e] = pair.x, to[(e + 1) % COUNT] = pair.y;
        } else {
            to[e] = *from;
        }
    }
}

// sum = the products of k in begin..end, both multiples of the depth or the end of the sources.
template <class T, class A, class B>
__device__ __forceinline__ void multiply(float (&sum)[T::HIGH][T::WIDE], A& a, B& b, int begin, int end) {
    float* stage = dynamic_shared<float>();
    const int high = threadIdx.x / T::ACROSS * T::HIGH, wide = threadIdx.x % T::ACROSS * T::WIDE;
#pragma unroll
    for (int i = 0; i < T::HIGH; ++i)
#pragma unroll
        for (int j = 0; j < T::WIDE; ++j) sum[i][j] = 0.f;
    if (begin >= end) return;
    a.fetch(begin), b.fetch(begin);
    for (int k = begin, step = 0; k < end; k += T::DEPTH, ++step) {
        // The other stage's readers are behind the barrier of the step before.
        float *tile_a = stage + step % 2 * T::STAGE, *tile_b = tile_a + T::A_FLOATS;
        a.store(tile_a), b.store(tile_b);
        __syncthreads();
        if (k + T::DEPTH < end) a.fetch(k + T::DEPTH), b.fetch(k + T::DEPTH);
#pragma unroll
        for (int at = 0; at < T::DEPTH; ++at) {
            float left[T::HIGH], right[T::WIDE];
            read_tile<T::ROWS, T::DEPTH>(left, tile_a, at, high);
            read_tile<T::COLUMNS, T::DEPTH>(right, tile_b, at, wide);
#pragma unroll
            for (int i = 0; i < T::HIGH; ++i)
#pragma unroll
                for (int j = 0; j < T::WIDE; ++j) sum[i][j] += left[i] * right[j];
        }
    }
}

// What happens to a sum before it is written. `bias` may be null.
struct Epilogue {
    const float* bias;
    int relu;

    __device__ float operator()(float sum, int column) const { return with(bias ? bias[column] : 0.f, sum); }

    // The same with the column's bias at hand.
    __device__ float with(float own, float sum) const {
        const float z = bias ? sum + own : sum;
        return relu && z < 0.f ? 0.f : z; // not fmaxf, which would hide a NaN
    }
};

// Writes a thread's part of the tile at (first_row, first_column) of C. `target.row(m)` is where row m of
// C lies, of which there are target.rows; QUADS if their columns may be written by fours.
template <class T, bool QUADS, class Target>
__device__ __forceinline__ void put(const float (&sum)[T::HIGH][T::WIDE], const Target& target, int columns,
                                    int first_row, int first_column, const Epilogue& epilogue) {
    const int high = first_row + threadIdx.x / T::ACROSS * T::HIGH;
    const int wide = first_column + threadIdx.x % T::ACROSS * T::WIDE;
#pragma unroll
    for (int i = 0; i < T::HIGH; ++i) {
        if (high + i >= target.rows) break;
        float* to = target.row(high + i);
        if (QUADS && T::WIDE == 4) {
            if (wide < columns)
                *(float4*)(to + wide) =
                    make_float4(epilogue(sum[i][0], wide), epilogue(sum[i][1 % T::WIDE], wide + 1),
                                epilogue(sum[i][2 % T::WIDE], wide + 2), epilogue(sum[i][3 % T::WIDE], wide + 3));
        } else {
#pragma unroll
            for (int j = 0; j < T::WIDE; ++j)
                if (wide + j < columns) to[wide + j] = epilogue(sum[i][j], wide + j);
        }
    }
}

// A source that is a matrix in memory, and a target.
template <class Number_> struct MatrixOf {
    typedef Number_ Number;
    typedef long long Row;    // where the row begins, or -1
    typedef int Column;       // or -1
    const Number* base;
    int rows, columns, pitch; // numbers from row to row

    __device__ Row row(int i) const { return i < rows ? (long long)i * pitch : -1; }
    __device__ Column column(int j) const { return j < columns ? j : -1; }
    __device__ const Number* at(Row row, Column column) const {
        return row < 0 || column < 0 ? nullptr : base + row + column;
    }
    __device__ const Number* anywhere() const { return base; }
};
typedef MatrixOf<float> Matrix;
template <class Number> struct RowsOf {
    Number* base;
    int rows, pitch;
    __device__ Number* row(int i) const { return base + (size_t)i * pitch; }
};
typedef RowsOf<float> Rows;

// Which tile this block makes: blocks along x count columns of tiles fastest, then rows of them, then
// groups, so that neighbours share what they read of A. Blocks along z share the sum over k.
struct Place { int group, row, column, begin, end; };

template <class T> __device__ __forceinline__ Place tile_of_block(int rows, int columns, int depth) {
    const unsigned wide = ceil_div(columns, T::COLUMNS), high = ceil_div(rows, T::ROWS);
    const unsigned line = blockIdx.x / wide;
    const int steps = ceil_div(depth, T::DEPTH), each = ceil_div(steps, (int)gridDim.z);
    const int begin = (int)blockIdx.z * each * T::DEPTH;
    const int end = begin + each * T::DEPTH;
    return {(int)(line / high), (int)(line % high) * T::ROWS, (int)(blockIdx.x % wide) * T::COLUMNS, begin,
            end < depth ? end : depth};
}
