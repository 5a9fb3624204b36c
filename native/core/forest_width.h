/* Loops over classes with a count that the compiler knows, where it is a usual one. */
#pragma once

#include <cstdint>
#include <type_traits>

namespace sluice::forest {

/** Calls body(width) with a constant of the usual widths (see Layout), else with the number. */
template <typename Body>
inline void with_width(uint32_t width, const Body& body) {
  switch (width) {
    case 2:
      return body(std::integral_constant<uint32_t, 2>{});
    case 4:
      return body(std::integral_constant<uint32_t, 4>{});
    case 8:
      return body(std::integral_constant<uint32_t, 8>{});
    default:
      return body(width);
  }
}

}  // namespace sluice::forest
