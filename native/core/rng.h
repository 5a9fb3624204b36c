/*
 * A small seeded generator (splitmix64, Steele, Lea and Flood 2014): the same numbers on every machine,
 * which std::uniform_*_distribution does not promise. Not for secrets.
 */
#pragma once

#include <cstdint>

namespace sluice {

class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }

  /** Uniform in [0, n) for n >= 1; the bias of the multiply-shift is below n / 2^32. */
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(((next() >> 32) * n) >> 32); }

  /** Uniform in [0, 1), 24 bits. */
  float unit() { return static_cast<float>(next() >> 40) * 0x1p-24f; }

 private:
  uint64_t state_;
};

}  // namespace sluice
