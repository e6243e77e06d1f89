// Convolution on tensor cores in bf16, y and dz being bf16 in memory too: half as much goes to and fro. Their
// filters (of a group) are multiples of 4; channels that are not go one by one.
// target compute_80
#include "conv2d_tensorcore.cuh"

extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_forward_y16(const Windows g, int filters, int groups, const float* __restrict__ x,
                   const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                   bf16_bits* __restrict__ y, unsigned long long apart, float* __restrict__ moments) {
    forward<NarrowOf<Bf16>, false, true>(g, filters, groups, x, kernel, bias, relu, y, apart, moments);
}
extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_forward_y16_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                         const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                         bf16_bits* __restrict__ y, unsigned long long apart, float* __restrict__ moments) {
    forward<WideOf<Bf16>, true, true>(g, filters, groups, x, kernel, bias, relu, y, apart, moments);
}
extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_forward_y16_narrow_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                                const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                                bf16_bits* __restrict__ y, unsigned long long apart,
                                float* __restrict__ moments) {
    forward<NarrowOf<Bf16>, true, true>(g, filters, groups, x, kernel, bias, relu, y, apart, moments);
}

extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_backward_input_dz16(const Windows g, const Phase phase, const bf16_bits* __restrict__ dz,
                           const float* __restrict__ kernel, float* __restrict__ dx,
                           unsigned long long apart) {
    backward_input<NarrowOf<Bf16>, false>(g, phase, dz, kernel, dx, apart);
}
extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_backward_input_dz16_quads(const Windows g, const Phase phase, const bf16_bits* __restrict__ dz,
                                 const float* __restrict__ kernel, float* __restrict__ dx,
                                 unsigned long long apart) {
    backward_input<WideOf<Bf16>, true>(g, phase, dz, kernel, dx, apart);
}
extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_backward_input_dz16_narrow_quads(const Windows g, const Phase phase, const bf16_bits* __restrict__ dz,
                                        const float* __restrict__ kernel, float* __restrict__ dx,
                                        unsigned long long apart) {
    backward_input<NarrowOf<Bf16>, true>(g, phase, dz, kernel, dx, apart);
}

extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_backward_weight_dz16(const Windows g, int filters, int groups, const float* __restrict__ x,
                            const bf16_bits* __restrict__ dz, float* __restrict__ dkernel,
                            unsigned long long apart) {
    backward_weight<NarrowOf<Bf16>, false, true>(g, filters, groups, x, dz, dkernel, apart);
}
extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_backward_weight_dz16_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                                  const bf16_bits* __restrict__ dz, float* __restrict__ dkernel,
                                  unsigned long long apart) {
    backward_weight<WideOf<Bf16>, true, true>(g, filters, groups, x, dz, dkernel, apart);
}
extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_backward_weight_dz16_narrow_quads(const Windows g, int filters, int groups,
                                         const float* __restrict__ x, const bf16_bits* __restrict__ dz,
                                         float* __restrict__ dkernel, unsigned long long apart) {
    backward_weight<NarrowOf<Bf16>, true, true>(g, filters, groups, x, dz, dkernel, apart);
}
