#include "core/stack.h"

#include <algorithm>

#include "core/failure.h"
#include "core/record_model.h"
#include "core/stack_blend.h"
#include "core/stack_expert.h"
#include "core/stack_inputs.h"

namespace sluice {

namespace stack {
namespace {

/** In file order. */
constexpr OptionRange kRanges[] = {{"rate", 0, 100},
                                   {"window", 1, 100000, true},
                                   {"hidden", 1, 256, true},
                                   {"features", 0, 512, true},
                                   {"history", 0, 1, true}};

constexpr uint32_t kMostColumns = 1024;
constexpr uint32_t kMostClasses = 256;
/** Of the say, at the beginning, for the linear expert. */
constexpr double kFirstShare = 0.7;
/** Steps of the parts at `rate` 1. */
constexpr float kNetworkRate = 0.04f, kAdditiveRate = 0.05f, kCellsRate = 0.2f;
constexpr double kBlendRate = 0.03;

std::string refuse(const Shape& shape, const Options& options, std::vector<double>& values) {
  const std::string why = read_options(kRanges, options, values);
  if (!why.empty()) return why;
  if (shape.dense_dims > kMostColumns) return "a stack takes at most 1024 dense columns";
  if (shape.classes > kMostClasses) return "a stack tells at most 256 labels apart";
  return "";
}

/** The first is the linear one, which the blend begins with. */
std::vector<std::unique_ptr<Expert>> make_experts(const std::shared_ptr<Device>& device, const Layout& layout,
                                                  const std::vector<double>& values, uint64_t seed) {
  const auto rate = static_cast<float>(values[0]);
  std::vector<std::unique_ptr<Expert>> experts;
  experts.push_back(make_newton(layout));
  experts.push_back(make_least_squares(layout, static_cast<uint32_t>(values[3]), seed));
  experts.push_back(make_additive(layout, kAdditiveRate * rate));
  experts.push_back(
      make_network(layout, static_cast<uint32_t>(values[2]), kNetworkRate * rate, seed ^ 0x6e6574ull));
  experts.push_back(make_neighbours(layout, static_cast<uint32_t>(values[1])));
  if (layout.dims > 0) experts.push_back(make_cells(device, layout, kCellsRate * rate));
  if (values[4] != 0) experts.push_back(make_history(layout));
  return experts;
}

/** What the file of a stack has at least, in bytes: the covariances and the weights of the network. */
uint64_t least_file(const Layout& layout, const std::vector<double>& values) {
  const auto hidden = static_cast<uint64_t>(values[2]), features = static_cast<uint64_t>(values[3]);
  const uint64_t inputs = layout.narrow + 1 + features;
  return inputs * inputs * 4 + hidden * (hidden + layout.inputs) * 8;
}

class Stack final : public RecordModel {
 public:
  Stack(std::shared_ptr<Device> device, const Shape& shape, const std::vector<double>& values, uint64_t seed)
      : RecordModel(std::move(device), shape, kRanges, values, seed),
        inputs_(layout_of(shape)),
        experts_(make_experts(device_, layout_of(shape), values, seed)),
        blend_(static_cast<uint32_t>(experts_.size()), shape.classes, kFirstShare, kBlendRate * values[0]),
        said_(experts_.size() * shape.classes),
        scores_(shape.classes) {}

  std::string_view kind() const override { return "stack"; }

  size_t bytes() const override {
    size_t all = inputs_.bytes() + blend_.bytes();
    for (const auto& expert : experts_) all += expert->bytes();
    return all;
  }

  void score(Batch& batch, float* scores, const Stop& stop) const override {
    check_batch(batch, shape_);
    for (uint32_t row = 0; row < batch.rows.count; ++row) {
      if (stop.load(std::memory_order_relaxed) != 0) expect_ok(SLUICE_STOPPED, "scoring");
      hear(batch.rows, row);
      put(scores + size_t{row} * shape_.classes);
    }
  }

  void read(FileReader& file) {
    inputs_.read(file);
    blend_.read(file);
    for (const auto& expert : experts_) expert->read(file);
    file.end();
  }

 protected:
  /** columns: counts, means, variances f64 · blend: weights, squares, biases f64 · what each expert keeps. */
  void write(FileWriter& file) const override {
    inputs_.write(file);
    blend_.write(file);
    for (const auto& expert : experts_) expert->write(file);
  }

