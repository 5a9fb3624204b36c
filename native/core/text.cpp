#include "core/text.h"

#include <bit>
#include <cmath>

#include "core/failure.h"
#include "core/record_model.h"
#include "core/text_numbers.h"

namespace sluice {

namespace {

/** In file order. */
constexpr OptionRange kRanges[] = {{"views", 1, SLUICE_TEXT_VIEWS, true},
                                   {"rate", 0, 100},
                                   {"smoothing", 1e-3, 100},
                                   {"calibration", 0, 1},
                                   {"all", 0, 1, true},
                                   {"guard", 0, 1, true}};

/** Why the shape or the options are refused, or empty; else `values` in the order of kRanges. */
std::string refuse(const Shape& shape, const Options& options, std::vector<double>& values) {
  const std::string why = read_options(kRanges, options, values);
  if (!why.empty()) return why;
  if (shape.classes != 2) return "a text model tells two labels apart, not " + std::to_string(shape.classes);
  if (shape.dense_dims > 0) return "a text model takes no dense columns";
  const auto views = static_cast<uint32_t>(values[0]);
  if (!std::has_single_bit(views)) return "the option views is none of 1, 2, 4, 8";
  if (shape.dims < views) return "a text model needs a bucket for each view";
  return "";
}

sluice_text describe(const Shape& shape, const std::vector<double>& values) {
  sluice_text view{};
  view.dims = shape.dims;
  view.views = static_cast<uint32_t>(values[0]);
  view.view_shift = static_cast<uint32_t>(std::countr_zero(shape.dims) - std::countr_zero(view.views));
  view.all = values[4] != 0;
  view.guard = values[5] != 0;
  view.rate = static_cast<float>(values[1]);
  view.smoothing = static_cast<float>(values[2]);
  view.calibration = static_cast<float>(values[3]);
  return view;
}

/** What every bucket holds; the member over all cells has its own table behind. */
constexpr size_t kRecord = sizeof(sluice_text_weights) + sizeof(sluice_text_counts);

struct Tables {
  sluice_text_weights* weights;
  sluice_text_counts* counts;
  sluice_text_member* members;  // null where there is none
};

bool is_used(const Tables& tables, size_t r) {
  return any_bits(tables.weights + r, sizeof(sluice_text_weights) / sizeof(float)) ||
         any_bits(tables.counts + r, sizeof(sluice_text_counts) / sizeof(float)) ||
         (tables.members && any_bits(tables.members + r, sizeof(sluice_text_member) / sizeof(float)));
}

class Text final : public RecordModel {
 public:
  Text(std::shared_ptr<Device> device, const Shape& shape, const std::vector<double>& values, uint64_t seed)
      : RecordModel(std::move(device), shape, kRanges, values, seed),
        view_(describe(shape, values)),
        tables_(device_, record_bytes(shape.dims, kRecord + (view_.all ? sizeof(sluice_text_member) : 0))),
        state_(device_, sizeof(sluice_text_state)) {
    view_.tables = tables_.get();
    view_.state = static_cast<sluice_text_state*>(state_.get());
    sluice_text_state fresh{};
    fresh.slope = 1;
    fresh.noise = kFirstNoise;
    state_.upload(&fresh);
  }

  std::string_view kind() const override { return "text"; }
  size_t bytes() const override { return tables_.bytes() + state_.bytes(); }

  void score(Batch& batch, float* scores, const Stop& stop) const override {
    check_batch(batch, shape_);
    expect_ok(table().text_score(device_->handle(), &view_, &batch.rows, scores, flag(stop)), "scoring");
  }

  void read(FileReader& file);

 protected:
  void write(FileWriter& file) const override;
  int run_step(Batch& batch, uint64_t entries, float* scores, const int32_t* stop) override {
    return table().text_step(device_->handle(), &view_, &batch.rows, batch.labels, batch.weights,
                             batch.schedule, entries, scores, stop);
  }

 private:
  Tables tables_at(void* memory) const {
    auto* weights = static_cast<sluice_text_weights*>(memory);
    auto* counts = reinterpret_cast<sluice_text_counts*>(weights + view_.dims);
    return {weights, counts,
            view_.all ? reinterpret_cast<sluice_text_member*>(counts + view_.dims) : nullptr};
  }

