// Every optimizer on a GPU: one pass over all that belongs to a model's parameters.
//
// A rule is a struct with SLOTS and
//   static __device__ float step(const float* n, float w, float g, float* s)
// which gives the next w and changes the slots in place. n are the formula's numbers as its `KERNEL` in Rust
// lists them. A slot that is not in use is 0 before every step, and what comes of it is dropped. The
// operations are those of the Rust, one by one, by the words of table.cuh.
#pragma once
#include "table.cuh"

template <class Rule> struct Update {
    const Row& row;
    const float* n;
    float decay;

    template <int WIDTH> __device__ __forceinline__ void at(size_t i) const {
        Lanes<WIDTH> w = Lanes<WIDTH>::load(row.value + i), s[Rule::SLOTS];
        const Lanes<WIDTH> g = Lanes<WIDTH>::load(row.grad + i);
#pragma unroll
        for (int k = 0; k < Rule::SLOTS; ++k) s[k] = row.slots[k] ? Lanes<WIDTH>::load(row.slots[k] + i) : Lanes<WIDTH>{};
#pragma unroll
        for (int j = 0; j < WIDTH; ++j) {
            float own[Rule::SLOTS];
#pragma unroll
            for (int k = 0; k < Rule::SLOTS; ++k) own[k] = s[k].v[j];
            const float v = row.decays ? sub(w.v[j], mul(decay, w.v[j])) : w.v[j];
            w.v[j] = Rule::step(n, v, g.v[j], own);
#pragma unroll
            for (int k = 0; k < Rule::SLOTS; ++k) s[k].v[j] = own[k];
        }
        w.store(row.value + i);
#pragma unroll
        for (int k = 0; k < Rule::SLOTS; ++k)
            if (row.slots[k]) s[k].store(row.slots[k] + i);
    }
};

// One step of all parameters. A block for each tile.
template <class Rule> __device__ __forceinline__ void update(const Row* rows, int count, const float* scalars) {
    const Tile tile = tile_of_block(rows, count);
    const Row row = *tile.row;
    float n[KEPT - NUMBERS];
#pragma unroll
    for (int k = 0; k < KEPT - NUMBERS; ++k) n[k] = scalars[NUMBERS + k];
    each(tile, Update<Rule>{row, n, scalars[DECAY]});
}
