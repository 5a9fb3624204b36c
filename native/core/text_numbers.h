/*
 * Numbers that the kernels of the text model and the reader of its files must agree on. The log-ratio that a
 * record keeps is a function of its counts: written when they change and when a file is read, never when rows
 * are scored. Without branches, for scalars and vectors alike, with the same bits. Static, like all of
 * loss.h.
 */
#pragma once

#include "core/loss.h"

namespace sluice {

/** Bounds of the calibration's slope: it may not turn the order of the scores, nor flatten it for ever. */
constexpr double kLeastSlope = 0.1, kMostSlope = 10;
/** Bounds of the share of labels that are believed to be wrong, and where it begins. */
constexpr double kLeastNoise = 0.001, kMostNoise = 0.99, kFirstNoise = 0.01;
/**
 * From which blend on, either way, a row without a label teaches the model what the model says of it, and how
 * many rows it must have learned before (by their weight). Lower bounds spread early mistakes.
 */
constexpr double kSureBlend = 8, kRowsToBeSure = 300;
/**
 * Where the weights of the ratios begin: a record keeps what was learned beyond it, so an untouched one is
 * zero. Without it the ratios would have to learn that they mean what they say.
 */
constexpr float kFirstRatioWeight = 0.1f;
/** The part of the blend in the logit that a member learns from, its own is the rest. */
constexpr double kSharedLogit = 0.3;
/** The rate of biases in rates of weights: what is common to all rows should not follow a run of one label.
 */
constexpr float kBiasRate = 0.5f;
/** What a row of weight 1 adds to a count. */
constexpr int32_t kCountUnit = 8;

template <typename To, typename From>
SLUICE_HD static inline To same_bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}

template <typename Float, typename Int>
SLUICE_HD static inline Float to_float(Int value) {
  if constexpr (sizeof(Int) == sizeof(int32_t))
    return static_cast<Float>(value);
  else
    return __builtin_convertvector(value, Float);
}

/**
 * log(a / b) of positive normal floats within 2^60 of 1, to about 2^-21, with one division: a / b = m 2^k,
 * where the difference of the bits, a logarithm to 0.09, gives k; then s = (m - 1) / (m + 1) = (a - b 2^k) /
 * (a + b 2^k) and the series of log_exact to s^9.
 */
template <typename Float, typename Int>
SLUICE_HD static inline Float log_of_ratio(Float a, Float b) {
  const Int k = (same_bits_as<Int>(a) - same_bits_as<Int>(b) + (1 << 22)) >> 23;
  const Float scaled = b * same_bits_as<Float>((k + 127) << 23);
  const Float s = (a - scaled) / (a + scaled), s2 = s * s;
  Float p = s2 * (1.0f / 9.0f) + 1.0f / 7.0f;
  p = p * s2 + 1.0f / 5.0f;
  p = p * s2 + 1.0f / 3.0f;
  return to_float<Float>(k) * 0.693147180559945f + 2.0f * (s + s * s2 * p);
}

/** log((spam + a) / (ham + a)) of counts in units of 1 / kCountUnit; 0 only where both are 0. */
template <typename Float, typename Int>
SLUICE_HD static inline Float text_ratio(Int spam, Int ham, float smoothing) {
  constexpr float kUnit = 1.0f / kCountUnit, kEven = 0x1p-60f;
  const Float more = to_float<Float>(spam) * kUnit + smoothing;
  const Float less = to_float<Float>(ham) * kUnit + smoothing;
  const Float ratio = log_of_ratio<Float, Int>(more, less);
  const Float kept = ratio == 0.0f ? Float{} + kEven : ratio;
  return (spam | ham) == 0 ? Float{} : kept;
}

}  // namespace sluice
