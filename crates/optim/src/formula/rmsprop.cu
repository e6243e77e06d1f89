// RMSprop; see ../rmsprop.rs for the formula.
// target compute_75
#include "formula.cuh"

struct RMSprop {
    static constexpr int SLOTS = 3;

    // n: lr, ρ, 1 − ρ, μ, ε, 1 if centered. s: v, ḡ, m.
    __device__ __forceinline__ static float step(const float* n, float w, float g, float* s) {
        s[0] = add(mul(n[1], s[0]), mul(n[2], mul(g, g)));
        s[1] = add(mul(n[1], s[1]), mul(n[2], g));
        const float mean = n[5] != 0.f ? s[1] : 0.f, variance = sub(s[0], mul(mean, mean));
        const float spread = variance < 0.f ? 0.f : variance; // not fmaxf, which would hide a NaN
        s[2] = add(mul(n[3], s[2]), over(mul(n[0], g), root(add(spread, n[4]))));
        return sub(w, s[2]);
    }
};

extern "C" __global__ void __launch_bounds__(256) rmsprop_step(const Row* rows, int count, const float* scalars) {
    update<RMSprop>(rows, count, scalars);
}
