/*
 * What src/model/engine.ts sees. Handles are plain objects that wrap a native one and carry a type tag,
 * so that a handle of another kind (or of another addon) is refused, not misread. No globals: the addon
 * may be loaded twice and in worker threads.
 */
#include <napi.h>

#include <memory>
#include <string>

#include "core/backend.h"
#include "core/failure.h"
#include "core/model.h"
#include "cpu/cpu.h"
#include "node/door.h"
#include "node/jobs.h"
#include "node/strand.h"

namespace sluice::node {

namespace {

constexpr napi_type_tag kEngineTag{0x5b1f0c6a9d2e4c77ull, 0x8e3a41f7c2d09b15ull};
constexpr napi_type_tag kModelTag{0x2c94e7d13fa84b60ull, 0xb7d5086a1e9f43c2ull};

/** The chosen device, and the CPU for kinds that the chosen one does not run. */
struct EngineHandle {
  std::shared_ptr<Device> chosen;
  std::shared_ptr<Device> cpu;

  const std::shared_ptr<Device>& device_for(const std::string& kind) const {
    return backend_runs(chosen->table(), kind) ? chosen : cpu;
  }
};

struct ModelHandle {
  ~ModelHandle() { strand->close(); }
  std::shared_ptr<Strand> strand;
  uint32_t classes;
};

template <typename Handle>
Napi::Object wrap(Napi::Env env, std::unique_ptr<Handle> handle, const napi_type_tag& tag) {
  Napi::Object object = Napi::Object::New(env);
  const auto destroy = [](napi_env, void* data, void*) { delete static_cast<Handle*>(data); };
  if (napi_type_tag_object(env, object, &tag) != napi_ok ||
      napi_wrap(env, object, handle.get(), destroy, nullptr, nullptr) != napi_ok)
    throw Failure("INTERNAL", "the JavaScript engine made no handle");
  handle.release();
  return object;
}

template <typename Handle>
Handle& unwrap(const Napi::Value& value, const napi_type_tag& tag) {
  bool ours = false;
  void* data = nullptr;
  if (!value.IsObject() || napi_check_object_type_tag(value.Env(), value, &tag, &ours) != napi_ok || !ours ||
      napi_unwrap(value.Env(), value, &data) != napi_ok)
    throw Failure("MODEL_INPUT", "this is not a handle of the native core");
  return *static_cast<Handle*>(data);
}

Napi::Object describe_backend(Napi::Env env, const char* name, bool ok, const std::string& detail) {
  Napi::Object row = Napi::Object::New(env);
  row.Set("name", name);
  row.Set("ok", ok);
  row.Set("detail", detail);
  return row;
}

/** (cudaLibrary) -> [{name, ok, detail}], best first. */
Napi::Value backends(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const BackendLibrary cuda = open_library(text(info[0], "the path of the CUDA library"));
    const auto found = cuda.table ? probe_backend(*cuda.table) : std::pair(false, cuda.reason);
    const auto cpu = probe_backend(*cpu_backend());
    Napi::Array rows = Napi::Array::New(env, 2);
    rows.Set(0u, describe_backend(env, "cuda", found.first, found.second));
    rows.Set(1u, describe_backend(env, "cpu", cpu.first, cpu.second));
    return rows;
  });
}

/** (backend, cudaLibrary, threads, isa) -> engine handle. */
Napi::Value open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const std::string backend = text(info[0], "backend"), isa = text(info[3], "isa");
    const sluice_device_options options{static_cast<uint32_t>(whole(info[2], 1024, "threads")), isa.c_str()};
    auto handle = std::make_unique<EngineHandle>();
    handle->cpu = Device::open(cpu_backend(), options);
    handle->chosen = handle->cpu;
    if (backend == "cuda") {
      const BackendLibrary cuda = open_library(text(info[1], "the path of the CUDA library"));
      if (!cuda.table)
        throw Failure("BACKEND_UNAVAILABLE", "the backend cuda cannot be used: " + cuda.reason);
      handle->chosen = Device::open(cuda.table, options, cuda.library);
    } else if (backend != "cpu") {
      throw Failure("BACKEND_UNAVAILABLE", "there is no backend " + backend);
    }
    return wrap(env, std::move(handle), kEngineTag);
  });
}

