/*
 * exp, log, sigmoid and softmax from basic operations only, so that every compiler, instruction set and
 * device gives the same bits; libm differs between versions. Each is accurate to about one unit in the
 * last place of a double (tested against libm to 2), which is far beyond the floats that models keep.
 *
 * Everything is static: a function of the AVX2 translation unit must never be chosen by the linker
 * for the baseline one. Macros mark what a device compiler shall also compile.
 */
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define SLUICE_HD __host__ __device__
#else
#define SLUICE_HD
#endif

namespace sluice {

SLUICE_HD static inline double bits_to_double(uint64_t bits) {
  double value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

SLUICE_HD static inline uint64_t double_to_bits(double value) {
  uint64_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

/**
 * e^x. Cody-Waite reduction x = k ln2 + r, |r| <= ln2 / 2, then the Taylor series to r^13 (its remainder
 * there is below 2^-57). Below -708 the result is 0, above 709 it is e^709; NaN gives NaN.
 */
SLUICE_HD static inline double exp_exact(double x) {
  if (x < -708.0) return 0.0;
  if (x > 709.0) x = 709.0;
  if (x != x) return x;
  const double scaled = x * 1.4426950408889634074;
  const int64_t k = static_cast<int64_t>(scaled + (scaled < 0 ? -0.5 : 0.5));
  const double kd = static_cast<double>(k);
  const double r = (x - kd * 6.93147180369123816490e-01) - kd * 1.90821492927058770002e-10;
  double p = 1.0 / 6227020800.0;
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = 1.0 + (r + r * r * p);
  return p * bits_to_double(static_cast<uint64_t>(k + 1023) << 52);
}

/**
 * Natural logarithm of a positive normal number: x = m 2^k with m in [sqrt(1/2), sqrt(2)), then
 * 2 artanh((m - 1) / (m + 1)) as a series. 0 and below give -745, just under the log of the least double.
 */
SLUICE_HD static inline double log_exact(double x) {
  if (x != x) return x;
  if (x < 2.2250738585072014e-308) return -745.0;
  const uint64_t bits = double_to_bits(x);
  int64_t k = static_cast<int64_t>(bits >> 52) - 1023;
  double m = bits_to_double((bits & 0x000fffffffffffffull) | 0x3ff0000000000000ull);
  if (m > 1.41421356237309504880) {
    m *= 0.5;
    k += 1;
  }
  const double s = (m - 1.0) / (m + 1.0);
  const double s2 = s * s;
  double p = 1.0 / 23.0;
  p = p * s2 + 1.0 / 21.0;
  p = p * s2 + 1.0 / 19.0;
  p = p * s2 + 1.0 / 17.0;
  p = p * s2 + 1.0 / 15.0;
  p = p * s2 + 1.0 / 13.0;
  p = p * s2 + 1.0 / 11.0;
  p = p * s2 + 1.0 / 9.0;
  p = p * s2 + 1.0 / 7.0;
  p = p * s2 + 1.0 / 5.0;
  p = p * s2 + 1.0 / 3.0;
  const double kd = static_cast<double>(k);
  return kd * 6.93147180369123816490e-01 + (2.0 * s + (2.0 * s * s2 * p + kd * 1.90821492927058770002e-10));
}

/** A logit as the losses take it: NaN (from an overflow of both signs) is no opinion, infinities are bounded.
 */
SLUICE_HD static inline double bounded_logit(float z) {
  const double wide = static_cast<double>(z);
  if (wide != wide) return 0.0;
  if (wide > 1e30) return 1e30;
  if (wide < -1e30) return -1e30;
  return wide;
}

SLUICE_HD static inline double sigmoid(double z) {
  if (z >= 0) return 1.0 / (1.0 + exp_exact(-z));
  const double e = exp_exact(z);
  return e / (1.0 + e);
}

/** Probabilities of n logits, in place, in order of index; the largest logit is taken off first. */
SLUICE_HD static inline void softmax(double* z, uint32_t n) {
  double top = z[0];
  for (uint32_t k = 1; k < n; ++k) top = z[k] > top ? z[k] : top;
  double sum = 0;
  for (uint32_t k = 0; k < n; ++k) {
    z[k] = exp_exact(z[k] - top);
    sum += z[k];
  }
  for (uint32_t k = 0; k < n; ++k) z[k] /= sum;
}

/** log(1 + e^z) - y z, the log-loss of a logit against y in {0, 1}; its gradient is sigmoid(z) - y. */
SLUICE_HD static inline double logistic_loss(double z, double y) {
  const double absolute = z < 0 ? -z : z;
  return (z > 0 ? z : 0.0) - y * z + log_exact(1.0 + exp_exact(-absolute));
}

}  // namespace sluice
