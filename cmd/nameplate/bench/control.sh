#!/usr/bin/env bash
# Builds three nodes that are worse on purpose, each in one line, and sees to it that
# "nameplate bench check" names what got worse. Run from the root of the module.
set -euo pipefail
go=${1:-go}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# worse NAME FILE EXPRESSION FIGURE: the file is changed by sed in an overlay.
worse() {
  local name=$1 file=$2 expression=$3 figure=$4
  sed "$expression" "$file" > "$work/changed.go"
  if cmp -s "$file" "$work/changed.go"; then
    echo "control: $name: the expression finds nothing in $file any more: mend it" >&2
    exit 1
  fi
  printf '{"Replace":{"%s":"%s"}}' "$PWD/$file" "$work/changed.go" > "$work/overlay.json"
  CGO_ENABLED=0 $go build -overlay "$work/overlay.json" -o "$work/nameplate" ./cmd/nameplate
  if "$work/nameplate" bench check > "$work/out" 2> "$work/err"; then
    echo "control: $name: the check did not notice" >&2
    cat "$work/out" >&2
    exit 1
  fi
  if ! grep -q "$figure" "$work/err"; then
    echo "control: $name: the check failed without naming $figure:" >&2
    cat "$work/err" >&2
    exit 1
  fi
  echo "control: $name is noticed: $(grep -m 1 "$figure" "$work/err")"
}

worse "a system call for each datagram" resolver/dns/udp.go 's/NewBatch(batchSize, maxQuery)/NewBatch(1, maxQuery)/' "dns udp: system calls"
worse "an allocation for each answer" resolver/dns/udp.go 's/all.answerAll(working)/& ; for range batch.Len() { p.s.o.Log.With("worse", 1) }/' "dns udp: allocations"
worse "half empty pages" registry/state/fill.go 's/orderedFill = 0\.9[0-9]*/orderedFill = 0.5/' "disk: state"