  int run_step(Batch& batch, uint64_t entries, float* scores, const int32_t* stop) override {
    constexpr uint32_t kNone = ~0u;
    uint32_t heard = kNone;  // the row that scores_ is of, where nothing was learned since
    const sluice_rows& rows = batch.rows;
    const uint64_t total = batch.schedule ? entries : uint64_t{rows.count} * 2;
    for (uint64_t s = 0; s < total; ++s) {
      if (__atomic_load_n(stop, __ATOMIC_RELAXED) != 0) return SLUICE_STOPPED;
      const int32_t entry =
          batch.schedule ? batch.schedule[s] : static_cast<int32_t>(s % 2 == 0 ? s / 2 : ~(s / 2));
      const auto row = static_cast<uint32_t>(entry < 0 ? ~entry : entry);
      if (row >= rows.count || (entry >= 0 && !scores)) continue;
      if (entry < 0 && !has_label(batch, row)) continue;
      if (heard != row) hear(rows, row);
      heard = entry < 0 ? kNone : row;
      if (entry < 0)
        learn_heard(batch, row);
      else
        put(scores + size_t{row} * shape_.classes);
    }
    return SLUICE_OK;
  }

 private:
  bool has_label(const Batch& batch, uint32_t row) const {
    const int32_t label = batch.labels[row];
    const bool known = label >= 0 && static_cast<uint32_t>(label) < shape_.classes;
    return known && (!batch.weights || batch.weights[row] > 0);
  }

  /** What the experts say of a row, and all together. */
  void hear(const sluice_rows& rows, uint32_t row) const {
    inputs_.prepare(rows, row);
    for (uint32_t e = 0; e < experts_.size(); ++e) {
      double* p = said_.data() + size_t{e} * shape_.classes;
      experts_[e]->score(inputs_.row(), p);
      blend_.hear(e, p);
    }
    blend_.score(scores_.data());
  }

  void put(float* to) const {
    for (uint32_t c = 0; c < shape_.classes; ++c) to[c] = static_cast<float>(scores_[c]);
  }

  void learn_heard(const Batch& batch, uint32_t row) {
    // Read again: a careless caller may have changed it since it was checked.
    const auto label = std::min(static_cast<uint32_t>(batch.labels[row]), shape_.classes - 1);
    float weight = batch.weights ? batch.weights[row] : 1.0f;
    weight = weight > kLeastWeight ? weight : kLeastWeight;
    weight = weight < kMostRowWeight ? weight : kMostRowWeight;
    blend_.learn(scores_.data(), label, static_cast<double>(weight));
    for (uint32_t e = 0; e < experts_.size(); ++e)
      experts_[e]->learn(inputs_.row(), said_.data() + size_t{e} * shape_.classes, label, weight);
    inputs_.learn();
  }

  /** One row may not count for more than so many. */
  static constexpr float kLeastWeight = 1e-6f, kMostRowWeight = 16;

  // Scoring leaves what it worked out in them, and nothing that a later score or the file could show.
  mutable Inputs inputs_;
  std::vector<std::unique_ptr<Expert>> experts_;
  mutable Blend blend_;
  mutable std::vector<double> said_;  // experts x classes
  mutable std::vector<double> scores_;
};

}  // namespace
}  // namespace stack

std::unique_ptr<Model> create_stack(std::shared_ptr<Device> device, const Shape& shape,
                                    const Options& options, uint64_t seed) {
  std::vector<double> values;
  const std::string why = stack::refuse(shape, options, values);
  if (!why.empty()) throw Failure("MODEL_INPUT", why);
  return std::make_unique<stack::Stack>(std::move(device), shape, values, seed);
}

std::unique_ptr<Model> read_stack(std::shared_ptr<Device> device, const Shape& shape, const Options& options,
                                  uint64_t seed, FileReader& file) {
  std::vector<double> values;
  const std::string why = stack::refuse(shape, options, values);
  if (!why.empty()) corrupt(why.c_str());
  // Before anything is made that the file does not bear out.
  if (file.left() < stack::least_file(stack::layout_of(shape), values)) corrupt("it ends too early");
  auto model = std::make_unique<stack::Stack>(std::move(device), shape, values, seed);
  model->read(file);
  return model;
}

}  // namespace sluice
