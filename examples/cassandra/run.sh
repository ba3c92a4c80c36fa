#!/bin/sh
# Starts one node of Apache Cassandra on Demitasse. Its data is on a volume; drivers reach it at a port of this
# computer's loopback. Ctrl-C ends it properly; the next start finds the data.
#   VOLUME=...     the volume's image, made when missing [default: data.img in the cache directory of the example]
#   PORT=9042      the port on this computer's loopback
#   HEAP=1g        Java's heap, of 3 GiB of memory
#   OPTIONS="..."  further options of run-java.sh
. "$(dirname "$0")/../common.sh"
port=${PORT:-9042}
volume=${VOLUME:-$cache/data.img}
heap=${HEAP:-1g}
jars

# A node alone speaks with nobody but drivers: its ring is on the loopback interface.
rm -rf "$cache/conf"
cp -R "$here/conf" "$cache/conf"
sed -i 's/@LISTEN@/127.0.0.1/; s/@SEEDS@/127.0.0.1/' "$cache/conf/cassandra.yaml"

echo "cqlsh and drivers reach the node at localhost:$port when it says \"Starting listening for CQL clients\"" >&2
# shellcheck disable=SC2086 # words are meant to be split
exec "$root/run-java.sh" --memory 3G --publish "$port:9042" --volume "$volume,size=10G:/data" ${OPTIONS-} \
    -J "@$cache/conf/jvm.options" -J "-Xms$heap" -J "-Xmx$heap" -J "-javaagent:$cache/jars/jamm-0.4.0.jar" \
    -J -Dcassandra.storagedir=/data -cp "$cache/conf:$cache/jars/*" org.apache.cassandra.service.CassandraDaemon "$@"
