/*
 * The door between JavaScript and the core: what comes in is converted and its type checked here, on the
 * JS thread; what goes out as an error gets a code. Behind it nothing touches JS.
 *
 * Typed arrays are asked for their data, never for their ArrayBuffer: views on shared memory have none.
 */
#pragma once

#include <napi.h>

#include <string>

#include "core/failure.h"
#include "core/model.h"

namespace sluice::node {

/** A JS Error with `code`. */
Napi::Value make_error(napi_env env, const char* code, const std::string& sentence);

/** Runs `body`; a Failure or anything else of C++ becomes a thrown JS error, never more. */
template <typename Body>
Napi::Value guarded(napi_env env, Body body) {
  const auto fail = [env](const char* code, const std::string& sentence) -> Napi::Value {
    throw Napi::Error(env, make_error(env, code, sentence));
  };
  try {
    return body();
  } catch (const Failure& failure) {
    return fail(failure.code(), failure.what());
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    return fail("MODEL_MEMORY", "there is not enough memory");
  } catch (const std::exception& error) {
    return fail("INTERNAL", error.what());
  }
}

/** A whole number in [0, most], or a Failure MODEL_INPUT that names it. */
uint64_t whole(const Napi::Value& value, uint64_t most, const char* name);
std::string text(const Napi::Value& value, const char* name);

/** Data and length of a typed array of one element type. The data of an empty array is not null either. */
template <typename T>
struct View {
  T* data = nullptr;
  size_t length = 0;
};

View<void> typed_array(const Napi::Value& value, napi_typedarray_type type, const char* name);

template <typename T>
constexpr napi_typedarray_type element_type() {
  if constexpr (std::is_same_v<T, float>) return napi_float32_array;
  if constexpr (std::is_same_v<T, double>) return napi_float64_array;
  if constexpr (std::is_same_v<T, int32_t>) return napi_int32_array;
  if constexpr (std::is_same_v<T, uint32_t>) return napi_uint32_array;
  return napi_uint8_array;
}

template <typename T>
View<T> view(const Napi::Value& value, const char* name) {
  const View<void> raw = typed_array(value, element_type<T>(), name);
  return {static_cast<T*>(raw.data), raw.length};
}

/** As `view`, but undefined and null give null data. */
template <typename T>
View<T> optional_view(const Napi::Value& value, const char* name) {
  return value.IsUndefined() || value.IsNull() ? View<T>{} : view<T>(value, name);
}

/** Arguments from `first` on: count, indptr, indices, values, denseDims, dense. */
Batch batch(const Napi::CallbackInfo& info, size_t first);

}  // namespace sluice::node
