// The instruction set that the compiler takes for granted: SSE2 on x86-64, NEON on arm64.
#include "cpu/text_kernels.inl"

namespace sluice::cpu {

const TextKernels* text_baseline() {
  static constexpr TextKernels kernels{score, step};
  return &kernels;
}

}  // namespace sluice::cpu
