#!/usr/bin/env bash
# Makes a data folder of this build's format: ./testdata/folders/make.sh NUMBER
#
# The folders are those of a region and of a manufacturer below it, with the keys and the
# anchor that a test needs to go on with them.
#
# Once a format is released its folder is never made again: it has to be one that was
# written then. A new format gets a new number.
set -euo pipefail

[ $# = 1 ] || { echo "usage: $0 NUMBER" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
bin=$here/../../bin/nameplate
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$work"' EXIT
cd "$work"
nameplate() { "$bin" "$@"; }
at() { echo "grpc://127.88.90.$1:2640"; }
listen() { echo "--dns 127.88.90.$1:5300 --grpc 127.88.90.$1:2640 --http 127.88.90.$1:8080 --handle 127.88.90.$1:2641"; }
answers() { until nameplate status --server "$(at "$1")" 2>/dev/null | grep -q "${2:-answers for}"; do sleep 0.1; done; }

export NAMEPLATE_LOG_LEVEL=error
printf 'journal: {segment: 4MiB}\n' > node.yaml

# shellcheck disable=SC2046
"$bin" serve --config node.yaml --data region --name region --anchor region.anchor --mirror off $(listen 1) &
answers 1
mkdir maker
nameplate key generate maker/node.key
nameplate key generate holder.key
nameplate key generate next.key
nameplate delegate 88.118.8 --to maker/node.key --key region/node.key --server "$(at 1)" \
  --node maker --node-key maker/node.key --address 127.88.90.2,dns=5300,grpc=2640,http=8080,handle=2641
nameplate delegate 88.118.9 --to holder.key --key region/node.key --server "$(at 1)"
nameplate register 88.118.9/A --link https://maker.example/a --value 'DESC=Pump, 4 kW' --key holder.key --server "$(at 1)"
nameplate register 88.118.9/B --link https://maker.example/b --key holder.key --server "$(at 1)"
nameplate register 88.118.9/B --link https://maker.example/b2 --replace --key holder.key --server "$(at 1)"
nameplate withdraw 88.118.9/A --key holder.key --server "$(at 1)"

# shellcheck disable=SC2046
"$bin" serve --config node.yaml --data maker --name maker --parent-address 127.88.90.1:2640 \
  --parent-key "$(nameplate key show region/node.key)" --mirror off $(listen 2) &
answers 2 "answers for  *88.118.8"
nameplate delegate 88.118.8.1 --to holder.key --key maker/node.key --server "$(at 2)"
nameplate register 88.118.8/SN-42 --link https://maker.example/sn-42 --key maker/node.key --server "$(at 2)" --wait anchored
nameplate register 88.118.8.1/ö --link https://maker.example/o --value 'EMAIL=a@maker.example' --key holder.key --server "$(at 2)"
nameplate delegate 88.118.8.1 --rotate --to next.key --key holder.key --server "$(at 2)" --suspect-since 3
nameplate register 88.118.8/SN-43 --link https://maker.example/sn-43 --key maker/node.key --server "$(at 2)" --wait anchored
sleep 2

kill %2; wait %2 || true
kill %1; wait %1 || true
for node in region maker; do
  nameplate check --data $node
  nameplate export --data $node > "$here/$1.$node.ndjson"
  rm -f $node/LOCK
done
tar --sort=name --owner=0 --group=0 --numeric-owner -czf "$here/$1.tar.gz" region maker region.anchor holder.key
ls -l "$here/$1".*
