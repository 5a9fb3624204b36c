#!/bin/sh
# Builds the addon under ASan and UBSan and runs the addon's own tests in Node against it, so that an
# overflow of a JavaScript buffer is seen. Leaks are not looked for: Node itself frees nothing at exit.
set -eu
cd "$(dirname "$0")/../.."
node_modules/.bin/cmake-js compile --out build-sanitize --CDSLUICE_SANITIZE=ON
SLUICE_ADDON="$PWD/build-sanitize/Release/sluice.node"
ASAN_OPTIONS=detect_leaks=0:halt_on_error=1
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
export SLUICE_ADDON ASAN_OPTIONS
LD_PRELOAD="$LD_PRELOAD" exec node node_modules/vitest/vitest.mjs run test/native test/model \
  --pool=forks --testTimeout 120000
