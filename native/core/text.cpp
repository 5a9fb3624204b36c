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

class Text final : public RecordModel {
 public:
  Text(std::shared_ptr<Device> device, const Shape& shape, const std::vector<double>& values, uint64_t seed)
      : RecordModel(std::move(device), shape, kRanges, values, seed),
        view_(describe(shape, values)),
        records_(device_, record_bytes(shape.dims, sizeof(sluice_text_record))),
        state_(device_, sizeof(sluice_text_state)) {
    view_.records = static_cast<sluice_text_record*>(records_.get());
    view_.state = static_cast<sluice_text_state*>(state_.get());
    sluice_text_state fresh{};
    fresh.slope = 1;
    fresh.noise = kFirstNoise;
    state_.upload(&fresh);
  }

  std::string_view kind() const override { return "text"; }
  size_t bytes() const override { return records_.bytes() + state_.bytes(); }

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
  /** What the file keeps of a record: without the member over all cells where there is none. */
  size_t first_member() const { return view_.all ? SLUICE_TEXT_ALL : SLUICE_TEXT_VIEW; }
  size_t member_bytes() const { return (SLUICE_TEXT_MEMBERS - first_member()) * sizeof(float); }
  static constexpr size_t count_bytes() { return 2 * sizeof(uint16_t); }

  sluice_text view_;
  DeviceMemory records_;
  DeviceMemory state_;
};

static_assert(SLUICE_TEXT_ALL == 0 &&
              offsetof(sluice_text_record, spam) ==
                  offsetof(sluice_text_record, squares) + sizeof(sluice_text_record::squares));
constexpr size_t kDoubles = 7;

/**
 * state: biases (weight, accumulator, f32) of all, ratios and each view · slope, offset and their
 * accumulators, weights of the spam and ham rows, noise, f64 · then the runs of used records, of each the
 * weights and the accumulators of its members, f32, and the counts of spam and ham, u16; their ratio follows.
 */
void Text::write(FileWriter& file) const {
  const HostCopy<sluice_text_state> state(*device_, state_);
  file.append(&state.get()->all, (size_t{2} + view_.views) * sizeof(sluice_text_bias));
  file.append(&state.get()->slope, kDoubles * sizeof(double));
  const HostCopy<sluice_text_record> records(*device_, records_);
  write_runs(
      file, view_.dims,
      [&](size_t r) { return any_bits(records.get() + r, sizeof(sluice_text_record) / sizeof(float)); },
      [&](size_t r) {
        const sluice_text_record& record = records.get()[r];
        file.append(record.weights + first_member(), member_bytes());
        file.append(record.squares + first_member(), member_bytes() + count_bytes());
      });
}

static_assert(offsetof(sluice_text_state, view) == 2 * sizeof(sluice_text_bias));
static_assert(sizeof(sluice_text_state) == offsetof(sluice_text_state, slope) + kDoubles * sizeof(double));

void check_member(float weight, float squares) {
  if (!std::isfinite(weight)) corrupt("a weight is not finite");
  if (!(squares >= 0)) corrupt("an accumulator is negative");
}

void check_state(const sluice_text_state& state) {
  check_member(state.all.weight, state.all.squares);
  check_member(state.ratios.weight, state.ratios.squares);
  for (const sluice_text_bias& bias : state.view) check_member(bias.weight, bias.squares);
  if (!(state.slope >= kLeastSlope && state.slope <= kMostSlope)) corrupt("the slope is impossible");
  if (!std::isfinite(state.offset)) corrupt("the offset is not finite");
  if (!(state.noise >= kLeastNoise && state.noise <= kMostNoise)) corrupt("the noise is impossible");
  for (const double sum : {state.slope_squares, state.offset_squares, state.spam, state.ham})
    if (!(sum >= 0 && std::isfinite(sum))) corrupt("a sum of rows is impossible");
}

void Text::read(FileReader& file) {
  sluice_text_state state{};
  file.take(&state.all, (size_t{2} + view_.views) * sizeof(sluice_text_bias));
  file.take(&state.slope, kDoubles * sizeof(double));
  check_state(state);
  state_.upload(&state);

  HostEdit<sluice_text_record> records(*device_, records_);
  read_runs(file, view_.dims, [&](size_t r) {
    sluice_text_record& record = records.get()[r];
    file.take(record.weights + first_member(), member_bytes());
    file.take(record.squares + first_member(), member_bytes() + count_bytes());
    for (size_t k = 0; k < SLUICE_TEXT_MEMBERS; ++k) check_member(record.weights[k], record.squares[k]);
    record.ratio = text_ratio<float, int32_t>(record.spam, record.ham, view_.smoothing);
    if (!any_bits(&record, sizeof record / sizeof(float))) corrupt("an empty record is written out");
  });
  file.end();
  records.finish();
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
