#!/usr/bin/env python3
"""Talks to the ring that ring.sh starts, with the DataStax driver (pip install cassandra-driver), at consistency QUORUM.

ring_client.py write [FIRST [LAST]]: makes a keyspace with three replicas and a table, if they are missing, and writes the rows;
    "ack N" when row N is safe on two nodes.
ring_client.py read [LAST]: compares the rows from 1 to LAST with what was written.
PORT comes from the environment, as in ring.sh.
"""
import os
import sys

from cassandra import ConsistencyLevel
from cassandra.cluster import Cluster, ExecutionProfile, EXEC_PROFILE_DEFAULT
from cassandra.connection import DefaultEndPoint, EndPointFactory
from cassandra.policies import RoundRobinPolicy

PORT = int(os.environ.get("PORT", "9042"))
# Seconds: software emulation is slow.
LIMIT = 120


def published(node):
    return DefaultEndPoint("127.0.0.1", PORT + node - 1)


class Published(EndPointFactory):
    """A node's own address, 10.0.2.1N, lies in the network behind the switch: from here it is a published port."""

    def create(self, row):
        address = str(row.get("native_address") or row.get("rpc_address") or row["peer"])
        return published(int(address.rsplit(".", 1)[1]) - 10)


def text(number):
    return f"row {number} " * (1 + number * 31 % 40)


def write(session, first, last):
    session.execute(
        "CREATE KEYSPACE IF NOT EXISTS ring"
        " WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}"
    )
    session.execute("CREATE TABLE IF NOT EXISTS ring.entry (id int PRIMARY KEY, text text)")
    insert = session.prepare("INSERT INTO ring.entry (id, text) VALUES (?, ?)")
    insert.is_idempotent = True
    for number in range(first, last + 1):
        session.execute(insert, (number, text(number)))
        print("ack", number, flush=True)


def read(session, last):
    select = session.prepare("SELECT text FROM ring.entry WHERE id = ?")
    for number in range(1, last + 1):
        row = session.execute(select, (number,)).one()
        if row is None or row.text != text(number):
            sys.exit(f"row {number} is {row!r}")
    print(f"{last} rows, each as it was written")


def main():
    profile = ExecutionProfile(
        load_balancing_policy=RoundRobinPolicy(), request_timeout=LIMIT, consistency_level=ConsistencyLevel.QUORUM
    )
    cluster = Cluster(
        [published(node) for node in (1, 2, 3)], execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        endpoint_factory=Published(), connect_timeout=LIMIT, control_connection_timeout=LIMIT, protocol_version=5,
        max_schema_agreement_wait=LIMIT,
    )
    numbers = [int(word) for word in sys.argv[2:]]
    if sys.argv[1:2] == ["write"] and len(numbers) <= 2:
        write(cluster.connect(), *(numbers + [1, 100][len(numbers):]))
    elif sys.argv[1:2] == ["read"] and len(numbers) <= 1:
        read(cluster.connect(), *(numbers or [100]))
    else:
        sys.exit(__doc__)
    cluster.shutdown()


main()
