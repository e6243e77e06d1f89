// Nadam; see ../nadam.rs for the formula.
// target compute_75
#include "formula.cuh"

struct Nadam {
    static constexpr int SLOTS = 2;

    // n: of m, of g, of v, 1 − β₁, 1 − β₂, ε. s: m, v.
    __device__ __forceinline__ static float step(const float* n, float w, float g, float* s) {
        s[0] = add(s[0], mul(n[3], sub(g, s[0])));
        s[1] = add(s[1], mul(n[4], sub(mul(g, g), s[1])));
        const float along = add(mul(n[0], s[0]), mul(n[1], g));
        return sub(w, over(along, add(root(mul(n[2], s[1])), n[5])));
    }
};

extern "C" __global__ void __launch_bounds__(256) nadam_step(const Row* rows, int count, const float* scalars) {
    update<Nadam>(rows, count, scalars);
}
