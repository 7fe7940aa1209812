#!/bin/sh
# Builds and tries the container image on a machine without an image registry: see docs/image.md.
#
#   sudo tests/image/check_image.sh [SUITE]     Debian suite of the base: bookworm (Python 3.11) or trixie (3.13)
#
# Needs root, buildah, mmdebstrap, util-linux and Python 3.11; takes about two minutes and 2 GB under TMPDIR, removed at
# the end. BASE_TAR names an existing root file system for the base. pip's own variables (PIP_CERT, PIP_INDEX_URL) are
# used during the build and stay out of the image.
set -eu

suite=${1:-bookworm}
here=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$here/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/check_image.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# a store in the work folder: the machine's own images are neither used nor changed
storage() { command buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs "$@"; }

base_tar=${BASE_TAR:-$work/base.tar}
if [ -z "${BASE_TAR:-}" ]; then
  echo "== base: Debian $suite with Python"
  mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates "$suite" "$base_tar"
fi
base=$(storage from scratch)
storage add -q "$base" "$base_tar" / >"$work/base.log"
storage commit -q --rm "$base" localhost/base >"$work/base.log"

echo "== build"
authorities=${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}
{
  printf '[global]\ntimeout = 180\ncert = /run/secrets/ca\n'
  [ -z "${PIP_INDEX_URL:-}" ] || printf 'index-url = %s\n' "$PIP_INDEX_URL"
} >"$work/pip.conf"
storage build --isolation chroot --format docker --layers=false --build-arg BASE=localhost/base \
  --secret id=pip,src="$work/pip.conf" --secret id=ca,src="$authorities" \
  -t localhost/teams-bridge "$repo" >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
storage images
storage inspect --type image localhost/teams-bridge >"$work/image.json"
root=$(storage mount "$(storage from --pull-never localhost/teams-bridge)")

echo "== try it, without any network but a loopback of its own"
unshare --net "${PYTHON:-python3}" "$here/try_image.py" "$root" "$work/image.json" "$work/state"
