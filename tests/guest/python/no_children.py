"""What of Python needs no second process: files, json, threads, sqlite3 in memory, time, ctypes, random numbers, subprocess refused."""
import ctypes
import hashlib
import json
import os
import re
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

print(sys.version_info[:2], sys.platform, sys.argv[1:])
print(json.dumps(json.loads('{"b": [1, 2.5, null], "a": "\\u00fc"}'), sort_keys=True))
print("tmp" in os.listdir("/"), os.path.isdir("/tmp"), os.getcwd())

total = 0
lock = threading.Lock()


def add(n):
    global total
    for _ in range(n):
        with lock:
            total += 1


threads = [threading.Thread(target=add, args=(2000,)) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(total, threading.active_count())

db = sqlite3.connect(":memory:")
db.execute("create table t (n integer primary key, s text)")
db.executemany("insert into t (s) values (?)", [(str(i * i),) for i in range(500)])
print(db.execute("select count(*), sum(n), max(length(s)) from t").fetchone())
with tempfile.TemporaryDirectory() as directory:
    path = os.path.join(directory, "file.db")
    with sqlite3.connect(path) as disk:
        disk.execute("create table t (n)")
        disk.executemany("insert into t values (?)", [(i,) for i in range(1000)])
    print(disk.execute("select sum(n) from t").fetchone(), os.listdir(directory))
    disk.close()
    os.symlink("file.db", os.path.join(directory, "link"))
    print(os.readlink(os.path.join(directory, "link")), os.stat(path).st_size > 4096)

before = time.monotonic()
time.sleep(0.05)
print(time.monotonic() - before >= 0.05, time.time() > 1_600_000_000, time.strftime("%Z"))
print(hashlib.sha256(b"demitasse").hexdigest(), zlib.crc32(b"x" * 1000), struct.pack("<IQ", 1, 2).hex())
print(len(os.urandom(16)), re.findall(r"(\w)=(\d+)", "a=1 b=22"))
print(ctypes.CDLL(None).strlen(b"hello"))
a, b = socket.socketpair()
a.sendall(b"over a pair")
print(b.recv(100))
print(signal.signal(signal.SIGUSR1, lambda number, frame: print("signal", number)))
os.kill(os.getpid(), signal.SIGUSR1)
try:
    subprocess.run(["/bin/true"], check=True)
    print("a child ran")
except OSError as error:
    print(type(error).__name__, error.errno)
try:
    os.fork()
    print("forked")
except OSError as error:
    print(type(error).__name__, error.errno)
sys.exit(3)
