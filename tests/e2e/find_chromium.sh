#!/bin/sh
# Browser tests need a Chromium. Under CI it is brought along where the system's packages can be installed; on a
# person's machine nothing is installed unasked: the tests are skipped there by name, with the reason.
for name in chromium chromium-browser google-chrome google-chrome-stable; do
  command -v "$name" >/dev/null 2>&1 && exit 0
done
[ "$CI" = true ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "  installing Chromium for the browser tests …"
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends chromium fonts-dejavu-core; } \
    >/dev/null 2>&1 || echo "Chromium could not be installed; the browser tests will fail" >&2
fi
exit 0