  sluice_text view_;
  DeviceMemory tables_;
  DeviceMemory state_;
};

constexpr size_t kDoubles = 7;

/**
 * state: biases (weight, accumulator, f32) of all, ratios and each view · slope, offset and their
 * accumulators, weights of the spam and ham rows, noise, f64 · then the runs of used records, of each the
 * weights of view and ratios and their accumulators, f32, the counts of spam and ham, u16, and with `all`
 * that member's weight and accumulator, f32. The ratio follows from the counts.
 */
void Text::write(FileWriter& file) const {
  const HostCopy<sluice_text_state> state(*device_, state_);
  file.append(&state.get()->all, (size_t{2} + view_.views) * sizeof(sluice_text_member));
  file.append(&state.get()->slope, kDoubles * sizeof(double));
  const HostCopy<uint8_t> memory(*device_, tables_);
  const Tables tables = tables_at(const_cast<uint8_t*>(memory.get()));
  write_runs(
      file, view_.dims, [&](size_t r) { return is_used(tables, r); },
      [&](size_t r) {
        const sluice_text_weights& weights = tables.weights[r];
        file.append(&weights.view, 2 * sizeof(float));
        file.append(&weights.view_squares, sizeof(float));
        file.append(tables.counts + r, sizeof(sluice_text_counts));
        if (tables.members) file.append(tables.members + r, sizeof(sluice_text_member));
      });
}

static_assert(offsetof(sluice_text_weights, ratios) == sizeof(float));
static_assert(offsetof(sluice_text_state, view) == 2 * sizeof(sluice_text_member));
static_assert(sizeof(sluice_text_state) == offsetof(sluice_text_state, slope) + kDoubles * sizeof(double));

void check_member(float weight, float squares) {
  if (!std::isfinite(weight)) corrupt("a weight is not finite");
  if (!(squares >= 0)) corrupt("an accumulator is negative");
}

void check_state(const sluice_text_state& state) {
  check_member(state.all.weight, state.all.squares);
  check_member(state.ratios.weight, state.ratios.squares);
  for (const sluice_text_member& bias : state.view) check_member(bias.weight, bias.squares);
  if (!(state.slope >= kLeastSlope && state.slope <= kMostSlope)) corrupt("the slope is impossible");
  if (!std::isfinite(state.offset)) corrupt("the offset is not finite");
  if (!(state.noise >= kLeastNoise && state.noise <= kMostNoise)) corrupt("the noise is impossible");
  for (const double sum : {state.slope_squares, state.offset_squares, state.spam, state.ham})
    if (!(sum >= 0 && std::isfinite(sum))) corrupt("a sum of rows is impossible");
}

void Text::read(FileReader& file) {
  sluice_text_state state{};
  file.take(&state.all, (size_t{2} + view_.views) * sizeof(sluice_text_member));
  file.take(&state.slope, kDoubles * sizeof(double));
  check_state(state);
  state_.upload(&state);

  HostEdit<uint8_t> memory(*device_, tables_);
  const Tables tables = tables_at(memory.get());
  read_runs(file, view_.dims, [&](size_t r) {
    sluice_text_weights& weights = tables.weights[r];
    sluice_text_counts& counts = tables.counts[r];
    file.take(&weights.view, 2 * sizeof(float));
    file.take(&weights.view_squares, sizeof(float));
    file.take(&counts, sizeof counts);
    check_member(weights.view, weights.view_squares);
    check_member(weights.ratios, counts.ratios_squares);
    weights.ratio = text_ratio<float, int32_t>(counts.spam, counts.ham, view_.smoothing);
    if (tables.members) {
      file.take(tables.members + r, sizeof(sluice_text_member));
      check_member(tables.members[r].weight, tables.members[r].squares);
    }
    if (!is_used(tables, r)) corrupt("an empty record is written out");
  });
  file.end();
  memory.finish();
}

}  // namespace

std::unique_ptr<Model> create_text(std::shared_ptr<Device> device, const Shape& shape, const Options& options,
                                   uint64_t seed) {
  std::vector<double> values;
  const std::string why = refuse(shape, options, values);
  if (!why.empty()) throw Failure("MODEL_INPUT", why);
  return std::make_unique<Text>(std::move(device), shape, values, seed);
}

std::unique_ptr<Model> read_text(std::shared_ptr<Device> device, const Shape& shape, const Options& options,
                                 uint64_t seed, FileReader& file) {
  std::vector<double> values;
  const std::string why = refuse(shape, options, values);
  if (!why.empty()) corrupt(why.c_str());
  auto model = std::make_unique<Text>(std::move(device), shape, values, seed);
  model->read(file);
  return model;
}

}  // namespace sluice
