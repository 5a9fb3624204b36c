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

constexpr float kLeak = 0.01f;
constexpr float kFirstSquares = 1e-3f;

/** A layer: one row of weights per unit, the last of them its bias. */
struct Layer : Learned {
  Layer(uint32_t units, uint32_t inputs)
      : Learned(units, inputs + 1, round_up(inputs + 1, 8), kFirstSquares),
        stride(round_up(inputs + 1, 8)),
        width(inputs) {}
  const float* row(uint32_t i) const { return weights.data() + size_t{i} * stride; }

  /** Uniform weights of variance 2 / inputs; biases are 0. */
  void start(Rng& rng) {
    const auto size = static_cast<float>(std::sqrt(6.0 / (width > 0 ? width : 1)));
    for (size_t at = 0; at < weights.size(); at += stride)
      for (uint32_t j = 0; j < width; ++j) weights[at + j] = (rng.unit() * 2 - 1) * size;
  }

  void learn(uint32_t i, const float* inputs, float error, float rate) {
    step(size_t{i} * stride, inputs, stride, error, rate, 1e-4f);
  }

  uint32_t stride, width;
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
        first_(hidden, layout.inputs),
        second_(hidden, hidden),
        output_(layout.classes, hidden),
        one_(stride_),
        two_(stride_),
        one_errors_(stride_),
        two_errors_(stride_) {
    Rng rng(seed);
    first_.start(rng);
    second_.start(rng);
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
    for (uint32_t c = 0; c < layout_.classes; ++c) output_.learn(c, two_.data(), error(c), rate_);
    for (uint32_t i = 0; i < hidden_; ++i) {
      second_.learn(i, one_.data(), two_errors_[i], rate_);
      first_.learn(i, row.inputs, one_errors_[i] * (one_[i] > 0 ? 1.0f : kLeak), rate_);
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
