#include "node/jobs.h"

#include <utility>

#include "node/door.h"

namespace sluice::node {

namespace {

constexpr uint32_t kFirst = 1;  // argument 0 is the handle

/** Scores land in a Float32Array made at the door, so that nothing is copied; it is the first thing pinned.
 */
class ScoringJob final : public Job {
 public:
  /** `steps`: run the batch's schedule; else only score. */
  ScoringJob(const Batch& given, Held held, Napi::Float32Array scores, bool steps)
      : batch_(given), held_(std::move(held)), scores_(scores.Data()), steps_(steps) {}
  void run(Model& model, const Stop& stop) override {
    if (steps_)
      model.step(batch_, scores_, stop);
    else
      model.score(batch_, scores_, stop);
  }
  napi_value result(napi_env env, napi_value pinned) override {
    napi_value value = nullptr;
    return napi_get_element(env, pinned, 0, &value) == napi_ok ? value : nullptr;
  }

 private:
  Batch batch_;
  Held held_;
  float* scores_;
  bool steps_;
};

class LearnJob final : public Job {
 public:
  LearnJob(const Batch& given, Held held) : batch_(given), held_(std::move(held)) {}
  void run(Model& model, const Stop& stop) override { model.learn(batch_, stop); }
  napi_value result(napi_env env, napi_value) override {
    napi_value value = nullptr;
    napi_get_undefined(env, &value);
    return value;
  }

 private:
  Batch batch_;
  Held held_;
};

/** The bytes are copied once on the JS thread: an external buffer could not be handed to a worker. */
class SaveJob final : public Job {
 public:
  void run(Model& model, const Stop&) override { bytes_ = model.save(); }
  napi_value result(napi_env env, napi_value) override {
    void* data = nullptr;
    napi_value buffer = nullptr, value = nullptr;
    if (napi_create_arraybuffer(env, bytes_.size(), &data, &buffer) != napi_ok) return nullptr;
    std::memcpy(data, bytes_.data(), bytes_.size());
    return napi_create_typedarray(env, napi_uint8_array, bytes_.size(), buffer, 0, &value) == napi_ok
               ? value
               : nullptr;
  }

 private:
  std::vector<uint8_t> bytes_;
};

/** Element 0 is the result (or undefined), then every argument. */
Napi::Array pin(const Napi::CallbackInfo& info, Napi::Value result) {
  Napi::Array pinned = Napi::Array::New(info.Env(), info.Length() + 1);
  pinned.Set(0u, result);
  for (uint32_t i = 0; i < info.Length(); ++i) pinned.Set(i + 1, info[i]);
  return pinned;
}

Napi::Float32Array make_scores(const Napi::CallbackInfo& info, const Batch& given, uint32_t classes) {
  // Before anything is allocated for a count that the rows do not bear out.
  if (given.indptr_length <= given.rows.count)
    throw Failure("MODEL_INPUT", "indptr is shorter than count + 1");
  try {
    return Napi::Float32Array::New(info.Env(), static_cast<size_t>(given.rows.count) * classes);
  } catch (const Napi::Error&) {
    throw Failure("MODEL_MEMORY", "there is not enough memory for the scores");
  }
}

void read_targets(const Napi::CallbackInfo& info, Batch& given, Held& held) {
  const auto labels = held.keep<int32_t>(info[kFirst + 6], "labels", given.rows.count);
  const auto weights = held.keep_if_given<float>(info[kFirst + 7], "weights", given.rows.count);
  given.labels = labels.data;
  given.labels_length = labels.length;
  given.weights = weights.data;
  given.weights_length = weights.length;
}

void read_schedule(const Napi::CallbackInfo& info, Batch& given, Held& held) {
  const auto schedule = held.keep_if_given<int32_t>(info[kFirst + 8], "schedule");
  given.schedule = schedule.data;
  given.schedule_length = schedule.length;
}

}  // namespace

Napi::Value submit_score(Strand& strand, const Napi::CallbackInfo& info, uint32_t classes) {
  Held held;
  const Batch given = batch(info, kFirst, held);
  const Napi::Float32Array scores = make_scores(info, given, classes);
  return {info.Env(), strand.submit(std::make_unique<ScoringJob>(given, std::move(held), scores, false),
                                    pin(info, scores))};
}

Napi::Value submit_learn(Strand& strand, const Napi::CallbackInfo& info) {
  Held held;
  Batch given = batch(info, kFirst, held);
  read_targets(info, given, held);
  return {info.Env(), strand.submit(std::make_unique<LearnJob>(given, std::move(held)),
                                    pin(info, info.Env().Undefined()))};
}

Napi::Value submit_step(Strand& strand, const Napi::CallbackInfo& info, uint32_t classes) {
  Held held;
  Batch given = batch(info, kFirst, held);
  read_targets(info, given, held);
  read_schedule(info, given, held);
  const Napi::Float32Array scores = make_scores(info, given, classes);
  return {info.Env(), strand.submit(std::make_unique<ScoringJob>(given, std::move(held), scores, true),
                                    pin(info, scores))};
}

Napi::Value submit_save(Strand& strand, const Napi::CallbackInfo& info) {
  return {info.Env(), strand.submit(std::make_unique<SaveJob>(), pin(info, info.Env().Undefined()))};
}

}  // namespace sluice::node
