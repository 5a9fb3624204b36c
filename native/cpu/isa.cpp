#include "cpu/isa.h"

#if defined(__x86_64__)
#include <cpuid.h>

#include <cstdint>

namespace sluice::cpu {

namespace {

constexpr uint32_t kOsxsave = 1u << 27, kAvx = 1u << 28;  // leaf 1, ecx
constexpr uint32_t kAvx2 = 1u << 5;                       // leaf 7, ebx
constexpr uint32_t kXmmAndYmm = 6;                        // extended control register 0

/** What the system saves of the registers (Intel SDM vol. 1, 13.3); only to be asked where OSXSAVE is set. */
uint32_t saved_registers() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

bool ask() {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return false;
  if ((c & kOsxsave) == 0 || (c & kAvx) == 0 || (saved_registers() & kXmmAndYmm) != kXmmAndYmm) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & kAvx2) != 0;
}

}  // namespace

bool has_avx2() {
  static const bool has = ask();
  return has;
}

}  // namespace sluice::cpu

#else

bool sluice::cpu::has_avx2() {
  return false;
}

#endif
