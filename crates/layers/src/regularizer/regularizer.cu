// The price of a parameter's size, and its gradient; see ../regularizer.rs for the formulas.
// target compute_75
#include "sums.cuh"

struct Price {
    double l1, l2;
    unsigned long long n, samples;
};

// w, grad: n values; grad may be none. The penalty goes to the sums once for each sample, in f64.
extern "C" __global__ void __launch_bounds__(1024)
    regularizer_penalty(Price price, const float* __restrict__ w, float* __restrict__ grad,
                        double* __restrict__ sums) {
    const float l1 = (float)price.l1, l2 = (float)price.l2, twice = __fadd_rn(l2, l2);
    double absolute = 0., square = 0.;
    for (size_t i = grid_thread(); i < price.n; i += grid_threads()) {
        const float v = w[i], sign = v > 0.f ? 1.f : v < 0.f ? -1.f : v; // NaN stays
        // Rounded operation by operation, as on the CPU.
        const float slope = __fadd_rn(__fmul_rn(l1, sign == 0.f ? 0.f : sign), __fmul_rn(twice, v));
        if (grad) grad[i] = __fadd_rn(grad[i], slope);
        absolute += fabs((double)v);
        square += (double)v * v;
    }
    leave(sums, (price.l1 * absolute + price.l2 * square) * price.samples, 0., 0, 0);
}
