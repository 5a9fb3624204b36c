#include "node/door.h"

#include <cmath>
#include <cstring>

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

bool is_shared(const Napi::Value& array) {
  napi_value buffer = nullptr;
  bool own = true;  // in doubt
  if (napi_get_named_property(array.Env(), array, "buffer", &buffer) == napi_ok)
    napi_is_arraybuffer(array.Env(), buffer, &own);
  else
    napi_get_and_clear_last_exception(array.Env(), &buffer);
  return !own;
}

namespace {

/** The sparse part. Of arrays that are copied only the span that the rows cover, with offsets that begin at
 * 0. */
void read_sparse(const Napi::CallbackInfo& info, size_t first, Batch& result, Held& held) {
  const size_t count = result.rows.count;
  const auto indptr = held.keep<uint32_t>(info[first], "indptr", count + 1);
  view<uint32_t>(info[first + 1], "indices");
  view<float>(info[first + 2], "values");
  const bool copied = !is_shared(info[first]) && !is_shared(info[first + 1]) && !is_shared(info[first + 2]);
  // What is missing, or contradicts itself, is refused later, with the row.
  const bool whole = indptr.length > count;
  const uint32_t begin = copied && whole ? indptr.data[0] : 0, end = whole ? indptr.data[count] : 0;
  const size_t entries = end > begin ? end - begin : 0;
  const auto indices = held.keep<uint32_t>(info[first + 1], "indices", entries, begin);
  const auto values = held.keep<float>(info[first + 2], "values", entries, begin);
  if (copied)
    for (size_t i = 0; i < indptr.length; ++i) indptr.data[i] -= begin;
  result.rows.indptr = indptr.data;
  result.indptr_length = indptr.length;
  result.rows.indices = indices.data;
  result.indices_length = indices.length;
  result.rows.values = values.data;
  result.values_length = values.length;
}

}  // namespace

Batch batch(const Napi::CallbackInfo& info, size_t first, Held& held) {
  Batch result;
  result.rows.count = static_cast<uint32_t>(whole(info[first], kMaxRows, "count"));
  read_sparse(info, first + 1, result, held);
  result.rows.dense_dims = static_cast<uint32_t>(whole(info[first + 4], kMaxDenseDims, "denseDims"));
  const size_t cells = size_t{result.rows.count} * result.rows.dense_dims;
  const auto dense = held.keep<float>(info[first + 5], "dense", cells);
  result.rows.dense = dense.data;
  result.dense_length = dense.length;
  return result;
}

}  // namespace sluice::node
