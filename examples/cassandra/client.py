#!/usr/bin/env python3
"""Talks to the node that run.sh starts, with the DataStax driver (pip install cassandra-driver).

client.py write [ROWS]: makes a keyspace and a table, if they are missing, and writes; "ack N" when row N is safe.
client.py read: counts the rows and compares each of them with what was written.
PORT comes from the environment, as in run.sh.
"""
import os
import sys

from cassandra.cluster import Cluster, ExecutionProfile, EXEC_PROFILE_DEFAULT
from cassandra.policies import AddressTranslator, WhiteListRoundRobinPolicy

HOST = "127.0.0.1"
PORT = int(os.environ.get("PORT", "9042"))
# Seconds: software emulation is slow.
LIMIT = 120


class Published(AddressTranslator):
    """The node's own address means nothing here: it is reached by the published port."""

    def translate(self, addr):
        return HOST


def text(number):
    return f"row {number} " * (1 + number * 31 % 40)


def write(session, rows):
    session.execute(
        "CREATE KEYSPACE IF NOT EXISTS load"
        " WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
    )
    session.execute("CREATE TABLE IF NOT EXISTS load.entry (id int PRIMARY KEY, text text)")
    insert = session.prepare("INSERT INTO load.entry (id, text) VALUES (?, ?)")
    for number in range(1, rows + 1):
        session.execute(insert, (number, text(number)))
        print("ack", number, flush=True)


def read(session):
    release = session.execute("SELECT release_version FROM system.local").one().release_version
    found = 0
    for row in session.execute("SELECT id, text FROM load.entry"):
        if row.text != text(row.id):
            sys.exit(f"row {row.id} is {row.text!r}")
        found += 1
    print(f"Cassandra {release}: {found} rows, each as it was written")


def main():
    profile = ExecutionProfile(load_balancing_policy=WhiteListRoundRobinPolicy([HOST]), request_timeout=LIMIT)
    cluster = Cluster(
        [HOST], port=PORT, execution_profiles={EXEC_PROFILE_DEFAULT: profile}, address_translator=Published(),
        connect_timeout=LIMIT, control_connection_timeout=LIMIT, protocol_version=5,
    )
    session = cluster.connect()
    if sys.argv[1:2] == ["write"]:
        write(session, int(sys.argv[2]) if len(sys.argv) > 2 else 100)
    elif sys.argv[1:] == ["read"]:
        read(session)
    else:
        sys.exit(__doc__)
    cluster.shutdown()


main()
