#!/bin/sh
# Starts one node of Apache Cassandra on Demitasse. Its data is on a volume; drivers reach it at a port of this
# computer's loopback. Ctrl-C ends it properly; the next start finds the data.
#   VOLUME=...     the volume's image, made when missing [default: data.img in the cache directory of the example]
#   PORT=9042      the port on this computer's loopback
#   JMX=7199       the port for nodetool.sh, on this computer's loopback as well
#   HEAP=1g        Java's heap, of 3 GiB of memory
#   OPTIONS="..."  further options of run-java.sh
. "$(dirname "$0")/../common.sh"
. "$here/node.sh"
port=${PORT:-9042}
jmx=${JMX:-7199}
heap=${HEAP:-1g}
jars

echo "cqlsh and drivers reach the node at localhost:$port when it says \"Starting listening for CQL clients\"" >&2
# A node alone speaks with nobody but drivers: its ring is on the loopback interface.
# JMX answers at the address and the port that nodetool knows it by: the port is the same on both sides.
node conf 127.0.0.1 "${VOLUME:-$cache/data.img}" --memory 3G --publish "$port:9042" --publish "$jmx:$jmx" \
    -J "-Dcassandra.jmx.remote.port=$jmx" -J "-Dcom.sun.management.jmxremote.rmi.port=$jmx" -J -Djava.rmi.server.hostname=127.0.0.1
