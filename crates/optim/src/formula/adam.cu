// Adam; see ../adam.rs for the formula.
// target compute_75
#include "formula.cuh"

struct Adam {
    static constexpr int SLOTS = 3;

    // n: α, 1 − β₁, 1 − β₂, ε. s: m, v, v̂.
    __device__ __forceinline__ static float step(const float* n, float w, float g, float* s) {
        s[0] = add(s[0], mul(n[1], sub(g, s[0])));
        s[1] = add(s[1], mul(n[2], sub(mul(g, g), s[1])));
        s[2] = s[2] > s[1] ? s[2] : s[1]; // not fmaxf, which would hide a NaN
        return sub(w, over(mul(n[0], s[0]), add(root(s[2]), n[3])));
    }
};

extern "C" __global__ void __launch_bounds__(256) adam_step(const Row* rows, int count, const float* scalars) {
    update<Adam>(rows, count, scalars);
}
