// Compiled with -mavx2 -mno-fma; called only where the processor has AVX2.
#include "cpu/text_kernels.inl"

namespace sluice::cpu {

const TextKernels* text_avx2() {
  static constexpr TextKernels kernels{score, step};
  return &kernels;
}

}  // namespace sluice::cpu
