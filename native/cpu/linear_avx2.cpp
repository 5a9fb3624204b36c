// Compiled with -mavx2 -mno-fma; called only where the processor has AVX2.
#include "cpu/linear_kernels.inl"

namespace sluice::cpu {

const LinearKernels* linear_avx2() {
  static constexpr LinearKernels kernels{prepare, score, step};
  return &kernels;
}

}  // namespace sluice::cpu
