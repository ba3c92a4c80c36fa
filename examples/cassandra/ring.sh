#!/bin/sh
# Starts a ring of three nodes of Apache Cassandra, each in a machine of its own, on one virtual network. One after another: a node
# joins when the one before it serves drivers. They are at localhost:9042, 9043 and 9044; Ctrl-C ends all of them properly, and the
# next start finds the data. ring_client.py talks to them, also when one is gone: kill it by the number that is printed here.
# "ring.sh 3" starts node 3 again in a ring that runs; Ctrl-C there ends that node alone.
#   PORT=9042      the first node's port on this computer's loopback; the others' follow it
#   HEAP=768m      Java's heap, of 2 GiB of memory, for each
#   LIMIT=1800     seconds in which a node must have joined
#   OPTIONS="..."  further options of run-java.sh
. "$(dirname "$0")/../common.sh"
. "$here/node.sh"
port=${PORT:-9042}
heap=${HEAP:-768m}
limit=${LIMIT:-1800}
network=$cache/ring.sock
jars

nodes=
switch=
stop() {
    # Once more, and the network would be left behind.
    trap - EXIT
    trap '' INT TERM
    # The network goes last: a node tells the others that it leaves.
    for pid in $nodes; do
        ! kill -TERM "$pid" 2>/dev/null || wait "$pid" || true
    done
    [ -z "$switch" ] || kill -TERM "$switch" 2>/dev/null || true
    wait
}
trap stop EXIT
trap 'stop; exit 130' INT
trap 'stop; exit 143' TERM

# Starts the virtual network.
connect() {
    (exec "$root/run-java.sh" --switch "$network" --publish "$port:10.0.2.11:9042" \
        --publish "$((port + 1)):10.0.2.12:9042" --publish "$((port + 2)):10.0.2.13:9042") </dev/null &
    switch=$!
    until [ -S "$network" ]; do
        kill -0 "$switch" || exit 1
        sleep 1
    done
}

# Starts node $1 and waits until it serves drivers.
join() {
    n=$1
    log=$cache/node$n.log
    (node "node$n" "10.0.2.1$n" "$cache/node$n.img" --memory 2G --net "switch=$network" \
        --ip "10.0.2.1$n/24,gw=10.0.2.2") </dev/null >"$log" 2>&1 &
    pid=$!
    nodes="$nodes $pid"
    began=$(date +%s)
    echo "node $n at 10.0.2.1$n is process $pid; it writes to $log" >&2
    until grep -q "Starting listening for CQL clients" "$log"; do
        kill -0 "$pid" 2>/dev/null || { tail -n 20 "$log" >&2; echo "node $n has ended" >&2; exit 1; }
        [ $(($(date +%s) - began)) -lt "$limit" ] || { tail -n 20 "$log" >&2; echo "node $n has not joined in $limit s" >&2; exit 1; }
        sleep 2
    done
    echo "node $n has joined after $(($(date +%s) - began)) s: localhost:$((port + n - 1))" >&2
}

case ${1-all} in
all)
    connect
    for number in 1 2 3; do join "$number"; done
    echo "the ring is whole; Ctrl-C ends it" >&2
    ;;
[123])
    [ -S "$network" ] || { echo "no ring runs (there is no $network): start it with ring.sh" >&2; exit 2; }
    join "$1"
    echo "Ctrl-C ends node $1" >&2
    ;;
*)
    echo "ring.sh starts all three nodes, ring.sh 1, 2 or 3 one of them again; not \"$1\"" >&2
    exit 2
    ;;
esac
# Until the last of them is gone.
wait $nodes || true
