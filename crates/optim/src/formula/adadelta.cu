// Adadelta; see ../adadelta.rs for the formula.
// target compute_75
#include "formula.cuh"

struct Adadelta {
    static constexpr int SLOTS = 2;

    // n: lr, ρ, 1 − ρ, ε. s: a, d.
    __device__ __forceinline__ static float step(const float* n, float w, float g, float* s) {
        s[0] = add(mul(n[1], s[0]), mul(n[2], mul(g, g)));
        const float delta = over(mul(g, root(add(s[1], n[3]))), root(add(s[0], n[3])));
        s[1] = add(mul(n[1], s[1]), mul(n[2], mul(delta, delta)));
        return sub(w, mul(n[0], delta));
    }
};

extern "C" __global__ void __launch_bounds__(256) adadelta_step(const Row* rows, int count, const float* scalars) {
    update<Adadelta>(rows, count, scalars);
}
