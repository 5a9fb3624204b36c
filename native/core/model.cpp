#include "core/model.h"

#include "core/failure.h"
#include "core/forest.h"
#include "core/linear.h"
#include "core/stack.h"
#include "core/text.h"

namespace sluice {

namespace {

/** One row per kind: how to make one, how to read one, whether a backend runs it. */
struct Kind {
  std::string_view name;
  std::unique_ptr<Model> (*create)(std::shared_ptr<Device>, const Shape&, const Options&, uint64_t seed);
  std::unique_ptr<Model> (*read)(std::shared_ptr<Device>, const Shape&, const Options&, uint64_t seed,
                                 FileReader&);
  bool (*runs_on)(const sluice_backend&);
};

constexpr Kind kKinds[] = {
    {"linear", create_linear, read_linear,
     [](const sluice_backend& table) { return table.linear_score != nullptr; }},
    // Lives in host memory and uses of a backend only its threads.
    {"forest", create_forest, read_forest,
     [](const sluice_backend& table) { return table.upload == nullptr; }},
    // Runs in host memory on the calling thread: any backend whose memory is that of the host will do.
    {"stack", create_stack, read_stack, [](const sluice_backend& table) { return table.upload == nullptr; }},
    {"text", create_text, read_text, [](const sluice_backend& table) { return table.text_score != nullptr; }},
};

const Kind* find_kind(std::string_view name) {
  for (const Kind& kind : kKinds)
    if (kind.name == name) return &kind;
  return nullptr;
}

}  // namespace

std::vector<uint8_t> Model::save() const {
  FileWriter file;
  file.text(kind());
  file.put<uint32_t>(shape().dims);
  file.put<uint32_t>(shape().dense_dims);
  file.put<uint32_t>(shape().classes);
  file.put<uint64_t>(seed());
  const Options all = options();
  file.put<uint32_t>(static_cast<uint32_t>(all.size()));
  for (const auto& [name, value] : all) {
    file.text(name);
    file.put<double>(value);
  }
  write(file);
  return file.finish();
}

std::unique_ptr<Model> create_model(std::shared_ptr<Device> device, std::string_view name, const Shape& shape,
                                    const Options& options, uint64_t seed) {
  const Kind* kind = find_kind(name);
  if (!kind) throw Failure("MODEL_INPUT", "there is no model kind \"" + std::string(name) + "\"");
  if (const char* why = refuse_shape(shape)) throw Failure("MODEL_INPUT", why);
  return kind->create(std::move(device), shape, options, seed);
}

std::unique_ptr<Model> load_model(std::shared_ptr<Device> device, const uint8_t* bytes, size_t size) {
  FileReader file(bytes, size);
  const std::string name = file.text();
  Shape shape{};
  shape.dims = file.get<uint32_t>();
  shape.dense_dims = file.get<uint32_t>();
  shape.classes = file.get<uint32_t>();
  const auto seed = file.get<uint64_t>();
  const auto count = file.get<uint32_t>();
  if (count > 64) corrupt("it has too many options");
  Options options;
  for (uint32_t i = 0; i < count; ++i) {
    std::string option = file.text();
    options.emplace_back(std::move(option), file.get<double>());
  }
  const Kind* kind = find_kind(name);
  if (!kind) throw Failure("MODEL_VERSION", "the model file holds a kind that this build does not know");
  if (const char* why = refuse_shape(shape)) corrupt(why);
  return kind->read(std::move(device), shape, options, seed, file);
}

std::string kind_of_file(const uint8_t* bytes, size_t size) {
  return FileReader(bytes, size).text();
}

bool backend_runs(const sluice_backend& table, std::string_view name) {
  const Kind* kind = find_kind(name);
  return kind != nullptr && kind->runs_on(table);
}

}  // namespace sluice
