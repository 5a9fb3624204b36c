/*
 * The door between JavaScript and the core: what comes in is converted and its type checked here, on the
 * JS thread; what goes out as an error gets a code. Behind it nothing touches JS.
 *
 * Typed arrays are never asked for their ArrayBuffer through Node-API: views on shared memory have none.
 */
#pragma once

#include <napi.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "core/failure.h"
#include "core/model.h"

namespace sluice::node {

/** A JS Error with `code`; null where the environment is ending and makes no objects any more. */
napi_value make_error(napi_env env, const char* code, const std::string& sentence) noexcept;

/** Throws it in JS, unless the environment is ending. */
void throw_error(napi_env env, const char* code, const std::string& sentence) noexcept;
void rethrow(napi_env env, const Napi::Error& error) noexcept;

/**
 * Runs `body`; whatever C++ throws becomes a thrown JS error, and nothing passes this door. A worker may be
 * terminated in the middle of a call: then every use of JS fails, throwing included, and that must not
 * end the process.
 */
template <typename Body>
Napi::Value guarded(napi_env env, Body body) noexcept {
  try {
    return body();
  } catch (const Failure& failure) {
    throw_error(env, failure.code(), failure.what());
  } catch (const Napi::Error& error) {
    rethrow(env, error);
  } catch (const std::bad_alloc&) {
    throw_error(env, "MODEL_MEMORY", "there is not enough memory");
  } catch (const std::exception& error) {
    throw_error(env, "INTERNAL", error.what());
  } catch (...) {
    throw_error(env, "INTERNAL", "an unknown exception");
  }
  return {};
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

/** Whether a typed array lies on shared memory, which stays for as long as a view on it is pinned. */
bool is_shared(const Napi::Value& array);

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

/**
 * What a job reads after the call that made it has returned. Shared memory is read where it lies; a writer
 * only spoils his numbers. Any other array is copied, because its owner may transfer it away in the middle of
 * the call, and then its memory goes whatever is pinned here.
 */
class Held {
 public:
  /** At most `most` elements from `first` on: arrays may be longer than what is used of them. */
  template <typename T>
  View<T> keep(const Napi::Value& value, const char* name, size_t most = SIZE_MAX, size_t first = 0) {
    const View<T> found = view<T>(value, name);
    if (is_shared(value)) return found;
    first = std::min(first, found.length);
    const size_t length = std::min(found.length - first, most);
    void* copy = copies_.emplace_back(new std::byte[std::max<size_t>(length, 1) * sizeof(T)]).get();
    return {static_cast<T*>(std::memcpy(copy, found.data + first, length * sizeof(T))), length};
  }

  /** As `keep`, but undefined and null give null data. */
  template <typename T>
  View<T> keep_if_given(const Napi::Value& value, const char* name, size_t most = SIZE_MAX) {
    return value.IsUndefined() || value.IsNull() ? View<T>{} : keep<T>(value, name, most);
  }

 private:
  std::vector<std::unique_ptr<std::byte[]>> copies_;
};

/** Arguments from `first` on: count, indptr, indices, values, denseDims, dense. */
Batch batch(const Napi::CallbackInfo& info, size_t first, Held& held);

}  // namespace sluice::node
