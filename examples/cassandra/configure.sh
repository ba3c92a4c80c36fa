#!/bin/sh
# configure.sh TO DATA ADDRESS SEEDS: writes the example's configuration for one node to the directory TO. The node's files are in
# DATA, and its ring is at ADDRESS; SEEDS are addresses of nodes that know the ring, with commas.
set -eu
to=$1 data=$2 address=$3 seeds=$4
rm -rf "${to:?}"
cp -R "$(dirname "$0")/conf" "$to"
sed -i "s|/data/|$data/|g; s/@LISTEN@/$address/; s/@SEEDS@/$seeds/" "$to/cassandra.yaml"
sed -i "s|=/data/|=$data/|" "$to/jvm.options"
