// Adagrad; see ../adagrad.rs for the formula.
// target compute_75
#include "formula.cuh"

struct Adagrad {
    static constexpr int SLOTS = 1;

    // n: lr, ε. s: a.
    __device__ __forceinline__ static float step(const float* n, float w, float g, float* s) {
        s[0] = add(s[0], mul(g, g));
        return sub(w, over(mul(n[0], g), root(add(s[0], n[1]))));
    }
};

extern "C" __global__ void __launch_bounds__(256) adagrad_step(const Row* rows, int count, const float* scalars) {
    update<Adagrad>(rows, count, scalars);
}
