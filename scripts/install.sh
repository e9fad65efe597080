# Sourced by ./run and ./test: installs what is missing from Debian, and says what.
# need PACKAGE...   installs those that are not there; root, or sudo.

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

BUILD_PACKAGES="g++ cmake ninja-build ccache mold pkg-config libboost1.81-dev libboost-json1.81-dev libssl-dev
  libspdlog-dev libfmt-dev libcli11-dev libpcre2-dev libutf8proc-dev libsqlite3-dev zlib1g-dev
  prometheus-cpp-dev libseccomp-dev libgtest-dev libgmock-dev libcurl4-openssl-dev libxml2-dev libicu-dev poppler-utils
  libavformat-dev libavcodec-dev libavutil-dev libswresample-dev libjpeg62-turbo-dev libpng-dev libwebp-dev libnats-dev
  libbrotli-dev libzstd-dev"
PAGE_PACKAGES="nodejs npm"
TEST_PACKAGES="$PAGE_PACKAGES systemd python3-pytest python3-venv curl nats-server iproute2 faketime openssl python3-yaml chromium fonts-dejavu-core"
FUZZ_PACKAGES="clang libclang-rt-14-dev"
PACKAGE_PACKAGES="ca-certificates gcc make nasm binutils dpkg-dev icu-devtools libavcodec-dev libmp3lame-dev libopus-dev python3 zstd $PAGE_PACKAGES"
PULL_PACKAGES="python3 python3-pip ca-certificates curl"

installed() { dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }

# Node may come from elsewhere, and Debian's npm cannot stand beside another node.
present() {
  case $1 in
    nodejs) command -v node >/dev/null || installed "$1" ;;
    npm) command -v npm >/dev/null || installed "$1" ;;
    *) installed "$1" ;;
  esac
}

missing_of() { local package; for package in "$@"; do present "$package" || printf '%s ' "$package"; done; }

need() {
  [ -n "$(missing_of "$@")" ] || return 0
  # Scripts that run side by side install one after the other.
  exec 9>"${TMPDIR:-/tmp}/verge-install.lock"
  flock 9
  local missing; missing=$(missing_of "$@")
  if [ -n "$missing" ]; then install_packages "$missing"; fi
  exec 9>&-
}

install_packages() {  # "PACKAGE PACKAGE…"
  command -v apt-get >/dev/null ||
    die "this script installs Debian packages; on another system install the equivalents of: $1"
  local sudo=""
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || die "run as root, or install sudo; missing packages: $1"
    sudo=sudo
  fi
  say "Installing from Debian: $1"
  local log; log=$(mktemp)
  { $sudo apt-get update 9>&- &&
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $1 9>&-
  } >"$log" 2>&1 || { tail -n 20 "$log" >&2; die "apt-get failed (whole log: $log)"; }
  rm -f "$log"
}

# A build folder that was made for a copy of the sources elsewhere (and came along when this one was moved or copied) is made
# anew: CMake would refuse it, or build the other copy.
drop_foreign() {  # FOLDER
  local made_for
  made_for=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$1/CMakeCache.txt" 2>/dev/null) || return 0
  if [ "$made_for" -ef . ]; then return 0; fi
  say "$1 was made for $made_for: it is made anew"
  rm -rf "$1"
}

# build PRESET TARGET...: a bar on a terminal (ninja's own), a line every tenth elsewhere.
build() {
  local preset=$1; shift
  drop_foreign "build/$preset"
  cmake --preset "$preset" >"/tmp/verge-configure.$$" 2>&1 || { cat "/tmp/verge-configure.$$" >&2; die "configuration failed"; }
  rm -f "/tmp/verge-configure.$$"
  if [ -t 1 ]; then
    NINJA_STATUS='    [%p] ' cmake --build "build/$preset" --target "$@"
  else
    NINJA_STATUS='[%f/%t] ' cmake --build "build/$preset" --target "$@" | awk '
      match($0, /^\[[0-9]+\/[0-9]+\]/) { split(substr($0, 2, RLENGTH - 2), n, "/"); p = int(n[1] * 10 / n[2]); if (p != last) { last = p; printf "    built %d of %d\n", n[1], n[2]; fflush() } next }
      !/^ninja: / { print }'
    [ "${PIPESTATUS[0]}" = 0 ] || die "the build failed"
  fi
}
