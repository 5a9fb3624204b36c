#include "node/door.h"

#include <cmath>

namespace sluice::node {

napi_value make_error(napi_env env, const char* code, const std::string& sentence) noexcept {
  napi_value message = nullptr, name = nullptr, error = nullptr;
  if (napi_create_string_utf8(env, sentence.data(), sentence.size(), &message) != napi_ok ||
      napi_create_string_utf8(env, code, NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_error(env, name, message, &error) != napi_ok)
    return nullptr;
  return error;
}

void throw_error(napi_env env, const char* code, const std::string& sentence) noexcept {
  if (napi_value error = make_error(env, code, sentence)) napi_throw(env, error);
}

void rethrow(napi_env env, const Napi::Error& error) noexcept {
  try {
    napi_throw(env, error.Value());
  } catch (...) {
    // The environment is ending: there is nobody to tell.
  }
}

uint64_t whole(const Napi::Value& value, uint64_t most, const char* name) {
  if (value.IsNumber()) {
    const double number = value.As<Napi::Number>().DoubleValue();
    if (number >= 0 && number <= static_cast<double>(most) && number == std::floor(number))
      return static_cast<uint64_t>(number);
  }
  throw Failure("MODEL_INPUT",
                std::string(name) + " is not a whole number of at most " + std::to_string(most));
}

std::string text(const Napi::Value& value, const char* name) {
  if (!value.IsString()) throw Failure("MODEL_INPUT", std::string(name) + " is not a string");
  return value.As<Napi::String>().Utf8Value();
}

View<void> typed_array(const Napi::Value& value, napi_typedarray_type type, const char* name) {
  napi_env env = value.Env();
  bool is = false;
  napi_typedarray_type found{};
  View<void> result;
  if (napi_is_typedarray(env, value, &is) != napi_ok || !is ||
      napi_get_typedarray_info(env, value, &found, &result.length, &result.data, nullptr, nullptr) !=
          napi_ok ||
      found != type)
    throw Failure("MODEL_INPUT", std::string(name) + " is not the typed array it should be");
  // So that null can mean "not given". Nobody writes to it: its length is 0.
  static constexpr double kEmpty = 0;
  if (!result.data) result.data = const_cast<double*>(&kEmpty);
  return result;
}

Batch batch(const Napi::CallbackInfo& info, size_t first) {
  Batch result;
  result.rows.count = static_cast<uint32_t>(whole(info[first], kMaxRows, "count"));
  const auto indptr = view<uint32_t>(info[first + 1], "indptr");
  const auto indices = view<uint32_t>(info[first + 2], "indices");
  const auto values = view<float>(info[first + 3], "values");
  result.rows.dense_dims = static_cast<uint32_t>(whole(info[first + 4], kMaxDenseDims, "denseDims"));
  const auto dense = view<float>(info[first + 5], "dense");
  result.rows.indptr = indptr.data;
  result.indptr_length = indptr.length;
  result.rows.indices = indices.data;
  result.indices_length = indices.length;
  result.rows.values = values.data;
  result.values_length = values.length;
  result.rows.dense = dense.data;
  result.dense_length = dense.length;
  return result;
}

}  // namespace sluice::node
