// The instruction set that the compiler takes for granted: SSE2 on x86-64, NEON on arm64.
#include "cpu/linear_kernels.inl"

namespace sluice::cpu {

const LinearKernels* linear_baseline() {
  static constexpr LinearKernels kernels{prepare, score, step};
  return &kernels;
}

}  // namespace sluice::cpu
