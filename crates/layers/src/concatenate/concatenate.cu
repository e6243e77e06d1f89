// Channels in and out; see ../concatenate.rs for the formula.
// target compute_75
#include "lanes.cuh"

// Of `rows` rows, `columns` neighbouring numbers: those of y that begin at `offset`, of `all`, and the whole part.
struct Columns {
    unsigned long long rows;
    int columns, offset, all;
};

// Item `at` counts the vectors of the part.
template <int V> __device__ __forceinline__ size_t place(const Columns& g, size_t at) {
    const int c = take_extent(at, g.columns / V) * V;
    return at * g.all + g.offset + c;
}

// Columns of y from what one branch gave. `lanes` is 4 where all columns are whole vectors.
extern "C" __global__ void concatenate_forward(Columns g, int lanes, const float* __restrict__ part,
                                               float* __restrict__ y) {
    const size_t items = g.rows * (g.columns / lanes);
    for (size_t at = grid_thread(); at < items; at += grid_threads()) {
        if (lanes == 4) store(y + place<4>(g, at), load<4>(part + at * 4));
        else y[place<1>(g, at)] = part[at];
    }
}

// What one branch receives from columns of dy.
extern "C" __global__ void concatenate_backward(Columns g, int lanes, const float* __restrict__ dy,
                                                float* __restrict__ part) {
    const size_t items = g.rows * (g.columns / lanes);
    for (size_t at = grid_thread(); at < items; at += grid_threads()) {
        if (lanes == 4) store(part + at * 4, load<4>(dy + place<4>(g, at)));
        else part[at] = dy[place<1>(g, at)];
    }
}
