// Convolution on tensor cores, y and dz being f32 in memory. Where channels or filters (of a group) are not
// multiples of 4, numbers go one by one from memory; backward_input has no such kernels, and takes those of
// conv2d.cu.
// target compute_80
#include "conv2d_tensorcore.cuh"

extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_forward_tf32(const Windows g, int filters, int groups, const float* __restrict__ x,
                    const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                    float* __restrict__ y, unsigned long long apart, float* __restrict__ moments) {
    forward<NarrowOf<Tf32>, false, false>(g, filters, groups, x, kernel, bias, relu, y, apart, moments);
}

extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_forward_tf32_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                          const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                          float* __restrict__ y, unsigned long long apart, float* __restrict__ moments) {
    forward<WideOf<Tf32>, true, true>(g, filters, groups, x, kernel, bias, relu, y, apart, moments);
}

extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_forward_tf32_narrow_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                                 const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                                 float* __restrict__ y, unsigned long long apart, float* __restrict__ moments) {
    forward<NarrowOf<Tf32>, true, true>(g, filters, groups, x, kernel, bias, relu, y, apart, moments);
}

extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_forward_bf16(const Windows g, int filters, int groups, const float* __restrict__ x,
                    const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                    float* __restrict__ y, unsigned long long apart, float* __restrict__ moments) {
    forward<NarrowOf<Bf16>, false, false>(g, filters, groups, x, kernel, bias, relu, y, apart, moments);
}

extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_forward_bf16_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                          const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                          float* __restrict__ y, unsigned long long apart, float* __restrict__ moments) {
    forward<WideOf<Bf16>, true, true>(g, filters, groups, x, kernel, bias, relu, y, apart, moments);
}

extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_forward_bf16_narrow_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                                 const float* __restrict__ kernel, const float* __restrict__ bias, int relu,
                                 float* __restrict__ y, unsigned long long apart, float* __restrict__ moments) {
    forward<NarrowOf<Bf16>, true, true>(g, filters, groups, x, kernel, bias, relu, y, apart, moments);
}

extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_backward_input_tf32_quads(const Windows g, const Phase phase, const float* __restrict__ dz,
                                 const float* __restrict__ kernel, float* __restrict__ dx,
                                 unsigned long long apart) {
    backward_input<WideOf<Tf32>, true>(g, phase, dz, kernel, dx, apart);
}

extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_backward_input_tf32_narrow_quads(const Windows g, const Phase phase, const float* __restrict__ dz,
                                        const float* __restrict__ kernel, float* __restrict__ dx,
                                        unsigned long long apart) {
    backward_input<NarrowOf<Tf32>, true>(g, phase, dz, kernel, dx, apart);
}

extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_backward_input_bf16_quads(const Windows g, const Phase phase, const float* __restrict__ dz,
                                 const float* __restrict__ kernel, float* __restrict__ dx,
                                 unsigned long long apart) {
    backward_input<WideOf<Bf16>, true>(g, phase, dz, kernel, dx, apart);
}

extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_backward_input_bf16_narrow_quads(const Windows g, const Phase phase, const float* __restrict__ dz,
                                        const float* __restrict__ kernel, float* __restrict__ dx,
                                        unsigned long long apart) {
    backward_input<NarrowOf<Bf16>, true>(g, phase, dz, kernel, dx, apart);
}

extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_backward_weight_tf32(const Windows g, int filters, int groups, const float* __restrict__ x,
                            const float* __restrict__ dz, float* __restrict__ dkernel,
                            unsigned long long apart) {
    backward_weight<NarrowOf<Tf32>, false, false>(g, filters, groups, x, dz, dkernel, apart);
}

extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_backward_weight_tf32_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                                  const float* __restrict__ dz, float* __restrict__ dkernel,
                                  unsigned long long apart) {
    backward_weight<WideOf<Tf32>, true, true>(g, filters, groups, x, dz, dkernel, apart);
}

extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_backward_weight_tf32_narrow_quads(const Windows g, int filters, int groups,
                                         const float* __restrict__ x, const float* __restrict__ dz,
                                         float* __restrict__ dkernel, unsigned long long apart) {
    backward_weight<NarrowOf<Tf32>, true, true>(g, filters, groups, x, dz, dkernel, apart);
}

extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_backward_weight_bf16(const Windows g, int filters, int groups, const float* __restrict__ x,
                            const float* __restrict__ dz, float* __restrict__ dkernel,
                            unsigned long long apart) {
    backward_weight<NarrowOf<Bf16>, false, false>(g, filters, groups, x, dz, dkernel, apart);
}

extern "C" __global__ void __launch_bounds__(256, 1)
conv2d_backward_weight_bf16_quads(const Windows g, int filters, int groups, const float* __restrict__ x,
                                  const float* __restrict__ dz, float* __restrict__ dkernel,
                                  unsigned long long apart) {
    backward_weight<WideOf<Bf16>, true, true>(g, filters, groups, x, dz, dkernel, apart);
}

extern "C" __global__ void __launch_bounds__(256, 2)
conv2d_backward_weight_bf16_narrow_quads(const Windows g, int filters, int groups,
                                         const float* __restrict__ x, const float* __restrict__ dz,
                                         float* __restrict__ dkernel, unsigned long long apart) {
    backward_weight<NarrowOf<Bf16>, true, true>(g, filters, groups, x, dz, dkernel, apart);
}
