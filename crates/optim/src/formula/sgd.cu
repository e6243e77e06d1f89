// SGD; see ../sgd.rs for the formula.
// target compute_75
#include "formula.cuh"

struct SGD {
    static constexpr int SLOTS = 1;

    // n: lr, μ, 1 for Nesterov's.
    __device__ __forceinline__ static float step(const float* n, float w, float g, float* s) {
        s[0] = sub(mul(n[1], s[0]), mul(n[0], g));
        return add(w, n[2] != 0.f ? sub(mul(n[1], s[0]), mul(n[0], g)) : s[0]);
    }
};

extern "C" __global__ void __launch_bounds__(256) sgd_step(const Row* rows, int count, const float* scalars) {
    update<SGD>(rows, count, scalars);
}
