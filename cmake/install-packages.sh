#!/usr/bin/env bash
# bash cmake/install-packages.sh [--tests] [--examples] [--server]
#
# Sees to it that the Debian packages are there that a build needs (with --tests, --examples,
# --server: those of the tests, of the examples, of examples/torch_server too). Installs what is
# missing when it may (as root, or by sudo without a password); otherwise prints the one command that
# does and exits with status 3. Written for Debian 12 and Ubuntu 24.04; elsewhere it trusts that CMake
# finds what it needs.
set -euo pipefail

have() { command -v "$1" >/dev/null 2>&1; }
installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q ' installed$'; }

tools=(c++:g++ cmake:cmake ninja:ninja-build pkg-config:pkg-config)
libraries=(libexpected-dev nlohmann-json3-dev libhwloc-dev)
for group in "$@"; do
  case $group in
    --tests)
      tools+=(clang-format-14:clang-format-14)
      libraries+=(libgtest-dev libgmock-dev librapidcheck-dev libonnx-dev libprotobuf-dev
        libspdlog-dev prometheus-cpp-dev) ;;
    --examples) libraries+=(libcli11-dev libonnx-dev libprotobuf-dev) ;;
    --server)
      libraries+=(libcli11-dev libtorch-dev libopenblas0-pthread libcpp-httplib-dev) ;;
    *) echo "unknown group of packages: $group (there are --tests, --examples and --server)" >&2
      exit 2 ;;
  esac
done

if ! have dpkg-query || ! have apt-get; then
  echo "packages: this is not Debian or Ubuntu; going on with what is installed"
  exit 0
fi

missing=()
for tool in "${tools[@]}"; do
  have "${tool%%:*}" || missing+=("${tool#*:}")
done
for library in "${libraries[@]}"; do
  installed "$library" || missing+=("$library")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "packages: all there"
  exit 0
fi

become_root=()
if [ "$(id -u)" -ne 0 ]; then
  if have sudo && sudo -n true 2>/dev/null; then
    become_root=(sudo -n env DEBIAN_FRONTEND=noninteractive)
  else
    echo "packages: missing, and not installed because that needs root. Run this, then try again:"
    echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}"
    exit 3
  fi
fi

echo "packages: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt() { ${become_root[@]+"${become_root[@]}"} apt-get -qq -o Dpkg::Use-Pty=0 "$@"; }
if apt update && apt install -y --no-install-recommends "${missing[@]}" >/dev/null; then
  echo "packages: all there"
else
  echo "packages: apt-get failed. Once it works, this installs what is missing:"
  echo "  apt-get install -y --no-install-recommends ${missing[*]}"
  exit 3
fi
