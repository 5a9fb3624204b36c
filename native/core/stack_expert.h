/*
 * What the experts of a stack share: the row as they see it, what they promise, sums of a fixed order, and
 * how their numbers are written and read. Everything is plain arithmetic in one order, so the bits are the
 * same on every instruction set; vectors of eight are sums of eight lanes, however wide the registers are.
 *
 * An expert is scored and then, if at all, taught the same row with nothing in between, so `learn` may use
 * what `score` left behind. Numbers read from a file are bounded to what learning itself keeps to: whatever
 * the file says, probabilities stay finite.
 */
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "core/backend.h"
#include "core/file.h"

namespace sluice::stack {

/** Fixed by shape and options. */
struct Layout {
  uint32_t dims;     // sparse buckets, may be 0
  uint32_t columns;  // dense
  uint32_t slots;    // inputs that all sparse cells are added up in
  uint32_t inputs;   // columns + slots
  uint32_t stride;   // inputs, a 1 for the bias, zeros up to a multiple of 8
  uint32_t narrow;   // inputs folded for experts whose cost is their square
  uint32_t classes;
};

/** A sparse cell; value in [-8, 8]. */
struct Cell {
  uint32_t index;
  float value;
};

/** A row made ready. */
struct Row {
  const float* inputs;  // stride
  const float* narrow;  // narrow, zeros up to a multiple of 8
  std::span<const Cell> cells;
};

class Expert {
 public:
  virtual ~Expert() = default;
  /** Probabilities of the classes. */
  virtual void score(const Row& row, double* p) = 0;
  /** `p` as score gave it right before; weight in [1e-6, 16]. */
  virtual void learn(const Row& row, const double* p, uint32_t label, float weight) = 0;
  virtual size_t bytes() const = 0;
  virtual void write(FileWriter& file) const = 0;
  /** Throws Failure MODEL_CORRUPT. */
  virtual void read(FileReader& file) = 0;
};

std::unique_ptr<Expert> make_newton(const Layout& layout);
std::unique_ptr<Expert> make_least_squares(const Layout& layout, uint32_t features, uint64_t seed);
std::unique_ptr<Expert> make_additive(const Layout& layout, float rate);
std::unique_ptr<Expert> make_network(const Layout& layout, uint32_t hidden, float rate, uint64_t seed);
std::unique_ptr<Expert> make_neighbours(const Layout& layout, uint32_t window);
std::unique_ptr<Expert> make_cells(std::shared_ptr<Device> device, const Layout& layout, float rate);
std::unique_ptr<Expert> make_history(const Layout& layout);

// ---------------------------------------------------------------- numbers

/** Weights are cut here, by learning as by the reader: far beyond use, and all sums of them stay finite. */
constexpr float kMostWeight = 1e4f;
constexpr float kMostSquares = 1e30f;

static inline uint32_t round_up(uint32_t n, uint32_t to) {
  return (n + to - 1) / to * to;
}

template <typename T>
static inline T bounded(T value, T most) {
  value = value < most ? value : most;
  return value > -most ? value : -most;
}

typedef float f8 __attribute__((vector_size(32)));
typedef double d4 __attribute__((vector_size(32)));

template <typename V, typename T>
static inline void load(V& v, const T* from) {
  std::memcpy(&v, from, sizeof v);
}

static inline float sum_of(const f8& s) {
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

/** n is a multiple of 8. */
static inline float dot(const float* a, const float* b, uint32_t n) {
  f8 sum{}, x, y;
  for (uint32_t i = 0; i < n; i += 8) {
    load(x, a + i);
    load(y, b + i);
    sum += x * y;
  }
  return sum_of(sum);
}

/** n is a multiple of 4. */
static inline double dot(const double* a, const double* b, uint32_t n) {
  d4 sum{}, x, y;
  for (uint32_t i = 0; i < n; i += 4) {
    load(x, a + i);
    load(y, b + i);
    sum += x * y;
  }
  return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

/** Reads n numbers within [least, most]; throws Failure MODEL_CORRUPT. */
template <typename T>
void take_within(FileReader& file, T* to, size_t n, T least, T most, const char* what) {
  file.take(to, n * sizeof(T));
  for (size_t i = 0; i < n; ++i)
    if (!(to[i] >= least && to[i] <= most)) corrupt(what);
}

template <typename T>
void put_all(FileWriter& file, const std::vector<T>& values) {
  file.append(values.data(), values.size() * sizeof(T));
}

template <typename T>
size_t bytes_of(const std::vector<T>& values) {
  return values.size() * sizeof(T);
}

/** Squares are never less: what decays towards 0 would become denormal, and slow. */
constexpr float kLeastSquares = 1e-20f;

/** Rows of weights and their sums of squared gradients, of which old ones fade (AdaGrad with forgetting). */
class Learned {
 public:
  Learned(size_t rows, size_t width, size_t stride, float first_squares)
      : weights(rows * stride), squares(rows * stride, first_squares), width_(width), stride_(stride) {}

  /** Weights of row i move against error * inputs, n of them from `from` on. */
  void step(size_t from, const float* inputs, size_t n, float error, float rate, float eps) {
    constexpr float kForgetting = 0.999f;
    float *w = weights.data() + from, *g = squares.data() + from;
    for (size_t j = 0; j < n; ++j) {
      const float gradient = error * inputs[j], sum = kForgetting * g[j] + gradient * gradient;
      g[j] = sum > kLeastSquares ? sum : kLeastSquares;
      w[j] = bounded(w[j] - rate * gradient / (std::sqrt(g[j]) + eps), kMostWeight);
    }
  }

  size_t bytes() const { return bytes_of(weights) + bytes_of(squares); }
  /** Without the padding, which never matters. */
  void write(FileWriter& file) const {
    for (const auto* part : {&weights, &squares})
      for (size_t at = 0; at < part->size(); at += stride_)
        file.append(part->data() + at, width_ * sizeof(float));
  }
  void read(FileReader& file) {
    for (size_t at = 0; at < weights.size(); at += stride_)
      take_within(file, weights.data() + at, width_, -kMostWeight, kMostWeight, "a weight is impossible");
    for (size_t at = 0; at < weights.size(); at += stride_)
      take_within(file, squares.data() + at, width_, kLeastSquares, kMostSquares,
                  "a sum of squares is impossible");
  }

  std::vector<float> weights, squares;

 private:
  size_t width_, stride_;
};

}  // namespace sluice::stack
