/*
 * Numbers that the forest draws and compares: a logarithm fast enough for every candidate split, hashes that
 * stand in for random draws, and the Poisson weights of online bagging. Basic operations only, so that every
 * compiler and instruction set gives the same bits; everything is inline and without state.
 */
#pragma once

#include <cstdint>
#include <cstring>

namespace sluice::forest {

/**
 * log2 of a positive float, to 4e-6; 0 gives -127. x = m 2^e with m in [3/4, 3/2), then a least-squares
 * polynomial in m - 1.
 */
inline float log2_near(float x) {
  int32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const int32_t from = bits - 0x3f400000;
  const int32_t reduced = bits - (from & static_cast<int32_t>(0xff800000u));
  float m;
  std::memcpy(&m, &reduced, sizeof m);
  const float r = m - 1.0f;
  float p = -0.14094990491867065f;
  p = p * r + 0.28975924849510193f;
  p = p * r - 0.37113749980926514f;
  p = p * r + 0.48194196820259094f;
  p = p * r - 0.7211034893989563f;
  p = p * r + 1.4426746368408203f;
  return p * r + static_cast<float>(from >> 23);
}

/** x log2 x, 0 for 0. */
inline float entropy_term(float x) {
  return x * log2_near(x);
}

/** The finaliser of splitmix64 over two words: as good as a fresh draw for each pair. */
inline uint64_t mix(uint64_t a, uint64_t b) {
  uint64_t z = a + 0x9e3779b97f4a7c15ull * (b + 1);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

/** A hash as a number in [0, 1), 24 bits. */
inline float unit_of(uint64_t hash) {
  return static_cast<float>(hash >> 40) * 0x1p-24f;
}

/** Draws of a Poisson distribution by its cumulative table (mean at most 16). */
class Poisson {
 public:
  explicit Poisson(double mean);
  uint32_t draw(uint64_t hash) const {
    const auto u = static_cast<uint32_t>(hash >> 32);
    uint32_t k = 0;
    while (k < kMost && u >= below_[k]) ++k;
    return k;
  }

 private:
  static constexpr uint32_t kMost = 48;
  uint32_t below_[kMost];  // 2^32 x P(at most k)
};

}  // namespace sluice::forest
