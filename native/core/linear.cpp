#include "core/linear.h"

#include <cmath>
#include <limits>

#include "core/failure.h"

namespace sluice {

namespace {

struct Range {
  const char* name;
  double least;
  double most;
};

/** In file order. The bounds keep every later value finite; what is sensible is said in kinds.ts. */
constexpr Range kRanges[] = {{"rate", 0, 100}, {"l2", 0, 1}, {"eps", 1e-12, 1e6}, {"normalise", 0, 1}};

/** Values in the order of kRanges; the sentence of a refusal, or empty. */
std::string read_options(const Options& given, double (&values)[4]) {
  bool seen[4] = {};
  for (const auto& [name, value] : given) {
    size_t at = 0;
    while (at < 4 && name != kRanges[at].name) ++at;
    if (at == 4 || seen[at]) return "the option \"" + name + "\" is unknown or given twice";
    if (!(value >= kRanges[at].least && value <= kRanges[at].most))
      return "the option " + name + " is out of range";
    values[at] = value;
    seen[at] = true;
  }
  for (size_t at = 0; at < 4; ++at)
    if (!seen[at]) return std::string("the option ") + kRanges[at].name + " is missing";
  if (values[3] != 0 && values[3] != 1) return "the option normalise is neither 0 nor 1";
  return "";
}

/** How the backend sees it; the memory pointers are filled in by the model. */
sluice_linear describe(const Shape& shape, const double (&values)[4]) {
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

/** Beyond this a shape is a mistake or a damaged file, even where the kernel would promise the pages. */
constexpr size_t kMaxBytes = size_t{16} << 30;

class Linear final : public Model {
 public:
  Linear(std::shared_ptr<Device> device, const Shape& shape, const double (&values)[4], uint64_t seed)
      : device_(std::move(device)),
        shape_(shape),
        seed_(seed),
        view_(describe(shape, values)),
        records_(device_, record_bytes()),
        moments_(device_, size_t{3} * shape.dense_dims * sizeof(double)) {
    std::copy(values, values + 4, values_);
    view_.records = static_cast<float*>(records_.get());
    view_.moments = static_cast<double*>(moments_.get());
  }

  std::string_view kind() const override { return "linear"; }
  const Shape& shape() const override { return shape_; }
  const Device& device() const override { return *device_; }
  size_t bytes() const override { return records_.bytes() + moments_.bytes(); }

  void score(Batch& batch, float* scores, const Stop& stop) const override {
    check_batch(batch, shape_);
    expect_ok(table().linear_score(device_->handle(), &view_, &batch.rows, scores, flag(stop)), "scoring");
  }

  void learn(Batch& batch, const Stop& stop) override { run(batch, nullptr, stop); }

  void step(Batch& batch, float* scores, const Stop& stop) override {
    const size_t size = static_cast<size_t>(batch.rows.count) * shape_.classes;
    std::fill(scores, scores + size, std::numeric_limits<float>::quiet_NaN());
    run(batch, scores, stop);
  }

  void read(FileReader& file);

 protected:
  uint64_t seed() const override { return seed_; }
  Options options() const override {
    Options all;
    for (size_t at = 0; at < 4; ++at) all.emplace_back(kRanges[at].name, values_[at]);
    return all;
  }
  void write(FileWriter& file) const override;

 private:
  const sluice_backend& table() const { return device_->table(); }
  static const int32_t* flag(const Stop& stop) { return reinterpret_cast<const int32_t*>(&stop); }
  size_t record_count() const { return size_t{view_.dims} + view_.dense_dims + 1; }
  size_t record_floats() const { return size_t{2} * view_.stride; }
  size_t record_bytes() const {
    const size_t bytes = record_count() * record_floats() * sizeof(float);
    if (bytes > kMaxBytes) throw Failure("MODEL_MEMORY", "the model would need more than 16 GiB");
    return bytes;
  }

  void run(Batch& batch, float* scores, const Stop& stop) {
    if (!batch.labels && batch.rows.count > 0) throw Failure("MODEL_INPUT", "learning needs labels");
    check_batch(batch, shape_);
    expect_ok(
        table().linear_step(device_->handle(), &view_, &batch.rows, batch.labels, batch.weights,
                            batch.schedule, batch.schedule ? batch.schedule_length : 0, scores, flag(stop)),
        "learning");
  }

  std::shared_ptr<Device> device_;
  Shape shape_;
  uint64_t seed_;
  double values_[4];
  sluice_linear view_;
  DeviceMemory records_;
  DeviceMemory moments_;
};

static_assert(sizeof(Stop) == sizeof(int32_t) && Stop::is_always_lock_free);

/** A host view of device memory: the memory itself where it is host memory, else a copy. */
template <typename T>
class HostCopy {
 public:
  HostCopy(const Device& device, const DeviceMemory& memory) {
    if (device.on_host()) {
      data_ = static_cast<const T*>(memory.get());
    } else {
      copy_.resize(memory.bytes() / sizeof(T));
      memory.download(copy_.data());
      data_ = copy_.data();
    }
  }
  const T* get() const { return data_; }

 private:
  std::vector<T> copy_;
  const T* data_;
};

/** Whether any bit is set: -0 must survive a save. */
bool any_bits(const float* values, size_t count) {
  uint32_t all = 0;
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    all |= bits;
  }
  return all != 0;
}

/**
 * moments: 3 x denseDims f64 · then the records as runs of those that are not all zero, because a hashed
 * model is mostly zero: varint records skipped, varint run length >= 1, then per record `outputs` weights
 * and `outputs` accumulators, f32 (no padding: that is the backend's matter) · a run length of 0 ends it.
 */
void Linear::write(FileWriter& file) const {
  const HostCopy<double> moments(*device_, moments_);
  file.append(moments.get(), moments_.bytes());
  const HostCopy<float> records(*device_, records_);
  const size_t floats = record_floats(), count = record_count();
  const size_t width = view_.outputs * sizeof(float);
  auto used = [&](size_t r) { return any_bits(records.get() + r * floats, floats); };
  size_t next = 0;
  while (true) {
    size_t first = next;
    while (first < count && !used(first)) ++first;
    if (first == count) break;
    size_t last = first;
    while (last < count && used(last)) ++last;
    file.varint(first - next);
    file.varint(last - first);
    for (size_t r = first; r < last; ++r) {
      file.append(records.get() + r * floats, width);
      file.append(records.get() + r * floats + view_.stride, width);
    }
    next = last;
  }
  file.varint(0);
  file.varint(0);
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

  // A device of its own gets one upload; host memory is written in place, so its untouched pages stay free.
  std::vector<float> staging;
  float* records = view_.records;
  if (!device_->on_host()) {
    staging.resize(records_.bytes() / sizeof(float));
    records = staging.data();
  }
  const size_t floats = record_floats(), count = record_count();
  const size_t width = view_.outputs * sizeof(float);
  size_t next = 0;
  for (bool first = true;; first = false) {
    const uint64_t skip = file.varint(), run = file.varint();
    if (run == 0) {
      if (skip != 0) corrupt("the end mark is not canonical");
      break;
    }
    if (skip == 0 && !first) corrupt("two runs touch");
    if (skip > count - next || run > count - next - skip) corrupt("a run passes the end of the model");
    next += skip;
    for (const size_t end = next + run; next < end; ++next) {
      float* record = records + next * floats;
      file.take(record, width);
      file.take(record + view_.stride, width);
      check_record(record, view_.stride);
    }
  }
  file.end();
  if (!device_->on_host()) records_.upload(records);
}

}  // namespace

std::unique_ptr<Model> create_linear(std::shared_ptr<Device> device, const Shape& shape,
                                     const Options& options, uint64_t seed) {
  double values[4];
  const std::string why = read_options(options, values);
  if (!why.empty()) throw Failure("MODEL_INPUT", why);
  return std::make_unique<Linear>(std::move(device), shape, values, seed);
}

std::unique_ptr<Model> read_linear(std::shared_ptr<Device> device, const Shape& shape, const Options& options,
                                   uint64_t seed, FileReader& file) {
  double values[4];
  const std::string why = read_options(options, values);
  if (!why.empty()) corrupt(why.c_str());
  auto model = std::make_unique<Linear>(std::move(device), shape, values, seed);
  model->read(file);
  return model;
}

}  // namespace sluice
