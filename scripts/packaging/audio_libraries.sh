#!/usr/bin/env bash
# Prints the folder of FFmpeg's libraries as packages bring them: Debian's source, with the decoders and containers of
# src/media/audio.cpp, the encoders of audio_encoder.cpp and nothing else. Debian's own build needs 150 MB of other libraries, GPL ones among them; this one is
# 4 MB under the LGPL, and has the same names and versions of symbols. Built once (a minute of processor time) and kept
# in $XDG_CACHE_HOME/verge/package/. Status 69: the source could not be fetched.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/install.sh

decoders=$(sed -n '/kCodecs =/,/;/p' src/media/audio.cpp | grep -o '"[^"]*"' | tr -d '"\n')
# The demuxers of kContainers by their names in configure, and the parsers of what lies in containers.
demuxers=wav,w64,aiff,au,caf,flac,mp3,ogg,matroska,mov,aac,amr,amrnb,amrwb,asf,avi,mpegts,mpegps,ac3,eac3,wv,tta,ape,voc,gsm,loas,flv
# What src/media/audio_encoder.cpp writes: its encoders, and their muxers by their names in configure.
encoders=$(grep -o '{"[a-z0-9]*", "[a-z0-9_]*", "[a-z0-9]*", ["n]' src/media/audio_encoder.cpp | cut -d'"' -f4 | paste -sd,)
muxers=pcm_s16le,pcm_mulaw,pcm_alaw,wav,flac,mp3,ogg,adts
parsers=aac,aac_latm,ac3,amr,flac,gsm,mpegaudio,opus,vorbis
settings="--disable-everything --disable-autodetect --disable-programs --disable-doc --disable-avdevice --disable-avfilter
  --disable-swscale --disable-postproc --disable-network --disable-static --disable-debug --enable-shared --enable-zlib
  --enable-decoder=$decoders --enable-demuxer=$demuxers --enable-parser=$parsers
  --enable-encoder=$encoders --enable-muxer=$muxers --enable-libmp3lame --enable-libopus"
key=$({ echo "$settings"; dpkg-query -W -f='${Version}' libavcodec-dev; cat "$0"; } | sha256sum | cut -c1-12)
to=${XDG_CACHE_HOME:-$HOME/.cache}/verge/package/audio-$key
if [ -d "$to/lib" ]; then echo "$to/lib"; exit 0; fi

{
  say "Building FFmpeg's audio codecs (once; kept in $to)"
  mkdir -p "$(dirname "$to")"
  work=$(mktemp -d "$to.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  # Source entries of the machine's own sources, in lists of this script's own.
  mkdir -p "$work/lists/partial" "$work/sources.d" "$work/source"
  for file in /etc/apt/sources.list.d/*.sources; do
    if [ -f "$file" ]; then sed 's/^Types:.*/Types: deb-src/' "$file" >"$work/sources.d/$(basename "$file")"; fi
  done
  { cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true; } | sed -n 's/^deb /deb-src /p' >"$work/sources.d/lines.list"
  apt() {
    apt-get -q -o Dir::Etc::sourcelist=- -o Dir::Etc::sourceparts="$work/sources.d" -o Dir::State::lists="$work/lists" \
      -o APT::Sandbox::User=root -o pkgCacheGen::Essential=none "$@"
  }
  log=$work/log
  (apt update && cd "$work/source" && apt source --download-only ffmpeg) >"$log" 2>&1 ||
    { tail -n 30 "$log" >&2; echo "error: Debian's source of FFmpeg could not be fetched" >&2; exit 69; }
  (
    cd "$work/source"
    dsc=$(echo ffmpeg_*.dsc)
    dpkg-source --no-check -x "$dsc" tree
    cd tree
    # shellcheck disable=SC2086
    ./configure --prefix="$work/out" --cc="$(command -v ccache || true) gcc" $settings
    make -j"$(nproc)"
    make install
    cp COPYING.LGPLv2.1 "$work/out/lib/"
    echo "$dsc: ./configure $settings" | tr -s ' \n' ' ' >"$work/out/lib/BUILD"
  ) >>"$log" 2>&1 || { tail -n 30 "$log" >&2; die "FFmpeg's audio codecs could not be built"; }
  if grep -E '^WARNING: .*(unknown|did not match)' "$log"; then die "configure does not know a codec of src/media/"; fi
  rm -rf "$work/out/lib/pkgconfig"
  mkdir -p "$work/kept"
  mv "$work/out/lib" "$work/kept/lib"
  mv -T "$work/kept" "$to" 2>/dev/null || [ -d "$to/lib" ]
} >&2
echo "$to/lib"
