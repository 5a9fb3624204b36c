/*
 * A network of two hidden layers of leaky rectifiers, learned row by row by AdaGrad whose sums forget: steps
 * that never become small follow drift. Begins at random hidden weights (He et al. 2015) and zero outputs.
 */
#include <cmath>

#include "core/loss.h"
#include "core/rng.h"
#include "core/stack_expert.h"

namespace sluice::stack {

namespace {

constexpr float kForgetting = 0.999f;
constexpr float kLeak = 0.01f;
constexpr float kFirstSquares = 1e-3f;

/** `count` rows of `stride` weights. */
struct Layer : Learned {
  Layer(uint32_t count, uint32_t width) : Learned(size_t{count} * width, kFirstSquares), stride(width) {}
  const float* row(uint32_t i) const { return weights.data() + size_t{i} * stride; }

  /** Uniform weights of variance 2 / inputs; biases and padding are 0. */
  void start(uint32_t count, uint32_t inputs, Rng& rng) {
    const auto size = static_cast<float>(std::sqrt(6.0 / (inputs > 0 ? inputs : 1)));
    for (uint32_t i = 0; i < count; ++i)
      for (uint32_t j = 0; j < inputs; ++j) weights[size_t{i} * stride + j] = (rng.unit() * 2 - 1) * size;
  }

  void step(uint32_t i, const float* inputs, float error, float rate) {
    float *w = weights.data() + size_t{i} * stride, *g = squares.data() + size_t{i} * stride;
    for (uint32_t j = 0; j < stride; ++j) {
      const float gradient = error * inputs[j];
      g[j] = kForgetting * g[j] + gradient * gradient;
      w[j] = bounded(w[j] - rate * gradient / (std::sqrt(g[j]) + 1e-4f), kMostWeight);
    }
  }

  uint32_t stride;
};

/** errors += error * row */
void add_back(float* errors, const float* row, float error, uint32_t stride) {
  for (uint32_t j = 0; j < stride; ++j) errors[j] += row[j] * error;
}

class Network final : public Expert {
 public:
  Network(const Layout& layout, uint32_t hidden, float rate, uint64_t seed)
      : layout_(layout),
        hidden_(hidden),
        stride_(round_up(hidden + 1, 8)),
        rate_(rate),
        first_(hidden, layout.stride),
        second_(hidden, stride_),
        output_(layout.classes, stride_),
        one_(stride_),
        two_(stride_),
        one_errors_(stride_),
        two_errors_(stride_) {
    Rng rng(seed);
    first_.start(hidden, layout.inputs, rng);
    second_.start(hidden, hidden, rng);
    one_[hidden] = two_[hidden] = 1;
  }

  void score(const Row& row, double* p) override {
    for (uint32_t i = 0; i < hidden_; ++i) one_[i] = leak(dot(first_.row(i), row.inputs, layout_.stride));
    for (uint32_t i = 0; i < hidden_; ++i) two_[i] = leak(dot(second_.row(i), one_.data(), stride_));
    for (uint32_t c = 0; c < layout_.classes; ++c)
      p[c] = static_cast<double>(dot(output_.row(c), two_.data(), stride_));
    softmax(p, layout_.classes);
  }

  void learn(const Row& row, const double* p, uint32_t label, float weight) override {
    one_errors_.assign(stride_, 0);
    two_errors_.assign(stride_, 0);
    const auto error = [&](uint32_t c) {
      return static_cast<float>(p[c] - (c == label ? 1.0 : 0.0)) * weight;
    };
    for (uint32_t c = 0; c < layout_.classes; ++c)
      add_back(two_errors_.data(), output_.row(c), error(c), stride_);
    for (uint32_t i = 0; i < hidden_; ++i) {
      two_errors_[i] *= two_[i] > 0 ? 1.0f : kLeak;
      add_back(one_errors_.data(), second_.row(i), two_errors_[i], stride_);
    }
    for (uint32_t c = 0; c < layout_.classes; ++c) output_.step(c, two_.data(), error(c), rate_);
    for (uint32_t i = 0; i < hidden_; ++i) {
      second_.step(i, one_.data(), two_errors_[i], rate_);
      first_.step(i, row.inputs, one_errors_[i] * (one_[i] > 0 ? 1.0f : kLeak), rate_);
    }
  }

  size_t bytes() const override { return first_.bytes() + second_.bytes() + output_.bytes(); }
  void write(FileWriter& file) const override {
    for (const Layer* layer : {&first_, &second_, &output_}) layer->write(file);
  }
  void read(FileReader& file) override {
    for (Layer* layer : {&first_, &second_, &output_}) layer->read(file);
  }

 private:
  static float leak(float x) { return x > 0 ? x : kLeak * x; }

  Layout layout_;
  uint32_t hidden_, stride_;
  float rate_;
  Layer first_, second_, output_;
  std::vector<float> one_, two_, one_errors_, two_errors_;
};

}  // namespace

std::unique_ptr<Expert> make_network(const Layout& layout, uint32_t hidden, float rate, uint64_t seed) {
  return std::make_unique<Network>(layout, hidden, rate, seed);
}

}  // namespace sluice::stack
