#include "core/linear.h"

#include <cmath>

#include "core/failure.h"
#include "core/record_model.h"

namespace sluice {

namespace {

/** In file order. */
constexpr OptionRange kRanges[] = {
    {"rate", 0, 100}, {"l2", 0, 1}, {"eps", 1e-12, 1e6}, {"normalise", 0, 1, true}};

/** How the backend sees it; the memory pointers are filled in by the model. */
sluice_linear describe(const Shape& shape, const std::vector<double>& values) {
  sluice_linear view{};
  view.dims = shape.dims;
  view.dense_dims = shape.dense_dims;
  view.classes = shape.classes;
  view.outputs = shape.classes == 2 ? 1 : shape.classes;
  view.stride = view.outputs == 1 ? 1 : (view.outputs + 3) / 4 * 4;
  view.rate = static_cast<float>(values[0]);
  view.l2 = static_cast<float>(values[1]);
  view.eps = static_cast<float>(values[2]);
  view.normalise = values[3] != 0;
  return view;
}

class Linear final : public RecordModel {
 public:
  Linear(std::shared_ptr<Device> device, const Shape& shape, const std::vector<double>& values, uint64_t seed)
      : RecordModel(std::move(device), shape, kRanges, values, seed),
        view_(describe(shape, values)),
        records_(device_, record_bytes(record_count(), record_floats() * sizeof(float))),
        moments_(device_, size_t{3} * shape.dense_dims * sizeof(double)) {
    view_.records = static_cast<float*>(records_.get());
    view_.moments = static_cast<double*>(moments_.get());
  }

  std::string_view kind() const override { return "linear"; }
  size_t bytes() const override { return records_.bytes() + moments_.bytes(); }

  void score(Batch& batch, float* scores, const Stop& stop) const override {
    check_batch(batch, shape_);
    expect_ok(table().linear_score(device_->handle(), &view_, &batch.rows, scores, flag(stop)), "scoring");
  }

  void read(FileReader& file);

 protected:
  void write(FileWriter& file) const override;
  int run_step(Batch& batch, uint64_t entries, float* scores, const int32_t* stop) override {
    return table().linear_step(device_->handle(), &view_, &batch.rows, batch.labels, batch.weights,
                               batch.schedule, entries, scores, stop);
  }

 private:
  size_t record_count() const { return size_t{view_.dims} + view_.dense_dims + 1; }
  size_t record_floats() const { return size_t{2} * view_.stride; }

  sluice_linear view_;
  DeviceMemory records_;
  DeviceMemory moments_;
};

/**
 * moments: 3 x denseDims f64 · then the runs of used records, of each `outputs` weights and `outputs`
 * accumulators, f32 (no padding: that is the backend's matter).
 */
void Linear::write(FileWriter& file) const {
  const HostCopy<double> moments(*device_, moments_);
  file.append(moments.get(), moments_.bytes());
  const HostCopy<float> records(*device_, records_);
  const size_t floats = record_floats(), width = view_.outputs * sizeof(float);
  write_runs(
      file, record_count(), [&](size_t r) { return any_bits(records.get() + r * floats, floats); },
      [&](size_t r) {
        file.append(records.get() + r * floats, width);
        file.append(records.get() + r * floats + view_.stride, width);
      });
}

void check_moments(const double* moments, uint32_t dims) {
  for (uint32_t j = 0; j < dims; ++j) {
    const double count = moments[j], squares = moments[2 * dims + j];
    if (!(count >= 0 && count <= 0x1p53 && count == std::floor(count)))
      corrupt("a column count is impossible");
    if (!std::isfinite(moments[dims + j])) corrupt("a column mean is not finite");
    if (!(squares >= 0 && std::isfinite(squares))) corrupt("a column variance is impossible");
  }
}

void check_record(const float* record, uint32_t stride) {
  if (!any_bits(record, 2 * stride)) corrupt("an empty record is written out");
  for (uint32_t k = 0; k < stride; ++k) {
    if (!std::isfinite(record[k])) corrupt("a weight is not finite");
    if (!(record[stride + k] >= 0)) corrupt("an accumulator is negative");
  }
}

void Linear::read(FileReader& file) {
  std::vector<double> moments(size_t{3} * view_.dense_dims);
  file.take(moments.data(), moments_.bytes());
  check_moments(moments.data(), view_.dense_dims);
  moments_.upload(moments.data());

  HostEdit<float> records(*device_, records_);
  const size_t floats = record_floats(), width = view_.outputs * sizeof(float);
  read_runs(file, record_count(), [&](size_t r) {
    float* record = records.get() + r * floats;
    file.take(record, width);
    file.take(record + view_.stride, width);
    check_record(record, view_.stride);
  });
  file.end();
  records.finish();
}

}  // namespace

std::unique_ptr<Model> create_linear(std::shared_ptr<Device> device, const Shape& shape,
                                     const Options& options, uint64_t seed) {
  std::vector<double> values;
  const std::string why = read_options(kRanges, options, values);
  if (!why.empty()) throw Failure("MODEL_INPUT", why);
  return std::make_unique<Linear>(std::move(device), shape, values, seed);
}

std::unique_ptr<Model> read_linear(std::shared_ptr<Device> device, const Shape& shape, const Options& options,
                                   uint64_t seed, FileReader& file) {
  std::vector<double> values;
  const std::string why = read_options(kRanges, options, values);
  if (!why.empty()) corrupt(why.c_str());
  auto model = std::make_unique<Linear>(std::move(device), shape, values, seed);
  model->read(file);
  return model;
}

}  // namespace sluice