Napi::Value describe_model(Napi::Env env, std::unique_ptr<Model> model) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("kind", std::string(model->kind()));
  result.Set("dims", model->shape().dims);
  result.Set("denseDims", model->shape().dense_dims);
  result.Set("classes", model->shape().classes);
  result.Set("backend", model->device().table().name);
  auto handle = std::make_unique<ModelHandle>();
  handle->classes = model->shape().classes;
  handle->strand = std::make_shared<Strand>(env, std::move(model));
  result.Set("handle", wrap(env, std::move(handle), kModelTag));
  return result;
}

/** (engine, kind, dims, denseDims, classes, names, values, seed) -> {handle, kind, …}. */
Napi::Value create(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const auto& engine = unwrap<EngineHandle>(info[0], kEngineTag);
    const std::string kind = text(info[1], "kind");
    const Shape shape{static_cast<uint32_t>(whole(info[2], kMaxDims, "dims")),
                      static_cast<uint32_t>(whole(info[3], kMaxDenseDims, "denseDims")),
                      static_cast<uint32_t>(whole(info[4], kMaxClasses, "classes"))};
    const auto values = view<double>(info[6], "option values");
    if (!info[5].IsArray() || info[5].As<Napi::Array>().Length() != values.length)
      throw Failure("MODEL_INPUT", "option names and values differ in number");
    Options options;
    for (uint32_t i = 0; i < values.length; ++i)
      options.emplace_back(text(info[5].As<Napi::Array>().Get(i), "an option name"), values.data[i]);
    const uint64_t seed = whole(info[7], 1ull << 53, "seed");
    return describe_model(env, create_model(engine.device_for(kind), kind, shape, options, seed));
  });
}

/** (engine, bytes) -> {handle, kind, …}. */
Napi::Value load(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const auto& engine = unwrap<EngineHandle>(info[0], kEngineTag);
    const auto bytes = view<uint8_t>(info[1], "the model file");
    // The kind is known only after the header was checked; one that the device lacks goes to the CPU.
    const std::string kind = kind_of_file(bytes.data, bytes.length);
    return describe_model(env, load_model(engine.device_for(kind), bytes.data, bytes.length));
  });
}

Napi::Value score(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const auto& model = unwrap<ModelHandle>(info[0], kModelTag);
    return submit_score(*model.strand, info, model.classes);
  });
}

Napi::Value learn(const Napi::CallbackInfo& info) {
  return guarded(info.Env(),
                 [&] { return submit_learn(*unwrap<ModelHandle>(info[0], kModelTag).strand, info); });
}

Napi::Value step(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const auto& model = unwrap<ModelHandle>(info[0], kModelTag);
    return submit_step(*model.strand, info, model.classes);
  });
}

Napi::Value save(const Napi::CallbackInfo& info) {
  return guarded(info.Env(),
                 [&] { return submit_save(*unwrap<ModelHandle>(info[0], kModelTag).strand, info); });
}

Napi::Value size(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto& model = unwrap<ModelHandle>(info[0], kModelTag);
    return Napi::Number::New(info.Env(), static_cast<double>(model.strand->bytes()));
  });
}

Napi::Value close(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    unwrap<ModelHandle>(info[0], kModelTag).strand->close();
    return info.Env().Undefined();
  });
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  const auto add = [&](const char* name, auto function) {
    exports.Set(name, Napi::Function::New(env, function, name));
  };
  add("backends", backends);
  add("open", open);
  add("create", create);
  add("load", load);
  add("score", score);
  add("learn", learn);
  add("step", step);
  add("save", save);
  add("size", size);
  add("close", close);
  return exports;
}

}  // namespace

static Napi::Object register_addon(Napi::Env env, Napi::Object exports) {
  return init(env, exports);
}

NODE_API_MODULE(sluice, register_addon)

}  // namespace sluice::node
