// Adamax; see ../adamax.rs for the formula.
// target compute_75
#include "formula.cuh"

struct Adamax {
    static constexpr int SLOTS = 2;

    // n: α, 1 − β₁, β₂, ε. s: m, u.
    __device__ __forceinline__ static float step(const float* n, float w, float g, float* s) {
        s[0] = add(s[0], mul(n[1], sub(g, s[0])));
        const float faded = mul(n[2], s[1]), size = fabsf(g);
        s[1] = faded > size ? faded : size; // not fmaxf, which would hide a NaN
        return sub(w, over(mul(n[0], s[0]), add(s[1], n[3])));
    }
};

extern "C" __global__ void __launch_bounds__(256) adamax_step(const Row* rows, int count, const float* scalars) {
    update<Adamax>(rows, count, scalars);
}
