/*
 * A sum of curves, one per input and class: an input is between two of kBorders borders and belongs to both
 * in part, so each curve is piecewise linear (a generalised additive model: Hastie and Tibshirani 1986),
 * learned as softmax regression by AdaGrad with forgetting. Cheap, and finds thresholds where linear experts
 * cannot.
 */
#include <cmath>

#include "core/loss.h"
#include "core/stack_expert.h"

namespace sluice::stack {

namespace {

constexpr uint32_t kBorders = 8;
/** Borders are spread over [-kReach, kReach], of inputs squashed to +-2.6. */
constexpr float kReach = 2.5f;
constexpr float kEps = 1e-2f;

class Additive final : public Expert {
 public:
  Additive(const Layout& layout, float rate)
      : layout_(layout),
        rate_(rate),
        curves_(size_t{layout.inputs} * kBorders, layout.classes, layout.classes, kLeastSquares),
        bias_(1, layout.classes, layout.classes, kLeastSquares),
        places_(layout.inputs),
        errors_(layout.classes) {}

  void score(const Row& row, double* p) override {
    for (uint32_t c = 0; c < layout_.classes; ++c) p[c] = static_cast<double>(bias_.weights[c]);
    for (uint32_t j = 0; j < layout_.inputs; ++j) {
      places_[j] = place(row.inputs[j]);
      const float* low = curves_.weights.data() + at(j);
      const float *high = low + layout_.classes, part = places_[j].part;
      for (uint32_t c = 0; c < layout_.classes; ++c)
        p[c] += static_cast<double>(low[c] * (1 - part) + high[c] * part);
    }
    softmax(p, layout_.classes);
  }

  void learn(const Row&, const double* p, uint32_t label, float weight) override {
    for (uint32_t c = 0; c < layout_.classes; ++c)
      errors_[c] = static_cast<float>(p[c] - (c == label ? 1.0 : 0.0)) * weight;
    bias_.step(0, errors_.data(), layout_.classes, 1, rate_ * 0.3f, kEps);
    for (uint32_t j = 0; j < layout_.inputs; ++j) {
      const float part = places_[j].part;
      curves_.step(at(j), errors_.data(), layout_.classes, 1 - part, rate_, kEps);
      curves_.step(at(j) + layout_.classes, errors_.data(), layout_.classes, part, rate_, kEps);
    }
  }

  size_t bytes() const override { return curves_.bytes() + bias_.bytes(); }
  void write(FileWriter& file) const override {
    bias_.write(file);
    curves_.write(file);
  }
  void read(FileReader& file) override {
    bias_.read(file);
    curves_.read(file);
  }

 private:
  struct Place {
    uint32_t border;
    float part;  // of the border above
  };

  static Place place(float x) {
    float at = (x + kReach) * ((kBorders - 1) / (2 * kReach));
    at = at > 0 ? at : 0;
    at = at < kBorders - 1.001f ? at : kBorders - 1.001f;
    const auto border = static_cast<uint32_t>(at);
    return {border, at - static_cast<float>(border)};
  }

  size_t at(uint32_t j) const { return (size_t{j} * kBorders + places_[j].border) * layout_.classes; }

  Layout layout_;
  float rate_;
  Learned curves_;  // inputs x kBorders x classes
  Learned bias_;
  std::vector<Place> places_;
  std::vector<float> errors_;
};

}  // namespace

std::unique_ptr<Expert> make_additive(const Layout& layout, float rate) {
  return std::make_unique<Additive>(layout, rate);
}

}  // namespace sluice::stack
