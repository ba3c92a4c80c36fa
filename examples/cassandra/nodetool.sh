#!/bin/sh
# Cassandra's nodetool, on this computer, for the node that run.sh has started: nodetool.sh status, flush, compact, snapshot ...
#   JMX=7199       as for run.sh
. "$(dirname "$0")/../common.sh"
jars
exec "${bin}java" -Xmx128m -cp "$cache/jars/*" org.apache.cassandra.tools.NodeTool -h 127.0.0.1 -p "${JMX:-7199}" "$@"
