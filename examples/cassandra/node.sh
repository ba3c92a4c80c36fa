# Sourced by run.sh and ring.sh.

# node NAME ADDRESS VOLUME OPTION...: becomes a node whose ring is at ADDRESS, with 10.0.2.11 as the seed if that is no loopback
# address; the OPTIONs are run-java.sh's.
node() {
    name=$1 address=$2 volume=$3
    shift 3
    seeds=$address
    [ "$address" = 127.0.0.1 ] || seeds=10.0.2.11
    "$here/configure.sh" "$cache/$name" /data "$address" "$seeds"
    # shellcheck disable=SC2086 # words are meant to be split
    exec "$root/run-java.sh" --volume "$volume,size=10G:/data" "$@" ${OPTIONS-} \
        -J "@$cache/$name/jvm.options" -J "-Xms$heap" -J "-Xmx$heap" -J "-javaagent:$cache/jars/jamm-0.4.0.jar" \
        -J -Dcassandra.storagedir=/data -cp "$cache/$name:$cache/jars/*" org.apache.cassandra.service.CassandraDaemon
}
