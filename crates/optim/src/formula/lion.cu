// Lion; see ../lion.rs for the formula.
// target compute_75
#include "formula.cuh"

struct Lion {
    static constexpr int SLOTS = 1;

    // n: lr, β₁, 1 − β₁, β₂, 1 − β₂. s: m.
    __device__ __forceinline__ static float step(const float* n, float w, float g, float* s) {
        const float along = add(mul(n[1], s[0]), mul(n[2], g));
        const float sign = along > 0.f ? 1.f : along < 0.f ? -1.f : along; // 0 and NaN stay
        s[0] = add(mul(n[3], s[0]), mul(n[4], g));
        return sub(w, mul(n[0], sign));
    }
};

extern "C" __global__ void __launch_bounds__(256) lion_step(const Row* rows, int count, const float* scalars) {
    update<Lion>(rows, count, scalars);
}
