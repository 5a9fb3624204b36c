#include "core/record_model.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/failure.h"

namespace sluice {

namespace {

/** Beyond this a shape is a mistake or a damaged file, even where the kernel would promise the pages. */
constexpr size_t kMaxBytes = size_t{16} << 30;

}  // namespace

std::string read_options(std::span<const OptionRange> ranges, const Options& given,
                         std::vector<double>& values) {
  values.assign(ranges.size(), 0);
  std::vector<bool> seen(ranges.size());
  for (const auto& [name, value] : given) {
    size_t at = 0;
    while (at < ranges.size() && name != ranges[at].name) ++at;
    if (at == ranges.size() || seen[at]) return "the option \"" + name + "\" is unknown or given twice";
    const OptionRange& range = ranges[at];
    if (!(value >= range.least && value <= range.most)) return "the option " + name + " is out of range";
    if (range.whole && value != std::floor(value)) return "the option " + name + " is no whole number";
    values[at] = value;
    seen[at] = true;
  }
  for (size_t at = 0; at < ranges.size(); ++at)
    if (!seen[at]) return std::string("the option ") + ranges[at].name + " is missing";
  return "";
}

size_t record_bytes(size_t count, size_t size) {
  const size_t bytes = count * size;
  if (bytes > kMaxBytes) throw Failure("MODEL_MEMORY", "the model would need more than 16 GiB");
  return bytes;
}

bool any_bits(const void* words, size_t count) {
  const auto* from = static_cast<const uint8_t*>(words);
  uint32_t all = 0;
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, from + i * sizeof bits, sizeof bits);
    all |= bits;
  }
  return all != 0;
}

void RecordModel::step(Batch& batch, float* scores, const Stop& stop) {
  const size_t size = static_cast<size_t>(batch.rows.count) * shape_.classes;
  std::fill(scores, scores + size, std::numeric_limits<float>::quiet_NaN());
  run(batch, scores, stop);
}

void RecordModel::run(Batch& batch, float* scores, const Stop& stop) {
  if (!batch.labels && batch.rows.count > 0) throw Failure("MODEL_INPUT", "learning needs labels");
  check_batch(batch, shape_);
  expect_ok(run_step(batch, batch.schedule ? batch.schedule_length : 0, scores, flag(stop)), "learning");
}

Options RecordModel::options() const {
  Options all;
  for (size_t at = 0; at < ranges_.size(); ++at) all.emplace_back(ranges_[at].name, values_[at]);
  return all;
}

}  // namespace sluice
