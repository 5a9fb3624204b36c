#!/bin/sh
# Builds and runs the GoogleTest binary. `run.sh` as released, `run.sh sanitize` under ASan and UBSan.
# Further arguments go to the binary (--gtest_filter=...). Needs only CMake, a C++ compiler and libgtest-dev.
set -eu
cd "$(dirname "$0")/../.."
variant=release
if [ "${1:-}" = sanitize ]; then
  variant=sanitize
  shift
fi
folder=build-test
options=
if [ "$variant" = sanitize ]; then
  folder=build-test-sanitize
  options='-DSLUICE_SANITIZE=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo'
fi
generator=
if command -v ninja >/dev/null 2>&1; then generator='-G Ninja'; fi
# shellcheck disable=SC2086
[ -f "$folder/CMakeCache.txt" ] || cmake -S . -B "$folder" $generator -DSLUICE_TESTS=ON $options >/dev/null
cmake --build "$folder" --parallel 2 --target sluice_test
exec "$folder/native/test/sluice_test" --gtest_brief=1 "$@"
