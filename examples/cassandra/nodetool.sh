#!/bin/sh
# Cassandra's nodetool, on this computer, for the node that run.sh has started: nodetool.sh status, flush, compact, snapshot ...
#   JMX=7199       as for run.sh
. "$(dirname "$0")/../common.sh"
jars
# It reaches into the same packages of the JDK as the node.
grep '^--add' "$here/conf/jvm.options" >"$cache/nodetool.options"
exec "${bin}java" "@$cache/nodetool.options" -Xmx128m -cp "$here/conf:$cache/jars/*" org.apache.cassandra.tools.NodeTool \
    -h 127.0.0.1 -p "${JMX:-7199}" "$@"
